"""Kills the gateway, as `kill -9` does, again and again while hospitals send to it, and counts what became of it all.

The senders behave as real ones do: each sends a visit's messages in order, waits for each acknowledgement, and sends
again, byte for byte, what was not acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

from conformance.billing_endpoint import BillingEndpoint
from conformance.day import routine
from conformance.ehr import adt, dft, mdm
from conformance.encoder import final_codes
from conformance.hospital import BILLING, LAKESIDE, MEDICARE, Visit
from conformance.mllp_sender import MllpSender, NoAcknowledgement
from gateway.release.model import DeliveryState
from gateway.store import open_store
from gateway.store.interface import MessageQuery

START_SECONDS = 60.0
DRAIN_SECONDS = 120.0
SENDERS = 8

_CONFIGURATION = """\
store: sqlite:///gateway.db
facility: MAIN
http: {{listen: "127.0.0.1:{http}"}}
feeds:
  - {{name: ehr, listen: "mllp://127.0.0.1:{mllp}", dialect: site}}
destinations:
  - {{name: payer-fhir, kind: fhir-claim, url: "{billing}", payers: [{fhir_payer}]}}
  - {{name: clearinghouse, kind: x12-file, directory: out}}
dialects: dialects
reference: {reference}
{who_bills}review: policy.yaml
audit: {{seal_seconds: 1, key_file: audit.key, anchor: seals.ndjson}}
"""
_DIALECT = """\
extends: epic
fields:
  visit: {place_of_service: [ZPV-1]}
  coverages: {filing: [IN1-15]}
tables:
  filing: {MB: MB, CI: CI, HM: HM}
"""
_POLICY = """\
version: 1
samples:
  - {name: audit, take: 1, of: 4, seed: crash}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def visit(number: int) -> Visit:
    """Visit `number`: alike but for its numbers, half of them for each payer."""
    today = date.today()  # noqa: DTZ011 - the hospital's own day
    alike = routine(today)
    notes = tuple(replace(note, id=f"N{number}-{place}") for place, note in enumerate(alike.notes))
    insurance = MEDICARE if number % 2 else LAKESIDE
    return replace(alike, number=f"V{number}", account=f"A{number}", notes=notes, insurance=insurance)


def messages(number: int) -> list[tuple[str, bytes]]:
    """What is sent of a visit, in order: (control id, message)."""
    of = visit(number)
    sent = datetime.now().astimezone().replace(tzinfo=None) - timedelta(minutes=5)
    kinds = ("A04", "DFT", "MDM", "BAR", "A03")
    controls = [f"K{number}-{kind}" for kind in kinds]
    bodies = (
        adt("A04", of, controls[0], sent),
        dft(of, controls[1], sent),
        mdm(of, of.notes[0], controls[2], sent),
        final_codes(of, controls[3], sent),
        adt("A03", of, controls[4], sent),
    )
    return list(zip(controls, bodies, strict=True))


@dataclass(slots=True)
class Tally:
    """What the senders know: visits begun, and messages that were acknowledged."""

    visits: Iterator[int]
    acknowledged: list[str] = field(default_factory=list)
    begun: int = 0
    kills: int = 0
    refused: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Victim:
    """The gateway as a process of its own, on the same ports each time."""

    work: Path
    mllp: int
    http: int
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        with (self.work / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "serve", "--config", str(self.work / "gateway.yaml"), stderr=log
            )
        async with asyncio.timeout(START_SECONDS):
            while not await _listens(self.mllp):
                if self.process.returncode is not None:
                    raise RuntimeError(f"the gateway ended with {self.process.returncode}; see {self.work / 'log'}")
                await asyncio.sleep(0.02)

    async def end(self, how: signal.Signals) -> int:
        """Send it a signal; its exit status."""
        if self.process is None:
            raise RuntimeError("it was not started")
        self.process.send_signal(how)
        return await self.process.wait()

    def put_down(self) -> None:
        """Leave no process behind, whatever happened."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _send_visits(port: int, tally: Tally, ending: asyncio.Event) -> None:
    """One sender: visit after visit, until it is told to end with the visit in hand."""
    while not ending.is_set():
        number = next(tally.visits)
        tally.begun += 1
        waiting = messages(number)
        while waiting:
            with contextlib.suppress(OSError, NoAcknowledgement):
                await _send_what_waits(port, waiting, tally)
            if waiting:
                await asyncio.sleep(0.02)  # the gateway is down: a sender tries again after a pause


async def _send_what_waits(port: int, waiting: list[tuple[str, bytes]], tally: Tally) -> None:
    async with MllpSender("127.0.0.1", port) as sender:
        while waiting:
            control, message = waiting[0]
            answer = await sender.send(message)
            if answer.accepted:
                tally.acknowledged.append(control)
            else:
                tally.refused.append(f"{control} {answer.code} {answer.text}")
            waiting.pop(0)


def prepare(work: Path, reference: Path, billing: str) -> Victim:
    """Write a configuration into `work`; the gateway to start there."""
    victim = Victim(work, free_port(), free_port())
    (work / "dialects").mkdir()
    (work / "dialects" / "site.yaml").write_text(_DIALECT)
    (work / "policy.yaml").write_text(_POLICY)
    settings = _CONFIGURATION.format(
        http=victim.http,
        mllp=victim.mllp,
        billing=billing,
        fhir_payer=LAKESIDE.payer,
        reference=reference.resolve(),
        who_bills=BILLING,
    )
    (work / "gateway.yaml").write_text(settings)
    return victim


@contextlib.asynccontextmanager
async def _sending(victim: Victim, tally: Tally) -> AsyncIterator[None]:
    ending = asyncio.Event()
    senders = [asyncio.create_task(_send_visits(victim.mllp, tally, ending)) for _ in range(SENDERS)]
    try:
        yield
    finally:
        ending.set()
        await asyncio.gather(*senders)


async def kill_loop(work: Path, reference: Path, peer: BillingEndpoint, kills: int, seed: int) -> Tally:
    """Kill the gateway `kills` times under load, then let it finish and stop it as an operator would."""
    chance = random.Random(seed)  # noqa: S311 - when to kill, not a secret
    victim = prepare(work, reference, peer.url)
    tally = Tally(visits=iter(range(1, 10_000_000)))
    try:
        await victim.start()
        async with _sending(victim, tally):
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(0.05, 0.6))
                await victim.end(signal.SIGKILL)
                tally.kills += 1
                await victim.start()
        await _drained(victim)
        status = await victim.end(signal.SIGTERM)
    finally:
        victim.put_down()
    if status != 0:
        raise RuntimeError(f"the gateway ended with {status} when asked to stop; see {work / 'log'}")
    return tally


async def _drained(victim: Victim) -> None:
    """Wait until every message is processed and every delivery settled, as the store's own file says."""
    store = open_store(f"sqlite:///{victim.work / 'gateway.db'}")
    await store.open()
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            moving = tuple(set(DeliveryState) - {DeliveryState.ACCEPTED, DeliveryState.REJECTED})
            while await store.backlog() or await store.deliveries(moving, 1):  # noqa: ASYNC110 - another process does
                await asyncio.sleep(0.2)
    finally:
        await store.close()


@dataclass(frozen=True, slots=True)
class Remains:
    """What is in the store afterwards, and at the destinations."""

    messages: Counter[str]
    """How often each control id stands."""
    states: dict[str, int]
    deliveries: dict[str, int]
    charges: Counter[int]
    """How many encounters have so many charges."""
    released: Counter[str]
    """Claims for each encounter."""
    arrived: Counter[str]
    """How often each claim number arrived at a destination."""


async def remains(work: Path, peer: BillingEndpoint) -> Remains:
    """Read the store and the destinations, after the gateway has ended."""
    store = open_store(f"sqlite:///{work / 'gateway.db'}")
    await store.open()
    try:
        standing: Counter[str] = Counter()
        before: int | None = None
        while page := await store.messages(MessageQuery(before=before, limit=500)):
            standing.update(message.control for message in page)
            before = page[-1].id
        charges: Counter[int] = Counter()
        released: Counter[str] = Counter()
        after = ""
        while items := await store.worklist((), (), after, 200):
            for key, case in (await store.cases([item.key for item in items])).items():
                charges[len(case.encounter.charges) if case.encounter else -1] += 1
                released[key] += len(case.claims)
            after = items[-1].key
        counts = await store.counts()
    finally:
        await store.close()
    arrived = Counter(claim["identifier"][0]["value"] for claim in peer.claims)
    arrived.update(_claim_number(path) for path in sorted((work / "out").glob("*")) if path.is_file())
    return Remains(standing, dict(counts["messages"]), dict(counts["deliveries"]), charges, released, arrived)


def _claim_number(path: Path) -> str:
    """CLM01 of an interchange with one claim."""
    segments = path.read_text().split("~")
    return next(segment.strip().split("*")[1] for segment in segments if segment.strip().startswith("CLM*"))
