"""An encounter's stage, derived from its holds and its newest delivery: for lists and counters."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.review.model import Hold, HoldKind, HoldState, Stage

AFTER_RELEASE: dict[str, Stage] = {
    "ready": Stage.RELEASED,
    "intent": Stage.RELEASED,
    "sent": Stage.RELEASED,
    "accepted": Stage.ACCEPTED,
    "rejected": Stage.REJECTED,
    "unknown": Stage.UNKNOWN,
}
"""By the state of the newest delivery. A missing key is the error."""

_TOLD_BY_DELIVERY = frozenset({HoldKind.DELIVERY, HoldKind.WAITING})
"""Kinds of hold that add nothing to the stage once a claim was released."""


def stage(open_holds: Iterable[Hold], delivery: str | None, *, has_lines: bool) -> Stage:
    """The stage. `delivery` is the state of the newest delivery, None when no claim was released.

    A hold that people must look at comes first, then waiting; an encounter is empty or ready only when none stands.
    """
    kinds = {hold.kind for hold in open_holds if hold.state is HoldState.OPEN}
    if delivery is not None:
        return Stage.HELD if kinds - _TOLD_BY_DELIVERY else AFTER_RELEASE[delivery]
    if kinds - {HoldKind.WAITING}:
        return Stage.HELD
    if kinds:
        return Stage.WAITING
    return Stage.READY if has_lines else Stage.EMPTY
