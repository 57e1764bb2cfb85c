"""How a draft becomes a query that stands: checked against the record as it is kept, numbered, timed, sent out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

from gateway.case import Case
from gateway.clock import Ids
from gateway.desk.refusals import Reason, Refusal
from gateway.encounter.change import Content
from gateway.encounter.model import DocumentStatus, Encounter
from gateway.review.model import Finding, HoldState, Query, QueryDraft
from gateway.review.query_checks import Kept, check, cited
from gateway.review.query_delivery import QueryDelivery
from gateway.review.query_template import QueryTemplate
from gateway.review.query_timing import Calendar, QueryPolicy, next_look

LONGEST_TEXT = 4 * 1024 * 1024
"""Bytes of a document that passages are looked for in."""
_CHARSETS = {"": "utf-8", "utf-8": "utf-8", "us-ascii": "ascii", "iso-8859-1": "latin-1", "windows-1252": "cp1252"}
_TEXTS = ("text/", "application/xml", "application/json", "application/xhtml")


def no_inbox(_encounter: Encounter) -> str | None:
    """Nothing is sent out: providers' systems look here."""
    return None


@dataclass(slots=True)
class Placement:
    """What placing depends on beside the case, as it stands at the moment. `inbox` names the EHR that an encounter's
    queries are sent to; None where its provider's system looks here.
    """

    zone: Callable[[], tzinfo] = field(default=lambda: UTC)
    inbox: Callable[[Encounter], str | None] = field(default=no_inbox)
    templates: Callable[[], Mapping[str, QueryTemplate]] = field(default=dict)
    fhir_base: Callable[[], str] = field(default=lambda: "")
    """The address of our FHIR interface, where it is written down."""


class Records(Protocol):
    """The part of the store that the record is read from."""

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]: ...

    async def content(self, encounter: str, digest: str) -> Content | None: ...


async def kept_texts(records: Records, key: str, draft: QueryDraft) -> Kept:
    """The texts of the documents that the draft cites: of this encounter, and of others of the same patient."""
    wanted = set(cited(draft, key))
    cases = await records.cases({key, *(other for other, _ in wanted)})
    own = cases[key].encounter
    found: dict[tuple[str, str], str | None] = {}
    for other, document_id in wanted:
        encounter = cases[other].encounter
        if own is None or encounter is None or not _same_patient(own, encounter):
            continue
        document = next((d for d in encounter.documents if d.id == document_id), None)
        if document is None or document.status is DocumentStatus.CANCELLED:
            continue
        content = await records.content(other, document.digest) if document.digest else None
        found[other, document_id] = readable(content)
    return found


def _same_patient(one: Encounter, other: Encounter) -> bool:
    return one.key == other.key or bool(set(one.patient.identifiers) & set(other.patient.identifiers))


def readable(content: Content | None) -> str | None:
    """The content as text; None when it is no text, or not in a character set that is known."""
    if content is None or len(content.body) > LONGEST_TEXT or not content.content_type.startswith(_TEXTS):
        return None
    _, _, parameter = content.content_type.partition("charset=")
    charset = _CHARSETS.get(parameter.split(";")[0].strip().strip('"').lower())
    try:
        return content.body.decode(charset) if charset else None
    except UnicodeDecodeError:
        return None


def refuse_unfit(draft: QueryDraft, case: Case, encounter: Encounter, kept: Kept) -> None:
    """Refusal UNACCEPTABLE, with every rule that the draft breaks."""
    findings = check(draft, encounter, kept)
    details = told(findings)
    need = draft.need
    standing = {hold.identity for hold in case.holds if hold.state is HoldState.OPEN}
    if need is not None and (need.rule, need.subject) not in standing:
        details.append("query-need-unknown: need: No open hold of the encounter has this rule and subject.")
    if details:
        raise Refusal(Reason.UNACCEPTABLE, "The query is not compliant", details)


def told(findings: Iterable[Finding]) -> list[str]:
    """Each finding as a line: its rule, where, what, and what to do."""
    return [f"{f.where}: {f.text} {f.remedy} ({f.rule})" for f in findings]


def placed(
    draft: QueryDraft,
    case: Case,
    by: str,
    now: datetime,
    *,
    ids: Ids,
    policy: QueryPolicy,
    zone: tzinfo,
    replaces: Query | None = None,
    escalated: int = 0,
) -> Query:
    """The query that the draft becomes, due so many business days from now."""
    calendar = Calendar(zone, policy.holidays)
    id_ = ids.next()
    query = Query(
        id=id_,
        number=f"Q{id_}",
        encounter=case.key,
        draft=draft,
        asked_by=by,
        asked=now,
        due=calendar.after(now, draft.due_days),
        changed=now,
        replaces=replaces.number if replaces else None,
        escalated=escalated,
    )
    return query.model_copy(update={"look": next_look(query, policy, calendar)})


def outgoing(query: Query, encounter: Encounter, placement: Placement, now: datetime) -> tuple[QueryDelivery, ...]:
    """The outbox row of the query; none where the provider's system looks here."""
    ehr = placement.inbox(encounter)
    if ehr is None:
        return ()
    row = QueryDelivery(
        query=query.id,
        number=query.number,
        encounter=query.encounter,
        ehr=ehr,
        due=now - timedelta(microseconds=1),
        since=now,
    )
    return (row,)
