"""Every door of the gateway against every role: who is let in stands in a table, and nothing else is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from gateway_world import World, client_name, running

from gateway.access.roles import GRANTS, Permission, Role
from gateway.adapters.fhir.search import PARAMETERS
from gateway.adapters.http.routing import PUBLIC, Route
from gateway.audit.events import Action
from gateway.delivery import Pace
from gateway.wiring import pace, routes

KNOWINGLY_PUBLIC = {
    "GET /health",
    "GET /fhir/metadata",
    "GET /fhir/.well-known/smart-configuration",
    "GET /oauth/jwks",
    "POST /oauth/token",
    "GET /api/openapi.json",
}
HARMLESS = {"key": "MAIN:MAIN:NONE", "id": "1", "version": "1", "feed": "none", "name": "none"}
STRANGE = (
    "0",
    "-1",
    "9223372036854775808",
    "9999999999999999999",
    "99999999999999999999999",
    "%2e%2e",
    "a%2Fb",
    "%F0%9F%A6%93",
    "%ff%fe",
    "a:b:c:d:e",
    "x" * 300,
    "';--",
    "%0d%0aX:%20y",
)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def address(route: Route, **values: str) -> str:
    return re.sub(r"\{([a-z_]+)\}", lambda match: values.get(match[1], HARMLESS[match[1]]), route.path)


async def call(client: httpx.AsyncClient, route: Route, path: str | None = None, **headers: str) -> httpx.Response:
    """The route asked with nothing of use: an empty object where it takes a body."""
    body = b"{}" if route.has_body else None
    said = {"Content-Type": route.accepts[0], **headers} if route.has_body else headers
    return await client.request(route.method, path or address(route), content=body, headers=said)


async def test_every_route_names_a_permission_or_is_knowingly_public(world: World) -> None:
    found = routes(world.gateway)
    assert len(found) > 25
    assert {name(route) for route in found if route.permission is PUBLIC} == KNOWINGLY_PUBLIC
    assert all(isinstance(route.permission, Permission) for route in found if name(route) not in KNOWINGLY_PUBLIC)


async def test_every_permission_opens_a_route_or_is_asked_for_by_the_desk(world: World) -> None:
    used = {route.permission for route in routes(world.gateway)}
    assert set(Permission) - used == {Permission.HOLD_OVERRIDE}, "which the desk asks for on top of hold.resolve"


async def test_without_a_token_there_is_no_way_in(world: World) -> None:
    for route in routes(world.gateway):
        for headers in ({}, {"Authorization": "Bearer not-a-token-of-anyone"}, {"Authorization": "Basic eDp5"}):
            answer = await call(world.http(None), route, **headers)
            if name(route) in KNOWINGLY_PUBLIC:
                assert answer.status_code == (400 if route.has_body else 200), name(route)
            else:
                assert answer.status_code == 401, name(route)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_opens_exactly_the_doors_that_it_is_granted(world: World, role: Role) -> None:
    refused: Counter[str] = Counter()
    for route in routes(world.gateway):
        answer = await call(world.http(role), route)
        if route.permission is PUBLIC or route.permission in GRANTS[role]:
            assert answer.status_code not in (401, 403), name(route)
            assert answer.status_code < 500, name(route)
        else:
            assert answer.status_code == 403, name(route)
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
            refused[route.path] += 1
    await world.gateway.refusals.commit()
    refusals = [stored.event for stored in await world.events() if stored.event.action is Action.ACCESS_REFUSED]
    events = [event for event in refusals if event.subject != "route/oauth/token"]
    assert {event.actor for event in events} == {f"client:{client_name(role)}"}
    assert sum(int(str(event.detail["count"])) for event in events) == refused.total()
    assert {event.subject for event in events} == {f"route{path}" for path in refused}


async def test_a_refusal_is_told_in_the_form_of_its_interface(world: World) -> None:
    monitor = world.http(Role.MONITOR)
    for route in routes(world.gateway):
        if route.permission in (PUBLIC, Permission.METRICS_READ):
            continue
        told = (await call(monitor, route)).json()
        if route.path.startswith("/fhir"):
            assert told["resourceType"] == "OperationOutcome"
            assert told["issue"][0]["code"] == "forbidden"
        else:
            assert (told["status"], told["code"]) == (403, "forbidden")


async def test_no_strange_name_in_an_address_makes_a_route_fail(world: World) -> None:
    for route in routes(world.gateway):
        variables = re.findall(r"\{([a-z_]+)\}", route.path)
        role = next((r for r in Role if route.permission in GRANTS[r]), None)
        for variable in variables:
            for strange in STRANGE:
                answer = await call(world.http(role), route, address(route, **{variable: strange}))
                assert 400 <= answer.status_code < 500, (name(route), strange[:30], answer.status_code)


async def test_no_strange_parameter_makes_a_route_fail(world: World) -> None:
    moments = ("gt9999-12-31", "ge0001-01-01T00:00:00+14:00", "sa9999-12-31T23:59:59.999999-12:00", "ge2026-02-30")
    instants = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-01-01", "now")
    searches = {"/fhir/Task": (Role.PROVIDER, [*PARAMETERS, "_format"], moments)}
    for route in routes(world.gateway):
        if route.query:
            role = next(r for r in Role if route.permission in GRANTS[r])
            searches[route.path] = (role, [parameter.name for parameter in route.query], instants)
    assert len(searches) > 3
    for path, (role, names, times) in searches.items():
        for parameter in names:
            for strange in (*STRANGE, *times, "", ",", "|", "%00", "1,2,3"):
                answer = await world.http(role).get(f"{path}?{parameter}={strange}")
                assert answer.status_code < 500, (path, parameter, strange[:40])


async def test_an_unknown_address_tells_nothing(world: World) -> None:
    for path in ("/", "/fhir/Patient/1", "/api/", "/api/secrets", "/.env", "/metrics/", "//health"):
        assert (await world.http(None).get(path)).status_code == 404, path
    assert (await world.http(None).delete("/api/worklist")).status_code == 405


def test_gateways_that_share_a_store_leave_each_other_s_attempts_alone() -> None:
    assert pace("sqlite:///var/gateway.db") == Pace()
    assert pace("postgresql://user@host/db").takeover > Pace().send_limit
