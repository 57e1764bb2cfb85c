"""Fetches what is due, keeps it as a Binary of the client whose document it belongs to, and tries again what may come
later, over restarts too. One gateway at a time tries each.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from gateway.adapters.fhir_attachments.fetching import OCTETS, Fetch, Fetched
from gateway.adapters.fhir_attachments.refusal import AGAIN, NotFetched, Why
from gateway.adapters.fhir_attachments.wanted import Wanted
from gateway.clock import Clock
from gateway.logs import logger
from gateway.mappings.fhir import systems
from gateway.store import fetches as rows
from gateway.store.fetches import FetchState
from gateway.store.interface import Conflict, Step

log = logger("attachments")

AT_A_TIME = 8
LEASE = timedelta(minutes=15)
"""How long another gateway leaves to one what it has begun: longer than a fetch takes."""
WAITS: tuple[timedelta, ...] = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=24),
    timedelta(hours=24),
)
"""Between attempts; after the last one it is given up."""


class FetchStore(Protocol):
    async def commit(self, step: Step) -> None: ...

    async def due_fetches(self, now: datetime, limit: int) -> list[rows.Fetch]: ...


class Shelf(Protocol):
    """Where a client's Binaries are kept."""

    async def knows(self, client: str, reference: str) -> bool: ...

    async def keep(self, client: str, resource: dict[str, Any]) -> None: ...


class Counts(Protocol):
    """The part of the metrics that is told here."""

    def attachment(self, feed: str, outcome: str) -> None: ...


class AttachmentWork:
    """A tick. `fetching` gives what fetches for a client; None when its settings know nothing of it any more."""

    def __init__(
        self,
        store: FetchStore,
        shelf: Shelf,
        fetching: Callable[[str], Fetch | None],
        clock: Clock,
        counts: Counts,
        congested: Callable[[], bool] = lambda: False,
    ) -> None:
        """While `congested`, nothing is fetched: it would only wait here instead."""
        self._store = store
        self._shelf = shelf
        self._fetching = fetching
        self._clock = clock
        self._counts = counts
        self._congested = congested

    async def __call__(self) -> int:
        """How many were tried. Raises StoreFault."""
        if self._congested():
            return 0
        due = await self._store.due_fetches(self._clock.now(), AT_A_TIME)
        results = await asyncio.gather(*map(self._tried, due), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(due)

    async def _tried(self, row: rows.Fetch) -> None:
        begun = replace(row, attempts=row.attempts + 1, due=self._clock.now() + LEASE)
        try:
            await self._store.commit(Step(fetch_moves=[(row, begun)]))
        except Conflict:
            return  # another gateway was faster, or the document came again
        try:
            fetched = await self._fetched(begun)
        except NotFetched as fault:
            await self._failed(begun, fault)
            return
        await self._shelf.keep(row.client, binary(row.id, fetched))
        await self._settle(begun, replace(begun, state=FetchState.DONE, reason=None))
        self._counts.attachment(row.client, "fetched")

    async def _fetched(self, row: rows.Fetch) -> Fetched:
        fetch = self._fetching(row.client)
        if fetch is None:
            raise NotFetched(Why.NO_LONGER_CONFIGURED)
        return await fetch(Wanted(row.url, row.content_type, row.hash, row.size))

    async def _failed(self, row: rows.Fetch, fault: NotFetched) -> None:
        self._counts.attachment(row.client, fault.why.value)
        if fault.why in AGAIN and row.attempts <= len(WAITS):
            wait = max(WAITS[row.attempts - 1], timedelta(seconds=fault.retry_after or 0.0))
            await self._settle(row, replace(row, due=self._clock.now() + wait, reason=fault.why.value))
            return
        log.warning("attachments.given_up", feed=row.client, code=fault.why.value)
        if not await self._shelf.knows(row.client, f"Binary/{row.id}"):
            await self._shelf.keep(row.client, missing(row.id, fault.why))
        await self._settle(row, replace(row, state=FetchState.FAILED, reason=fault.why.value))

    async def _settle(self, before: rows.Fetch, after: rows.Fetch) -> None:
        try:
            await self._store.commit(Step(fetch_moves=[(before, after)]))
        except Conflict:
            return  # the document came again meanwhile: it is fetched anew


def binary(id: str, fetched: Fetched) -> dict[str, Any]:
    """The Binary that holds a content."""
    data = base64.b64encode(fetched.body).decode()
    return {"resourceType": "Binary", "id": id, "contentType": fetched.content_type, "data": data}


def missing(id: str, why: Why) -> dict[str, Any]:
    """A Binary without a content, that says why there is none: what refers to it is read again, and can tell."""
    tag = {"system": systems.ATTACHMENT, "code": why.value}
    return {"resourceType": "Binary", "id": id, "meta": {"tag": [tag]}, "contentType": OCTETS}
