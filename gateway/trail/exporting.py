"""Exports of the audit trail as files: ordered, ready when a seal covers them, read piece by piece.

No file is written. The trail does not change, so that an export is a part of it by place: the same after a restart, and
the same for each gateway of the store. It ends where a seal ends: whoever has all lines from the first event on can
work out the root that was signed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from gateway.audit.events import Action, Event
from gateway.audit.export import as_ndjson, ndjson_line
from gateway.clock import Clock
from gateway.mappings.fhir import provenance
from gateway.store.interface import Seal, Step, StoredEvent
from gateway.store.trail import SLACK, Span, TrailExport, TrailStore
from gateway.trail.trail import provenance_of, resource_of, sources_of

LIFE = timedelta(hours=24)
MOST_EACH = 5
"""Exports that a client may have at one time."""
FILE = 100_000
"""Places in the trail that one file covers: it has so many lines at most."""
PAGE = 1_000
_KEPT = 100
"""Lists of files that are kept in memory, so that asking again costs nothing."""

TYPES: Mapping[str, tuple[str, ...] | None] = {"AuditEvent": None, "Provenance": provenance.ACTIONS}
"""What can be exported, and of which actions: None for all."""


class TooMany(Exception):
    """The client has as many exports as it may have: end one, or wait until one expires."""


class ExportStore(TrailStore, Protocol):
    """The part of a store that exports are made of."""

    async def commit(self, step: Step) -> None: ...

    async def highest_event(self) -> int: ...


class Ids(Protocol):
    def next(self) -> int: ...


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of an export: `name` is `AuditEvent-1`, `count` its lines."""

    name: str
    type: str
    span: Span
    count: int


@dataclass(frozen=True, slots=True)
class Ready:
    """An export that can be read: its files, and the seal that covers them and ends where they end."""

    seal: Seal
    files: tuple[ExportFile, ...]

    def file(self, name: str) -> ExportFile | None:
        return next((file for file in self.files if file.name == name), None)


@dataclass(frozen=True, slots=True)
class Order:
    """What a client asks for. `request` is the address, `origin` what the trail tells of where it came from."""

    client: str
    request: str
    types: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None
    origin: Mapping[str, object] = field(default_factory=dict)

    def detail(self) -> dict[str, object]:
        moments = {"since": self.since, "until": self.until}
        said = {name: moment.isoformat() for name, moment in moments.items() if moment is not None}
        return {"types": list(self.types), **said, **self.origin}


class Exporting:
    """Takes orders and keeps to them. All raise StoreFault."""

    def __init__(self, store: ExportStore, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._ready: OrderedDict[int, Ready] = OrderedDict()
        self._one = asyncio.Lock()

    async def order(self, order: Order) -> TrailExport:
        """The export, ordered in the commit that tells of it. TooMany."""
        now = self._clock.now()
        async with self._one:  # two orders at one moment would both find room for one
            standing = [one for one in await self._store.trail_exports(order.client) if one.expires > now]
            if len(standing) >= MOST_EACH:
                raise TooMany
            export = TrailExport(
                id=self._ids.next(),
                client=order.client,
                requested=now,
                expires=now + LIFE,
                request=order.request,
                types=order.types,
                last=await self._store.highest_event(),
                since=order.since,
                until=order.until,
            )
            told = _told(now, order.client, export.id, order.detail())
            await self._store.commit(Step(trail_exports_expired=[now], trail_exports=[export], events=[told]))
        return export

    async def find(self, client: str, id: int) -> TrailExport | None:
        """The client's own export; None when there is none, or not any more."""
        found = await self._store.trail_export(id)
        own = found is not None and found.client == client and found.expires > self._clock.now()
        return found if own else None

    async def ready(self, export: TrailExport) -> Ready | None:
        """None until a seal covers it: a minute at most while the gateway seals."""
        if export.id in self._ready:
            return self._ready[export.id]
        seal = await self._store.seal_over(export.last)
        if seal is None:
            return None
        files = [file for type_ in export.types for file in await self._files(export, type_, seal)]
        ready = self._ready[export.id] = Ready(seal, tuple(files))
        while len(self._ready) > _KEPT:
            self._ready.popitem(last=False)
        return ready

    async def _files(self, export: TrailExport, type_: str, seal: Seal) -> list[ExportFile]:
        """Those that have lines, in the trail's order."""
        after = 0 if export.since is None else await self._store.place_of(export.since - SLACK) - 1
        files: list[ExportFile] = []
        for start in range(after, seal.last_seq, FILE):
            last = min(start + FILE, seal.last_seq)
            span = Span(start, last, export.since, export.until, TYPES[type_])
            count = await self._store.count_events(span)
            if count:
                files.append(ExportFile(f"{type_}-{len(files) + 1}", type_, span, count))
        return files

    async def read(self, export: TrailExport, file: ExportFile, origin: Mapping[str, object]) -> AsyncIterator[bytes]:
        """The file's lines, once the trail says who takes them."""
        detail = {"file": file.name, **origin}
        told = _told(self._clock.now(), export.client, export.id, detail)
        await self._store.commit(Step(events=[told]))
        events = self._events(file.span)
        return as_ndjson(events, resource_of) if file.type == "AuditEvent" else self._provenances(events)

    async def end(self, export: TrailExport) -> None:
        """It is gone, and makes room for another."""
        self._ready.pop(export.id, None)
        await self._store.commit(Step(trail_exports_ended=[export.id]))

    async def _events(self, span: Span) -> AsyncIterator[StoredEvent]:
        for start in range(span.after, span.last, PAGE):
            piece = Span(start, span.last, span.since, span.until, span.actions)
            for stored in await self._store.events_within(piece, PAGE):
                yield stored
            await asyncio.sleep(0)

    async def _provenances(self, events: AsyncIterator[StoredEvent]) -> AsyncIterator[bytes]:
        async for stored in events:
            sources = await sources_of(self._store, stored)
            yield ndjson_line(stored, lambda one, sources=sources: provenance_of(one, sources))  # type: ignore[misc]


def _told(now: datetime, client: str, id: int, detail: dict[str, object]) -> Event:
    return Event(now, f"client:{client}", Action.AUDIT_EXPORTED, f"export/{id}", detail=detail)
