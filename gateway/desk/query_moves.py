"""A query's moves over its table of states, the refusals that people hear, and the holds that go with them. Pure."""

from __future__ import annotations

from datetime import datetime

from gateway.case import Case
from gateway.desk.refusals import Reason, Refusal
from gateway.encounter.change import Answer
from gateway.review.holds import open_hold
from gateway.review.model import Hold, HoldKind, Query, QueryStatus
from gateway.review.queries import FINAL, Party, QueryRefused, steps_to, transition
from gateway.review.query_settling import ended

ASKED_RULE = "provider-query"
UNANSWERED_RULE = "query-unanswered"
UNANSWERED = frozenset({QueryStatus.REJECTED, QueryStatus.FAILED})
"""The query is over without an answer: a reviewer decides how to go on."""


def unknown() -> Refusal:
    return Refusal(Reason.UNKNOWN, "There is no query of this id or number")


def of(case: Case, query_id: int) -> Query:
    """The query of the case. Refusal UNKNOWN."""
    query = next((q for q in case.queries if q.id == query_id), None)
    if query is None:
        raise unknown()
    return query


def replaced(queries: tuple[Query, ...], after: Query) -> tuple[Query, ...]:
    return tuple(after if query.id == after.id else query for query in queries)


def cancelled(query: Query, now: datetime, reason: str) -> Query:
    """The query taken back. Refusal IMPOSSIBLE when it is over."""
    if query.status in FINAL:
        raise Refusal(Reason.IMPOSSIBLE, f"The query is {query.status} already")
    return _moved(query, QueryStatus.CANCELLED, now, Party.REQUESTER, reason=reason)


def answered(query: Query, said: Answer, now: datetime, *, implied: bool) -> Query:
    """The query after what the provider said. With `implied`, the steps before it are taken too: who says the end has
    said them. Refusal IMPOSSIBLE or UNACCEPTABLE.
    """
    try:
        status = QueryStatus(said.status)
    except ValueError:
        raise Refusal(Reason.IMPOSSIBLE, "A query never has this status") from None
    if implied and query.status is not status:
        for step in _steps(query.status, status):
            query = _moved(query, step, now, Party.PROVIDER)
    if status is not QueryStatus.COMPLETED:
        return _moved(query, status, now, Party.PROVIDER, reason=said.text or None)
    return _moved(query, status, now, Party.PROVIDER, said)


def repeats(query: Query, said: Answer) -> bool:
    """Whether it is the very answer that ended the query: its sender did not hear that it was taken."""
    if query.status is not QueryStatus.COMPLETED or said.status != QueryStatus.COMPLETED:
        return False
    return (query.answer, query.answer_option, query.answered_by) == (said.text, said.option, said.author)


def asked_hold(id: int, query: Query, now: datetime) -> Hold:
    """What holds the claim while the query is open."""
    return open_hold(
        id=id,
        encounter=query.encounter,
        kind=HoldKind.QUERY,
        rule=ASKED_RULE,
        subject=query.number,
        text=f"Query {query.number} waits for the provider's answer",
        remedy="It ends with the answer, or when the query is withdrawn",
        now=now,
        due=query.due,
        query=query.id,
    )


def holds_after(holds: tuple[Hold, ...], query: Query, now: datetime, id: int) -> tuple[Hold, ...]:
    """The holds when the query has moved: one that is over holds no more; over without an answer is a dispute, `id`."""
    if query.status not in FINAL:
        return holds
    after = ended(holds, query.id, f"the query is {query.status}", now)
    if query.status not in UNANSWERED:
        return after
    dispute = open_hold(
        id=id,
        encounter=query.encounter,
        kind=HoldKind.DISPUTE,
        rule=UNANSWERED_RULE,
        subject=query.number,
        text=f"Query {query.number} is {query.status}: it was not answered",
        remedy="Ask again, or decide without the answer and resolve this with the reason",
        now=now,
        query=query.id,
    )
    return (*after, dispute)


def _steps(before: QueryStatus, after: QueryStatus) -> tuple[QueryStatus, ...]:
    try:
        return steps_to(before, after)[:-1]
    except QueryRefused as refused:
        raise _told(refused) from None


def _moved(
    query: Query, status: QueryStatus, now: datetime, by: Party, said: Answer | None = None, reason: str | None = None
) -> Query:
    try:
        return transition(
            query,
            status,
            now=now,
            by=by,
            reason=reason,
            answer=said.text if said else None,
            option=said.option if said else None,
            answered_by=said.author if said else None,
        )
    except QueryRefused as refused:
        raise _told(refused) from None


def _told(refused: QueryRefused) -> Refusal:
    reason = Reason.IMPOSSIBLE if refused.code == "conflict" else Reason.UNACCEPTABLE
    return Refusal(reason, refused.text)
