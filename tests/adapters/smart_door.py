"""The token endpoint and a guarded FHIR door over a store, without the rest of a gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from smart_peer import Peer

from gateway.access.roles import Permission, Role
from gateway.adapters.http.exchange import Answer, Call
from gateway.adapters.http.routing import Route
from gateway.adapters.http.scoped import guarded
from gateway.adapters.http.server import HttpServer
from gateway.adapters.smart.fetched_keys import Fetch
from gateway.assembly.entry import Entry
from gateway.config.addresses import Endpoint
from gateway.config.model import Client, Config, Http
from gateway.config.smart import SmartRegistration
from gateway.store.interface import Store

NOON = datetime(2026, 3, 2, 12, 0, 0, 500_000, tzinfo=UTC)
BASE = "https://gateway.example"
TOKEN_URL = f"{BASE}/oauth/token"


@dataclass
class Watch:
    """A clock that stands still until it is moved."""

    moment: datetime = NOON

    def now(self) -> datetime:
        return self.moment

    def pass_(self, **time: float) -> None:
        self.moment += timedelta(**time)


@dataclass
class Told:
    """Refusals, as the audit trail hears of them."""

    refusals: list[tuple[int, str | None, str]] = field(default_factory=list)

    def answered(self, route: str, status: int, seconds: float) -> None: ...

    def refused(
        self, status: int, method: str, route: str, caller: str | None, why: str = "", *, address: str = ""
    ) -> None:
        self.refusals.append((status, caller, why))


def client(peer: Peer, directory: Path, scopes: Sequence[str] = ("system/Task.rs",), **more: Any) -> Client:
    keys = {"jwks_url": more.pop("jwks_url")} if "jwks_url" in more else {"jwks": peer.write(directory)}
    roles = more.pop("roles", {Role.PROVIDER})
    smart = SmartRegistration(scopes=tuple(scopes), **keys, **more)
    return Client(name=peer.name, roles=frozenset(roles), smart=smart)


async def echo(call: Call) -> Answer:
    return Answer(200, b'{"resourceType":"Bundle","type":"searchset"}', "application/fhir+json")


ROUTES = (
    Route("GET", "/fhir/Task", Permission.QUERY_READ, echo, "search"),
    Route("GET", "/fhir/Task/{id}", Permission.QUERY_READ, echo, "read"),
    Route("GET", "/api/queries", Permission.QUERY_READ, echo, "not FHIR"),
    Route("POST", "/fhir/Claim", Permission.SUBMIT, echo, "create"),
)


@dataclass
class Door:
    http: httpx.AsyncClient
    clock: Watch
    told: Told
    entry: Entry
    server: HttpServer
    config: Config

    async def token(self, form: Mapping[str, str] | bytes, **headers: str) -> httpx.Response:
        content = form if isinstance(form, bytes) else None
        data = None if isinstance(form, bytes) else dict(form)
        said = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return await self.http.post("/oauth/token", data=data, content=content, headers=said)

    async def granted(self, peer: Peer, scope: str = "system/Task.rs", algorithm: str = "ES384") -> httpx.Response:
        assertion = peer.signed(peer.claims(TOKEN_URL, self.clock.now()), algorithm)
        return await self.token(peer.form(assertion, scope))

    async def get(self, path: str, token: str) -> httpx.Response:
        return await self.http.get(path, headers={"Authorization": f"Bearer {token}"})

    def reload(self, *clients: Client) -> None:
        """What a reload of the configuration does."""
        self.config = self.config.model_copy(update={"clients": clients})
        recognition = self.entry.prepared(self.config)
        self.server.serve_by(recognition, self.config.http)
        self.entry.admit(recognition)


@asynccontextmanager
async def door(
    store: Store, *clients: Client, clock: Watch | None = None, fetch: Fetch | None = None, base: str | None = BASE
) -> AsyncIterator[Door]:
    """A door over `store`, which is open. `fetch` stands in for the network."""
    http = Http(listen=Endpoint(host="127.0.0.1", port=0), base_url=base)
    config, watch, told = Config(clients=clients, http=http), clock or Watch(), Told()
    entry = Entry(config, store, watch, fetch)
    listening = ["", 0]
    routes = [*ROUTES, *entry.routes(told, lambda: config, lambda: (str(listening[0]), int(listening[1])))]
    server = HttpServer(guarded(routes), entry.recognition, http, told)
    listening[:] = await server.start()
    address = f"http://{listening[0]}:{listening[1]}"
    async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=10) as reach:
        yield Door(reach, watch, told, entry, server, config)
    await server.stop()
