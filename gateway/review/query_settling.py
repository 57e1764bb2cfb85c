"""What becomes of open queries when the encounter has changed: answered by an addendum, or needed no more. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.encounter.model import Document, DocumentStatus, Encounter, VisitStatus
from gateway.review.holds import GATEWAY, clear
from gateway.review.model import Finding, Hold, HoldKind, HoldState, Query, QueryStatus
from gateway.review.queries import FINAL, Party, steps_to, transition

_SIGNED = frozenset({DocumentStatus.FINAL, DocumentStatus.AMENDED})


@dataclass(frozen=True, slots=True)
class Settled:
    """The queries and holds after a change; `moved` are the queries that it moved, before and after."""

    queries: tuple[Query, ...]
    holds: tuple[Hold, ...]
    moved: tuple[tuple[Query, Query], ...] = ()


def settle(
    queries: tuple[Query, ...],
    holds: tuple[Hold, ...],
    encounter: Encounter,
    findings: Iterable[Finding],
    now: datetime,
) -> Settled:
    """Open queries that a signed document names are answered; those whose need is gone are cancelled. The others, and
    the same objects when nothing moves, stay.
    """
    if all(query.status in FINAL for query in queries):
        return Settled(queries, holds)
    identities = {finding.identity for finding in findings}
    moved = tuple(
        (query, after)
        for query in queries
        if query.status not in FINAL and (after := _after(query, encounter, identities, now)) is not query
    )
    if not moved:
        return Settled(queries, holds)
    by_id = {after.id: after for _, after in moved}
    for _, after in moved:
        holds = ended(holds, after.id, f"the query is {after.status}", now)
    return Settled(tuple(by_id.get(query.id, query) for query in queries), holds, moved)


def ended(holds: tuple[Hold, ...], query: int, reason: str, now: datetime, actor: str = GATEWAY) -> tuple[Hold, ...]:
    """The holds, that of the query ended."""
    return tuple(
        clear(hold, reason=reason, now=now, actor=actor)
        if hold.query == query and hold.kind is HoldKind.QUERY and hold.state is HoldState.OPEN
        else hold
        for hold in holds
    )


def completed(
    query: Query,
    now: datetime,
    *,
    answer: str,
    option: str | None = None,
    answered_by: str | None = None,
    answered_in: str | None = None,
) -> Query:
    """The query answered, with the steps that an answer implies. QueryRefused."""
    for step in steps_to(query.status, QueryStatus.COMPLETED)[:-1]:
        query = transition(query, step, now=now)
    return transition(
        query,
        QueryStatus.COMPLETED,
        now=now,
        answer=answer,
        option=option,
        answered_by=answered_by,
        answered_in=answered_in,
    )


def _after(query: Query, encounter: Encounter, identities: set[tuple[str, str]], now: datetime) -> Query:
    addendum = next((d for d in encounter.documents if d.answers == query.number and d.status in _SIGNED), None)
    if addendum is not None:
        return completed(query, now, answer=_told(addendum), answered_by=_author(addendum), answered_in=addendum.id)
    gone = _needless(query, encounter, identities)
    if gone is None:
        return query
    return transition(query, QueryStatus.CANCELLED, now=now, by=Party.REQUESTER, reason=gone)


def _told(document: Document) -> str:
    return f"Answered in the record: {document.title or document.kind}, document {document.id}"


def _author(document: Document) -> str | None:
    return document.author.npi if document.author else None


def _needless(query: Query, encounter: Encounter, identities: set[tuple[str, str]]) -> str | None:
    """Why nobody needs the answer any more; None when somebody does."""
    if encounter.merged_into is not None:
        return "the encounter became part of another"
    if encounter.visit.status is VisitStatus.CANCELLED:
        return "the encounter was voided"
    need = query.draft.need
    if need is not None and (need.rule, need.subject) not in identities:
        return "what it was asked for stands no more"
    return None
