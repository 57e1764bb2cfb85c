"""Builds everything once, starts it and stops it. The only module that knows all the rooms."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from gateway import logs
from gateway.adapters.fhir_attachments.intake import FetchingIntake
from gateway.adapters.fhir_attachments.work import AttachmentWork
from gateway.adapters.fhir_poll.server import EhrServer
from gateway.adapters.operations.configuration import Refused
from gateway.adapters.webhook import Webhook
from gateway.analysis.code_tables import CodeTables
from gateway.analysis.rebuilding import Rebuilding
from gateway.assembly.attaching import Attaching, Binaries
from gateway.assembly.entry import Entry
from gateway.assembly.feeds import Feeds
from gateway.assembly.listeners import Listeners, Listening
from gateway.assembly.polls import Polls
from gateway.assembly.querying import Querying
from gateway.assembly.reloading import Reloading
from gateway.assembly.wiring import Lines, http_server, make_outbox, sealer
from gateway.audit.events import Action, Event
from gateway.audit.keys import KeyFault
from gateway.casework import Casework, Sampler
from gateway.clock import Clock, Ids, SystemClock
from gateway.config.model import Config, Feed
from gateway.desk.work import Work
from gateway.intake.intake import Backlog, Intake
from gateway.mappings.fhir.search_values import search_values
from gateway.message import Format, Message
from gateway.pipeline.building import Reader
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.reading import FhirReader, Hl7Reader
from gateway.rules import Rules
from gateway.store import open_store
from gateway.store.interface import Conflict, Step, Store, StoreFault
from gateway.trail.sealing import TrailBroken
from gateway.trail.trail import Refusals
from gateway.upkeep.clockwork import Clockwork, DueEncounters
from gateway.upkeep.metrics import Metrics
from gateway.upkeep.pruning import DailyPruning
from gateway.upkeep.reassessment import Reassessment, ruling
from gateway.upkeep.versions import Ordered, Versions, ordered_by
from gateway.upkeep.vitals import Vitals
from gateway.upkeep.watch import Watch
from gateway.yamlfile import Mistakes

log = logs.logger("gateway")

DUE_INTERVAL = timedelta(seconds=1)
CODES_INTERVAL = timedelta(seconds=10)
REFUSALS_INTERVAL = timedelta(seconds=1)
REASSESS_INTERVAL = timedelta(milliseconds=250)
WATCH_INTERVAL = timedelta(seconds=5)
ACCESS_INTERVAL = timedelta(minutes=1)
ATTACHMENTS_INTERVAL = timedelta(seconds=2)
PRUNE_INTERVAL = timedelta(hours=1)
"""How often it is looked whether a day has passed."""


class StartFault(Exception):
    """The gateway cannot start. Says why and what to do; holds no secret."""


class PipelineFault(Exception):
    """The pipeline ended by a fault that nobody foresaw. Names its type and place, never its text."""


class Gateway:
    """A gateway of one process. `start` it, use it through its sockets, `stop` it.

    `mllp` (feed -> address) and `http` tell where it listens, once started.
    """

    def __init__(self, config: Config, clock: Clock | None = None, environ: Mapping[str, str] | None = None) -> None:
        """`environ`: where secrets are looked up when the files are read again; the process's own by default."""
        self.config = config
        self.environ = os.environ if environ is None else environ
        self.clock = clock or SystemClock()
        self.ids = Ids(config.node)
        self.metrics = Metrics()
        self.vitals = Vitals(self.clock)
        self.mllp: dict[str, tuple[str, int]] = {}
        self.http: tuple[str, int] = ("", 0)
        self.listeners = Listeners(self._listen, self.mllp)
        self._running = AsyncExitStack()
        self.failed: asyncio.Future[None] | None = None
        """Set to the fault that ended the pipeline, should one ever do so."""

    async def start(self, *, processing: bool = True) -> None:
        """Open the store, recover, listen. Raises StartFault; what was begun is then undone.

        Without `processing` messages are only kept, and nothing is delivered or sealed.
        """
        try:
            await self._start(processing)
        except (StoreFault, Mistakes, KeyFault, OSError) as fault:
            await self._running.aclose()
            raise StartFault(str(fault)) from fault
        except BaseException:
            await self._running.aclose()
            raise

    async def stop(self) -> None:
        """Take no more, answer what was received, finish what is in hand, seal, close."""
        await self._running.aclose()

    async def _start(self, processing: bool) -> None:
        said = await asyncio.to_thread(ordered_by, self.config)
        await self._open_store()
        self._build(said.rules, await self.store.draw_counts())
        self._build_upkeep()
        await self.code_tables.load()
        await self.outbox.recover()
        await self._tell(Action.GATEWAY_STARTED)
        await self.reloading.begin(said)
        self._running.push_async_callback(self._farewell)
        if processing:
            self._begin_work()
        await self._listen_http()
        await self._listen_mllp()
        log.info("gateway.started", count=len(self.mllp))

    async def _open_store(self) -> None:
        key = self.config.store_key.get_secret_value() if self.config.store_key else None
        self.store: Store = open_store(self.config.store, key)
        await self.store.open()
        self._running.push_async_callback(self.store.close)

    def _build(self, rules: Rules, counts: dict[tuple[str, str], int]) -> None:
        config = self.config
        self.casework = Casework(rules.policy, rules.edit_context, rules.routes, Sampler(counts), self.ids.next)
        self.backlog = Backlog(config.processing.high_water)
        self.intake = Intake(self.store, self.backlog, self.clock, self.ids)
        self.lines = Lines()
        self._running.push_async_callback(self.lines.close)
        self.outbox = make_outbox(self.store, self.casework, config, self.clock, self.ids, random.random, self.lines)
        self.hl7, self.fhir = Hl7Reader(rules.profiles), FhirReader(rules.sources, self.store)
        self.readers: Mapping[str, Reader] = {Format.HL7V2: self.hl7, Format.FHIR: self.fhir}
        self.rebuilding = Rebuilding(self.store, self.readers, self.casework, self.clock, self.released)
        self.code_tables = CodeTables(self.store, self.hl7, self.rebuilding, self.clock)
        self.pipeline = Pipeline(
            self.store,
            self.readers,
            self.casework,
            self.backlog,
            self.clock,
            self.ids,
            batch=config.processing.batch,
            on_released=self.released,
            on_processed=self._processed,
        )
        work = Work(self.store, self.casework, self.clock, self.ids, lambda claim: self.released())
        self.querying = Querying(
            work, self.store, self.clock, self.ids, lambda: self.config, self._fhir_base, self.metrics
        )
        self.querying.templates = rules.templates
        self.sealer = sealer(self.store, config, self.clock)
        self.refusals = Refusals(self.store, self.clock)
        self.entry = Entry(config, self.store, self.clock)
        self.attaching = Attaching(lambda: self.config, self._polled_server)
        self.resources_in = FetchingIntake(self.intake, self.store, self.clock, self.attaching.fetches)
        self.polls = Polls(
            self.resources_in, self.store, self.backlog, self.clock, self.metrics, self.lines.client, search_values
        )
        binaries = Binaries(self.intake, self.store, self.clock, search_values)
        self.attachments = AttachmentWork(
            self.store,
            binaries,
            self.attaching.fetching,
            self.clock,
            self.metrics,
            lambda: self.backlog.congested,
        )
        self.feeds = Feeds(
            self.intake, self.backlog, self.clock, self.metrics.acknowledged, self.metrics, self.refusals, self.polls
        )

    def _build_upkeep(self) -> None:
        store, clock = self.store, self.clock
        self.versions = Versions(store, self.config.node, clock)
        self.reloading = Reloading(self, self._in_force)
        self.reassessment = Reassessment(store, self.casework, clock, lambda: self.backlog.count > 0, self.released)
        self.pruning = DailyPruning(store, clock, lambda: self.config.retention)
        webhook = Webhook(self.lines.client, lambda: self.config.alerts)
        self.watch = Watch(
            store, clock, lambda: self.config, self.vitals, self.outbox, webhook, self.metrics, self.polls.failing
        )

    async def _in_force(self, said: Ordered, version: int) -> None:
        """A version has come into force: what it decides otherwise is looked at again."""
        self.metrics.configuration.set(version)
        if said.config.processing.reassess:
            await self.reassessment.begin(ruling(said), version)

    def _fhir_base(self) -> str:
        host, port = self.http
        return f"{self.config.http.base_url or f'http://{host}:{port}'}".rstrip("/") + "/fhir"

    def _polled_server(self, feed: str) -> EhrServer | None:
        return self.polls.server_of(feed)

    def _processed(self, message: Message, outcome: str) -> None:
        self.metrics.processed(message.feed, outcome)
        self.vitals.processed(message, outcome)

    async def _seal(self) -> None:
        await self.sealer.seal()
        self.vitals.was_sealed()

    async def hang_up(self) -> None:
        """Reload as SIGHUP asks. What is wrong is in the log by then; the gateway goes on as before."""
        try:
            await self.reloading.reload("user:operator")
        except (Mistakes, Refused, StoreFault, Conflict) as fault:
            log.error("gateway.not_reloaded", fault=type(fault).__name__)  # noqa: TRY400 - foreseen, and told

    def released(self) -> None:
        self.metrics.releases.inc()
        self.outbox.notify()

    def _begin_work(self) -> None:
        pipeline = asyncio.create_task(self.pipeline.run(), name="pipeline")
        pipeline.add_done_callback(self._pipeline_ended)
        self.failed = asyncio.get_running_loop().create_future()
        self.outbox.start()
        clockwork = Clockwork()
        clockwork.every(DUE_INTERVAL, "due", DueEncounters(self.store, self.casework, self.clock, self.released))
        clockwork.every(timedelta(seconds=self.config.audit.seal_seconds), "seal", self._seal)
        clockwork.every(CODES_INTERVAL, "codes", self.code_tables.go_on)
        clockwork.every(REFUSALS_INTERVAL, "refusals", self.refusals.commit)
        clockwork.every(REASSESS_INTERVAL, "reassess", self.reassessment)
        clockwork.every(WATCH_INTERVAL, "watch", self.watch.look)
        clockwork.every(WATCH_INTERVAL, "tell", self.watch.tell)
        clockwork.every(PRUNE_INTERVAL, "prune", self.pruning)
        clockwork.every(ATTACHMENTS_INTERVAL, "attachments", self.attachments)
        clockwork.every(ACCESS_INTERVAL, "access", self.entry.granting.forget)
        self.querying.begin(clockwork, self.config.ehrs, self.lines.client)
        clockwork.start()

        async def end() -> None:
            await clockwork.stop()
            await self.querying.close()
            self.pipeline.stop()
            await asyncio.wait([pipeline])
            await self.outbox.stop()

        self._running.push_async_callback(end)

    def _pipeline_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            where = logs.place(fault.__traceback__)
            log.error("gateway.pipeline_ended", fault=type(fault).__name__, place=where)
            if self.failed is not None and not self.failed.done():
                self.failed.set_exception(PipelineFault(f"the pipeline ended by {type(fault).__name__} at {where}"))

    async def _listen_http(self) -> None:
        self.server = http_server(self)
        self.http = await self.server.start()
        self._running.push_async_callback(self.server.stop)

    async def _listen_mllp(self) -> None:
        self._running.push_async_callback(self.listeners.close)
        await self.listeners.open(self.config.feeds)

    async def _listen(self, feed: Feed) -> Listening:
        """Start the listener of one feed, by its transport. OSError when it cannot."""
        return await self.feeds.listen(feed)

    async def _tell(self, action: Action) -> None:
        event = Event(self.clock.now(), "gateway", action, f"node/{self.config.node}")
        await self.store.commit(Step(events=[event]))

    async def _farewell(self) -> None:
        await self.refusals.commit()
        await self._tell(Action.GATEWAY_STOPPED)
        try:
            await self.sealer.seal()
        except TrailBroken:
            # Said at each tick already, and nothing is lost by stopping: `gateway audit verify` tells what is wrong.
            log.exception("gateway.trail_broken")


def tune_collector() -> None:
    """Look for garbage cycles rarely: messages and encounters have none, and looking costs a sixth of the pipeline.

    What stands at start (code, models, code sets) is never looked at again. For a process that serves, not a library.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def serve_until_stopped(config: Config, started: Callable[[Gateway], None] = lambda gateway: None) -> None:
    """Serve until SIGTERM or SIGINT, or until the pipeline fails. Raises StartFault or PipelineFault."""
    logs.configure()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(config)
    await gateway.start()
    reloads: set[asyncio.Task[None]] = set()

    def hung_up() -> None:
        reloads.add(loop.create_task(gateway.hang_up()))

    loop.add_signal_handler(signal.SIGHUP, hung_up)
    tune_collector()
    started(gateway)
    stopping = asyncio.create_task(stop.wait())
    try:
        assert gateway.failed is not None  # noqa: S101 - processing was asked for
        waiting: set[asyncio.Future[Any]] = {stopping, gateway.failed}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        await gateway.stop()
        log.info("gateway.stopped")
    if gateway.failed.done():
        gateway.failed.result()
