"""Builds everything once, starts it and stops it. The only module that knows all the rooms."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from gateway import logs
from gateway.adapters.mllp.feed import FeedReceiver
from gateway.adapters.mllp.server import Limits, MllpServer
from gateway.audit.events import Action, Event
from gateway.audit.keys import KeyFault
from gateway.casework import Casework, Sampler
from gateway.clock import Clock, Ids, SystemClock
from gateway.clockwork import Clockwork, DueEncounters
from gateway.config import Config
from gateway.intake import Backlog, Intake
from gateway.message import Format
from gateway.metrics import Metrics
from gateway.pipeline import Pipeline, Reader
from gateway.reading import FhirReader, Hl7Reader
from gateway.rules import Rules, RulesFault, load_rules
from gateway.sealing import TrailBroken
from gateway.store import open_store
from gateway.store.interface import Step, Store, StoreFault
from gateway.trail import Refusals
from gateway.wiring import http_server, make_outbox, sealer

log = logs.logger("gateway")

DUE_INTERVAL = timedelta(seconds=1)
REFUSALS_INTERVAL = timedelta(seconds=1)


class StartFault(Exception):
    """The gateway cannot start. Says why and what to do; holds no secret."""


class PipelineFault(Exception):
    """The pipeline ended by a fault that nobody foresaw. Names its type and place, never its text."""


class Gateway:
    """A gateway of one process. `start` it, use it through its sockets, `stop` it.

    `mllp` (feed -> address) and `http` tell where it listens, once started.
    """

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.ids = Ids(config.node)
        self.metrics = Metrics()
        self.mllp: dict[str, tuple[str, int]] = {}
        self.http: tuple[str, int] = ("", 0)
        self.receivers: dict[str, FeedReceiver] = {}
        self._running = AsyncExitStack()
        self.failed: asyncio.Future[None] | None = None
        """Set to the fault that ended the pipeline, should one ever do so."""

    async def start(self, *, processing: bool = True) -> None:
        """Open the store, recover, listen. Raises StartFault; what was begun is then undone.

        Without `processing` messages are only kept, and nothing is delivered or sealed.
        """
        try:
            await self._start(processing)
        except (StoreFault, RulesFault, KeyFault, OSError) as fault:
            await self._running.aclose()
            raise StartFault(str(fault)) from fault
        except BaseException:
            await self._running.aclose()
            raise

    async def stop(self) -> None:
        """Take no more, answer what was received, finish what is in hand, seal, close."""
        await self._running.aclose()

    async def _start(self, processing: bool) -> None:
        rules = await asyncio.to_thread(load_rules, self.config)
        await self._open_store()
        self._build(rules, await self.store.draw_counts())
        await self.outbox.recover()
        await self._tell(Action.GATEWAY_STARTED)
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
        self.outbox = make_outbox(self.store, self.casework, config, self.clock, self.ids, random.random, self._running)
        readers: dict[str, Reader] = {
            Format.HL7V2: Hl7Reader(rules.profiles),
            Format.FHIR: FhirReader(rules.sources, self.store),
        }
        self.pipeline = Pipeline(
            self.store,
            readers,
            self.casework,
            self.backlog,
            self.clock,
            batch=config.processing.batch,
            on_released=self.released,
            on_processed=lambda message, outcome: self.metrics.processed(message.feed, outcome),
        )
        self.sealer = sealer(self.store, config, self.clock)
        self.refusals = Refusals(self.store, self.clock)

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
        clockwork.every(timedelta(seconds=self.config.audit.seal_seconds), "seal", self.sealer.seal)
        clockwork.every(REFUSALS_INTERVAL, "refusals", self.refusals.commit)
        clockwork.start()

        async def end() -> None:
            await clockwork.stop()
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
        server = http_server(self)
        self.http = await server.start()
        self._running.push_async_callback(server.stop)

    async def _listen_mllp(self) -> None:
        for feed in self.config.feeds:
            receiver = FeedReceiver(feed.name, self.intake, self.clock, self.metrics.acknowledged)
            limits = Limits(feed.max_message, feed.idle_seconds, feed.frame_seconds, feed.max_connections)
            server = MllpServer(feed.name, receiver, limits)
            self.mllp[feed.name] = await server.start(feed.listen.host, feed.listen.port)
            self.receivers[feed.name] = receiver
            self.backlog.listen(server.congestion)
            self._running.push_async_callback(server.stop)

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
