"""The two flows of Da Vinci CDex against an independent FHIR server as the EHR's inbox, restarted and unheard."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from desk_world import CODER
from ehr_world import EhrWorld, asking, completed, response

from conformance.fhir_peer import FhirPeerProcess, NoNode, installed
from gateway.encounter.model import DocumentKind
from gateway.review.model import HoldKind, HoldState, Query, QueryStatus
from gateway.review.query_delivery import InboxState

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

Resource = dict[str, Any]


@pytest.fixture(scope="session")
def peer_script(shared_data: Path) -> Path:
    source = shared_data.parent / "tools" / "fhir-peer"
    try:
        return installed(source, ROOT / "var" / "peers" / "fhir-peer")
    except NoNode as none:
        if os.environ.get("CI"):
            pytest.fail(str(none))
        pytest.skip(str(none))


@pytest.fixture
async def peer(peer_script: Path) -> AsyncIterator[FhirPeerProcess]:
    async with FhirPeerProcess(peer_script) as running:
        yield running


@pytest.fixture
async def here(peer: FhirPeerProcess) -> AsyncIterator[EhrWorld]:
    async with asking(peer.url, httpx.AsyncHTTPTransport()) as made:
        yield made


class Provider:
    """A person at the EHR, who knows its server only."""

    def __init__(self, url: str) -> None:
        headers = {"Content-Type": "application/fhir+json"}
        self._http = httpx.AsyncClient(base_url=url + "/", headers=headers, trust_env=False)

    async def tasks(self, number: str) -> list[Resource]:
        bundle = (await self._http.get("Task", params={"identifier": number})).json()
        return [entry["resource"] for entry in bundle.get("entry", ())]

    async def task(self, number: str) -> Resource:
        (found,) = await self.tasks(number)
        return found

    async def put(self, task: Resource) -> None:
        headers = {"If-Match": f'W/"{task["meta"]["versionId"]}"'}
        answer = await self._http.put(f"Task/{task['id']}", json=task, headers=headers)
        assert answer.status_code == 200, answer.text

    async def post(self, resource: Resource) -> str:
        answer = await self._http.post(resource["resourceType"], json=resource)
        assert answer.status_code == 201, answer.text
        return f"{resource['resourceType']}/{answer.json()['id']}"

    async def form(self, canonical: str) -> Resource:
        bundle = (await self._http.get("Questionnaire", params={"url": canonical.partition("|")[0]})).json()
        (entry,) = bundle["entry"]
        resource: Resource = entry["resource"]
        return resource


async def answered(here: EhrWorld, query: Query) -> None:
    """The query is answered, its hold has ended, and the answer stands in the record."""
    after = await here.query(query.id)
    assert (after.status, after.answer_option) == (QueryStatus.COMPLETED, "Acute blood loss anaemia")
    case = await here.world.case()
    assert case.encounter is not None
    assert any(document.kind is DocumentKind.QUERY_ANSWER for document in case.encounter.documents)
    assert all(hold.kind is not HoldKind.QUERY for hold in case.holds if hold.state is HoldState.OPEN)
    assert (await here.row(query)).state is InboxState.ENDED


async def test_the_task_flow(here: EhrWorld, peer: FhirPeerProcess) -> None:
    provider = Provider(peer.url)
    query = await here.ask()
    here.wire.lose_next("POST", "Task")
    await here.turns(2)
    assert here.wire.lost == ["POST"]
    assert (await provider.task(query.number))["status"] == "requested"
    await peer.restart()
    await here.turns(3)
    await provider.put({**await provider.task(query.number), "status": "accepted"})
    here.wire.lose_next("GET", "Task/" + (await provider.task(query.number))["id"])
    await here.turns(2)
    assert (await here.query(query.id)).status is QueryStatus.ACCEPTED
    await provider.put({**await provider.task(query.number), "status": "in-progress"})
    await here.turns()
    done = completed(await provider.task(query.number), {"valueString": "Acute blood loss anaemia"})
    await provider.put(done)
    await here.turns(2)
    await answered(here, query)
    assert len(await provider.tasks(query.number)) == 1


async def test_the_questionnaire_flow(here: EhrWorld, peer: FhirPeerProcess) -> None:
    provider = Provider(peer.url)
    await peer.stop()
    query = await here.ask()
    await here.turns()
    assert (await here.row(query)).state is InboxState.READY, "nobody was there: nothing was sent"
    await peer.start()
    here.wire.lose_next("POST", "Questionnaire")
    await here.turns(3)
    task = await provider.task(query.number)
    canonical = task["input"][0]["valueCanonical"]
    assert (await provider.form(canonical))["title"] == query.draft.title
    reference = await provider.post(response(canonical))
    await provider.put(completed(task, {"valueReference": {"reference": reference}}))
    here.wire.lose_next("GET", reference)
    await here.turns(3)
    await answered(here, query)
    assert (await here.query(query.id)).answered_by == "1234567893"


async def test_a_withdrawn_query_is_cancelled_there(here: EhrWorld, peer: FhirPeerProcess) -> None:
    provider = Provider(peer.url)
    query = await here.ask()
    await here.turns()
    await here.desk.withdraw(query.id, CODER, "the note was found")
    here.wire.lose_next("PUT", "Task/" + (await provider.task(query.number))["id"])
    await here.turns(3)
    task = await provider.task(query.number)
    assert (task["status"], task["statusReason"]["text"]) == ("cancelled", "the note was found")
    assert (await here.row(query)).state is InboxState.ENDED
