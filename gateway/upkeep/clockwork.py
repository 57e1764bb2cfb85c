"""What time alone brings about: bill-hold days that end, seals, the numbers that metrics show.

APScheduler only ticks; what is due stands in the store, so that nothing is lost when the gateway is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from gateway.case import Case
from gateway.casework import Casework
from gateway.clock import Clock
from gateway.logs import logger
from gateway.store.interface import Conflict, Step, Store, StoreFault

log = logger("clockwork")

DUE_AT_A_TIME = 100
STOP_SECONDS = 10.0

Tick = Callable[[], Awaitable[object]]


class Clockwork:
    """Ticks. One run of a tick at a time; a tick that fails is logged and comes again."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._under_way = 0
        self._resting = asyncio.Event()
        self._stopping = False

    def every(self, interval: timedelta, name: str, tick: Tick) -> None:
        """Run `tick` each `interval`, the first time one interval from now."""
        self._scheduler.add_job(
            self._run,
            "interval",
            args=(name, tick),
            seconds=interval.total_seconds(),
            id=name,
            max_instances=1,
            coalesce=True,
        )

    def start(self) -> None:
        self._scheduler.start()

    async def stop(self) -> None:
        """No tick begins any more; those under way end, or are cancelled when they take longer than STOP_SECONDS."""
        self._stopping = True
        try:
            async with asyncio.timeout(STOP_SECONDS):
                while self._under_way:
                    self._resting.clear()
                    await self._resting.wait()
        except TimeoutError:
            log.exception("clockwork.stop_overdue", count=self._under_way)
        self._scheduler.shutdown(wait=False)

    async def _run(self, name: str, tick: Tick) -> None:
        if self._stopping:
            return
        self._under_way += 1
        try:
            await tick()
        except Exception:
            # A tick must not end the ticking: it comes again.
            log.exception("clockwork.tick_failed", tick=name)
        finally:
            self._under_way -= 1
            self._resting.set()


class DueEncounters:
    """Looks again at encounters whose time has come, such as the end of bill-hold days."""

    def __init__(
        self, store: Store, casework: Casework, clock: Clock, on_released: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._casework = casework
        self._clock = clock
        self._on_released = on_released

    async def __call__(self) -> int:
        """Advance what is due; how many encounters were looked at. One that cannot be advanced stops no other."""
        now = self._clock.now()
        keys = await self._store.due_encounters(now, DUE_AT_A_TIME)
        cases = await self._store.cases(keys)
        for case in cases.values():
            try:
                await self._look(case, now)
            except Conflict:
                continue  # a message or a person was faster; if it is still due, the next tick finds it
            except StoreFault:
                raise
            except Exception:
                log.exception("clockwork.encounter_failed")  # it stays due, and is looked at again
        return len(keys)

    async def _look(self, case: Case, now: datetime) -> None:
        async with self._casework.sampler.turn(self._store):
            advanced = self._casework.advance(case, now=now)
            await self._store.commit(Step(cases=[advanced.change], events=advanced.events))
        if advanced.released is not None:
            self._on_released()
