"""Whether a query may be asked, and what asking decides: the same for queries that are sent out and for spoken ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.access.roles import Permission, needed
from gateway.audit.events import Action, Event
from gateway.case import Case
from gateway.desk.ports import Person
from gateway.desk.query_placing import Placement, placed, refuse_unfit
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.work import Work, user
from gateway.encounter.billable import billable
from gateway.encounter.model import Encounter
from gateway.review.model import Decision, DecisionKind, Query, QueryDraft
from gateway.review.query_checks import Kept


@dataclass(frozen=True, slots=True)
class Asking:
    """The query that a draft becomes, the decision to ask it, and the event that tells of it."""

    query: Query
    decision: Decision
    event: Event


def permitted(caller: Person) -> None:
    """Refusal NOT_ALLOWED when the caller may ask nothing."""
    if Permission.QUERY_ASK not in caller.permissions:
        raise Refusal(Reason.NOT_ALLOWED, f"This needs {needed(Permission.QUERY_ASK)}")


def asking(
    work: Work,
    placement: Placement,
    draft: QueryDraft,
    case: Case,
    encounter: Encounter,
    kept: Kept,
    caller: Person,
    now: datetime,
    *,
    replaces: Query | None = None,
    verbal: bool = False,
) -> Asking:
    """Decide to ask `draft`, which cites the texts `kept`. Refusal UNACCEPTABLE with every rule that it breaks."""
    refuse_unfit(draft, case, encounter, kept)
    by, policy = user(caller), work.casework.query_policy
    query = placed(draft, case, by, now, ids=work.ids, policy=policy, zone=placement.zone(), replaces=replaces)
    query = query.model_copy(update={"verbal": verbal})
    made = Decision(
        id=work.ids.next(),
        encounter=case.key,
        kind=DecisionKind.ASK,
        actor=by,
        at=now,
        fingerprint=billable(encounter).fingerprint(),
    )
    return Asking(query, made, asked_event(query, by, now))


def asked_event(query: Query, by: str, now: datetime) -> Event:
    """The event of a query asked: no word of it."""
    draft = query.draft
    detail: dict[str, object] = {"number": query.number, "kind": draft.kind, "provider": draft.provider}
    told: dict[str, object] = {"template": draft.template, "replaces": query.replaces, "verbal": query.verbal}
    detail |= {name: value for name, value in told.items() if value}
    return Event(now, by, Action.QUERY_ASKED, f"query/{query.id}", query.encounter, None, detail)
