"""Scopes in the audit trail, and in batches and transactions. Every route against every scope: `test_access_matrix`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio
from smart_peer import Peer
from smart_world import SmartWorld, smart_client, smart_running

from gateway.access.roles import Role

PEERS = {role: Peer(f"smart-{role.value}") for role in (Role.FEED, Role.PROVIDER)}


@pytest_asyncio.fixture
async def smart(tmp_path: Path) -> AsyncIterator[SmartWorld]:
    clients = [smart_client(peer, tmp_path, {role}, ("system/*.cruds",)) for role, peer in PEERS.items()]
    async with smart_running(tmp_path, *clients) as one:
        yield one


async def test_refusals_of_scopes_are_in_the_audit_trail(smart: SmartWorld) -> None:
    token = await smart.token(PEERS[Role.PROVIDER], "system/Task.r")
    assert (await smart.http(token).get("/fhir/Task")).status_code == 403
    await smart.gateway.refusals.commit()
    told = [(one.event.actor, one.event.action, one.event.subject) for one in await smart.world.events()]
    assert ("client:smart-provider", "access.granted", "client/smart-provider") in told
    assert ("client:smart-provider", "access.refused", "route/fhir/Task") in told


async def test_each_entry_of_a_bundle_needs_its_scope(smart: SmartWorld) -> None:
    peer = PEERS[Role.FEED]

    def bundle(kind: str) -> dict[str, object]:
        def entry(type_: str, id_: str) -> dict[str, object]:
            resource = {"resourceType": type_, "id": id_, "status": "current"}
            return {"resource": resource, "request": {"method": "PUT", "url": f"{type_}/{id_}"}}

        return {
            "resourceType": "Bundle",
            "type": kind,
            "entry": [entry("Claim", "c"), entry("DocumentReference", "d")],
        }

    async def sent(scope: str, kind: str) -> httpx.Response:
        token = await smart.put_token(peer.name, scope)
        return await smart.http(token).post("/fhir", json=bundle(kind))

    refused = await sent("system/Claim.cruds system/DocumentReference.crds", "batch")
    assert refused.status_code == 200, refused.text
    statuses = [entry["response"]["status"] for entry in refused.json()["entry"]]
    assert statuses[1].startswith("403"), statuses
    assert not statuses[0].startswith("403"), statuses
    whole = await sent("system/DocumentReference.cruds", "transaction")
    assert whole.status_code in (400, 403), whole.text
    assert any("scope" in issue["diagnostics"] for issue in whole.json()["issue"])
