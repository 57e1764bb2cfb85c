"""Spoilt messages, the whole way in: none crashes, hangs or leaks. `make soak` takes a million of them."""

from __future__ import annotations

import gc
import resource
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from conformance.endurance import Endurance
from conformance.mutate import framed, mutated
from gateway.mappings.hl7v2.dialect import load_dialects
from gateway.mappings.hl7v2.mapped import FeedProfile

SHORT, LONG = 5_000, 1_000_000


@pytest.fixture(scope="module")
def profiles() -> list[FeedProfile]:
    zone = ZoneInfo("America/Chicago")
    return [FeedProfile(name, "MAIN", zone, dialect) for name, dialect in sorted(load_dialects().items())]


def frames(messages: list[bytes], seed: int) -> Iterator[bytes]:
    return framed(mutated(messages, seed), seed)


def own(fixtures: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((fixtures / "hl7v2").glob("*.hl7"))]


def test_the_same_seed_spoils_in_the_same_way(fixtures: Path) -> None:
    one, same, other = (list(islice(frames(own(fixtures), seed), 50)) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert len(set(one)) > 45


def test_no_spoilt_message_breaks_the_way_in(fixtures: Path, profiles: list[FeedProfile]) -> None:
    endurance = Endurance(profiles)
    for frame in islice(frames(own(fixtures), 20260102), SHORT):
        endurance.take(frame)
    assert endurance.messages > SHORT * 0.9
    assert endurance.mapped > SHORT * 0.3
    assert endurance.slowest < 1


@pytest.mark.soak
def test_a_million_spoilt_messages(fixtures: Path, shared_data: Path, profiles: list[FeedProfile]) -> None:
    messages = own(fixtures) + [path.read_bytes() for path in sorted((shared_data / "v2").rglob("*.hl7"))]
    endurance = Endurance(profiles)
    settled = 0
    for frame in islice(frames([m for m in messages if len(m) < 20_000], 7), LONG):
        endurance.take(frame)
        if endurance.frames == LONG // 10:
            gc.collect()
            settled = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - settled
    assert endurance.messages > LONG * 0.9
    assert endurance.slowest < 1
    assert grown < 64 * 1024, f"{grown} KiB more than after the first tenth"
