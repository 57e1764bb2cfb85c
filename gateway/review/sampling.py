"""Exact random samples: of each so many consecutive encounters, exactly so many are chosen, by a seed that is told.

Anybody can draw again: a place is chosen when the SHA-256 of seed, sample, frame and position is among the smallest of
its frame. Nothing else enters, so the draw is the same on every machine and in every language.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.access.roles import GRANTS, Permission, Role
from gateway.encounter.model import Encounter
from gateway.encounter.record import Record
from gateway.yamlfile import NAME

MAX_FRAME = 10_000


def _may_approve(role: Role) -> Role:
    if Permission.APPROVE not in GRANTS[role]:
        able = ", ".join(r for r in Role if Permission.APPROVE in GRANTS[r])
        raise PydanticCustomError(
            "reviewer", "the role {role} may not approve", {"role": role.value, "remedy": f"name one that may: {able}"}
        )
    return role


Reviewer = Annotated[Role, AfterValidator(_may_approve)]
"""A role that a review can be left to."""


class SampleUnit(StrEnum):
    """What each has frames of its own."""

    ALL = "all"
    CODER = "coder"
    FACILITY = "facility"
    PAYER = "payer"
    ENCOUNTER_CLASS = "encounter-class"


class Sample(Record):
    """`take` of each `of` eligible encounters, counted for each coder, payer... by itself."""

    name: Annotated[str, Field(pattern=NAME)]
    take: Annotated[int, Field(ge=1)]
    of: Annotated[int, Field(ge=1, le=MAX_FRAME)]
    seed: Annotated[str, Field(min_length=1, max_length=100)]
    per: SampleUnit = SampleUnit.ALL
    when: str | None = None
    reason: str = "Chosen for a random review."
    resolvable_by: tuple[Reviewer, ...] = ()
    due_days: Annotated[int, Field(ge=0, le=365)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Sample:
        if self.take > self.of:
            raise PydanticCustomError(
                "sample", "{take} cannot be taken of {of}", {"take": self.take, "of": self.of, "remedy": "take fewer"}
            )
        return self


def _first_payer(encounter: Encounter) -> str | None:
    ranked = sorted(encounter.coverages, key=lambda c: c.rank if c.rank is not None else 1_000)
    payer = ranked[0].payer if ranked else None
    return payer.value if payer else None


_UNITS: dict[SampleUnit, Callable[[Encounter], str | None]] = {
    SampleUnit.ALL: lambda encounter: None,
    SampleUnit.CODER: lambda encounter: encounter.coding.coder,
    SampleUnit.FACILITY: lambda encounter: encounter.key.facility,
    SampleUnit.PAYER: _first_payer,
    SampleUnit.ENCOUNTER_CLASS: lambda encounter: encounter.visit.encounter_class,
}


def unit(sample: Sample, encounter: Encounter) -> str:
    """Whose frames count the encounter. Another seed or size begins frames of its own, so that each is exact."""
    return " ".join((sample.seed, f"{sample.take}-of-{sample.of}", _UNITS[sample.per](encounter) or "-"))


def chosen(sample: Sample, frame: str, position: int) -> bool:
    """Whether the encounter at `position` (from 0) of `frame` is one of the `take`. ValueError beyond the frame."""
    if not 0 <= position < sample.of:
        raise ValueError(f"a frame of {sample.of} has no position {position}")
    return position in chosen_positions(sample.seed, sample.name, frame, sample.take, sample.of)


@lru_cache(maxsize=256)
def chosen_positions(seed: str, name: str, frame: str, take: int, of: int) -> frozenset[int]:
    """The `take` positions of a frame whose digests are the smallest."""
    return frozenset(sorted(range(of), key=lambda position: _digest(seed, name, frame, position))[:take])


def _digest(seed: str, name: str, frame: str, position: int) -> bytes:
    """SHA-256 over the four as a JSON array: no two different places are written alike."""
    return hashlib.sha256(json.dumps([seed, name, frame, position], separators=(",", ":")).encode()).digest()
