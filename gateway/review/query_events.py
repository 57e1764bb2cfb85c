"""What the audit trail says of a provider query's moves. No word of the query or of its answer."""

from __future__ import annotations

from datetime import datetime

from gateway.audit.events import Action, Event
from gateway.review.model import Query


def query_moved(
    before: Query, after: Query, now: datetime, actor: str, message: int | None = None, action: Action | None = None
) -> Event:
    """The event of a move; `query.answered` or `query.changed` when no other action is said."""
    answered = after.answered is not None and before.answered is None
    told = action or (Action.QUERY_ANSWERED if answered else Action.QUERY_CHANGED)
    detail: dict[str, object] = {"from": before.status, "to": after.status, "version": after.version}
    if after.answered_in is not None:
        detail["document"] = after.answered_in
    return Event(now, actor, told, f"query/{after.id}", after.encounter, message, detail)
