"""Provider queries: asked at the desk, seen and answered by the provider's system, replaced, withdrawn, read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.access.compartment import limited, sees
from gateway.access.roles import Permission
from gateway.audit.events import Action, Event
from gateway.case import Case
from gateway.desk.desk import Ruling, ruling
from gateway.desk.ports import Person
from gateway.desk.query_moves import answered, asked_hold, cancelled, holds_after, of, replaced, unknown
from gateway.desk.query_placing import Placement, kept_texts, outgoing, placed, refuse_unfit, told
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.work import Decided, Unchanged, Work, client, processed, user
from gateway.encounter.apply import apply
from gateway.encounter.billable import billable
from gateway.encounter.change import Change
from gateway.encounter.identity import Identifier
from gateway.encounter.model import Encounter
from gateway.message import Received
from gateway.review.model import Decision, DecisionKind, Finding, Query, QueryDraft
from gateway.review.query_checks import Kept, check
from gateway.review.query_events import query_moved
from gateway.review.query_settling import ended
from gateway.review.query_template import Filling, QueryTemplate, draft_of
from gateway.store.interface import QuerySearch, Step


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with what its Task must name: the patient, the encounter, the claim once there is one."""

    query: Query
    patient: Identifier | None = None
    account: Identifier | None = None
    visit: Identifier | None = None
    claim: str | None = None


class QueryDesk:
    """All methods raise Refusal. A caller who speaks for certain providers sees only the queries addressed to them."""

    def __init__(self, work: Work, placement: Placement | None = None) -> None:
        self._work = work
        self._placement = placement or Placement()

    def new_id(self) -> int:
        """An id for a message about to be kept."""
        return self._work.ids.next()

    def templates(self) -> Sequence[QueryTemplate]:
        """The templates in force, by name."""
        found = self._placement.templates()
        return [found[name] for name in sorted(found)]

    async def drafted(self, key: str, caller: Person, filling: Filling) -> tuple[QueryDraft, Sequence[str]]:
        """What the filled-in template would ask, and every rule that it breaks. Nothing is asked, nothing is kept."""
        permitted(caller)
        draft, wrong = self._from_template(filling)
        _, encounter = await self._work.case(key)
        kept = await kept_texts(self._work.store, key, draft)
        await self._tell(caller, f"encounter/{key}", key, {"template": filling.template})
        return draft, told((*wrong, *check(draft, encounter, kept)))

    async def from_template(self, key: str, caller: Person, filling: Filling) -> tuple[Query, Ruling]:
        """Ask what the filled-in template says. UNACCEPTABLE with every rule that it breaks."""
        permitted(caller)
        return await self.ask(key, caller, self.filled(filling))

    def filled(self, filling: Filling) -> QueryDraft:
        """The draft of a filled-in template. UNACCEPTABLE when something is not filled in as the template wants."""
        draft, wrong = self._from_template(filling)
        if wrong:
            raise Refusal(Reason.UNACCEPTABLE, "The template is not filled in", told(wrong))
        return draft

    async def ask(self, key: str, caller: Person, draft: QueryDraft) -> tuple[Query, Ruling]:
        """Ask `draft` of its provider: the claim is held until the query is answered or withdrawn.

        UNACCEPTABLE, with what to mend, when it is not a compliant query.
        """
        permitted(caller)
        kept = await kept_texts(self._work.store, key, draft)

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[tuple[Query, Ruling]]:
            return self._asking(case, encounter, draft, kept, caller, now)

        return await self._work.decide(key, decision)

    async def replace(self, query_id: int, caller: Person, draft: QueryDraft, reason: str) -> tuple[Query, Ruling]:
        """Ask `draft` in the place of a query that is not over: an issued query never changes. Both in one commit."""
        permitted(caller)
        key = (await self._visible(query_id, caller)).encounter
        kept = await kept_texts(self._work.store, key, draft)

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[tuple[Query, Ruling]]:
            before = of(case, query_id)
            after = cancelled(before, now, f"replaced by another query: {reason}")
            return self._asking(case, encounter, draft, kept, caller, now, (before, after))

        return await self._work.decide(key, decision)

    async def withdraw(self, query_id: int, caller: Person, reason: str) -> tuple[Query, Ruling]:
        """Take back a query that is not over; its hold ends. IMPOSSIBLE when it is."""
        permitted(caller)
        key = (await self._visible(query_id, caller)).encounter

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[tuple[Query, Ruling]]:
            before = of(case, query_id)
            after = cancelled(before, now, reason)
            advance = self._work.casework.advance(
                case,
                now=now,
                actor=user(caller),
                holds=ended(case.holds, query_id, "the query was withdrawn", now, user(caller)),
                queries=replaced(case.queries, after),
            )
            event = query_moved(before, after, now, user(caller))
            return Decided(advance, (event,), lambda advanced: (after, ruling(advanced)))

        return await self._work.decide(key, decision)

    async def respond(
        self,
        query_id: int,
        caller: Person,
        change: Change,
        received: Received,
        expected_version: int | None = None,
    ) -> Asked:
        """Take the provider's word: `change.answers` has one answer with the status that is asked for.

        With an answer, the query's hold ends and the answer becomes a document of the encounter. `received` is kept as
        message `change.message` in the same commit. STALE when the query has another version than was expected; without
        one, the steps that the status implies are taken with it.
        """
        said = change.answers[0]
        key = (await self._visible(query_id, caller)).encounter

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[Asked] | Unchanged[Asked]:
            before = of(case, query_id)
            if expected_version not in (None, before.version):
                raise Refusal(Reason.STALE, f"The query has version {before.version} by now")
            after = answered(before, said, now, implied=expected_version is None)
            if after is before:
                return Unchanged(asked(before, case))
            message, kept = processed(received, change.message, case.key, now)
            advance = self._work.casework.advance(
                case,
                now=now,
                actor=client(caller),
                encounter=apply(encounter, change, now) if change.documents is not None else None,
                holds=holds_after(case.holds, after, now, self._work.ids.next()),
                queries=replaced(case.queries, after),
                message=message.id,
            )
            event = query_moved(before, after, now, client(caller), message.id)
            return Decided(
                advance,
                (*kept, event),
                lambda advanced: asked(after, advanced.change.after),
                contents=change.contents,
                messages=(message,),
            )

        return await self._work.decide(key, decision)

    async def get(self, query_id: int, caller: Person) -> Asked:
        """One query. That it was read is in the audit trail."""
        return await self._read(await self._visible(query_id, caller), caller)

    async def by_number(self, number: str, caller: Person) -> Asked:
        """One query, by the number that the provider sees."""
        found = await self._work.store.queries(QuerySearch(number=number, limit=2))
        if len(found) != 1 or not _sees(caller, found[0]) or not await self._of_theirs(found[0], caller):
            raise unknown()
        return await self._read(found[0], caller)

    async def find(self, search: QuerySearch, caller: Person) -> Sequence[Asked]:
        """The queries that `search` and the caller's own providers leave."""
        found = [query for query in await self._work.store.queries(search) if _sees(caller, query)]
        if not found:
            return ()
        cases = await self._work.store.cases({query.encounter for query in found})
        found = [query for query in found if sees(caller, _patient_numbers(cases[query.encounter]))]
        await self._tell(caller, "query/search", None, {"queries": [query.id for query in found]})
        return [asked(query, cases[query.encounter]) for query in found]

    async def _visible(self, query_id: int, caller: Person) -> Query:
        query = await self._work.store.query(query_id)
        if query is None or not _sees(caller, query) or not await self._of_theirs(query, caller):
            raise unknown()
        return query

    async def _of_theirs(self, query: Query, caller: Person) -> bool:
        """Whether a caller who is limited to certain patients may know of the query."""
        if not limited(caller):
            return True
        cases = await self._work.store.cases([query.encounter])
        return sees(caller, _patient_numbers(cases[query.encounter]))

    async def _read(self, query: Query, caller: Person) -> Asked:
        case, _ = await self._work.case(query.encounter)
        await self._tell(caller, f"query/{query.id}", query.encounter, {})
        return asked(query, case)

    async def _tell(self, caller: Person, subject: str, key: str | None, detail: dict[str, object]) -> None:
        actor = client(caller) if Permission.QUERY_ANSWER in caller.permissions else user(caller)
        event = Event(self._work.clock.now(), actor, Action.QUERY_READ, subject, key, None, detail)
        await self._work.store.commit(Step(events=[event]))

    def _from_template(self, filling: Filling) -> tuple[QueryDraft, tuple[Finding, ...]]:
        template = self._placement.templates().get(filling.template)
        if template is None:
            raise Refusal(Reason.UNKNOWN, "There is no template of this name")
        return draft_of(template, filling, self._work.casework.query_policy.due_days)

    def _asking(
        self,
        case: Case,
        encounter: Encounter,
        draft: QueryDraft,
        kept: Kept,
        caller: Person,
        now: datetime,
        instead_of: tuple[Query, Query] | None = None,
    ) -> Decided[tuple[Query, Ruling]]:
        """The query asked, in the place of another one where (before, after) are given."""
        refuse_unfit(draft, case, encounter, kept)
        by, queries, holds = user(caller), case.queries, case.holds
        events: tuple[Event, ...] = ()
        if instead_of is not None:
            before, after = instead_of
            queries = replaced(queries, after)
            holds = ended(holds, after.id, "the query was replaced", now, by)
            events = (query_moved(before, after, now, by),)
        query = self.placed(draft, case, by, now, instead_of[0] if instead_of else None)
        made = Decision(
            id=self._work.ids.next(),
            encounter=case.key,
            kind=DecisionKind.ASK,
            actor=by,
            at=now,
            fingerprint=billable(encounter).fingerprint(),
        )
        advance = self._work.casework.advance(
            case,
            now=now,
            actor=by,
            holds=(*holds, asked_hold(self._work.ids.next(), query, now)),
            queries=(*queries, query),
            decisions=(made,),
        )
        return Decided(
            advance,
            (*events, asked_event(query, by, now)),
            lambda advanced: (query, ruling(advanced)),
            query_deliveries=outgoing(query, encounter, self._placement, now),
        )

    def placed(self, draft: QueryDraft, case: Case, by: str, now: datetime, replaces: Query | None = None) -> Query:
        """The query that a checked draft becomes."""
        policy, zone = self._work.casework.query_policy, self._placement.zone()
        return placed(draft, case, by, now, ids=self._work.ids, policy=policy, zone=zone, replaces=replaces)


def permitted(caller: Person) -> None:
    if Permission.QUERY_ASK not in caller.permissions:
        raise Refusal(Reason.NOT_ALLOWED, f"This needs the permission {Permission.QUERY_ASK.value}")


def asked_event(query: Query, by: str, now: datetime) -> Event:
    """The event of a query asked: no word of it."""
    draft = query.draft
    detail: dict[str, object] = {"number": query.number, "kind": draft.kind, "provider": draft.provider}
    told: dict[str, object] = {"template": draft.template, "replaces": query.replaces, "verbal": query.verbal}
    detail |= {name: value for name, value in told.items() if value}
    return Event(now, by, Action.QUERY_ASKED, f"query/{query.id}", query.encounter, None, detail)


def asked(query: Query, case: Case) -> Asked:
    """The query with the numbers of what it is about."""
    encounter = case.encounter
    if encounter is None:
        return Asked(query)
    numbers = encounter.patient.identifiers
    patient = next((number for number in numbers if number.type == "MR"), numbers[0] if numbers else None)
    claim = case.claims[-1].number if case.claims else None
    return Asked(query, patient, encounter.visit.account, encounter.visit.number, claim)


def _patient_numbers(case: Case) -> Sequence[Identifier]:
    return case.encounter.patient.identifiers if case.encounter is not None else ()


def _sees(caller: Person, query: Query) -> bool:
    return not caller.npi or query.draft.provider in caller.npi
