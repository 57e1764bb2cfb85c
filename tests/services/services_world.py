"""The services over a real store and the real rules, with a clock that only the test moves. No socket anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, cast

from conformance import ehr, ehr_fhir, encoder
from conformance.day import routine
from conformance.hospital import Visit
from gateway.access.roles import Permission, Role, permissions
from gateway.case import Case, Draw
from gateway.casework import Casework, Sampler
from gateway.clock import Ids
from gateway.desk.desk import Desk
from gateway.desk.work import Work
from gateway.encounter.model import Encounter
from gateway.intake.intake import Backlog, Intake
from gateway.mappings.fhir.search_values import search_values
from gateway.message import Format, Message, MessageState, Received
from gateway.pipeline.pipeline import Pipeline, Reader
from gateway.pipeline.reading import FhirReader, Hl7Reader
from gateway.review.model import Hold, HoldState
from gateway.review.policy import Policy
from gateway.rules import Rules
from gateway.store.interface import MessageQuery, ResourceVersion, Step, Store
from gateway.store.open import open_store

TODAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 18, tzinfo=UTC)
SENT = datetime(2026, 11, 20, 12, tzinfo=UTC).replace(tzinfo=None)
"""MSH-7, in the hospital's own time."""
EHR = "epic-adt"
ENCODER = "encoder"
FHIR = "ehr-fhir"
NO_RULES = Policy()


class StillClock:
    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)


class Faulty:
    """A store whose next commits do what the test wants: raise a fault, or let somebody else be faster.

    `real` is what stands behind it, and never fails.
    """

    def __init__(self, real: Store) -> None:
        self.real = real
        self.next_commits: list[Any] = []
        """For each commit to come: None, an exception to raise, or what to await, given the step, before it."""
        self.next_reads: list[Exception] = []
        """Raised by the next looks for messages that wait."""
        self.next_counts: list[Exception] = []
        """Raised by the next counts of them."""
        self.moved = asyncio.Event()
        """Set by each fault, and by whoever else wants to be noticed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def commit(self, step: Step) -> None:
        wanted = self.next_commits.pop(0) if self.next_commits else None
        if isinstance(wanted, Exception):
            raise self._noticed(wanted)
        if wanted is not None:
            await wanted(step)
        await self.real.commit(step)

    async def pending(self, limit: int) -> list[Message]:
        if self.next_reads:
            raise self._noticed(self.next_reads.pop(0))
        return await self.real.pending(limit)

    def _noticed(self, fault: Exception) -> Exception:
        self.moved.set()
        return fault

    async def backlog(self) -> int:
        if self.next_counts:
            raise self._noticed(self.next_counts.pop(0))
        return await self.real.backlog()


@dataclass(frozen=True)
class Person:
    name: str
    roles: frozenset[Role]
    npi: tuple[str, ...] = ()

    @property
    def permissions(self) -> frozenset[Permission]:
        return permissions(self.roles)


SUPERVISOR = Person("sam", frozenset({Role.SUPERVISOR}))


@dataclass
class World:
    """A gateway without sockets. `store` may be made to fail."""

    rules: Rules
    store: Faulty
    casework: Casework
    clock: StillClock
    ids: Ids
    backlog: Backlog
    intake: Intake
    pipeline: Pipeline
    desk: Desk
    released: list[str] = field(default_factory=list)
    processed: list[tuple[int, str]] = field(default_factory=list)
    controls: Iterator[int] = field(default_factory=lambda: count(1))

    # Sending

    async def send(self, payload: bytes, feed: str = EHR, control: str | None = None) -> Message:
        """Keep an HL7 v2 message. `control` is intake's: the message's own MSH-10 is nobody's business here."""
        control = control or f"T{next(self.controls)}"
        return await self.intake.accept(Received(feed, Format.HL7V2, "any", control, payload, b"AA"))

    async def put(self, resource: dict[str, Any], client: str = FHIR, version: int = 1) -> Message:
        """Keep a FHIR resource as the facade does."""
        kind, id = resource["resourceType"], resource["id"]
        number = self.ids.next()
        control = f"R{next(self.controls)}"
        body = json.dumps(resource).encode()
        received = Received(client, Format.FHIR, f"PUT {kind}/{id}", control, body, b"")
        named = ResourceVersion(kind, id, version, client, number, self.clock.now(), values=search_values(resource))
        return await self.intake.accept(received, named, number)

    async def register(self, visit: Visit, *events: str) -> list[Message]:
        return [await self.send(ehr.adt(event, visit, "x", SENT)) for event in events or ("A04", "A03")]

    async def charge(self, visit: Visit) -> Message:
        return await self.send(ehr.dft(visit, "x", SENT))

    async def document(self, visit: Visit) -> list[Message]:
        return [await self.send(ehr.mdm(visit, note, "x", SENT)) for note in visit.notes]

    async def code(self, visit: Visit, diagnoses: Iterable[str] | None = None, coder: str | None = None) -> Message:
        wanted = None if diagnoses is None else tuple(diagnoses)
        return await self.send(encoder.final_codes(visit, "x", SENT, diagnoses=wanted, coder=coder), ENCODER)

    async def tell(self, visit: Visit) -> None:
        """All that a visit needs before its claim may leave, unprocessed yet."""
        await self.register(visit)
        await self.document(visit)
        await self.charge(visit)
        await self.code(visit)

    async def tell_over_fhir(self, visit: Visit) -> None:
        await self.put(ehr_fhir.encounter(visit))
        for note in visit.notes:
            await self.put(ehr_fhir.document(visit, note))
        await self.put(ehr_fhir.claim(visit, created=SENT))

    async def work(self) -> None:
        """Process all that waits."""
        while await self.pipeline.work_once():
            pass

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait for what comes of a message that was processed, or of a fault that was met."""
        async with asyncio.timeout(5):
            while not happened():
                self.store.moved.clear()
                await self.store.moved.wait()

    # Looking

    async def case(self, key: str) -> Case:
        return cast(Case, (await self.store.cases([key]))[key])

    async def encounter(self, key: str) -> Encounter:
        encounter = (await self.case(key)).encounter
        assert encounter is not None
        return encounter

    async def message(self, id: int) -> Message:
        message = await self.store.message(id)
        assert message is not None
        return cast(Message, message)

    async def set_aside(self) -> list[Message]:
        """Oldest first."""
        found = await self.store.messages(MessageQuery(state=MessageState.SET_ASIDE))
        return cast("list[Message]", found[::-1])

    async def keys(self) -> list[str]:
        return [item.key for item in await self.store.worklist((), (), "", 1_000)]

    async def stage(self, key: str) -> str:
        return cast(str, next(i.stage for i in await self.store.worklist((), (), "", 1_000) if i.key == key))

    async def told(self, key: str | None = None) -> list[str]:
        """What the trail says, of one encounter or of all: `hold.opened edit icd10-not-billable`."""
        return [
            " ".join([e.event.action, *(str(e.event.detail[n]) for n in ("kind", "rule") if n in e.event.detail)])
            async for e in self.store.events(encounter=key)
        ]

    async def draws(self) -> list[Draw]:
        """All there are, in the order of their places."""
        cases = await self.store.cases(await self.keys())
        return sorted((d for case in cases.values() for d in case.draws), key=lambda d: (d.sample, d.frame, d.position))


def open_holds(case: Case) -> list[Hold]:
    return [hold for hold in case.holds if hold.state is HoldState.OPEN]


def open_rules(case: Case) -> set[str]:
    return {hold.rule for hold in open_holds(case)}


def key_of(visit: Visit) -> str:
    return f"MAIN:MAIN:{visit.account}"


def visit_number(number: int, **said: Any) -> Visit:
    """An office visit like any other, with numbers of its own."""
    made = routine(TODAY)
    note = replace(made.notes[0], id=f"N{number}")
    return replace(made, **{"number": f"V{number}", "account": f"A{number}", "notes": (note,), **said})


@asynccontextmanager
async def world(
    rules: Rules,
    policy: Policy = NO_RULES,
    *,
    url: str = "sqlite://",
    clock: StillClock | None = None,
    batch: int = 64,
    high_water: int = 5_000,
) -> Any:
    """A world of its own, by the demonstration's rules but for the policy. Opened again on one file, it goes on."""
    store = Faulty(open_store(url))
    await store.real.open()
    try:
        yield _built(rules, policy, store, clock or StillClock(), batch, high_water, await store.draw_counts())
    finally:
        await store.real.close()


def _built(
    rules: Rules,
    policy: Policy,
    store: Faulty,
    clock: StillClock,
    batch: int,
    high_water: int,
    counts: dict[tuple[str, str], int],
) -> World:
    ids, backlog = Ids(), Backlog(high_water)
    casework = Casework(policy, rules.edit_context, rules.routes, Sampler(counts), ids.next)
    readers: dict[str, Reader] = {
        Format.HL7V2: Hl7Reader(rules.profiles),
        Format.FHIR: FhirReader(rules.sources, cast(Store, store)),
    }
    released: list[str] = []
    processed: list[tuple[int, str]] = []

    def told(message: Message, outcome: str) -> None:
        processed.append((message.id, outcome))
        store.moved.set()

    pipeline = Pipeline(
        cast(Store, store),
        readers,
        casework,
        backlog,
        clock,
        ids,
        batch=batch,
        on_released=lambda: released.append("pipeline"),
        on_processed=told,
    )
    work = Work(cast(Store, store), casework, clock, ids, lambda claim: released.append("desk"))
    intake = Intake(cast(Store, store), backlog, clock, ids)
    return World(
        rules,
        store,
        casework,
        clock,
        ids,
        backlog,
        intake,
        pipeline,
        Desk(work),
        released=released,
        processed=processed,
    )
