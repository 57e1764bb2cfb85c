"""Every route of the gateway: described, and never failing by what stands in its address. Who is let in:
`test_access_matrix`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio
from gateway_world import World, running

from gateway.access.roles import GRANTS, Permission, Role
from gateway.adapters.fhir.tasks.search import COMMON
from gateway.adapters.fhir.tasks.search_parameters import QUESTIONNAIRE, RESPONSE, TASK
from gateway.adapters.http.exchange import JSON
from gateway.adapters.http.routing import PUBLIC, Route
from gateway.assembly.wiring import pace, routes
from gateway.delivery import Pace

TAKES_NOTHING = {
    "POST /api/encounters/{key}/rebuild",
    "POST /api/messages/{id}/replay",
    "POST /api/destinations/{name}/resume",
    "POST /api/configuration/reload",
}
HARMLESS = {"key": "MAIN:MAIN:NONE", "document": "none"}
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
    return re.sub(r"\{([a-z_]+)\}", lambda match: values.get(match[1], HARMLESS.get(match[1], "1")), route.path)


async def call(client: httpx.AsyncClient, route: Route, path: str | None = None, **headers: str) -> httpx.Response:
    """The route asked with nothing of use: an empty object where it takes a body."""
    body = b"{}" if route.has_body else None
    said = {"Content-Type": route.accepts[0], **headers} if route.has_body else headers
    return await client.request(route.method, path or address(route), content=body, headers=said)


async def test_every_permission_opens_a_route_or_is_asked_for_by_the_desk(world: World) -> None:
    used = {route.permission for route in routes(world.gateway)}
    assert set(Permission) - used == {Permission.HOLD_OVERRIDE}, "which the desk asks for on top of hold.resolve"


DESCRIBED_ERRORS = {"400", "401", "403", "404", "408", "409", "413", "415", "417", "422", "500", "503"}


async def test_every_route_of_the_desk_is_described(world: World) -> None:
    """The document against the route table: nothing is missing, and nothing is more."""
    document = (await world.http(None).get("/api/openapi.json")).json()
    found = {name(route): route for route in routes(world.gateway) if route.path.startswith("/api/")}
    told = {f"{m.upper()} {path}": said for path, methods in document["paths"].items() for m, said in methods.items()}
    assert told.keys() == found.keys()
    assert len(found) >= 38
    for line, route in found.items():
        said = told[line]
        parameters = {(one["in"], one["name"]): one for one in said.get("parameters", ())}
        variables = {("path", variable) for variable in re.findall(r"\{([a-z_]+)\}", route.path)}
        assert parameters.keys() == variables | {("query", one.name) for one in route.query}, line
        assert all(one["schema"].get("type") for one in parameters.values()), line
        assert ("requestBody" in said) == (route.takes is not None), line
        assert route.method == "GET" or route.takes or line in TAKES_NOTHING, f"{line} takes nothing that is described"
        errors = said["responses"].keys() - {str(route.status)}
        assert errors <= DESCRIBED_ERRORS
        assert {"400", "500", *map(str, route.refuses)} <= errors, line
        assert "404" in errors or not variables, f"{line}: say by `refuses` that there may be none of this name"
        assert (route.permission is PUBLIC) == (said["security"] == []), line
        assert route.permission is PUBLIC or {"401", "403", "503"} <= errors, line
        assert not route.has_body or {"413", "415"} <= errors, line
        [kind, *_] = said["responses"][str(route.status)]["content"].values()
        assert route.gives is None or "$ref" in kind["schema"], line
        assert route.gives is not None or route.produces != JSON or line == "GET /api/openapi.json", line
        assert all("application/problem+json" in said["responses"][error]["content"] for error in errors), line
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}


async def test_a_parameter_that_is_not_known_is_refused(world: World) -> None:
    """A filter with a slip of the pen would find too much."""
    compliance = world.http(Role.COMPLIANCE)
    for path, where in (
        ("/api/audit/events?encuonter=MAIN:MAIN:1", None),
        ("/api/worklist?limit=1&limit=2", "limit"),
        ("/api/charges?until=2026-01-01T00:00:00Z", "since"),
    ):
        answer = await compliance.get(path)
        assert (answer.status_code, answer.json().get("where")) == (400, where), path
    assert "encounter, since" in (await compliance.get("/api/audit/events?encuonter=1")).json()["detail"]


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
    searches = {
        f"/fhir/{grammar.type}": (Role.PROVIDER, [*grammar.parameters, *COMMON, "_format"], moments)
        for grammar in (TASK, RESPONSE, QUESTIONNAIRE)
    }
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
    for path in ("/", "/fhir/Basic/1", "/api/", "/api/secrets", "/.env", "/metrics/", "//health"):
        assert (await world.http(None).get(path)).status_code == 404, path
    assert (await world.http(None).delete("/api/worklist")).status_code == 405


def test_gateways_that_share_a_store_leave_each_other_s_attempts_alone() -> None:
    assert pace("sqlite:///var/gateway.db") == Pace()
    assert pace("postgresql://user@host/db").takeover > Pace().send_limit
