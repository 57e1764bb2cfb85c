"""FHIR resources that other people published, through a whole gateway: taken, or refused with a reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from gateway_world import FEED, World, running

from gateway.access.roles import Role
from gateway.mappings.fhir.capability import KEPT
from gateway.message import MessageState

TYPES = ("Claim", "Encounter", "DocumentReference")
FHIR = {"Content-Type": "application/fhir+json"}
REFUSALS = {400, 403, 409, 412, 422}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


def resources(folder: Path, types: Iterable[str] = ()) -> list[tuple[str, bytes, dict[str, Any]]]:
    """(file name, bytes, resource) of each file whose resource is of one of `types`; of every file without them."""
    found = ((path.name, path.read_bytes()) for path in sorted(folder.rglob("*.json")))
    parsed = ((name, payload, json.loads(payload)) for name, payload in found)
    return [(name, payload, body) for name, payload, body in parsed if not types or body.get("resourceType") in types]


def lines(path: Path, limit: int) -> list[bytes]:
    return path.read_bytes().splitlines()[:limit]


def explained(answer: httpx.Response, name: str) -> bool:
    """Whether it was taken. Fails when it was neither taken nor refused with an OperationOutcome that says why."""
    if answer.is_success:
        return True
    assert answer.status_code in REFUSALS, (name, answer.status_code, answer.text[:300])
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome", name
    assert outcome["issue"], name
    for issue in outcome["issue"]:
        assert issue["code"], name
        assert issue["severity"] in ("fatal", "error", "warning", "information"), name
        assert issue["diagnostics"].strip(), name
    return False


async def assert_all_are_dealt_with(world: World) -> Counter[MessageState]:
    await world.settled()
    messages = await world.messages(feed=FEED)
    unexplained = [
        f"{message.type}: {message.state} {message.reason}"
        for message in messages
        if (message.reason or "").startswith("internal")
        or message.state is MessageState.RECEIVED
        or (message.state is not MessageState.PROCESSED and not message.reason)
    ]
    assert unexplained == []
    return Counter(message.state for message in messages)


async def test_each_official_example_is_taken_or_refused_with_the_reason(world: World, shared_data: Path) -> None:
    ehr = world.http(Role.FEED)
    official = resources(shared_data / "fhir" / "hl7-r4-official", TYPES)
    assert {body["resourceType"] for _, _, body in official} == set(TYPES)
    for name, payload, body in official:
        path = f"/fhir/{body['resourceType']}"
        created = await ehr.post(path, content=payload, headers=FHIR)
        if explained(created, name):
            assert created.status_code == 201
            assert created.headers["Location"].startswith(f"{world.url}{path}/")
        put = await ehr.put(f"{path}/{body['id']}", content=payload, headers=FHIR)
        assert explained(put, name) is created.is_success, name
        if put.is_success:
            assert (await ehr.get(f"{path}/{body['id']}")).json()["id"] == body["id"]
    states = await assert_all_are_dealt_with(world)
    assert states[MessageState.PROCESSED] > 8


async def test_each_official_bundle_is_taken_or_refused_with_the_reason(world: World, shared_data: Path) -> None:
    taken = 0
    for name, payload, _ in resources(shared_data / "fhir" / "hl7-r4-official", ("Bundle",)):
        answer = await world.http(Role.FEED).post("/fhir", content=payload, headers=FHIR)
        if explained(answer, name):
            taken += 1
            assert answer.json()["type"].endswith("-response"), name
    assert taken > 0
    await assert_all_are_dealt_with(world)


@pytest.mark.parametrize("kind", ["Encounter", "DocumentReference"])
async def test_generated_records_are_taken_and_dealt_with(world: World, shared_data: Path, kind: str) -> None:
    taken = 0
    for line in lines(shared_data / "fhir" / "synthea-10-patients" / f"{kind}.000.ndjson", 100):
        body = json.loads(line)
        answer = await world.http(Role.FEED).put(f"/fhir/{kind}/{body['id']}", content=line, headers=FHIR)
        taken += explained(answer, body["id"])
    assert taken == 100
    states = await assert_all_are_dealt_with(world)
    if kind == "Encounter":
        assert states == {MessageState.PROCESSED: 100}


async def test_encounters_and_their_documents_find_each_other_in_a_transaction(world: World, shared_data: Path) -> None:
    folder = shared_data / "fhir" / "synthea-10-patients"
    encounters = {body["id"]: body for body in map(json.loads, lines(folder / "Encounter.000.ndjson", 300))}
    pairs = [
        (document, encounters[of])
        for document in map(json.loads, lines(folder / "DocumentReference.000.ndjson", 300))
        if (of := document["context"]["encounter"][0]["reference"].rpartition("/")[2]) in encounters
    ][:40]
    assert len(pairs) == 40
    for document, encounter in pairs:
        entries = [
            {"resource": body, "request": {"method": "PUT", "url": f"{body['resourceType']}/{body['id']}"}}
            for body in (encounter, document)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = await world.http(Role.FEED).post("/fhir", content=json.dumps(bundle), headers=FHIR)
        assert answer.status_code == 200, answer.text[:500]
        assert {entry["response"]["status"][:3] for entry in answer.json()["entry"]} <= {"200", "201"}
    states = await assert_all_are_dealt_with(world)
    assert states[MessageState.SET_ASIDE] == 0


async def test_the_same_bundle_under_the_same_request_id_repeats_nothing(world: World, shared_data: Path) -> None:
    line = lines(shared_data / "fhir" / "synthea-10-patients" / "Encounter.000.ndjson", 1)[0]
    body = json.loads(line)
    entry = {"resource": body, "request": {"method": "PUT", "url": f"Encounter/{body['id']}"}}
    bundle = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    headers = {**FHIR, "X-Request-Id": "the-very-same-request"}
    answers = [await world.http(Role.FEED).post("/fhir", content=bundle, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len(await world.messages(feed=FEED)) == 2, "the Bundle, and its entry"


async def test_exchange_examples_are_taken_or_refused_with_the_reason(world: World, shared_data: Path) -> None:
    """Da Vinci's examples: Bundles of documents and search results, and resources of every other kind."""
    folder = shared_data / "fhir" / "davinci-cdex"
    others = 0
    for name, payload, body in resources(folder):
        kind = body["resourceType"]
        path = "/fhir" if kind == "Bundle" else f"/fhir/{kind}"
        answer = await world.http(Role.FEED).post(path, content=payload, headers=FHIR)
        if kind in (*KEPT, "Bundle"):
            explained(answer, name)
        else:
            others += 1
            assert answer.status_code in (403, 404, 405), (name, answer.status_code)
            assert answer.json()["resourceType"] == "OperationOutcome"
    assert others > 3
    await assert_all_are_dealt_with(world)


async def test_the_resources_inside_the_examples_are_too(world: World, shared_data: Path) -> None:
    """Claims, Encounters and DocumentReferences that stand in Bundles and Parameters, or are contained."""
    count = 0
    for folder in ("davinci-cdex", "hl7-r4-official"):
        for name, _, body in resources(shared_data / "fhir" / folder):
            for inner in within(body):
                kind = inner["resourceType"]
                answer = await world.http(Role.FEED).post(f"/fhir/{kind}", content=json.dumps(inner), headers=FHIR)
                explained(answer, name)
                count += 1
    assert count > 10
    await assert_all_are_dealt_with(world)


def within(value: Any, *, top: bool = True) -> Iterable[dict[str, Any]]:
    if isinstance(value, dict):
        if not top and value.get("resourceType") in TYPES:
            yield value
        for inner in value.values():
            yield from within(inner, top=False)
    elif isinstance(value, list):
        for inner in value:
            yield from within(inner, top=False)
