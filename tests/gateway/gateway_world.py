"""A whole gateway for tests: SQLite in a directory of its own, real sockets on free ports, a client for each role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from conformance.billing_endpoint import BillingEndpoint
from conformance.day import EXPERIENCED, NEW_CODER
from conformance.desk_client import DeskClient
from conformance.hospital import BILLING
from conformance.mllp_sender import Acknowledgement, MllpSender
from gateway.access.roles import Role
from gateway.app import Gateway
from gateway.config.model import Config
from gateway.message import Message
from gateway.settings import load
from gateway.store.interface import MessageQuery, StoredEvent

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "var" / "reference"
FEED = "ehr-fhir"
TOKENS = {role: f"token-of-the-{role.value}-0123456789" for role in Role}
OTHER_FEED, OTHER_TOKEN = "other-ehr", "token-of-another-feed-0123456789"
WAIT_SECONDS = 60.0

_CONFIGURATION = """\
store: {store}
facility: MAIN
time_zone: America/Chicago
dialects: dialects
reference: {reference}
http: {{listen: "127.0.0.1:{http}", request_seconds: 10}}
feeds:
  - {{name: epic-adt, listen: "mllp://127.0.0.1:{mllp}", dialect: site, max_message: {max_message}}}
  - {{name: encoder, listen: "mllp://127.0.0.1:0", dialect: base, max_message: {max_message}}}
  - {{name: either, listen: "mllp://127.0.0.1:0", key: [account, visit], authority: MAIN, time_zone: UTC}}
clients:
{clients}
destinations:
  - {{name: clearinghouse, kind: x12-file, directory: out/x12, claims: [professional]}}
  - {{name: payer-fhir, kind: fhir-claim, url: "{billing}"}}
{who_bills}review: policy.yaml
audit: {{seal_seconds: {seal_seconds}, key_file: audit.key, anchor: seals.ndjson}}
processing: {{high_water: {high_water}}}
"""
_DIALECT = """\
extends: epic
fields:
  visit: {place_of_service: [ZPV-1]}
  coverages: {filing: [IN1-15]}
tables:
  filing: {MB: MB, CI: CI, HM: HM}
"""
_POLICY = """\
version: 1
bill_hold_days: 0
coders:
  {experienced}: {{since: {long_ago}}}
  {new}: {{since: {lately}}}
documentation: required
rules:
  - name: high-value
    when: total > 10000.0
    reason: The claim is above 10,000 dollars.
    resolvable_by: [supervisor]
  - name: new-coder
    when: coder.days < 90
    reason: The coder has less than 90 days of experience here.
    resolvable_by: [supervisor]
"""
_CLIENTS = {Role.FEED: FEED, Role.CODER: "rmendes", Role.CDI: "lfontaine", Role.SUPERVISOR: "kobrien"}


def today() -> date:
    return datetime.now(UTC).date()


def client_name(role: Role) -> str:
    return _CLIENTS.get(role, role.value)


def write_configuration(
    directory: Path,
    *,
    billing: str = "http://127.0.0.1:9/fhir/Claim",
    store: str = "sqlite:///gateway.db",
    max_message: int = 4 * 1024 * 1024,
    high_water: int = 5_000,
    seal_seconds: float = 1,
    http: int = 0,
    mllp: int = 0,
    also: str = "",
) -> Path:
    """A configuration, policy and dialect in `directory`; the configuration's path. `also`: further clients."""
    clients = "\n".join(
        f"  - {{name: {client_name(role)}, roles: [{role.value}], token_env: TOKEN_{role.name}, authority: MAIN}}"
        for role in Role
    )
    clients += f"\n  - {{name: {OTHER_FEED}, roles: [feed], token_env: TOKEN_OTHER, authority: MAIN}}\n{also}"
    path = directory / "gateway.yaml"
    values = {"store": store, "billing": billing, "max_message": max_message, "high_water": high_water}
    values |= {"seal_seconds": seal_seconds, "http": http, "mllp": mllp, "clients": clients, "reference": REFERENCE}
    path.write_text(_CONFIGURATION.format(**values, who_bills=BILLING))
    (directory / "dialects").mkdir(exist_ok=True)
    (directory / "dialects" / "site.yaml").write_text(_DIALECT)
    since = {"long_ago": today() - timedelta(days=2_000), "lately": today() - timedelta(days=12)}
    (directory / "policy.yaml").write_text(_POLICY.format(experienced=EXPERIENCED, new=NEW_CODER, **since))
    return path


def rewrite(directory: Path, old: str, new: str, file: str = "gateway.yaml") -> None:
    """Write `new` in the place of `old`, which the file has."""
    path = directory / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def environment() -> dict[str, str]:
    """What the configuration asks of the environment."""
    return {f"TOKEN_{role.name}": token for role, token in TOKENS.items()} | {"TOKEN_OTHER": OTHER_TOKEN}


def configuration(directory: Path, *, store: str | None = None, **settings: Any) -> Config:
    """The configuration as `gateway serve` reads it; `store` is put in its place, as a private server's has no host."""
    config = load(write_configuration(directory, **settings), environment())
    return config.model_copy(update={"store": store}) if store else config


@dataclass(slots=True)
class World:
    """A gateway that runs, and how to reach it."""

    gateway: Gateway
    billing: BillingEndpoint
    directory: Path
    clients: dict[Role | None, httpx.AsyncClient] = field(default_factory=dict)
    desks: dict[Role, DeskClient] = field(default_factory=dict)

    @property
    def url(self) -> str:
        host, port = self.gateway.http
        return f"http://{host}:{port}"

    def http(self, role: Role | None) -> httpx.AsyncClient:
        """A client with the token of `role`, or with none."""
        if role not in self.clients:
            headers = {"Authorization": f"Bearer {TOKENS[role]}"} if role else {}
            self.clients[role] = httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=30)
        return self.clients[role]

    def desk(self, role: Role) -> DeskClient:
        if role not in self.desks:
            self.desks[role] = DeskClient(self.url, TOKENS[role])
        return self.desks[role]

    def sender(self, feed: str = "epic-adt", *, timeout: float = 10.0) -> MllpSender:
        return MllpSender(*self.gateway.mllp[feed], timeout=timeout)

    async def send(self, payload: bytes, feed: str = "epic-adt") -> Acknowledgement:
        async with self.sender(feed) as sender:
            return await sender.send(payload)

    async def settled(self) -> None:
        """Until nothing waits to be processed."""
        await until(self._nothing_waits, "messages wait to be processed")

    async def _nothing_waits(self) -> bool:
        return await self.gateway.store.backlog() == 0

    async def messages(self, **search: Any) -> list[Message]:
        """Every message that was kept, newest first."""
        found: list[Message] = []
        before: int | None = None
        while page := await self.gateway.store.messages(MessageQuery(before=before, limit=500, **search)):
            found += page
            before = page[-1].id
        return found

    async def events(self) -> list[StoredEvent]:
        return [event async for event in self.gateway.store.events()]

    async def close(self) -> None:
        for client in self.clients.values():
            await client.aclose()
        for desk in self.desks.values():
            await desk.__aexit__(None, None, None)


async def until(met: Callable[[], Awaitable[Any]], otherwise: str, seconds: float = WAIT_SECONDS) -> Any:
    """What `met` gives once it is true; fails with `otherwise` when it does not become so in time."""
    end = asyncio.get_running_loop().time() + seconds
    while not (last := await met()):
        assert asyncio.get_running_loop().time() < end, f"{otherwise} after {seconds:g} s"
        await asyncio.sleep(0.01)
    return last


@asynccontextmanager
async def running(directory: Path, *, processing: bool = True, **settings: Any) -> AsyncIterator[World]:
    """A gateway in `directory`, with a billing endpoint that takes its FHIR claims."""
    async with BillingEndpoint() as billing:
        gateway = Gateway(configuration(directory, billing=billing.url, **settings))
        await gateway.start(processing=processing)
        world = World(gateway, billing, directory)
        try:
            yield world
        finally:
            await world.close()
            await gateway.stop()
