"""The audit trail over FHIR: AuditEvents and Provenances found and read, and exports that prove themselves."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from gateway_world import World, configuration, running, today
from smart_peer import Peer
from smart_world import smart_client, smart_running
from visits import code, seen, stay, taken

from conformance import day
from conformance.hospital import Visit
from conformance.playing import key
from gateway.access.roles import Role
from gateway.adapters.fhir.trail import export as trail_export
from gateway.adapters.fhir.trail.search import AUDIT_EVENT, PROVENANCE
from gateway.app import Gateway
from gateway.audit import anchor
from gateway.audit.keys import load_public_keys
from gateway.audit.merkle import root
from gateway.store.trail import TrailExport

OWN = "urn:x-coding-review-gateway:"
ASYNC = {"Prefer": "respond-async"}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


async def released(world: World) -> Visit:
    visit = day.routine(today())
    await stay(world, visit)
    await code(world, visit)
    await taken(world, visit)
    return visit


async def found(world: World, address: str, **asked: Any) -> list[dict[str, Any]]:
    """All that a search finds, over all its pages, each of them small."""
    http = world.http(Role.COMPLIANCE)
    page = await http.get(address, params={"_count": "7", **asked})
    resources: list[dict[str, Any]] = []
    for _ in range(500):
        assert page.status_code == 200, page.text
        bundle = page.json()
        assert bundle["link"][0]["relation"] == "self"
        resources += [entry["resource"] for entry in bundle.get("entry", [])]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            return resources
        assert "total" not in bundle
        page = await http.get(following[0])
    raise AssertionError("the pages have no end")


def actions(resources: list[dict[str, Any]]) -> set[str]:
    return {part["code"] for one in resources for part in one["subtype"] if part["system"] == OWN + "audit-action"}


# AuditEvent


async def test_the_trail_is_found_by_what_it_says(world: World) -> None:
    visit = await released(world)
    await seen(world, visit)
    stood = await world.events()
    until = f"lt{(stood[-1].event.at + timedelta(microseconds=1)).isoformat()}".replace("+00:00", "Z")
    whole = await found(world, "/fhir/AuditEvent", date=until, _sort="date")
    assert [int(one["id"]) for one in whole] == [one.seq for one in stood]
    newest = await found(world, "/fhir/AuditEvent", date=until)
    assert [one["id"] for one in newest] == [one["id"] for one in reversed(whole)]
    ours = await found(world, "/fhir/AuditEvent", **{"entity:identifier": f"{OWN}encounter|{key(visit)}"})
    assert len(ours) == len([one for one in await world.events() if one.event.encounter == key(visit)])
    read = await found(world, "/fhir/AuditEvent", entity=key(visit), subtype="read")
    assert actions(read) == {"encounter.read"}
    by = await found(world, "/fhir/AuditEvent", agent="user:kobrien", date=until)
    assert {one["agent"][0]["who"]["identifier"]["value"] for one in by} == {"user:kobrien"}
    message = next(one.event.message for one in stood if one.event.message is not None)
    about = await found(world, "/fhir/AuditEvent", entity=f"{OWN}message|{message}")
    assert {"message.received", "encounter.changed"} <= actions(about)
    assert await found(world, "/fhir/AuditEvent", entity="MAIN:MAIN:NONE") == []
    assert await found(world, "/fhir/AuditEvent", subtype="update", entity=f"{OWN}message|{message}") == []


async def test_an_event_of_an_encounter_names_its_patient_and_is_found_by_the_number(world: World) -> None:
    visit = await released(world)
    number = visit.person.mrn
    mine = await found(world, "/fhir/AuditEvent", **{"patient:identifier": number})
    assert mine
    assert len(mine) == len(await found(world, "/fhir/AuditEvent", entity=key(visit)))
    persons = [entity for one in mine for entity in one["entity"] if entity.get("role", {}).get("code") == "1"]
    assert {person["what"]["identifier"]["value"] for person in persons} == {number}
    assert await found(world, "/fhir/AuditEvent", patient="OTHER|" + number) == []
    stored = orjson.dumps([str(one.event) for one in await world.events()]).decode()
    assert f"|{number}" not in stored


async def test_one_event_is_read_and_has_one_version(world: World) -> None:
    http = world.http(Role.COMPLIANCE)
    first = (await world.events())[0]
    read = await http.get(f"/fhir/AuditEvent/{first.seq}")
    assert read.headers["ETag"] == 'W/"1"'
    assert read.json() == (await http.get(f"/fhir/AuditEvent/{first.seq}/_history/1")).json()
    assert (await http.get(f"/fhir/AuditEvent/{first.seq}/_history/2")).status_code == 404
    for strange in ("0", "99999999", "x", "-1"):
        assert (await http.get(f"/fhir/AuditEvent/{strange}")).status_code == 404
    both = await found(world, "/fhir/AuditEvent", _id=f"{first.seq},99999999", subtype="gateway.started")
    assert [one["id"] for one in both] == [str(first.seq)]
    posted = await http.post("/fhir/AuditEvent/_search", data={"_id": str(first.seq)})
    assert (posted.json()["total"], posted.json()["entry"][0]["resource"]["id"]) == (1, str(first.seq))


async def test_only_the_total_is_given_where_nothing_else_is_asked_for(world: World) -> None:
    visit = await released(world)
    http = world.http(Role.COMPLIANCE)
    for address, asked in (
        ("/fhir/AuditEvent", {"entity": key(visit)}),
        ("/fhir/AuditEvent", {"entity": key(visit), "subtype": "create"}),
        ("/fhir/AuditEvent", {"_id": "1,2,99999999"}),
        ("/fhir/AuditEvent", {"entity": "MAIN:MAIN:NONE"}),
        ("/fhir/Provenance", {"target": f"Encounter/{key(visit)}"}),
    ):
        whole = len(await found(world, address, **asked))
        for counted in ({"_count": "0"}, {"_summary": "count"}, {"_summary": "count", "_count": "3"}):
            answer = await http.get(address, params={**asked, **counted}, headers={"Prefer": "handling=strict"})
            bundle = answer.json()
            assert (answer.status_code, bundle["total"], "entry" in bundle) == (200, whole, False), answer.text
            assert [link["relation"] for link in bundle["link"]] == ["self"]


async def test_a_total_that_is_not_wanted_is_left_out(world: World) -> None:
    http = world.http(Role.COMPLIANCE)
    for wanted, told in (("none", False), ("accurate", True)):
        bundle = (await http.get("/fhir/AuditEvent", params={"_id": "1", "_total": wanted})).json()
        assert ("total" in bundle, len(bundle["entry"])) == (told, 1)


async def test_a_total_that_takes_too_many_pages_is_left_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.adapters.fhir.trail.search.MAX_COUNT", 2)
    await released(world)
    bundle = (await world.http(Role.COMPLIANCE).get("/fhir/AuditEvent", params={"_count": "0"})).json()
    assert ("total" in bundle, "entry" in bundle) == (False, False)


async def test_an_order_or_a_summary_that_is_not_offered_is_left_aside(world: World) -> None:
    http = world.http(Role.COMPLIANCE)
    for address in ("/fhir/AuditEvent", "/fhir/Provenance"):
        for asked in ({"_sort": "agent"}, {"_summary": "true"}, {"_total": "guess"}):
            lenient = await http.get(address, params=asked)
            assert (lenient.status_code, lenient.json()["link"][0]["url"]) == (200, world.url + address)
            strict = await http.get(address, params=asked, headers={"Prefer": "handling=strict"})
            assert (strict.status_code, strict.json()["issue"][0]["code"]) == (400, "not-supported")


async def test_the_trail_is_for_compliance_only(world: World) -> None:
    for role in set(Role) - {Role.COMPLIANCE}:
        for path in ("AuditEvent", "AuditEvent/1", "Provenance", "$export", "AuditEvent/$export/1/AuditEvent-1"):
            assert (await world.http(role).get(f"/fhir/{path}", headers=ASYNC)).status_code == 403, (role, path)


STRANGE = (
    "",
    ",",
    "|",
    "%00",
    "\U0001f993",
    "9" * 30,
    "a:b:c:d",
    "gt9999-12-31",
    "ap0001-01-01",
    "ne2026",
    "' OR 1=1 --",
)


async def test_no_strange_value_makes_a_search_fail(world: World) -> None:
    http = world.http(Role.COMPLIANCE)
    for address, readings in (("AuditEvent", AUDIT_EVENT), ("Provenance", PROVENANCE)):
        for name in readings:
            for strange in STRANGE:
                answer = await http.get(f"/fhir/{address}", params={name: strange})
                assert answer.status_code < 500, (address, name, strange, answer.text)
                assert answer.json()["resourceType"] in ("Bundle", "OperationOutcome")


# Provenance


async def test_what_was_made_of_what(world: World) -> None:
    visit = await released(world)
    view = await seen(world, visit)
    made = await found(world, "/fhir/Provenance", target=f"Encounter/{key(visit)}", _sort="recorded")
    changes = [
        one
        for one in await world.events()
        if one.event.encounter == key(visit) and one.event.action == "encounter.changed"
    ]
    assert [int(one["id"]) for one in made] == [one.seq for one in changes]
    claim = view["claims"][0]["number"]
    [release] = await found(world, "/fhir/Provenance", **{"target:identifier": f"{OWN}claim|{claim}"})
    sources = {part["what"]["identifier"]["value"] for part in release["entity"] if part["role"] == "source"}
    assert {str(one.event.message) for one in changes} <= sources
    http = world.http(Role.COMPLIANCE)
    assert (await http.get(f"/fhir/Provenance/{release['id']}")).json() == release
    assert (await http.get("/fhir/Provenance/1")).status_code == 404, "the gateway's start made nothing"
    everything = await found(world, "/fhir/Provenance", recorded="ge2020")
    assert {one["resourceType"] for one in everything} == {"Provenance"}
    assert len(everything) > len(made)


# $export


async def ordered(world: World, address: str = "/fhir/$export", **asked: Any) -> httpx.Response:
    answer = await world.http(Role.COMPLIANCE).get(address, params=asked, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    return answer


async def manifest(world: World, where: str) -> Any:
    waiting = await world.http(Role.COMPLIANCE).get(where)
    if waiting.status_code == 202:
        assert (waiting.headers["X-Progress"], waiting.headers["Retry-After"]) == ("waiting for the seal", "5")
    await world.gateway.sealer.seal()
    ready = await world.http(Role.COMPLIANCE).get(where)
    assert ready.status_code == 200, ready.text
    return ready.json()


async def lines(world: World, said: Any, type_: str) -> list[Any]:
    """Every line of the type, over all files, as many as the manifest says."""
    resources: list[Any] = []
    for output in said["output"]:
        if output["type"] == type_:
            answer = await world.http(Role.COMPLIANCE).get(output["url"])
            assert answer.headers["Content-Type"] == "application/fhir+ndjson"
            here = [json.loads(line) for line in answer.text.splitlines()]
            assert len(here) == output["count"]
            resources += here
    return resources


async def test_an_export_proves_itself_by_the_seal_of_its_manifest(world: World) -> None:
    await released(world)
    where = (await ordered(world)).headers["Content-Location"]
    said = await manifest(world, where)
    assert said["requiresAccessToken"] is True
    assert said["request"] == f"{world.url}/fhir/$export"
    head = anchor.parse(orjson.dumps(said["extension"][trail_export.SEAL]))
    assert head is not None
    audit = world.gateway.config.audit
    public = load_public_keys([audit.key_file.with_name(f"{audit.key_file.name}.pub")])
    assert head.signed_by(public[head.key_id])
    events = await lines(world, said, "AuditEvent")
    assert [int(one["id"]) for one in events] == [one.seq for one in await world.events()][: len(events)]
    leaves = []
    for one in events:
        details = {detail["type"]: detail for detail in one["entity"][0]["detail"]}
        leaf = hashlib.sha256(b"\x00" + b64decode(details["content"]["valueBase64Binary"])).digest()
        assert leaf.hex() == details["hash"]["valueString"]
        leaves.append(leaf)
    assert (len(leaves), root(leaves)) == (head.size, head.root)
    made = await lines(world, said, "Provenance")
    assert {one["resourceType"] for one in made} == {"Provenance"}
    assert made == sorted(await found(world, "/fhir/Provenance"), key=lambda one: int(one["id"]))
    told = [one.event for one in await world.events() if one.event.action == "audit.exported"]
    assert len(told) == 1 + len(said["output"])
    assert told[1].detail["file"] == "AuditEvent-1"


async def test_an_export_holds_no_number_of_a_patient(world: World) -> None:
    visit = await released(world)
    said = await manifest(world, (await ordered(world)).headers["Content-Location"])
    for one in await lines(world, said, "AuditEvent"):
        assert not any(entity.get("role", {}).get("code") == "1" for entity in one["entity"])
        assert visit.person.mrn not in json.dumps(one)


async def test_an_export_of_a_time_and_a_type(world: World) -> None:
    await released(world)
    since = (await world.events())[4].event.at
    asked = {"_since": since.isoformat(), "_type": "AuditEvent", "_outputFormat": "ndjson"}
    said = await manifest(world, (await ordered(world, **asked)).headers["Content-Location"])
    events = await lines(world, said, "AuditEvent")
    expected = [one.seq for one in await world.events() if one.event.at >= since]
    assert [int(one["id"]) for one in events] == expected[: len(events)]
    assert {output["type"] for output in said["output"]} == {"AuditEvent"}
    none = await ordered(world, "/fhir/Provenance/$export", _until="2020-01-01T00:00:00Z")
    assert (await manifest(world, none.headers["Content-Location"]))["output"] == []
    body = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Provenance"}]}
    http = world.http(Role.COMPLIANCE)
    headers = {**ASYNC, "Content-Type": "application/fhir+json"}
    posted = await http.post("/fhir/$export", json=body, headers=headers)
    assert {one["type"] for one in (await manifest(world, posted.headers["Content-Location"]))["output"]} == {
        "Provenance"
    }


async def test_a_long_trail_is_several_files(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.trail.exporting.FILE", 10)
    monkeypatch.setattr("gateway.trail.exporting.PAGE", 3)
    await released(world)
    said = await manifest(world, (await ordered(world, _type="AuditEvent")).headers["Content-Location"])
    assert len(said["output"]) > 2
    assert [output["count"] for output in said["output"][:-1]] == [10] * (len(said["output"]) - 1)
    events = await lines(world, said, "AuditEvent")
    assert [int(one["id"]) for one in events] == [one.seq for one in await world.events()][: len(events)]


@pytest.mark.parametrize(
    ("asked", "headers", "status"),
    [
        ({}, {}, 400),
        ({}, {"Prefer": "respond-async; handling=lenient"}, 202),
        ({"_since": "yesterday"}, ASYNC, 400),
        ({"_since": "2026-01-01"}, ASYNC, 400),
        ({"_type": "Patient"}, ASYNC, 400),
        ({"_outputFormat": "csv"}, ASYNC, 400),
        ({"_typeFilter": "x"}, ASYNC, 400),
        ({"_typeFilter": "x"}, {"Prefer": "respond-async, handling=lenient"}, 202),
    ],
)
async def test_what_is_not_understood_is_refused(
    world: World, asked: dict[str, str], headers: dict[str, str], status: int
) -> None:
    answer = await world.http(Role.COMPLIANCE).get("/fhir/$export", params=asked, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_exports_are_few_end_and_are_each_client_s_own(world: World) -> None:
    http = world.http(Role.COMPLIANCE)
    places = [(await ordered(world, "/fhir/AuditEvent/$export")).headers["Content-Location"] for _ in range(5)]
    full = await http.get("/fhir/AuditEvent/$export", headers=ASYNC)
    assert (full.status_code, full.json()["issue"][0]["code"]) == (429, "throttled")
    assert (await http.delete(places[0])).status_code == 202
    assert (await http.get(places[0])).status_code == 404
    assert (await http.get(places[0] + "/AuditEvent-1.ndjson")).status_code == 404
    await ordered(world)
    now = datetime.now(UTC)
    others = TrailExport(7, "another", now, now + timedelta(hours=1), "x", ("AuditEvent",), 1)
    gone = TrailExport(8, "compliance", now, now - timedelta(seconds=1), "x", ("AuditEvent",), 1)
    from gateway.store.interface import Step

    await world.gateway.store.commit(Step(trail_exports=[others, gone]))
    assert (await http.get("/fhir/$export/7")).status_code == 404
    assert (await http.get("/fhir/$export/8")).status_code == 404
    said = await manifest(world, places[1])
    assert (await http.get(said["output"][0]["url"] + "x")).status_code == 404


async def test_an_export_is_the_same_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await released(world)
        where = (await ordered(world)).headers["Content-Location"]
        before = await manifest(world, where)
        events = await lines(world, before, "AuditEvent")
        billing = world.billing.url
    gateway = Gateway(configuration(tmp_path, billing=billing))
    await gateway.start()
    again = World(gateway, world.billing, tmp_path)
    try:
        place = where.partition("/fhir")[2]
        said = (await again.http(Role.COMPLIANCE).get(f"/fhir{place}")).json()
        assert said["extension"] == before["extension"]
        assert await lines(again, said, "AuditEvent") == events
    finally:
        await again.close()
        await gateway.stop()


async def test_scopes_open_the_trail_and_a_client_of_certain_patients_has_none(tmp_path: Path) -> None:
    auditor, narrow = Peer("auditor"), Peer("narrow")
    scopes = ("system/AuditEvent.rs", "system/Provenance.rs")
    clients = [
        smart_client(auditor, tmp_path, {Role.COMPLIANCE}, scopes),
        smart_client(narrow, tmp_path, {Role.PROVIDER}, scopes, patients=("MAIN|1",)),
    ]
    async with smart_running(tmp_path, *clients) as smart:
        whole = smart.http(await smart.token(auditor, " ".join(scopes)))
        assert (await whole.get("/fhir/AuditEvent")).status_code == 200
        assert (await whole.get("/fhir/$export", headers=ASYNC)).status_code == 202
        half = smart.http(await smart.token(auditor, scopes[0]))
        assert (await half.get("/fhir/AuditEvent/$export", headers=ASYNC)).status_code == 202
        assert (await half.get("/fhir/$export", headers=ASYNC)).status_code == 403
        assert (await half.get("/fhir/Provenance")).status_code == 403
        limited = smart.http(await smart.token(narrow, scopes[0]))
        for path in ("AuditEvent", "AuditEvent/1", "AuditEvent/$export"):
            assert (await limited.get(f"/fhir/{path}", headers=ASYNC)).status_code == 403
