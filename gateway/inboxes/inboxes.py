"""The outbox of provider queries: intend, search, put, hear, withdraw; one row for each query and EHR.

Before anything is sent, the intent is committed, and the inbox searched for our number: whatever was retried or lost,
the query stands there once. A second copy that came late is withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from gateway.access.roles import Permission, Role, permissions
from gateway.audit.events import Action, Event
from gateway.clock import Clock
from gateway.desk.refusals import Refusal
from gateway.encounter.change import Change
from gateway.inboxes.ports import Fault, Heard, Inbox, InboxFault, Posted
from gateway.logs import logger
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.mapping import map_resource
from gateway.mappings.fhir.outcome import ERROR, FATAL
from gateway.mappings.fhir.resource import validate
from gateway.mappings.fhir.source import FhirSource
from gateway.message import Format, Received
from gateway.review.asked import AskedQuery
from gateway.review.model import Query, QueryStatus
from gateway.review.queries import FINAL
from gateway.review.query_delivery import SLOW_POLL, InboxState, QueryDelivery, moved, next_poll, pause
from gateway.store.interface import Conflict, Step, StoreFault

log = logger("inboxes")

AT_A_TIME = 20
TAKEOVER = timedelta(minutes=3)
"""How long another gateway's intent is left to it: longer than an attempt takes."""
UNREAD_PAUSE = timedelta(days=1)
TWICE = "it arrived twice; the other one counts"
OVER = {
    QueryStatus.COMPLETED: "it was answered in the record",
    QueryStatus.CANCELLED: "it is needed no more",
}
_DONE = frozenset(status.value for status in FINAL)
_AFTER = {Fault.NOT_SENT: "not-sent", Fault.UNKNOWN: "lose", Fault.REFUSED: "refuse", Fault.STALE: "lose"}


class RowStore(Protocol):
    async def commit(self, step: Step) -> None: ...

    async def query(self, id: int) -> Query | None: ...

    async def query_deliveries(self, ehr: str, now: datetime, limit: int) -> list[QueryDelivery]: ...


class Desk(Protocol):
    """The asking side: what a query is about, and who takes the answer."""

    def new_id(self) -> int: ...

    async def get(self, query_id: int, caller: EhrInbox) -> AskedQuery: ...

    async def respond(
        self, query_id: int, caller: EhrInbox, change: Change, received: Received, expected_version: int | None = None
    ) -> AskedQuery: ...


@dataclass(frozen=True, slots=True)
class EhrInbox:
    """An EHR that we ask, as the audit trail names it: it speaks for every provider."""

    name: str
    npi: tuple[str, ...] = ()
    roles: frozenset[Role] = field(default=frozenset({Role.PROVIDER}))

    @property
    def permissions(self) -> frozenset[Permission]:
        return permissions(self.roles)


class Inboxes:
    """The queries of one EHR. `turn` looks once at all that is due."""

    def __init__(
        self,
        inbox: Inbox,
        store: RowStore,
        desk: Desk,
        clock: Clock,
        *,
        epoch: int,
        takeover: timedelta = TAKEOVER,
        on_fault: Callable[[str], None] = lambda name: None,
    ) -> None:
        """`epoch` is new with every start, and unlike any other gateway's."""
        self._inbox = inbox
        self._store = store
        self._desk = desk
        self._clock = clock
        self._epoch = epoch
        self._takeover = takeover
        self._on_fault = on_fault
        self._caller = EhrInbox(inbox.name)

    async def turn(self) -> int:
        """How many rows were looked at. One that fails stops no other. Raises StoreFault."""
        rows = await self._store.query_deliveries(self._inbox.name, self._clock.now(), AT_A_TIME)
        for row in rows:
            if row.failures and row.due > self._clock.now():
                continue  # its query is over, but the EHR asked to be left alone
            try:
                await self._step(row)
            except Conflict:
                continue  # another gateway was faster
            except StoreFault:
                raise
            except Exception:
                log.exception("inboxes.query_failed", destination=self._inbox.name)
        return len(rows)

    async def _step(self, row: QueryDelivery) -> None:
        query = await self._store.query(row.query)
        if query is None:
            return
        over = query.status in FINAL
        match row.state:
            case InboxState.INTENT:
                await self._abandoned(row)
            case InboxState.READY | InboxState.REFUSED if over:
                await self._settle(row, "end", due=row.due)
            case InboxState.READY | InboxState.REFUSED | InboxState.UNKNOWN:
                await self._deliver(row, over=over)
            case InboxState.STANDING if over:
                await self._finish(row, query)
            case InboxState.STANDING:
                await self._hear(row, query)

    async def _abandoned(self, row: QueryDelivery) -> None:
        """An intent of ours that nobody is at work on, or another's that is silent for too long."""
        if row.epoch == self._epoch or self._clock.now() - row.since >= self._takeover:
            await self._settle(row, "lose", due=self._clock.now(), doubtful=True)

    async def _deliver(self, row: QueryDelivery, *, over: bool) -> None:
        doubtful = row.state is InboxState.UNKNOWN or row.doubtful
        intent = await self._settle(row, "intend", due=self._clock.now(), epoch=self._epoch)
        try:
            posted = await self._stands(row.number) or (None if over else await self._put(row))
        except InboxFault as fault:
            await self._failed(intent, fault, doubtful)
            return
        now = self._clock.now()
        if posted is None:  # over, and known not to be there
            await self._settle(intent, "not-sent", due=now, failures=0)
            return
        told: dict[str, object] = {"reference": posted.reference, "form": posted.form, "doubtful": doubtful}
        due = next_poll(now, now) if self._inbox.is_read_back else now + UNREAD_PAUSE
        await self._settle(intent, "stand", due=due, failures=0, outcome=None, **told)

    async def _stands(self, number: str) -> Posted | None:
        found = await self._inbox.find(number)
        return Posted(found[0]) if found else None

    async def _put(self, row: QueryDelivery) -> Posted:
        return await self._inbox.put(await self._desk.get(row.query, self._caller))

    async def _failed(self, intent: QueryDelivery, fault: InboxFault, doubtful: bool) -> None:
        """After a fault whose first bytes never left, an earlier attempt is as doubtful as it was."""
        self._on_fault(self._inbox.name)
        move = _AFTER.get(fault.fault, "not-sent")
        if move == "not-sent" and doubtful:
            move = "lose"
        wait = SLOW_POLL if move == "refuse" else pause(intent.failures)
        if fault.retry_after is not None:
            wait = max(wait, timedelta(seconds=min(fault.retry_after, 86_400.0)))
        await self._settle(
            intent,
            move,
            due=self._clock.now() + wait,
            failures=intent.failures + 1,
            doubtful=doubtful or move == "lose",
            outcome=fault.text,
        )

    async def _hear(self, row: QueryDelivery, query: Query) -> None:
        """How it stands there; what the provider did is taken over, and what we did is shown."""
        if not self._inbox.is_read_back or row.reference is None:
            await self._settle(row, "look", due=self._clock.now() + UNREAD_PAUSE)
            return
        try:
            if row.doubtful:
                await self._remove_second(row)
            heard = await self._inbox.look(row.reference)
            outcome = await self._taken(query, heard)
            current = await self._store.query(row.query) or query
            if current.reminders > row.told and current.status not in FINAL:
                await self._inbox.remind(row.reference, heard)
        except InboxFault as fault:
            await self._unheard(row, fault)
            return
        due = next_poll(row.since, self._clock.now())
        changes: dict[str, object] = {"failures": 0, "doubtful": False, "outcome": outcome, "told": current.reminders}
        await self._settle(row, "look", due=due, **changes)

    async def _remove_second(self, row: QueryDelivery) -> None:
        for reference in await self._inbox.find(row.number):
            if reference != row.reference:
                await self._inbox.withdraw(reference, await self._inbox.look(reference), TWICE)

    async def _unheard(self, row: QueryDelivery, fault: InboxFault) -> None:
        now = self._clock.now()
        if fault.fault is Fault.GONE:
            await self._settle(row, "lose", due=now, reference=None, doubtful=True, outcome=fault.text)
            return
        self._on_fault(self._inbox.name)
        wait = max(pause(row.failures), timedelta(seconds=min(fault.retry_after or 0.0, 86_400.0)))
        due = now if fault.fault is Fault.STALE and not row.failures else now + wait
        await self._settle(row, "look", due=due, failures=row.failures + 1, outcome=fault.text)

    async def _taken(self, query: Query, heard: Heard) -> str | None:
        """Take over what the provider did; why it could not be, in codes, or None."""
        if heard.status == query.status or (heard.status == "draft"):
            return None
        resource = _answer(heard)
        invalid = next((issue for issue in validate(resource) if issue.severity in (ERROR, FATAL)), None)
        if invalid is not None:
            return f"what stands there is not FHIR R4: {invalid.expression or resource['resourceType']}"
        source = FhirSource(feed=self._inbox.name, facility="", queries={query.number: query})
        try:
            change = map_resource(resource, source, self._desk.new_id())
            if not isinstance(change, Change) or not change.answers:
                return None
            await self._desk.respond(query.id, self._caller, change, self._received(resource, heard))
        except MappingError as wrong:
            return f"what stands there cannot be used: {wrong.code} {wrong.where}"
        except Refusal as refusal:
            return f"what stands there was not taken over: {refusal.reason.value} ({heard.status[:20]})"
        return None

    def _received(self, resource: dict[str, Any], heard: Heard) -> Received:
        kind = str(resource["resourceType"])
        control = f"{heard.resource.get('id', '')}/{heard.version or ''}"
        return Received(self._inbox.name, Format.FHIR, kind, control, orjson.dumps(resource), b"")

    async def _finish(self, row: QueryDelivery, query: Query) -> None:
        """The query is over: where the inbox does not know, it is told."""
        if row.reference is None or not self._inbox.is_read_back:
            await self._settle(row, "end", due=row.due)
            return
        try:
            heard = await self._inbox.look(row.reference)
            if heard.status not in _DONE:
                reason = query.status_reason or OVER.get(query.status, "it is over")
                await self._inbox.withdraw(row.reference, heard, reason)
        except InboxFault as fault:
            if fault.fault is not Fault.GONE:
                await self._unheard(row, fault)
                return
        await self._settle(row, "end", due=row.due, failures=0)

    async def _settle(self, row: QueryDelivery, move: str, *, due: datetime, **changes: object) -> QueryDelivery:
        """Commit the move. Raises Conflict when another gateway moved the row, StoreFault."""
        now = self._clock.now()
        after = moved(row, move, now=now, due=due, **changes)
        events = [] if move == "look" else [_told(row, after, now)]
        await self._store.commit(Step(query_delivery_moves=[(row, after)], events=events))
        return after


def _answer(heard: Heard) -> dict[str, Any]:
    """The QuestionnaireResponse, or the Task under our own number instead of its id there."""
    if heard.response is not None and heard.status == QueryStatus.COMPLETED:
        return heard.response
    return {name: value for name, value in heard.resource.items() if name not in ("id", "meta")}


def _told(before: QueryDelivery, after: QueryDelivery, now: datetime) -> Event:
    detail: dict[str, object] = {"ehr": after.ehr, "from": before.state, "to": after.state, "attempt": after.attempts}
    detail |= {name: value for name, value in (("reference", after.reference), ("outcome", after.outcome)) if value}
    return Event(now, "gateway", Action.QUERY_DELIVERED, f"query/{after.query}", after.encounter, None, detail)
