"""Independent clients with tokens of SMART Backend Services over a whole gateway: fhirpy, and one that is limited to
certain patients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fhirpy
import httpx
import pytest
import pytest_asyncio
from fhirpy.base.exceptions import AuthorizationError, ForbiddenError
from gateway_world import World, today
from smart_peer import Peer, ec_key
from smart_world import SmartWorld, smart_client, smart_running
from visits import seen, stay

from conformance import day, ehr_fhir, postgres
from conformance.hospital import Visit
from conformance.playing import key
from conformance.story import INDICATORS, OPTIONS, QUESTION
from gateway.access.roles import Role

FEED, INBOX, ONE_PATIENT = Peer("smart-ehr"), Peer("smart-inbox"), Peer("one-patient", {"ES384": ec_key(which=2)})
MINE = day.unclear_record(today())
OTHER = replace(
    MINE,
    number="V4100296",
    account="A7700296",
    person=replace(MINE.person, mrn="M100296", family="ANDERSSON"),
    notes=tuple(replace(note, id=f"{note.id}X") for note in MINE.notes),
)


@pytest_asyncio.fixture
async def smart(tmp_path: Path) -> AsyncIterator[SmartWorld]:
    reading = ("system/Task.rs", "system/Questionnaire.r", "system/QuestionnaireResponse.cr")
    clients = [
        smart_client(FEED, tmp_path, {Role.FEED}, ("system/Encounter.cru", "system/Claim.cru")),
        smart_client(INBOX, tmp_path, {Role.PROVIDER}, (*reading, "system/Task.u")),
        smart_client(ONE_PATIENT, tmp_path, {Role.PROVIDER}, (*reading, "system/Task.u"), patients=("MAIN|M100295",)),
    ]
    async with smart_running(tmp_path, *clients) as one:
        yield one


async def fhirpy_client(smart: SmartWorld, peer: Peer, scope: str, **headers: str) -> fhirpy.AsyncFHIRClient:
    token = await smart.token(peer, scope)
    return fhirpy.AsyncFHIRClient(smart.fhir, authorization=f"Bearer {token}", extra_headers=headers or None)


async def test_fhirpy_creates_reads_and_updates(smart: SmartWorld) -> None:
    client = await fhirpy_client(smart, FEED, "system/Encounter.cru")
    said = ehr_fhir.encounter(MINE)
    said.pop("id", None)
    encounter = client.resource(said.pop("resourceType"), **said)
    await encounter.save()
    assert encounter["meta"]["versionId"] == "1"
    read = await client.get("Encounter", encounter.id)
    assert read["identifier"] == said["identifier"]
    encounter["status"] = "in-progress"
    await encounter.save()
    assert encounter["meta"]["versionId"] == "2"
    with pytest.raises(ForbiddenError):
        await client.get("Claim", "1")


async def test_fhirpy_finds_a_query_and_takes_it_up(smart: SmartWorld) -> None:
    await asked(smart.world, MINE)
    client = await fhirpy_client(smart, INBOX, "system/Task.rs")
    tasks = client.resources("Task").search(owner=MINE.clinician.npi, status="requested")
    [task] = await tasks.fetch()
    assert task["for"]["identifier"]["value"] == MINE.person.mrn
    task["status"] = "accepted"
    with pytest.raises(ForbiddenError):
        await task.save()
    writing = await fhirpy_client(smart, INBOX, "system/Task.u", **{"If-Match": f'W/"{task["meta"]["versionId"]}"'})
    updated = writing.resource("Task", **{name: value for name, value in task.items() if name != "resourceType"})
    await updated.save()
    assert updated["status"] == "accepted"
    assert [found["status"] for found in await client.resources("Task").fetch()] == ["accepted"]


async def test_fhirpy_without_a_token_that_is_known_is_refused(smart: SmartWorld) -> None:
    client = fhirpy.AsyncFHIRClient(smart.fhir, authorization="Bearer nobody-s-token")
    with pytest.raises(AuthorizationError):
        await client.resources("Task").fetch()


async def asked(world: World, *visits: Visit) -> list[Any]:
    """A provider query about each visit."""
    for visit in visits:
        await stay(world, visit)
        document = (await seen(world, visit))["documents"][0]["id"]
        draft = {
            **QUESTION,
            "provider": visit.clinician.npi,
            "indicators": [{"text": text, "document": document} for text in INDICATORS],
            "options": [{"text": text, "indicators": shown} for text, shown in OPTIONS],
        }
        await world.desk(Role.CDI).ask(key(visit), draft)
    return [(await seen(world, visit))["queries"][0] for visit in visits]


async def test_a_client_of_one_patient_sees_nothing_of_others(smart: SmartWorld) -> None:
    mine, other = await asked(smart.world, MINE, OTHER)
    token = await smart.token(ONE_PATIENT, "system/Task.rus system/Questionnaire.r system/QuestionnaireResponse.cr")
    http = smart.http(token)
    whole = smart.http(await smart.token(INBOX, "system/Task.rs system/Questionnaire.r"))
    assert (await whole.get("/fhir/Task")).json()["total"] == 2, "without the limit both are there"

    found = (await http.get("/fhir/Task", params={"patient": "MAIN|M100295"})).json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == [mine["id"]]
    posted = await http.post("/fhir/Task/_search", data={"patient": "MAIN|M100295"})
    assert [entry["resource"]["id"] for entry in posted.json()["entry"]] == [mine["id"]]
    both = (
        await http.get("/fhir/Task", params={"patient": "MAIN|M100295", "_id": f"{mine['id']},{other['id']}"})
    ).json()
    assert other["id"] not in [entry["resource"]["id"] for entry in both.get("entry", ())]

    for search in (
        {},
        {"owner": OTHER.clinician.npi},
        {"patient": "MAIN|M100296"},
        {"_id": other["id"]},
        {"patient": ""},
    ):
        refused = await http.get("/fhir/Task", params=search)
        assert refused.status_code == 403, search
        assert "ANDERSSON" not in refused.text
    assert (await http.get(f"/fhir/Task/{mine['id']}")).status_code == 200
    for path in (
        f"/fhir/Task/{other['id']}",
        f"/fhir/Questionnaire/{other['number']}",
        f"/fhir/QuestionnaireResponse/{other['id']}",
    ):
        assert (await http.get(path)).status_code == 404, path
    assert (await http.get(f"/fhir/Questionnaire/{mine['number']}")).status_code == 200


async def test_a_client_of_one_patient_changes_nothing_of_others(smart: SmartWorld) -> None:
    mine, other = await asked(smart.world, MINE, OTHER)
    http = smart.http(await smart.token(ONE_PATIENT, "system/Task.rus system/QuestionnaireResponse.c"))
    whole = smart.http(await smart.token(INBOX, "system/Task.rs"))
    for query, status in ((mine, 200), (other, 404)):
        task = (await whole.get(f"/fhir/Task/{query['id']}")).json()
        answer = await http.put(
            f"/fhir/Task/{query['id']}",
            json={**task, "status": "accepted"},
            headers={"If-Match": f'W/"{task["meta"]["versionId"]}"'},
        )
        assert answer.status_code == status, answer.text
    after = (await whole.get(f"/fhir/Task/{other['id']}")).json()
    assert after["status"] == "requested"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with postgres.server(tmp_path_factory.mktemp("pg")) as dsn:
            yield dsn
    except postgres.Unavailable as why:
        pytest.skip(str(why))


BEHIND = "https://gateway.example"
"""The one name of both gateways, as behind a proxy: an assertion that is made out to it fits either."""


async def test_two_gateways_on_one_postgresql_take_an_assertion_once(server: str, tmp_path: Path) -> None:
    """Told of it by PostgreSQL alone: the gateways share nothing else."""
    dsn = await postgres.fresh(server)
    async with AsyncExitStack() as stack:
        urls = []
        for node in (0, 1):
            directory = tmp_path / str(node)
            directory.mkdir()
            registered = smart_client(INBOX, directory, {Role.PROVIDER}, ("system/Task.rs",))
            running = smart_running(directory, registered, store=dsn, node=node, base_url=BEHIND)
            urls.append((await stack.enter_async_context(running)).world.url)
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30))
        for _ in range(5):
            await assert_taken_once(http, urls)
    await postgres.drop(dsn)


async def assert_taken_once(http: httpx.AsyncClient, urls: list[str]) -> None:
    claims = INBOX.claims(f"{BEHIND}/oauth/token", datetime.now(UTC))
    form = INBOX.form(INBOX.signed(claims), "system/Task.rs")
    answers = await asyncio.gather(*(http.post(f"{url}/oauth/token", data=form) for url in urls * 2))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    token = next(answer.json()["access_token"] for answer in answers if answer.is_success)
    for url in urls:
        answer = await http.get(f"{url}/fhir/Task", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, "each knows the other's token"
