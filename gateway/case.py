"""A case: an encounter with everything that was decided about it. What messages, people and the clock all work on."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Case:
    """`version` is that of the stored row; 0 when there is none yet. A commit succeeds only on the version read."""

    key: str
    version: int = 0
    encounter: Encounter | None = None
    holds: tuple[Hold, ...] = ()
    queries: tuple[Query, ...] = ()
    decisions: tuple[Decision, ...] = ()
    draws: tuple[Draw, ...] = ()
    claims: tuple[Claim, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
