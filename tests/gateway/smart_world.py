"""A whole gateway with clients of SMART Backend Services, a client a role."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from gateway_world import World, configuration
from smart_peer import Peer

from conformance.billing_endpoint import BillingEndpoint
from gateway.access.roles import Role
from gateway.app import Gateway
from gateway.config.model import Client
from gateway.config.smart import SmartRegistration
from gateway.store.access import AccessToken
from gateway.store.interface import Step


def smart_client(peer: Peer, directory: Path, roles: Iterable[Role], scopes: Iterable[str], **more: Any) -> Client:
    smart = SmartRegistration(jwks=peer.write(directory), scopes=tuple(scopes), **more)
    return Client(name=peer.name, roles=frozenset(roles), authority="MAIN", smart=smart)


@dataclass
class SmartWorld:
    """The world, and tokens in it."""

    world: World
    made: int = 0
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def gateway(self) -> Gateway:
        return self.world.gateway

    @property
    def fhir(self) -> str:
        return f"{self.world.url}/fhir"

    def http(self, token: str) -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            base_url=self.world.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30
        )
        self.clients.append(client)
        return client

    async def token(self, peer: Peer, scope: str) -> str:
        """Asked for as clients do."""
        url = f"{self.world.url}/oauth/token"
        assertion = peer.signed(peer.claims(url, self.gateway.clock.now()))
        answer = await self.world.http(None).post("/oauth/token", data=peer.form(assertion, scope))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def put_token(self, client: str, scope: str) -> str:
        """Put into the store, for tests of very many scopes."""
        self.made += 1
        token = f"token-{self.made}"
        expires = self.gateway.clock.now() + timedelta(minutes=5)
        digest = hashlib.sha256(token.encode()).digest()
        await self.gateway.store.commit(Step(access_tokens=[AccessToken(digest, client, scope, expires)]))
        return token


@asynccontextmanager
async def smart_running(
    directory: Path, *clients: Client, node: int = 0, base_url: str | None = None, **settings: Any
) -> AsyncIterator[SmartWorld]:
    """A gateway in `directory` that knows `clients` beside those of each role with a fixed token."""
    async with BillingEndpoint() as billing:
        config = configuration(directory, billing=billing.url, **settings)
        http = config.http.model_copy(update={"base_url": base_url})
        gateway = Gateway(
            config.model_copy(update={"clients": (*config.clients, *clients), "node": node, "http": http})
        )
        await gateway.start()
        smart = SmartWorld(World(gateway, billing, directory))
        try:
            yield smart
        finally:
            for client in smart.clients:
                await client.aclose()
            await smart.world.close()
            await gateway.stop()
