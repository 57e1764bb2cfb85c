"""The gate: a claim leaves when no hold stands, something is billed, and a destination takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.encounter.billable import Billable
from gateway.release.model import DeliveryState
from gateway.release.routing import Route, route
from gateway.review.model import Hold, HoldState

SETTLED = frozenset({DeliveryState.ACCEPTED, DeliveryState.REJECTED})
"""A later version may leave only once it is known what became of the one before."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why the claim does not leave, all of it."""

    reasons: tuple[str, ...]


def gate(
    holds: Sequence[Hold], billed: Billable, routes: Sequence[Route], previous: DeliveryState | None = None
) -> Route | Blocked:
    """The route that the claim leaves by, or why it does not leave.

    `holds` may be all of the case's: those that have ended do not count. `previous` is the state of the delivery of the
    encounter's last claim, when there is one.
    """
    chosen = route(billed, routes)
    reasons = [f"hold {hold.id}: {hold.kind} {hold.rule}" for hold in holds if hold.state is HoldState.OPEN]
    if not billed.lines:
        reasons.append("nothing is billed")
    if chosen is None:
        reasons.append("no destination takes the claim")
    if previous is not None and previous not in SETTLED:
        reasons.append(f"the last claim's delivery is {previous}")
    return Blocked(tuple(reasons)) if chosen is None or reasons else chosen
