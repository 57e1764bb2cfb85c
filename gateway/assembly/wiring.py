"""How the adapters are put together with the services that they serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Protocol

import httpx

from gateway.adapters.desk.analysis import AnalysisApi
from gateway.adapters.desk.api import DeskApi
from gateway.adapters.desk.description import described
from gateway.adapters.desk.destinations import DestinationsApi
from gateway.adapters.desk.messages_api import MessagesApi
from gateway.adapters.desk.queries_api import QueriesApi
from gateway.adapters.fhir.facade import Facade
from gateway.adapters.fhir.trail.export import TrailExports
from gateway.adapters.fhir.trail.resources import TrailResources
from gateway.adapters.fhir_attachments.intake import FetchingIntake
from gateway.adapters.fhir_claim import FhirClaimDestination, shared_client
from gateway.adapters.hl7_http import Hl7Http
from gateway.adapters.http.routing import Route
from gateway.adapters.http.scoped import guarded
from gateway.adapters.http.server import HttpServer
from gateway.adapters.http.witnessed import witnessed
from gateway.adapters.mllp.client_tls import client_tls
from gateway.adapters.mllp.destination import MllpDestination
from gateway.adapters.operations.configuration import Configuration, ConfigurationApi
from gateway.adapters.operations.routes import Operations
from gateway.adapters.x12_file import X12FileDestination
from gateway.analysis.charge_report import ChargeReport
from gateway.analysis.code_tables import CodeTables
from gateway.analysis.explaining import Explaining
from gateway.analysis.rebuilding import Rebuilding
from gateway.assembly.entry import Entry
from gateway.assembly.feeds import Feeds
from gateway.assembly.querying import Querying
from gateway.audit.keys import SealKey, load_public_keys
from gateway.casework import Casework
from gateway.clock import Clock, Ids
from gateway.config.model import Config, FhirClaim, Mllp, X12File
from gateway.delivery import Lane, Outbox, Pace
from gateway.delivery.settlement import Settlement
from gateway.desk.desk import Desk
from gateway.desk.messages import MessageDesk
from gateway.desk.settling import Settling
from gateway.desk.verbal import VerbalQueries
from gateway.intake.intake import Backlog, Intake
from gateway.pipeline.building import Reader
from gateway.release.render import X12Renderer
from gateway.release.render_fhir import FhirRenderer
from gateway.release.render_hl7 import Hl7Renderer
from gateway.store.interface import Store
from gateway.trail.exporting import Exporting
from gateway.trail.sealing import Sealer
from gateway.trail.trail import Readings, Refusals, Trail
from gateway.upkeep.metrics import Metrics
from gateway.upkeep.watch import Watch

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
    resources_in: FetchingIntake
    outbox: Outbox
    refusals: Refusals
    feeds: Feeds
    readers: Mapping[str, Reader]
    rebuilding: Rebuilding
    querying: Querying
    code_tables: CodeTables
    watch: Watch
    entry: Entry
    http: tuple[str, int]

    @property
    def reloading(self) -> Configuration: ...

    def released(self) -> None:
        """A claim was released: let it be delivered."""
        ...


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
    lines: Lines,
) -> Outbox:
    """The outbox with a lane for each destination."""
    return Outbox(
        store,
        Settlement(store, casework, clock),
        list(lanes(config, lines, clock)),
        clock,
        owner=f"node-{config.node}",
        epoch=ids.next(),
        jitter=jitter,
        pace=pace(config.store),
    )


def pace(store: str) -> Pace:
    """The outbox's pace over the store at this address: on SQLite no other gateway can be at work on an intent."""
    return Pace() if store.startswith(SQLITE) else Pace(takeover=TAKEOVER)


class Lines:
    """What lanes send by: one HTTP client for all, and the connections of those that have one. `close` at the end."""

    def __init__(self) -> None:
        self.client: httpx.AsyncClient = shared_client()
        self.opened = AsyncExitStack()
        self.opened.push_async_callback(self.client.aclose)

    async def close(self) -> None:
        await self.opened.aclose()


def lanes(config: Config, lines: Lines, clock: Clock) -> Iterator[Lane]:
    """A lane for each destination, in the order of the configuration. OSError when a file of one cannot be used."""
    for destination in config.destinations:
        match destination:
            case X12File():
                renderer = X12Renderer(destination, config.billing, config.zone)
                yield Lane(X12FileDestination(destination.name, destination.directory), renderer, 1)
            case FhirClaim():
                sender = FhirClaimDestination(destination, lines.client, now=clock.now)
                yield Lane(sender, FhirRenderer(config.billing), destination.concurrency)
            case Mllp():
                receiver = MllpDestination(destination, client_tls(destination))
                lines.opened.push_async_callback(receiver.close)
                yield Lane(receiver, Hl7Renderer(destination, config.facility, config.zone), 1)


class Witness:
    """Who hears of HTTP answers and refusals: the metrics of both, the audit trail of refusals."""

    def __init__(self, metrics: Metrics, refusals: Refusals) -> None:
        self._metrics = metrics
        self._refusals = refusals

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._metrics.answered(route, status, seconds)

    def refused(
        self, status: int, method: str, route: str, caller: str | None, why: str = "", *, address: str = ""
    ) -> None:
        self._metrics.refused(status, method, route, caller)
        self._refusals.refused(status, method, route, caller, why, address=address)


def http_server(gateway: Parts) -> HttpServer:
    """The HTTP server with every route."""
    config = gateway.config
    witness = Witness(gateway.metrics, gateway.refusals)
    return HttpServer(routes(gateway), gateway.entry.recognition, config.http, observer=witness)


def routes(gateway: Parts) -> list[Route]:
    """Every route that the gateway serves, with scopes and compartments in force."""
    witness = Witness(gateway.metrics, gateway.refusals)
    smart = gateway.entry.routes(witness, lambda: gateway.config, lambda: gateway.http)
    within = guarded(described([*_routes(gateway), *smart]))
    return witnessed(within, Readings(gateway.store, gateway.clock), gateway.refusals)


def _routes(gateway: Parts) -> list[Route]:
    store, clock, ids = gateway.store, gateway.clock, gateway.ids
    work, queries = gateway.querying.work, gateway.querying.desk
    messages = MessagesApi(MessageDesk(store, clock, ids, gateway.backlog.add))
    desk = Desk(work)
    settling, trail = Settling(store, gateway.outbox), Trail(store, clock)
    asking = QueriesApi(queries, VerbalQueries(work, gateway.querying.placement), store, clock)
    analysis = AnalysisApi(
        desk,
        Explaining(store, gateway.readers),
        gateway.rebuilding,
        gateway.code_tables,
        ChargeReport(store, gateway.config.zone),
    )
    return [
        *Facade(gateway.resources_in, gateway.backlog, store, queries, clock).routes(),
        *TrailResources(store, clock).routes(),
        *TrailExports(Exporting(store, clock, ids)).routes(),
        *DeskApi(desk, queries, settling, trail).routes(),
        *messages.routes(),
        *asking.routes(),
        *DestinationsApi(gateway.outbox).routes(),
        *analysis.routes(),
        *ConfigurationApi(gateway.reloading, gateway.watch).routes(),
        *Hl7Http(gateway.feeds.doors, gateway.backlog).routes(),
        *Operations(store, gateway.metrics, gateway.outbox).routes(),
    ]
