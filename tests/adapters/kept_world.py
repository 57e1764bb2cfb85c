"""A facade over a real store in memory, with a door to break and a clock that moves when it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from gateway.access.roles import Permission, Role, permissions
from gateway.adapters.fhir.kept.bundles import Bundles
from gateway.adapters.fhir.kept.history import KeptHistory
from gateway.adapters.fhir.kept.reading import KeptReading
from gateway.adapters.fhir.kept.submission import Submission
from gateway.adapters.fhir.negotiation import negotiated
from gateway.adapters.http.routing import Route
from gateway.adapters.http.server import HttpServer
from gateway.clock import Ids
from gateway.config.model import Endpoint, Http
from gateway.intake.intake import Backlog, Intake
from gateway.message import Message, Received
from gateway.store import open_store, records
from gateway.store.interface import ResourceVersion

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)


@dataclass(frozen=True)
class Ehr:
    name: str
    roles: frozenset[Role] = frozenset({Role.FEED})
    npi: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()

    @property
    def permissions(self) -> frozenset[Permission]:
        return permissions(self.roles)


class Tokens:
    def authenticate(self, header: str | None, /) -> Ehr | None:
        names = {"Bearer a": "ehr-a", "Bearer b": "ehr-b"}
        return Ehr(names[header]) if header in names else None


class Still:
    """Stands still until it is moved; `ticking` seconds later each time it is asked."""

    def __init__(self, ticking: float = 0.0) -> None:
        self.moment = NOW
        self.ticking = ticking

    def now(self) -> datetime:
        self.moment += timedelta(seconds=self.ticking)
        return self.moment


@dataclass
class Kept:
    """An intake over a store in memory; each of `faults` is raised once in place of keeping."""

    congested: bool = False
    faults: list[Exception] = field(default_factory=list)
    clock: Still = field(default_factory=Still)

    def __post_init__(self) -> None:
        self.store = open_store("sqlite://")
        self.intake = Intake(self.store, Backlog(10_000), self.clock, Ids(1))

    async def open(self) -> None:
        if self.store._writer is None:  # type: ignore[attr-defined]
            await self.store.open()

    def new_id(self) -> int:
        return self.intake.new_id()

    def accept(
        self, received: Received, resource: ResourceVersion | None = None, message_id: int | None = None
    ) -> Awaitable[Message]:
        if self.faults:
            raise self.faults.pop()
        return self.intake.accept(received, resource, message_id)

    async def accept_together(self, kept: Sequence[tuple[int, Received, ResourceVersion | None]]) -> None:
        if self.faults:
            raise self.faults.pop()
        await self.intake.accept_together(kept)

    def __getattr__(self, name: str) -> Any:
        """What is asked of the store."""
        return getattr(self.store, name)

    @property
    def received(self) -> list[Message]:
        """All that was kept, in the order of keeping."""
        db = self.store._writer  # type: ignore[attr-defined]
        text = "SELECT m.id, feed, format, type, control, received, state, reason, encounter, replay_of"
        text += ", unpacked(payload), reply FROM messages AS m JOIN payloads AS p ON p.id = m.id ORDER BY m.id"
        rows = db.execute(text)
        return [records.message(row) for row in rows]


def kept_routes(kept: Kept) -> list[Route]:
    submission, reading = Submission(kept, kept, kept, kept.clock), KeptReading(kept)
    parts = (submission, reading, KeptHistory(kept), Bundles(submission, reading, kept, kept))
    return [negotiated(route) for part in parts for route in part.routes()]


@asynccontextmanager
async def door(
    kept: Kept, routes: Sequence[Route] | None = None, below: str = "/fhir"
) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the facade, as `ehr-a`."""
    await kept.open()
    http = Http(listen=Endpoint(host="127.0.0.1", port=0))
    server = HttpServer(kept_routes(kept) if routes is None else routes, Tokens(), http)
    host, port = await server.start()
    headers = {"Authorization": "Bearer a", "Content-Type": "application/fhir+json"}
    async with httpx.AsyncClient(
        base_url=f"http://{host}:{port}{below}", headers=headers, trust_env=False, timeout=10
    ) as client:
        yield client
    await server.stop()
