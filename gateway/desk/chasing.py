"""Queries whose time has come: the provider is reminded, another one is asked, or it is told that nobody is left."""

from __future__ import annotations

from datetime import datetime

from gateway.audit.events import Action
from gateway.case import Case
from gateway.desk.asking import asked_event
from gateway.desk.query_moves import asked_hold, cancelled, of, replaced
from gateway.desk.query_placing import Placement, outgoing, placed
from gateway.desk.refusals import Refusal
from gateway.desk.work import Decided, Unchanged, Work
from gateway.encounter.model import Encounter
from gateway.logs import logger
from gateway.review.model import Query
from gateway.review.queries import FINAL
from gateway.review.query_events import query_moved
from gateway.review.query_settling import ended
from gateway.review.query_timing import Calendar, EscalationStep, next_look, next_provider, reminder_times
from gateway.store.interface import StoreFault

log = logger("chasing")

AT_A_TIME = 100
GATEWAY = "gateway"
ESCALATED = "asked another provider: there was no answer in time"


class Chasing:
    """One look at what is due. A query that cannot be moved stops no other, and is looked at again."""

    def __init__(self, work: Work, placement: Placement) -> None:
        self._work = work
        self._placement = placement

    async def __call__(self) -> int:
        """How many queries were looked at. Raises StoreFault."""
        due = await self._work.store.queries_to_look_at(self._work.clock.now(), AT_A_TIME)
        for query in due:
            try:
                await self._look(query)
            except Refusal:
                continue  # others were faster each time, or its encounter is gone: it stays due
            except StoreFault:
                raise
            except Exception:
                log.exception("chasing.query_failed")
        return len(due)

    async def _look(self, due: Query) -> None:
        def decision(case: Case, encounter: Encounter, now: datetime) -> Decided[None] | Unchanged[None]:
            query = of(case, due.id)
            if query.status in FINAL or query.look is None or query.look > now:
                return Unchanged(None)
            if now < query.due:
                return self._reminded(case, query, now)
            asked = frozenset(each.draft.provider for each in _chain(case, query))
            found = next_provider(query, asked, self._work.casework.query_policy, encounter)
            if found is None:
                return self._left(case, query, now)
            return self._escalated(case, encounter, query, found, now)

        await self._work.decide(due.encounter, decision)

    def _calendar(self) -> Calendar:
        return Calendar(self._placement.zone(), self._work.casework.query_policy.holidays)

    def _reminded(self, case: Case, query: Query, now: datetime) -> Decided[None]:
        """The provider's Task becomes urgent and new; reminders that were missed meanwhile count as this one."""
        policy, calendar = self._work.casework.query_policy, self._calendar()
        count = sum(moment <= now for moment in reminder_times(query, policy, calendar))
        after = query.model_copy(
            update={"reminders": max(count, query.reminders + 1), "changed": now, "version": query.version + 1}
        )
        after = after.model_copy(update={"look": next_look(after, policy, calendar)})
        return self._moved(case, query, after, now, Action.QUERY_REMINDED)

    def _left(self, case: Case, query: Query, now: datetime) -> Decided[None]:
        """Nobody is left to ask: the query stays open and overdue, and people see it."""
        return self._moved(case, query, query.model_copy(update={"look": None}), now, Action.QUERY_OVERDUE)

    def _moved(self, case: Case, query: Query, after: Query, now: datetime, action: Action) -> Decided[None]:
        advance = self._work.casework.advance(case, now=now, queries=replaced(case.queries, after))
        return Decided(advance, (query_moved(query, after, now, GATEWAY, action=action),), lambda advanced: None)

    def _escalated(
        self, case: Case, encounter: Encounter, query: Query, found: tuple[int, str, EscalationStep], now: datetime
    ) -> Decided[None]:
        """The same query to the next provider, in the place of this one."""
        taken, npi, step = found
        over = cancelled(query, now, ESCALATED)
        draft = query.draft.model_copy(update={"provider": npi, "due_days": step.due_days})
        another = placed(
            draft,
            case,
            query.asked_by,
            now,
            ids=self._work.ids,
            policy=self._work.casework.query_policy,
            zone=self._placement.zone(),
            replaces=query,
            escalated=taken,
        )
        advance = self._work.casework.advance(
            case,
            now=now,
            holds=(
                *ended(case.holds, query.id, "the query was escalated", now),
                asked_hold(self._work.ids.next(), another, now),
            ),
            queries=(*replaced(case.queries, over), another),
        )
        events = (
            query_moved(query, over, now, GATEWAY, action=Action.QUERY_ESCALATED),
            asked_event(another, GATEWAY, now),
        )
        rows = outgoing(another, encounter, self._placement, now)
        return Decided(advance, events, lambda advanced: None, query_deliveries=rows)


def _chain(case: Case, query: Query) -> list[Query]:
    """The query, and those whose place it took, one after the other."""
    by_number = {each.number: each for each in case.queries}
    chain = [query]
    while chain[-1].replaces in by_number and len(chain) <= len(case.queries):
        chain.append(by_number[chain[-1].replaces])
    return chain
