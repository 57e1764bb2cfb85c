"""A case: an encounter with everything that was decided about it. What messages, people and the clock all work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.encounter.model import Encounter
from gateway.release.model import Claim, Delivery
from gateway.review.model import Decision, Hold, Query


@dataclass(frozen=True, slots=True)
class Draw:
    """An encounter's place in a random sample: recorded once, so that the sample can be shown to be exact."""

    sample: str
    frame: str
    position: int
    """Counted from 0 within the frame."""
    chosen: bool


# Final, not frozen: one is made for every message, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class Case:
    """`version` is that of the stored row; 0 when there is none yet. A commit succeeds only on the version read."""

    key: Final[str]
    version: Final[int] = 0
    encounter: Final[Encounter | None] = None
    holds: Final[tuple[Hold, ...]] = ()
    queries: Final[tuple[Query, ...]] = ()
    decisions: Final[tuple[Decision, ...]] = ()
    draws: Final[tuple[Draw, ...]] = ()
    claims: Final[tuple[Claim, ...]] = ()
    deliveries: Final[tuple[Delivery, ...]] = ()
