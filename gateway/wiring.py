"""How the adapters are put together with the services that they serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Protocol

import httpx

from gateway.access.tokens import Callers
from gateway.adapters.desk.api import DeskApi
from gateway.adapters.fhir.facade import Facade
from gateway.adapters.fhir_claim import FhirClaimDestination, shared_client
from gateway.adapters.http.routing import Route
from gateway.adapters.http.server import HttpServer
from gateway.adapters.operations.routes import Operations
from gateway.adapters.x12_file import X12FileDestination
from gateway.audit.keys import SealKey, load_public_keys
from gateway.casework import Casework
from gateway.clock import Clock, Ids
from gateway.config import Config, FhirClaim, X12File
from gateway.delivery import Lane, Outbox, Pace
from gateway.desk.desk import Desk
from gateway.desk.queries import QueryDesk
from gateway.desk.settling import Settling
from gateway.desk.work import Work
from gateway.intake import Backlog, Intake
from gateway.message import Message
from gateway.metrics import Metrics
from gateway.release.render import X12Renderer
from gateway.release.render_fhir import FhirRenderer
from gateway.replay import replay
from gateway.sealing import Sealer
from gateway.settlement import Settlement
from gateway.store.interface import MessageQuery, Store
from gateway.trail import Refusals, Trail

SQLITE = "sqlite:"
TAKEOVER = timedelta(minutes=3)
"""Where several gateways may share the store, how long another's intent is left to it: longer than an attempt takes."""


class Parts(Protocol):
    """The services of a gateway that its HTTP interfaces are made of."""

    config: Config
    store: Store
    clock: Clock
    ids: Ids
    metrics: Metrics
    casework: Casework
    backlog: Backlog
    intake: Intake
    outbox: Outbox
    refusals: Refusals

    def released(self) -> None:
        """A claim was released: let it be delivered."""
        ...


class KeptMessages:
    """The messages of the store, and new attempts at them."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, on_replayed: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._on_replayed = on_replayed

    async def messages(self, query: MessageQuery) -> list[Message]:
        return await self._store.messages(query)

    async def message(self, id: int) -> Message | None:
        return await self._store.message(id)

    async def replay(self, message_id: int, actor: str) -> int:
        attempt = await replay(self._store, message_id, actor=actor, clock=self._clock, ids=self._ids)
        self._on_replayed()
        return attempt


def sealer(store: Store, config: Config, clock: Clock) -> Sealer:
    """What seals the audit trail. KeyFault when a key cannot be used."""
    others = load_public_keys(config.audit.public_keys).values()
    return Sealer(store, _seal_key(config), config.audit.anchor, clock, public_keys=tuple(others))


def _seal_key(config: Config) -> SealKey:
    """The key that seals are signed with: the configured one, or the file's, made at the first start."""
    if config.audit.key is not None:
        return SealKey.load(config.audit.key.get_secret_value().encode())
    return SealKey.load_or_make(config.audit.key_file)


def make_outbox(
    store: Store,
    casework: Casework,
    config: Config,
    clock: Clock,
    ids: Ids,
    jitter: Callable[[], float],
    running: AsyncExitStack,
) -> Outbox:
    """The outbox with a lane for each destination. One HTTP client serves all of them."""
    client = shared_client()
    running.push_async_callback(client.aclose)
    return Outbox(
        store,
        Settlement(store, casework, clock),
        list(_lanes(config, client, clock)),
        clock,
        owner=f"node-{config.node}",
        epoch=ids.next(),
        jitter=jitter,
        pace=pace(config.store),
    )


def pace(store: str) -> Pace:
    """The outbox's pace over the store at this address: on SQLite no other gateway can be at work on an intent."""
    return Pace() if store.startswith(SQLITE) else Pace(takeover=TAKEOVER)


def _lanes(config: Config, client: httpx.AsyncClient, clock: Clock) -> Iterator[Lane]:
    for destination in config.destinations:
        match destination:
            case X12File():
                renderer = X12Renderer(destination, config.billing, config.zone)
                yield Lane(X12FileDestination(destination.name, destination.directory), renderer, 1)
            case FhirClaim():
                sender = FhirClaimDestination(destination, client, now=clock.now)
                yield Lane(sender, FhirRenderer(config.billing), destination.concurrency)


class Witness:
    """Who hears of HTTP answers and refusals: the metrics of both, the audit trail of refusals."""

    def __init__(self, metrics: Metrics, refusals: Refusals) -> None:
        self._metrics = metrics
        self._refusals = refusals

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._metrics.answered(route, status, seconds)

    def refused(self, status: int, method: str, route: str, caller: str | None) -> None:
        self._metrics.refused(status, method, route, caller)
        self._refusals.refused(status, method, route, caller)


def http_server(gateway: Parts) -> HttpServer:
    """The HTTP server with every route."""
    config = gateway.config
    witness = Witness(gateway.metrics, gateway.refusals)
    return HttpServer(routes(gateway), Callers(config.clients), config.http, observer=witness)


def routes(gateway: Parts) -> list[Route]:
    """Every route that the gateway serves."""
    store, clock, ids = gateway.store, gateway.clock, gateway.ids
    work = Work(store, gateway.casework, clock, ids, lambda claim: gateway.released())
    queries = QueryDesk(work)
    kept = KeptMessages(store, clock, ids, gateway.backlog.add)
    api = DeskApi(Desk(work), queries, Settling(store, gateway.outbox), kept, Trail(store, clock))
    return [
        *Facade(gateway.intake, gateway.backlog, store, queries, clock).routes(),
        *api.routes(),
        *Operations(store, gateway.metrics).routes(),
    ]
