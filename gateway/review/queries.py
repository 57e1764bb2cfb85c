"""The table of states that a provider query passes through. `query_checks` says whether a draft may be asked."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from gateway.review.model import Query, QueryStatus


class Party(StrEnum):
    """Who may take a step."""

    PROVIDER = "provider"
    REQUESTER = "requester"
    """The gateway's own desk."""


_STEPS: dict[QueryStatus, tuple[QueryStatus, ...]] = {
    QueryStatus.REQUESTED: (QueryStatus.RECEIVED, QueryStatus.ACCEPTED, QueryStatus.REJECTED),
    QueryStatus.RECEIVED: (QueryStatus.ACCEPTED, QueryStatus.REJECTED),
    QueryStatus.ACCEPTED: (QueryStatus.READY, QueryStatus.IN_PROGRESS),
    QueryStatus.READY: (QueryStatus.IN_PROGRESS,),
    QueryStatus.IN_PROGRESS: (QueryStatus.ON_HOLD, QueryStatus.COMPLETED, QueryStatus.FAILED),
    QueryStatus.ON_HOLD: (QueryStatus.IN_PROGRESS,),
}
"""The provider's steps (Da Vinci CDex, Task states; R4 Task for received and ready)."""

QUERY_TRANSITIONS: dict[tuple[QueryStatus, QueryStatus], Party] = {
    **{(before, after): Party.PROVIDER for before, steps in _STEPS.items() for after in steps},
    **{
        (before, after): Party.REQUESTER
        for before in (QueryStatus.DRAFT, *_STEPS)
        for after in (QueryStatus.CANCELLED, QueryStatus.ENTERED_IN_ERROR)
    },
    (QueryStatus.DRAFT, QueryStatus.REQUESTED): Party.REQUESTER,
}
"""Who takes each step. A missing key is the error."""

FINAL = frozenset(QueryStatus) - {before for before, _ in QUERY_TRANSITIONS}
"""Statuses that a query does not leave."""

NEEDS_REASON = frozenset({QueryStatus.REJECTED, QueryStatus.FAILED})
"""CDex: statusReason when rejected or failed."""
NEEDS_ANSWER = frozenset({QueryStatus.COMPLETED})
"""CDex: output when completed."""


class QueryRefused(Exception):
    """The step cannot be taken: `conflict` when the table has no such step, `incomplete` when something is missing."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def transition(
    query: Query,
    status: QueryStatus,
    *,
    now: datetime,
    by: Party = Party.PROVIDER,
    reason: str | None = None,
    answer: str | None = None,
    option: str | None = None,
    answered_by: str | None = None,
    answered_in: str | None = None,
) -> Query:
    """The query in its new status, one version on. The same status with nothing new is the same query.

    Raises QueryRefused. An answer is taken with COMPLETED only; `option` is the text of a choice that was offered.
    """
    said = answer is not None or option is not None
    if status is query.status and not said and reason in (None, query.status_reason):
        return query
    party = QUERY_TRANSITIONS.get((query.status, status))
    if party is None:
        raise QueryRefused("conflict", f"a query that is {query.status} cannot become {status}")
    if party is not by:
        raise QueryRefused("conflict", f"only the {party} makes a query {status}")
    _complete(status, reason, answer, option)
    update: dict[str, object] = {
        "status": status,
        "status_reason": reason,
        "changed": now,
        "version": query.version + 1,
    }
    if status in FINAL:
        update["look"] = None
    if said:
        update |= {"answer": answer, "answer_option": option, "answered_by": answered_by, "answered": now}
        update["answered_in"] = answered_in
    return query.model_copy(update=update)


def _complete(status: QueryStatus, reason: str | None, answer: str | None, option: str | None) -> None:
    answered = bool((answer or "").strip() or (option or "").strip())
    if status in NEEDS_REASON and not (reason or "").strip():
        raise QueryRefused("incomplete", f"{status} needs a reason (statusReason)")
    if status in NEEDS_ANSWER and not answered:
        raise QueryRefused("incomplete", f"{status} needs an answer (output)")
    if answered and status not in NEEDS_ANSWER:
        raise QueryRefused("incomplete", f"an answer comes with {QueryStatus.COMPLETED}, not with {status}")


def steps_to(before: QueryStatus, after: QueryStatus) -> tuple[QueryStatus, ...]:
    """The provider's fewest steps from `before` that end with `after`. QueryRefused when none lead there.

    Whoever says the end, as a QuestionnaireResponse does, has said what comes before it.
    """
    ways: list[tuple[QueryStatus, ...]] = [(step,) for step in _STEPS.get(before, ())]
    seen = {before}
    while ways:
        way = ways.pop(0)
        if way[-1] is after:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [(*way, step) for step in _STEPS.get(way[-1], ())]
    raise QueryRefused("conflict", f"a query that is {before} cannot become {after}")
