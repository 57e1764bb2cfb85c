"""Every route of the FHIR interface against every role and scope: in where both let it, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from smart_peer import Peer
from smart_world import SmartWorld, smart_client, smart_running

from gateway.access.interactions import Rule, rule_of
from gateway.access.roles import GRANTS, Role
from gateway.access.scopes import LETTERS
from gateway.adapters.http.routing import PUBLIC, Route
from gateway.wiring import routes

PEERS = {role: Peer(f"smart-{role.value}") for role in Role}
ALL = "system/*.cruds"
NONE = "system/Basic.cruds"
"""A type that is nowhere served."""


@pytest_asyncio.fixture
async def smart(tmp_path: Path) -> AsyncIterator[SmartWorld]:
    clients = [smart_client(peer, tmp_path, {role}, (ALL, NONE)) for role, peer in PEERS.items()]
    async with smart_running(tmp_path, *clients) as one:
        yield one


def doors(smart: SmartWorld) -> list[tuple[Route, Rule | None]]:
    """Every route that needs a permission, with its rule."""
    found = [route for route in routes(smart.gateway) if route.permission is not PUBLIC]
    return [(route, rule_of(route.method, route.path)) for route in found]


def enough(rule: Rule) -> str:
    """The scopes that the rule needs, and not one letter more."""
    types = sorted({type_ for type_, _ in rule.needs})
    return (
        " ".join(f"system/{type_}.{''.join(x for x in LETTERS if (type_, x) in rule.needs)}" for type_ in types) or NONE
    )


def one_less(rule: Rule) -> list[str]:
    """All scopes there are but one that the rule needs, for each."""
    found = []
    for type_, letter in rule.needs:
        others = sorted({other for other, _ in rule.needs} - {type_})
        rest = f"system/{type_}.{''.join(x for x in LETTERS if x != letter)}"
        found.append(" ".join([rest, *(f"system/{other}.cruds" for other in others)]))
    return found


async def call(client: httpx.AsyncClient, route: Route) -> httpx.Response:
    path = re.sub(r"\{[a-z_]+\}", "1", route.path)
    said = {"Content-Type": route.accepts[0]} if route.has_body else {}
    return await client.request(route.method, path, content=b"{}" if route.has_body else None, headers=said)


async def test_every_fhir_route_has_a_rule(smart: SmartWorld) -> None:
    """A new route that no table knows fails here: add it to gateway/access/interactions.py."""
    without = [f"{route.method} {route.path}" for route, rule in doors(smart) if rule is None]
    assert [name for name in without if "/fhir" in name] == []
    assert all(name.split(" ")[1].startswith(("/api", "/metrics", "/hl7", "/feeds")) for name in without), without


@pytest.mark.parametrize("role", list(Role))
async def test_scope_and_role_must_both_let_it(smart: SmartWorld, role: Role) -> None:
    name = PEERS[role].name
    everything = smart.http(await smart.put_token(name, ALL))
    for route, rule in doors(smart):
        line = f"{route.method} {route.path}"
        granted = route.permission in GRANTS[role]
        with_all = await call(everything, route)
        assert (with_all.status_code == 403) == (not granted or rule is None), (line, with_all.text)
        assert with_all.status_code not in (401, 500), line
        if rule is None or not granted:
            continue
        just = await call(smart.http(await smart.put_token(name, enough(rule))), route)
        assert just.status_code not in (401, 403, 500), (line, enough(rule))
        for less in one_less(rule):
            refused = await call(smart.http(await smart.put_token(name, less)), route)
            assert refused.status_code == 403, (line, less)
            assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"], line
            assert refused.json()["issue"][0]["code"] == "forbidden"


async def test_a_fixed_token_reaches_as_far_as_its_roles(smart: SmartWorld) -> None:
    for role in (Role.FEED, Role.PROVIDER, Role.COMPLIANCE):
        for route, _ in doors(smart):
            answer = await call(smart.world.http(role), route)
            assert (answer.status_code == 403) == (route.permission not in GRANTS[role]), route.path


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
