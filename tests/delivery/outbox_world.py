"""A world small enough to break at every step: a store, a case's keeper and a receiver, all in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.audit.events import Event
from gateway.case import Case
from gateway.delivery import Lane, Outbox, Pace
from gateway.encounter.billable import Billable
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import ClaimKind, Patient, Visit
from gateway.mappings.x12.problem import FormProblem, Unwritable
from gateway.release.model import Claim, Delivery, DeliveryState, Outcome, Result, Suspension
from gateway.store.interface import Conflict, DeliveryChange, Step

START = datetime(2025, 3, 6, 12, tzinfo=UTC)


class Crash(BaseException):
    """The process ends here."""


@dataclass
class Fuse:
    """Burns at the given steps, counted from 0 over the world's whole life."""

    at: frozenset[int] = frozenset()
    step: int = -1
    burnt: list[str] = field(default_factory=list)
    dead: bool = False
    """After a crash nothing else of that process goes on."""

    def burn(self, place: str) -> None:
        if self.dead:
            raise Crash
        self.step += 1
        if self.step in self.at:
            self.burnt.append(place)
            self.dead = True
            raise Crash(place)


class StillClock:
    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment

    def advance(self, by: timedelta) -> None:
        self.moment += by


class MemoryStore:
    """The few store methods that the outbox uses, with the checks that the real ones make."""

    def __init__(self, fuse: Fuse) -> None:
        self.rows: dict[int, Delivery] = {}
        self.claims: dict[int, Claim] = {}
        self.attempts: set[tuple[int, int]] = set()
        self.events: list[Event] = []
        self.suspended: dict[str, Suspension] = {}
        self.faults: list[tuple[str, Exception]] = []
        """(`before` or `after`, fault) of the next commits; neither: that commit is sound."""
        self._fuse = fuse

    async def commit(self, step: Step) -> None:
        self._fuse.burn("before commit")
        when, fault = self.faults.pop(0) if self.faults else ("", None)
        if fault is not None and when == "before":
            raise fault
        self._check(step)
        for change in step.deliveries:
            self.rows[change.after.id] = change.after
        self.attempts.update((a.delivery, a.number) for a in step.attempts)
        self.suspended.update({one.destination: one for one in step.suspensions})
        for destination in step.resumptions:
            self.suspended.pop(destination, None)
        self.events.extend(step.events)
        self._fuse.burn("after commit")
        if fault is not None and when == "after":
            raise fault

    def _check(self, step: Step) -> None:
        for change in step.deliveries:
            row = self.rows[change.before.id]
            if (row.state, row.attempts) != (change.before.state, change.before.attempts):
                raise Conflict(f"delivery {row.id}")
        if any((a.delivery, a.number) in self.attempts for a in step.attempts):
            raise Conflict("attempt")

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]:
        return {
            key: Case(
                key,
                claims=tuple(c for c in self.claims.values() if c.encounter == key),
                deliveries=tuple(d for d in self.rows.values() if d.encounter == key),
            )
            for key in keys
        }

    async def due_deliveries(self, destination: str, now: datetime, limit: int) -> list[Delivery]:
        ready = [
            row
            for row in self.rows.values()
            if row.destination == destination and row.state is DeliveryState.READY and row.due <= now
        ]
        return sorted(ready, key=lambda row: (row.due, row.id))[:limit]

    async def deliveries(self, states: Sequence[DeliveryState], limit: int = 1000) -> list[Delivery]:
        return [row for row in self.rows.values() if row.state in states][:limit]

    async def suspensions(self) -> list[Suspension]:
        return list(self.suspended.values())


class MemoryCasework:
    """Commits a delivery's end, and remembers what a person would be shown."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.told: list[tuple[int, DeliveryState, str]] = []

    async def delivery_changed(
        self, before: Delivery, after: Delivery, outcome: Outcome, events: Sequence[Event]
    ) -> None:
        await self._store.commit(Step(deliveries=[DeliveryChange(before, after)], events=list(events)))
        self.told.append((after.id, after.state, outcome.text))


@dataclass
class Receiver:
    """A destination whose far end keeps what arrives. Each send takes a word of the script; with none left, `take`."""

    fuse: Fuse
    name: str = "payer"
    removes_duplicates: bool = False
    answers_inquiries: bool = False
    script: list[str] = field(default_factory=list)
    kept: list[tuple[str, bytes]] = field(default_factory=list)
    sends: list[tuple[str, bytes, bool]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    """While set on a receiver and not yet released, sends wait for it."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    most_at_once: int = 0
    _at_once: int = 0

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait for something that comes with a send."""
        async with asyncio.timeout(5):
            while not happened():
                self.changed.clear()
                await self.changed.wait()

    async def send(self, key: str, payload: bytes, resend: bool) -> Outcome:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._send(key, payload, resend)
        finally:
            self._at_once -= 1
            self.changed.set()

    async def _send(self, key: str, payload: bytes, resend: bool) -> Outcome:
        self.fuse.burn("before send")
        self.sends.append((key, payload, resend))
        self.changed.set()
        await asyncio.sleep(0)
        word = self.script.pop(0) if self.script else "take"
        if self.gate is not None:
            await self.gate.wait()
        if word == "raise":
            raise RuntimeError("a fault of the adapter")
        if word == "not-sent":
            return Outcome(result=Result.NOT_SENT, text="no connection", retry_after=None)
        if word == "refuse":
            return Outcome(result=Result.REJECTED, text="422 refused")
        if word == "later":
            return Outcome(result=Result.SENT, text="202 received")
        if word != "lose":
            self._keep(key, payload)
        self.fuse.burn("after send")
        if word in ("lose", "keep-and-lose"):
            return Outcome(result=Result.UNKNOWN, text="no answer")
        return Outcome(result=Result.ACCEPTED, text="201 taken", reference="Claim/c1")

    def _keep(self, key: str, payload: bytes) -> None:
        if not (self.removes_duplicates and (key, payload) in self.kept):
            self.kept.append((key, payload))

    def resend_safe(self, first_attempt: datetime, now: datetime) -> bool:
        return self.removes_duplicates and now - first_attempt < timedelta(hours=24)

    async def inquire(self, key: str, payload: bytes) -> Outcome | None:
        if not self.answers_inquiries:
            return None
        if (key, payload) in self.kept:
            return Outcome(result=Result.ACCEPTED, text="it is here")
        return Outcome(result=Result.NOT_SENT, text="it is not here")


class MarkedRenderer:
    """Bytes that name the claim; `counter` shows that they are made once."""

    def __init__(self) -> None:
        self.rendered: list[int] = []
        self.unwritable: set[int] = set()
        self.broken: set[int] = set()

    def render(self, claim: Claim, delivery: Delivery) -> bytes:
        self.rendered.append(claim.id)
        if claim.id in self.unwritable:
            raise Unwritable((FormProblem("x12-missing", "patient.sex", "", ""),))
        if claim.id in self.broken:
            raise KeyError("SECRET NAME")
        return f"{claim.number} rendering {len(self.rendered)}".encode()


class World:
    """Everything that outlives the gateway, and a way to start it again."""

    def __init__(self, claims: int = 1, crashes: Iterable[int] = (), **receiver: object) -> None:
        self.fuse = Fuse(frozenset(crashes))
        self.clock = StillClock()
        self.store = MemoryStore(self.fuse)
        self.receiver = Receiver(self.fuse, **receiver)  # type: ignore[arg-type]
        self.renderer = MarkedRenderer()
        self.casework = MemoryCasework(self.store)
        self.epoch = 0
        self.pace = Pace(store_pause=timedelta(0))
        for number in range(1, claims + 1):
            self.release(number)

    def release(self, number: int, destination: str = "payer") -> Delivery:
        key = EncounterKey("MAIN", "", f"A{number}")
        billed = Billable(key=key, kind=ClaimKind.PROFESSIONAL, patient=Patient(), visit=Visit())
        self.store.claims[number] = Claim(
            id=number,
            number=f"C{number}",
            version=1,
            encounter=str(key),
            kind=billed.kind,
            destination=destination,
            fingerprint="f",
            billed=billed,
            approved_by="policy",
            released=self.clock.now(),
        )
        row = Delivery(
            id=100 + number,
            claim=number,
            encounter=str(key),
            destination=destination,
            key=f"C{number}-1",
            due=self.clock.now(),
            changed=self.clock.now(),
        )
        self.store.rows[row.id] = row
        return row

    def start(self, *others: Lane, concurrency: int = 4) -> Outbox:
        """A new gateway over the same world, in an epoch of its own."""
        return self.start_with(Lane(self.receiver, self.renderer, concurrency), *others)

    def start_with(self, lane: Lane, *others: Lane) -> Outbox:
        """The same, with the lane that is given in place of the receiver's."""
        self.epoch += 1
        self.fuse.dead = False
        self.lane = lane
        return Outbox(
            self.store,
            self.casework,
            [self.lane, *others],
            self.clock,
            owner="node-0",
            epoch=self.epoch,
            jitter=lambda: 1.0,
            pace=self.pace,
        )

    async def turn(self, outbox: Outbox, times: int = 1, every: timedelta = timedelta(minutes=6)) -> None:
        """`times` turns, each to its end, with `every` between them."""
        for _ in range(times):
            await outbox.turn("payer")
            tasks = list(self.lane.under_way.values())
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            if self.fuse.dead or any(isinstance(one, Crash) for one in ended):
                raise Crash
            await outbox.idle("payer")
            self.clock.advance(every)

    def state(self, number: int = 1) -> DeliveryState:
        return self.store.rows[100 + number].state

    def row(self, number: int = 1) -> Delivery:
        return self.store.rows[100 + number]

    def copies(self, number: int = 1) -> int:
        """How often the receiver keeps the claim."""
        return sum(key == f"C{number}-1" for key, _ in self.receiver.kept)
