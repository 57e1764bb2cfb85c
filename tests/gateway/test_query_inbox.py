"""A gateway that runs, with an EHR's FHIR server as its inbox: asked at the desk, it stands there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_world import World, configuration, today, until
from visits import seen, stay

from conformance import day
from conformance.billing_endpoint import BillingEndpoint
from conformance.fhir_peer import FhirPeerProcess, NoNode, installed
from conformance.playing import key
from gateway.access.roles import Role
from gateway.app import Gateway
from gateway.config.ehr import Ehr, InboxDelivery

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script(shared_data: Path) -> Path:
    try:
        return installed(shared_data.parent / "tools" / "fhir-peer", ROOT / "var" / "peers" / "fhir-peer")
    except NoNode as none:
        if os.environ.get("CI"):
            pytest.fail(str(none))
        pytest.skip(str(none))


@pytest.mark.slow
async def test_from_the_desk_to_the_inbox(tmp_path: Path, script: Path) -> None:
    async with FhirPeerProcess(script) as peer, BillingEndpoint() as billing:
        ehr = Ehr(name="cdex", delivery=InboxDelivery.TASK, url=peer.url)
        config = configuration(tmp_path, billing=billing.url).model_copy(update={"ehrs": (ehr,)})
        gateway = Gateway(config)
        await gateway.start()
        world = World(gateway, billing, tmp_path)
        try:
            await _asked(world, peer.url)
        finally:
            await world.close()
            await gateway.stop()


async def _asked(world: World, url: str) -> None:
    visit = day.unclear_record(today())
    await stay(world, visit)
    document = (await seen(world, visit))["documents"][0]["id"]
    passage = {"document": document, "quote": visit.notes[0].text.split("\n")[0]}
    filling = {
        "template": "acuity",
        "provider": visit.clinician.npi,
        "values": {"condition": "Heart failure"},
        "indicators": {"condition": [passage], "course": [passage]},
    }
    asked = await world.http(Role.CDI).post(f"/api/encounters/{key(visit)}/queries/template", json=filling)
    query = asked.json()["query"]

    async def standing() -> Any:
        row = await world.gateway.store.query_delivery(int(query["id"]))
        return row if row is not None and row.reference is not None else None

    row = await until(standing, "the query is in no inbox", 20)
    async with httpx.AsyncClient(base_url=url + "/", trust_env=False) as http:
        task = (await http.get(row.reference)).json()
    assert task["identifier"][0]["value"] == query["number"]
    assert task["input"][0]["valueCanonical"] == f"{world.url}/fhir/Questionnaire/{query['number']}|1"
    assert (await world.http(Role.PROVIDER).get(f"/fhir/Task/{query['id']}")).json()["status"] == "requested"
