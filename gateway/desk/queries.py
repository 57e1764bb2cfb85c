"""Provider queries: asked at the desk, seen and answered by the provider's system, replaced, withdrawn, read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.audit.events import Event
from gateway.case import Case
from gateway.desk.asking import asking, permitted
from gateway.desk.desk import Ruling, ruling
from gateway.desk.ports import Person
from gateway.desk.query_moves import answered, asked_hold, cancelled, holds_after, of, repeats, replaced
from gateway.desk.query_placing import Placement, kept_texts, outgoing, told
from gateway.desk.query_reading import Asked, QueryReading, asked
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.work import Decided, Unchanged, Work, client, processed, user
from gateway.encounter.apply import apply
from gateway.encounter.change import Change
from gateway.encounter.identity import Identifier
from gateway.encounter.model import Encounter
from gateway.message import Received
from gateway.review.model import Finding, Query, QueryDraft, QueryStatus
from gateway.review.queries import FINAL
from gateway.review.query_checks import Kept, check
from gateway.review.query_events import query_moved
from gateway.review.query_settling import ended
from gateway.review.query_template import Filling, QueryTemplate, draft_of

OnceAsked = tuple[Asked, bool]


class QueryDesk(QueryReading):
    """All methods raise Refusal. A caller who speaks for certain providers sees only the queries addressed to them."""

    def __init__(self, work: Work, placement: Placement | None = None) -> None:
        super().__init__(work)
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

    async def ask_once(
        self,
        key: str,
        caller: Person,
        wanted: Filling | QueryDraft,
        patient: Identifier | None = None,
        *,
        anew: bool = False,
    ) -> tuple[Asked, bool]:
        """Ask what a filled-in template or a draft says; the query, and whether it is new. The same one, asked by the
        caller, is not asked again while it is open, nor once it is answered: who did not hear that it was asked may
        send the same once more, and the same question is not put until its answer pleases. `anew` asks again what is
        answered, on purpose. What was taken back, rejected or failed has no answer: it is asked again.

        UNACCEPTABLE also when the encounter is of another patient than the one who is named.
        """
        permitted(caller)
        draft = wanted if isinstance(wanted, QueryDraft) else self.filled(wanted)
        kept = await kept_texts(self._work.store, key, draft)

        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[OnceAsked] | Unchanged[OnceAsked]:
            _refuse_another(patient, encounter)
            same = _standing(case, draft, user(caller), anew=anew)
            if same is not None:
                return Unchanged((asked(same, case), False))
            decided = self._asking(case, encounter, draft, kept, caller, now)
            return Decided(
                decided.advance,
                decided.events,
                lambda advanced: (asked(decided.result(advanced)[0], advanced.change.after), True),
                query_deliveries=decided.query_deliveries,
            )

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
            if expected_version is None and repeats(before, said):
                return Unchanged(asked(before, case))
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
        by, queries, holds = user(caller), case.queries, case.holds
        decided = asking(
            self._work,
            self._placement,
            draft,
            case,
            encounter,
            kept,
            caller,
            now,
            replaces=instead_of[0] if instead_of else None,
        )
        query = decided.query
        events: tuple[Event, ...] = ()
        if instead_of is not None:
            before, after = instead_of
            queries = replaced(queries, after)
            holds = ended(holds, after.id, "the query was replaced", now, by)
            events = (query_moved(before, after, now, by),)
        advance = self._work.casework.advance(
            case,
            now=now,
            actor=by,
            holds=(*holds, asked_hold(self._work.ids.next(), query, now)),
            queries=(*queries, query),
            decisions=(decided.decision,),
        )
        return Decided(
            advance,
            (*events, decided.event),
            lambda advanced: (query, ruling(advanced)),
            query_deliveries=outgoing(query, encounter, self._placement, now),
        )


def _standing(case: Case, draft: QueryDraft, by: str, *, anew: bool) -> Query | None:
    """The newest query that `by` asked in these words and that is open or answered, or what was asked in its place."""
    instead = {query.replaces: query for query in case.queries if query.replaces is not None}
    for query in reversed(case.queries):
        if query.asked_by != by or query.draft != draft:
            continue
        last = query
        while last.number in instead:
            last = instead[last.number]
        if last.status not in FINAL or (last.status is QueryStatus.COMPLETED and not anew):
            return last
    return None


def _refuse_another(patient: Identifier | None, encounter: Encounter) -> None:
    """A number without an authority is any's. Refusal UNACCEPTABLE."""
    if patient is None:
        return
    known = {
        (number.authority if patient.authority else None, number.value) for number in encounter.patient.identifiers
    }
    if (patient.authority, patient.value) not in known:
        raise Refusal(Reason.UNACCEPTABLE, "The encounter is of another patient")
