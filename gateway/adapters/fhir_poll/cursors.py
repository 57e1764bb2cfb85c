"""How far a feed has read each type, kept in the store: over restarts, and for the other gateways of one store."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Protocol

import orjson

from gateway.clock import Clock
from gateway.config.polled import Poll
from gateway.store.interface import Step
from gateway.store.upkeep import Pass


class PassStore(Protocol):
    async def commit(self, step: Step) -> None: ...

    async def work_pass(self, name: str) -> Pass | None: ...


class Cursors:
    """Of one feed. All raise StoreFault."""

    def __init__(self, feed: str, settings: Poll, store: PassStore, clock: Clock) -> None:
        self._feed = feed
        self._settings = settings
        self._store = store
        self._clock = clock
        self._written: dict[str, datetime] = {}

    async def begin(self, kind: str) -> datetime | None:
        """Where to read on. None when another gateway looked just now, or this one before it was started again: the
        server is asked by one of them.
        """
        now, stands = self._clock.now(), await self._store.work_pass(self._name(kind))
        cursor = self._settings.start or now
        if stands is not None and stands.about == self._about(kind):
            pause = timedelta(seconds=self._settings.every_seconds / 2)
            if stands.changed != self._written.get(kind) and stands.changed <= now < stands.changed + pause:
                return None
            cursor = datetime.fromisoformat(stands.place)
        await self.move(kind, cursor)
        return cursor

    async def move(self, kind: str, cursor: datetime) -> None:
        now = self._clock.now()
        row = Pass(self._name(kind), self._about(kind), cursor.isoformat(), False, now)
        await self._store.commit(Step(passes=[row]))
        self._written[kind] = now

    def _name(self, kind: str) -> str:
        return f"poll/{self._feed}/{kind}"

    def _about(self, kind: str) -> str:
        """What is read, as a digest: of another server, or by other parameters, it is read from the start."""
        settings = self._settings
        params = next((params for type_, params in settings.params.items() if type_.value == kind), {})
        said = [settings.url, params, settings.start.isoformat() if settings.start else None]
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
