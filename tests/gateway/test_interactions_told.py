"""Every interaction over HTTP leaves an event: the trail says what was asked, by whom and from where."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import plausible
import pytest
import pytest_asyncio
from gateway_world import World, client_name, running, today
from two_patients import MINE, Furnished, furnish
from visits import put, seen, stay

from conformance import day
from conformance.playing import key
from gateway.access.roles import GRANTS, Role
from gateway.adapters.http.routing import PUBLIC, Route
from gateway.adapters.http.witnessed import OF_NOBODY
from gateway.assembly.wiring import routes
from gateway.audit.events import Event
from gateway.trail.trail import resource_of

FHIR = {"Content-Type": "application/fhir+json"}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


def role_for(route: Route) -> Role:
    return next(role for role in Role if route.permission in GRANTS[role])


async def ask(world: World, route: Route, request: str, about: Furnished) -> httpx.Response:
    """The route asked plausibly, about a patient whose data is there."""
    asked = plausible.request(route, about)
    headers = {**asked.headers, "X-Request-Id": request, "Prefer": "respond-async"}
    client = world.http(role_for(route))
    return await client.request(route.method, asked.path, content=asked.body, headers=headers)


async def said(world: World) -> list[Event]:
    await world.gateway.refusals.commit()
    return [stored.event for stored in await world.events()]


def tells(event: Event, request: str, route: Route, caller: str) -> bool:
    """Whether the event is of this request, or counts a failure of the route."""
    named = str(event.detail.get("request", "")).partition("/")[0] == request
    failed = event.action == "request.failed" and event.subject == f"route{route.path}"
    return named or (failed and event.detail["method"] == route.method and event.actor == f"client:{caller}")


async def unheard(world: World, found: list[Route]) -> tuple[list[str], int]:
    """The routes whose requests left no event, and how many requests came to something."""
    about = await furnish(world, MINE)
    silent, done = [], 0
    for number, route in enumerate(found):
        request = f"request-{number:05d}"
        answer = await ask(world, route, request, about)
        assert answer.status_code < 500, (route.method, route.path, answer.text)
        done += answer.is_success
        caller = client_name(role_for(route))
        if not any(tells(event, request, route, caller) for event in await said(world)):
            silent.append(f"{answer.status_code} {route.method} {route.path}")
    return silent, done


async def test_every_route_of_the_fhir_interface_leaves_an_event(world: World) -> None:
    """A new route that leaves none fails here: see gateway/adapters/http/witnessed.py."""
    found = [route for route in routes(world.gateway) if route.path.startswith("/fhir") and route.permission != PUBLIC]
    silent, done = await unheard(world, found)
    assert silent == []
    assert done > len(found) / 3


async def test_whatever_the_desk_shows_of_a_patient_leaves_an_event(world: World) -> None:
    found = [
        route
        for route in routes(world.gateway)
        if route.path.startswith("/api") and route.method == "GET" and route.permission not in (*OF_NOBODY, PUBLIC)
    ]
    silent, done = await unheard(world, found)
    assert [one for one in silent if one.startswith("2")] == []
    assert done > len(found) / 2


async def events_of(world: World, request: str) -> list[Event]:
    return [event for event in await said(world) if event.detail.get("request") == request]


async def test_what_was_read_is_named_with_who_and_where(world: World) -> None:
    visit = day.over_fhir(today())
    await put(world, visit)
    feed = world.http(Role.FEED)
    search = await feed.get("/fhir/Claim", params={"_count": "5", "patient": "Smith", "Smith": "1"})
    claims = [entry["resource"] for entry in (await feed.get("/fhir/Claim")).json().get("entry", [])]
    assert search.status_code == 200, search.text
    name = f"Claim/{claims[0]['id']}"
    await feed.get(f"/fhir/{name}", headers={"X-Request-Id": "reads-a-claim"})
    await feed.get(f"/fhir/{name}/_history/1", headers={"X-Request-Id": "reads-version"})
    [read] = await events_of(world, "reads-a-claim")
    assert (read.action, read.subject, read.actor) == ("resource.read", name, f"client:{client_name(Role.FEED)}")
    assert read.detail["address"] == "127.0.0.1"
    [version] = await events_of(world, "reads-version")
    assert (version.action, version.subject) == ("resource.version-read", f"{name}/_history/1")
    searched = [event for event in await said(world) if event.action == "resource.searched"]
    assert searched[0].subject == "search/Claim"
    assert searched[0].detail["query"] == "_count=5&patient=&other="
    assert searched[1].detail["shown"] == [name]
    assert not any("Smith" in str(event.detail) for event in await said(world))


async def test_what_was_written_is_a_message_with_who_and_where(world: World) -> None:
    patient = {"resourceType": "Patient", "id": "p1", "active": True}
    headers = {**FHIR, "X-Request-Id": "writes-a-patient"}
    answer = await world.http(Role.FEED).put("/fhir/Patient/p1", json=patient, headers=headers)
    assert answer.status_code == 201, answer.text
    [event] = await events_of(world, "writes-a-patient")
    assert (event.action, event.detail["type"]) == ("message.received", "PUT Patient/p1")
    assert event.detail["address"] == "127.0.0.1"


async def test_a_search_is_a_query_of_the_audit_log_patterns(world: World) -> None:
    await world.http(Role.PROVIDER).get("/fhir/Task", params={"status": "requested", "patient": "MAIN|1"})
    [stored] = [one for one in await world.events() if one.event.action == "resource.searched"]
    resource: Any = resource_of(stored)
    query = next(entity for entity in resource["entity"] if "query" in entity)
    assert b64decode(query["query"]) == b"status=requested&patient="
    assert query["role"]["code"] == "24"
    client, server = resource["agent"]
    assert client["network"] == {"address": "127.0.0.1", "type": "2"}
    assert (client["type"]["coding"][0]["code"], server["type"]["coding"][0]["code"]) == ("110152", "110153")
    assert (resource["action"], resource["subtype"][0]["code"]) == ("E", "search-type")


async def test_a_person_at_the_desk_is_named_with_a_purpose_and_an_address(world: World) -> None:
    visit = day.routine(today())
    await stay(world, visit)
    await seen(world, visit)
    [stored] = [one for one in await world.events() if one.event.action == "encounter.read"]
    resource: Any = resource_of(stored)
    client, _, person = resource["agent"]
    assert client["network"]["address"] == "127.0.0.1"
    assert person["purposeOfUse"][0]["coding"][0]["code"] == "HOPERAT"
    assert stored.event.encounter == key(visit)
    assert any(entity.get("type", {}).get("code") == "XrequestId" for entity in resource["entity"])


async def test_what_comes_to_nothing_is_counted(world: World) -> None:
    feed = world.http(Role.FEED)
    for number in range(30):
        assert (await feed.get(f"/fhir/Claim/none-{number}")).status_code == 404
    assert (await feed.post("/fhir/Claim", content=b"{", headers=FHIR)).status_code == 400
    failed = [event for event in await said(world) if event.action == "request.failed"]
    counts = {(event.detail["method"], event.subject, event.detail["status"]): 0 for event in failed}
    for event in failed:
        counts[event.detail["method"], event.subject, event.detail["status"]] += int(str(event.detail["count"]))
    assert counts == {("GET", "route/fhir/Claim/{id}", 404): 30, ("POST", "route/fhir/Claim", 400): 1}


async def test_who_was_not_let_in_is_told_with_an_address(world: World) -> None:
    strange = {"Authorization": "Bearer of-nobody"}
    assert (await world.http(None).get("/fhir/Task", headers=strange)).status_code == 401
    assert (await world.http(Role.MONITOR).get("/fhir/Task")).status_code == 403
    refused = [event for event in await said(world) if event.action == "access.refused"]
    assert {(event.actor, event.detail["address"]) for event in refused} == {
        ("unknown", "127.0.0.1"),
        ("client:monitor", "127.0.0.1"),
    }


async def test_what_cannot_be_told_is_not_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.store.interface import StoreFault

    visit = day.over_fhir(today())
    await put(world, visit)
    await world.settled()
    claims = (await world.http(Role.FEED).get("/fhir/Claim")).json()["entry"]

    async def full(step: object) -> None:
        raise StoreFault("the disk is full")

    monkeypatch.setattr(world.gateway.store, "commit", full)
    answer = await world.http(Role.FEED).get(f"/fhir/Claim/{claims[0]['resource']['id']}")
    monkeypatch.undo()
    assert answer.status_code == 503
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_what_entries_of_a_bundle_read_is_told_each_time(world: World) -> None:
    """The same Bundle again keeps nothing, and yet shows what stands."""
    client = world.http(Role.FEED)
    patient = {"resourceType": "Patient", "id": "p-1", "identifier": [{"value": "7"}]}
    await client.put("/fhir/Patient/p-1", json=patient, headers=FHIR)
    entries = [{"request": {"method": "GET", "url": url}} for url in ("Patient/p-1", "Patient?identifier=7")]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    for _ in range(2):
        await client.post("/fhir", json=batch, headers={**FHIR, "X-Request-Id": "request-of-two"})
    told = [event for event in await said(world) if event.detail.get("request") == "request-of-two"]
    found = [(event.action, event.subject) for event in told if event.action != "message.received"]
    assert found == [("resource.read", "Patient/p-1"), ("resource.searched", "search/Patient")] * 2
    assert told[-1].detail["query"] == "identifier="
    assert told[-1].detail["shown"] == ["Patient/p-1"]


async def test_a_conditional_create_that_shows_what_stands_is_a_read(world: World) -> None:
    client = world.http(Role.FEED)
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "7"}]}
    headers = {**FHIR, "If-None-Exist": "identifier=urn:x|7"}
    first = await client.post("/fhir/Patient", json=patient, headers=headers)
    again = await client.post("/fhir/Patient", json=patient, headers={**headers, "X-Request-Id": "request-again"})
    assert again.status_code == 200
    (told,) = [event for event in await said(world) if event.detail.get("request") == "request-again"]
    assert (told.action, told.subject) == ("resource.read", f"Patient/{first.json()['id']}")
