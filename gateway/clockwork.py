"""What time alone brings about: bill-hold days that end, seals, the numbers that metrics show.

APScheduler only ticks; what is due stands in the store, so that nothing is lost when the gateway is down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from gateway.casework import Casework
from gateway.clock import Clock
from gateway.logs import logger
from gateway.store.interface import Conflict, Step, Store

log = logger("clockwork")

DUE_AT_A_TIME = 100

Tick = Callable[[], Awaitable[object]]


class Clockwork:
    """Ticks. One run of a tick at a time; a tick that fails is logged and comes again."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone="UTC")

    def every(self, interval: timedelta, name: str, tick: Tick) -> None:
        """Run `tick` each `interval`, the first time one interval from now."""
        self._scheduler.add_job(
            _guarded,
            "interval",
            args=(name, tick),
            seconds=interval.total_seconds(),
            id=name,
            max_instances=1,
            coalesce=True,
        )

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)


async def _guarded(name: str, tick: Tick) -> None:
    try:
        await tick()
    except Exception as error:  # noqa: BLE001 - a tick must not end the ticking; it is logged, and it comes again
        log.error("clockwork.tick_failed", tick=name, fault=type(error).__name__)


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
        """Advance what is due; how many encounters were looked at."""
        now = self._clock.now()
        keys = await self._store.due_encounters(now, DUE_AT_A_TIME)
        cases = await self._store.cases(keys)
        for case in cases.values():
            advanced = self._casework.advance(case, now=now)
            try:
                await self._store.commit(Step(cases=[advanced.change], events=advanced.events))
            except Conflict:
                continue  # a message or a person was faster; if it is still due, the next tick finds it
            if advanced.released is not None:
                self._on_released()
        return len(keys)
