"""Each engine does all that the suite in `conformance/store.py` asks."""

from __future__ import annotations

import pytest

from conformance.store import EXERCISES, Exercise, Place
from conformance.store_cases import gives_back_a_whole_case
from conformance.store_messages import (
    commits_in_groups,
    keeps_every_byte,
    keeps_many_at_once,
    stands_after_reopening,
)
from gateway.store import open_store
from gateway.store.interface import Store


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.__name__)
async def test_engine_passes(place: Place, exercise: Exercise) -> None:
    await exercise(place)


@pytest.mark.parametrize(
    "exercise",
    [keeps_every_byte, keeps_many_at_once, commits_in_groups, gives_back_a_whole_case, stands_after_reopening],
)
async def test_encryption_changes_nothing(encrypted_place: Place, exercise: Exercise) -> None:
    """A few of them: each opening derives the key anew, by design slowly."""
    await exercise(encrypted_place)


class Memory:
    """For tests of other rooms: the same store without a file, gone when it is closed."""

    async def open(self) -> Store:
        store = open_store("sqlite://")
        await store.open()
        return store


@pytest.mark.parametrize(
    "exercise",
    [exercise for exercise in EXERCISES if exercise is not stands_after_reopening],
    ids=lambda exercise: exercise.__name__,
)
async def test_memory_passes(exercise: Exercise) -> None:
    await exercise(Memory())
