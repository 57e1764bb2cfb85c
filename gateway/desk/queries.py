"""Provider queries: asked at the desk, seen and answered by the provider's system, withdrawn, read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.access.roles import Permission
from gateway.audit.events import Action, Event
from gateway.case import Case
from gateway.desk.desk import Ruling, ruling
from gateway.desk.ports import Person
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.work import Decided, Unchanged, Work, client, processed, user
from gateway.encounter.billable import billable
from gateway.encounter.apply import apply
from gateway.encounter.change import Answer, Change
from gateway.encounter.identity import Identifier
from gateway.encounter.model import Encounter
from gateway.message import Received
from gateway.review.holds import clear, open_hold
from gateway.review.model import Decision, DecisionKind, Hold, HoldKind, HoldState, Query, QueryDraft, QueryStatus
from gateway.review.queries import FINAL, Party, QueryRefused, transition
from gateway.review.query_checks import check
from gateway.store.interface import QuerySearch, Step

ASKED_RULE = "provider-query"
UNANSWERED_RULE = "query-unanswered"
UNANSWERED = frozenset({QueryStatus.REJECTED, QueryStatus.FAILED})
"""The query is over without an answer: a reviewer decides how to go on."""

IMPLIED: dict[QueryStatus, tuple[QueryStatus, ...]] = {
    QueryStatus.REQUESTED: (QueryStatus.ACCEPTED, QueryStatus.IN_PROGRESS),
    QueryStatus.RECEIVED: (QueryStatus.ACCEPTED, QueryStatus.IN_PROGRESS),
    QueryStatus.ACCEPTED: (QueryStatus.IN_PROGRESS,),
    QueryStatus.IN_PROGRESS: (),
    QueryStatus.ON_HOLD: (QueryStatus.IN_PROGRESS,),
}
"""A QuestionnaireResponse by itself says that the query was accepted and worked on: the steps before completed."""


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

    def __init__(self, work: Work) -> None:
        self._work = work

    def new_id(self) -> int:
        """An id for a message about to be kept."""
        return self._work.ids.next()

    async def ask(self, key: str, caller: Person, draft: QueryDraft) -> tuple[Query, Ruling]:
        """Ask `draft` of its provider: the claim is held until the query is answered or withdrawn.

        UNACCEPTABLE, with what to mend, when it is not a compliant query.
        """
        _permitted(caller)

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[tuple[Query, Ruling]]:
            findings = check(draft, encounter)
            if findings:
                details = [f"{f.where}: {f.text} {f.remedy}" for f in findings]
                raise Refusal(Reason.UNACCEPTABLE, "The query is not compliant", details)
            query = self._query(case.key, caller, draft, now)
            made = Decision(
                id=self._work.ids.next(),
                encounter=case.key,
                kind=DecisionKind.ASK,
                actor=user(caller),
                at=now,
                fingerprint=billable(encounter).fingerprint(),
            )
            advance = self._work.casework.advance(
                case,
                now=now,
                actor=user(caller),
                holds=(*case.holds, self._hold(query, now)),
                queries=(*case.queries, query),
                decisions=(made,),
            )
            detail: dict[str, object] = {"number": query.number, "kind": draft.kind, "provider": draft.provider}
            event = Event(now, user(caller), Action.QUERY_ASKED, f"query/{query.id}", case.key, None, detail)
            return Decided(advance, (event,), lambda advanced: (query, ruling(advanced)))

        return await self._work.decide(key, decision)

    async def withdraw(self, query_id: int, caller: Person, reason: str) -> tuple[Query, Ruling]:
        """Take back a query that is not over; its hold ends. IMPOSSIBLE when it is."""
        _permitted(caller)
        key = (await self._visible(query_id, caller)).encounter

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[tuple[Query, Ruling]]:
            before = _of(case, query_id)
            after = _moved(before, QueryStatus.CANCELLED, now, Party.REQUESTER, reason=reason)
            advance = self._work.casework.advance(
                case,
                now=now,
                actor=user(caller),
                holds=_ended(case.holds, query_id, "the query was withdrawn", now, user(caller)),
                queries=_replaced(case.queries, after),
            )
            event = _changed(before, after, now, user(caller), Action.QUERY_CHANGED, None)
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
        one, the steps that an answer implies are taken with it.
        """
        said = change.answers[0]
        key = (await self._visible(query_id, caller)).encounter

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[Asked] | Unchanged[Asked]:
            before = _of(case, query_id)
            if expected_version not in (None, before.version):
                raise Refusal(Reason.STALE, f"The query has version {before.version} by now")
            after = _answered(before, said, now, implied=expected_version is None)
            if after is before:
                return Unchanged(_asked(before, case))
            message, kept = processed(received, change.message, case.key, now)
            advance = self._work.casework.advance(
                case,
                now=now,
                actor=client(caller),
                encounter=apply(encounter, change, now) if change.documents is not None else None,
                holds=self._holds_after(case.holds, after, now),
                queries=_replaced(case.queries, after),
                message=message.id,
            )
            action = Action.QUERY_ANSWERED if after.answered is not None else Action.QUERY_CHANGED
            event = _changed(before, after, now, client(caller), action, message.id)
            return Decided(
                advance,
                (*kept, event),
                lambda advanced: _asked(after, advanced.change.after),
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
        if len(found) != 1 or not _sees(caller, found[0]):
            raise _unknown()
        return await self._read(found[0], caller)

    async def find(self, search: QuerySearch, caller: Person) -> Sequence[Asked]:
        """The queries that `search` and the caller's own providers leave."""
        found = [query for query in await self._work.store.queries(search) if _sees(caller, query)]
        if not found:
            return ()
        cases = await self._work.store.cases({query.encounter for query in found})
        await self._tell(caller, "query/search", None, {"queries": [query.id for query in found]})
        return [_asked(query, cases[query.encounter]) for query in found]

    async def _visible(self, query_id: int, caller: Person) -> Query:
        query = await self._work.store.query(query_id)
        if query is None or not _sees(caller, query):
            raise _unknown()
        return query

    async def _read(self, query: Query, caller: Person) -> Asked:
        case, _ = await self._work.case(query.encounter)
        await self._tell(caller, f"query/{query.id}", query.encounter, {})
        return _asked(query, case)

    async def _tell(self, caller: Person, subject: str, key: str | None, detail: dict[str, object]) -> None:
        actor = client(caller) if Permission.QUERY_ANSWER in caller.permissions else user(caller)
        event = Event(self._work.clock.now(), actor, Action.QUERY_READ, subject, key, None, detail)
        await self._work.store.commit(Step(events=[event]))

    def _query(self, key: str, caller: Person, draft: QueryDraft, now: datetime) -> Query:
        id_ = self._work.ids.next()
        return Query(
            id=id_,
            number=f"Q{id_}",
            encounter=key,
            draft=draft,
            asked_by=user(caller),
            asked=now,
            due=now + timedelta(days=draft.due_days),
            changed=now,
        )

    def _hold(self, query: Query, now: datetime) -> Hold:
        return open_hold(
            id=self._work.ids.next(),
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

    def _holds_after(self, holds: tuple[Hold, ...], query: Query, now: datetime) -> tuple[Hold, ...]:
        """The holds when the query has moved: one that is over holds no more; over without an answer is a dispute."""
        if query.status not in FINAL:
            return holds
        after = _ended(holds, query.id, f"the query is {query.status}", now)
        if query.status not in UNANSWERED:
            return after
        dispute = open_hold(
            id=self._work.ids.next(),
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


def _permitted(caller: Person) -> None:
    if Permission.QUERY_ASK not in caller.permissions:
        raise Refusal(Reason.NOT_ALLOWED, f"This needs the permission {Permission.QUERY_ASK.value}")


def _unknown() -> Refusal:
    return Refusal(Reason.UNKNOWN, "There is no query of this id or number")


def _sees(caller: Person, query: Query) -> bool:
    return not caller.npi or query.draft.provider in caller.npi


def _of(case: Case, query_id: int) -> Query:
    query = next((q for q in case.queries if q.id == query_id), None)
    if query is None:
        raise _unknown()
    return query


def _replaced(queries: tuple[Query, ...], after: Query) -> tuple[Query, ...]:
    return tuple(after if query.id == after.id else query for query in queries)


def _ended(
    holds: tuple[Hold, ...], query_id: int, reason: str, now: datetime, actor: str = "gateway"
) -> tuple[Hold, ...]:
    return tuple(
        clear(hold, reason=reason, now=now, actor=actor)
        if hold.query == query_id and hold.kind is HoldKind.QUERY and hold.state is HoldState.OPEN
        else hold
        for hold in holds
    )


def _answered(query: Query, said: Answer, now: datetime, *, implied: bool) -> Query:
    """The query after what the provider said. Refusal IMPOSSIBLE or UNACCEPTABLE."""
    try:
        status = QueryStatus(said.status)
    except ValueError:
        raise Refusal(Reason.IMPOSSIBLE, "A query never has this status") from None
    if status is not QueryStatus.COMPLETED:
        return _moved(query, status, now, Party.PROVIDER, reason=said.text or None)
    if implied:
        for step in IMPLIED.get(query.status, ()):
            query = _moved(query, step, now, Party.PROVIDER)
    return _moved(query, status, now, Party.PROVIDER, said)


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
        reason_ = Reason.IMPOSSIBLE if refused.code == "conflict" else Reason.UNACCEPTABLE
        raise Refusal(reason_, refused.text) from None


def _changed(before: Query, after: Query, now: datetime, actor: str, action: Action, message: int | None) -> Event:
    detail: dict[str, object] = {"from": before.status, "to": after.status, "version": after.version}
    return Event(now, actor, action, f"query/{after.id}", after.encounter, message, detail)


def _asked(query: Query, case: Case) -> Asked:
    encounter = case.encounter
    if encounter is None:
        return Asked(query)
    numbers = encounter.patient.identifiers
    patient = next((number for number in numbers if number.type == "MR"), numbers[0] if numbers else None)
    claim = case.claims[-1].number if case.claims else None
    return Asked(query, patient, encounter.visit.account, encounter.visit.number, claim)
