"""A gateway that polls an EHR: from what stands there to the canonical encounter, over a restart."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from gateway_world import World, configuration, environment, running, today, until
from visits import put, seen, sent

from conformance import day, ehr_fhir
from conformance.billing_endpoint import BillingEndpoint
from conformance.ehr_server import EhrServer, serving
from conformance.fhir_peer import FhirPeerProcess, NoNode, installed
from conformance.hospital import Visit
from conformance.playing import key
from gateway.access.roles import Role
from gateway.app import Gateway
from gateway.config.model import Feed

ROOT = Path(__file__).parents[2]
FEED = "polled-ehr"
Resource = dict[str, Any]
Create = Callable[[Resource], Awaitable[str]]


@asynccontextmanager
async def polling(directory: Path, **settings: Any) -> AsyncIterator[World]:
    """A gateway that polls; what it kept stands in the directory for the next one."""
    poll = {"start": "2020-01-01", "every_seconds": 0.1, "types": ["Encounter", "DocumentReference", "Claim"]}
    attachments = settings.pop("attachments", None)
    said = {"name": FEED, "authority": "MAIN", "time_zone": "America/Chicago", "poll": {**poll, **settings}}
    feed = Feed.model_validate(said | ({"attachments": attachments} if attachments else {}))
    async with BillingEndpoint() as billing:
        config = configuration(directory, billing=billing.url)
        gateway = Gateway(config.model_copy(update={"feeds": (*config.feeds, feed)}))
        await gateway.start()
        world = World(gateway, billing, directory)
        try:
            yield world
        finally:
            await world.close()
            await gateway.stop()


async def written(visit: Visit, create: Create) -> None:
    """The visit as an EHR holds it: each resource by itself, all referring to each other."""
    ehr_numbers: dict[str, str] = {}
    documents = [ehr_fhir.document(visit, note) for note in visit.notes]
    for whole in (ehr_fhir.encounter(visit), *documents, ehr_fhir.claim(visit, created=sent()[1])):
        known = dict(ehr_numbers)
        for inner in whole.pop("contained"):
            known[f"#{inner['id']}"] = await create(_turned(inner, known))
        name = f"{whole['resourceType']}/{whole['id']}"
        ehr_numbers[name] = await create(_turned(whole, known))


def _turned(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            name: known.get(inner, inner) if name == "reference" else _turned(inner, known)
            for name, inner in value.items()
        }
    return [_turned(item, known) for item in value] if isinstance(value, list) else value


async def complete(world: World, visit: Visit, charges: int) -> Resource:
    async def met() -> Any:
        whole = await _encounter(world, visit)
        have = (len(whole.get("charges", ())), len(whole.get("documents", ()))) if whole else (0, 0)
        return whole if have == (charges, len(visit.notes)) else None

    found: Resource = await until(met, "the encounter is not whole", 30)
    return found


async def _encounter(world: World, visit: Visit) -> Resource:
    cases = await world.gateway.store.cases([key(visit)])
    encounter = cases[key(visit)].encounter
    return encounter.model_dump(mode="json") if encounter is not None else {}


def _said(encounter: Resource) -> Resource:
    """What is billed, without where it came from."""
    return {
        "patient": {name: encounter["patient"][name] for name in ("name", "birth_date", "sex")},
        "diagnoses": [each["code"] for each in encounter["diagnoses"]],
        "charges": [(each["code"], Decimal(each["amount"]), each["start"]) for each in encounter["charges"]],
        "payer": [each["payer"] for each in encounter["coverages"]],
        "documents": [(each["id"], each["digest"]) for each in encounter["documents"]],
        "visit": {name: encounter["visit"][name] for name in ("encounter_class", "admitted", "discharged")},
    }


@pytest.fixture(scope="module")
def script(shared_data: Path) -> Path:
    try:
        return installed(shared_data.parent / "tools" / "fhir-peer", ROOT / "var" / "peers" / "fhir-peer")
    except NoNode as none:
        if os.environ.get("CI"):
            pytest.fail(str(none))
        pytest.skip(str(none))


@pytest.mark.slow
async def test_from_another_s_server_to_the_encounter_over_a_restart(tmp_path: Path, script: Path) -> None:
    visit = day.routine(today())
    pushed = tmp_path / "pushed"
    pushed.mkdir()
    async with FhirPeerProcess(script) as peer, httpx.AsyncClient(trust_env=False, timeout=30) as http:

        async def create(resource: Resource) -> str:
            body = {name: value for name, value in resource.items() if name != "id"}
            answer = await http.post(f"{peer.url}/{body['resourceType']}", json=body)
            assert answer.status_code == 201, answer.text
            return f"{body['resourceType']}/{answer.json()['id']}"

        await written(visit, create)
        async with polling(tmp_path, url=peer.url) as world:
            polled = await complete(world, visit, len(visit.items))
            first = len(await world.messages(feed=FEED))
        await _amended(http, peer.url)
        async with polling(tmp_path, url=peer.url) as world:
            amended = await until(lambda: _discharged(world, visit), "the new version was not read", 30)
            assert amended["visit"]["disposition"] != polled["visit"]["disposition"]
            assert len(await world.messages(feed=FEED)) == first + 1
    async with polling(pushed, url="http://127.0.0.1:9/fhir") as world:
        await put(world, visit)
        await seen(world, visit)
        twin = await _encounter(world, visit)
    for whole in (polled, twin):
        for each in whole["documents"]:
            each["id"] = each["id"].rpartition("/")[2]
    assert _said(polled) == _said(twin)


async def _amended(http: httpx.AsyncClient, url: str) -> None:
    bundle = (await http.get(f"{url}/Encounter")).json()
    encounter = bundle["entry"][0]["resource"]
    encounter["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] = "07"
    answer = await http.put(f"{url}/Encounter/{encounter['id']}", json=encounter)
    assert answer.status_code == 200, answer.text


async def _discharged(world: World, visit: Visit) -> Any:
    whole = await _encounter(world, visit)
    return whole if whole["visit"]["disposition"] == "07" else None


@pytest.mark.slow
async def test_through_an_ehr_that_misbehaves_to_the_documents_text(tmp_path: Path) -> None:
    visit = day.routine(today())
    async with serving() as ehr:
        host = ehr.url.removeprefix("http://").removesuffix("/fhir")
        await written(visit, _holding(ehr))
        for status in (500, 429):
            ehr.next.append(web.Response(status=status, headers={"Retry-After": "0"} if status != 500 else {}))
        ehr.refused["Claim"] = 403
        async with polling(tmp_path, url=ehr.url, count=1, attachments={"hosts": [host]}) as world:
            whole = await complete(world, visit, 0)
            await until(lambda: _texts(world, visit), "the documents' contents were not fetched", 30)
            failing = world.gateway.polls.failing()[FEED]
            assert (failing.lasting, failing.text) == (True, "not-allowed: Claim: 403")
            alerts = await until(lambda: _raised(world), "nobody was told", 30)
            assert ("poll-failing", FEED) in alerts
            metrics = (await world.http(Role.MONITOR).get("/metrics")).text
            assert f'gateway_polls_total{{feed="{FEED}",outcome="not-allowed"}}' in metrics
            assert f'gateway_attachments_total{{feed="{FEED}",outcome="fetched"}} {len(visit.notes)}.0' in metrics
        del ehr.refused["Claim"]
        async with polling(tmp_path, url=ehr.url, count=1, attachments={"hosts": [host]}) as world:
            again = await complete(world, visit, len(visit.items))
            assert again["patient"] == whole["patient"]


def _holding(ehr: EhrServer) -> Create:
    async def create(resource: Resource) -> str:
        name = f"{resource['id']}-{len(ehr.resources)}"[:64]
        body = {each: value for each, value in resource.items() if each not in ("resourceType", "id")}
        for content in body.get("content", ()):
            attachment = content["attachment"]
            path = f"files/{len(ehr.files)}.txt"
            ehr.files[path] = ("text/plain", base64.b64decode(attachment.pop("data")))
            attachment["url"] = f"{ehr.url}/{path}"
        ehr.put(resource["resourceType"], name, datetime.now(UTC).timestamp() % 1000, **body)
        return f"{resource['resourceType']}/{name}"

    return create


async def _texts(world: World, visit: Visit) -> Any:
    documents = (await _encounter(world, visit)).get("documents", ())
    found = [await world.gateway.store.content(key(visit), each["digest"]) for each in documents if each["digest"]]
    texts = {content.body.decode() for content in found if content is not None}
    return texts == {note.text for note in visit.notes}


async def _raised(world: World) -> Any:
    return {(alert.name.value, alert.subject) for alert in await world.gateway.watch.raised()}


@pytest.mark.slow
async def test_a_content_that_may_not_be_fetched_is_said_why(tmp_path: Path) -> None:
    visit = day.routine(today())
    async with serving() as ehr:
        await written(visit, _holding(ehr))
        for resource in ehr.resources.values():
            for content in resource.get("content", ()):
                content["attachment"]["url"] = "https://elsewhere.example/note"
        async with polling(tmp_path, url=ehr.url) as world:
            await complete(world, visit, len(visit.items))

            async def said() -> Any:
                kept = await world.messages(feed=FEED)
                return [one.reason for one in kept if one.type.startswith("PUT Binary/") and one.reason]

            reasons = await until(said, "nobody says why", 30)
            assert reasons == ["the content of a document's attachment is not fetched: host-not-listed"]


async def test_a_reload_begins_and_ends_the_polling(tmp_path: Path) -> None:
    visit = day.routine(today())
    async with serving() as ehr, running(tmp_path) as world:
        await written(visit, _holding(ehr))
        file = tmp_path / "gateway.yaml"
        before = file.read_text()
        poll = f"{{url: '{ehr.url}', start: 2020-01-01, every_seconds: 0.1, types: [Encounter]}}"
        world.gateway.environ = environment()
        file.write_text(before.replace("feeds:\n", f"feeds:\n  - {{name: {FEED}, authority: MAIN, poll: {poll}}}\n"))
        await world.gateway.reloading.reload("user:operator")
        await until(lambda: _encounter(world, visit), "nothing was polled", 30)
        file.write_text(before)
        await world.gateway.reloading.reload("user:operator")
        assert world.gateway.polls.pollers == {}
        asked = len(ehr.asked)
        assert (await world.http(Role.MONITOR).get("/metrics")).status_code == 200
        assert len(ehr.asked) == asked
