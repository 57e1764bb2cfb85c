"""What a client that is limited to certain patients, or to certain scopes, gets of queries: versions, patches, forms,
answers, totals and what comes along.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from smart_peer import Peer, ec_key
from smart_world import SmartWorld, smart_client, smart_running
from test_smart_clients import MINE, OTHER, asked

from gateway.access.roles import Role

TYPES = ("system/Questionnaire.rs", "system/QuestionnaireResponse.crs", "system/Patient.r", "system/Encounter.r")
LIMITED = Peer("one-patient", {"ES384": ec_key(which=2)})
WHOLE, TOOL = Peer("whole-inbox"), Peer("cdi-tool")
OWN = "MAIN|M100295"
PATCH = {"Content-Type": "application/json-patch+json"}


@pytest_asyncio.fixture
async def smart(tmp_path: Path) -> AsyncIterator[SmartWorld]:
    clients = [
        smart_client(LIMITED, tmp_path, {Role.PROVIDER}, (*TYPES, "system/Task.rus"), patients=(OWN,)),
        smart_client(WHOLE, tmp_path, {Role.PROVIDER}, (*TYPES, "system/Task.rus")),
        smart_client(TOOL, tmp_path, {Role.CDI}, ("system/Task.crs",)),
    ]
    async with smart_running(tmp_path, *clients) as one:
        yield one


async def client(smart: SmartWorld, peer: Peer, *scopes: str) -> httpx.AsyncClient:
    return smart.http(await smart.token(peer, " ".join(scopes or (*TYPES, "system/Task.rus"))))


async def found(http: httpx.AsyncClient, path: str, **parameters: Any) -> dict[str, Any]:
    answer = await http.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    bundle: dict[str, Any] = answer.json()
    return bundle


def types(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["resourceType"] for entry in bundle.get("entry", ())]


async def test_versions_and_patches_of_others_do_not_exist(smart: SmartWorld) -> None:
    mine, other = await asked(smart.world, MINE, OTHER)
    http = await client(smart, LIMITED)
    operations = [{"op": "replace", "path": "/status", "value": "accepted"}]
    headers = {**PATCH, "If-Match": 'W/"1"'}
    for query, status in ((mine, 200), (other, 404)):
        address = f"/fhir/Task/{query['id']}"
        for path in (f"{address}/_history", f"{address}/_history/1"):
            assert (await http.get(path)).status_code == status, path
        assert (await http.patch(address, json=operations, headers=headers)).status_code == status
    history = await found(http, f"/fhir/Task/{mine['id']}/_history")
    assert [entry["resource"]["status"] for entry in history["entry"]] == ["accepted", "requested"]
    for path in ("/fhir/Task/_history", "/fhir/QuestionnaireResponse/_history"):
        assert (await http.get(path)).status_code in (403, 404), path


async def test_totals_forms_and_answers_tell_of_nobody_else(smart: SmartWorld) -> None:
    mine, other = await asked(smart.world, MINE, OTHER)
    whole, http = await client(smart, WHOLE), await client(smart, LIMITED)
    for query in (mine, other):
        response = {
            "resourceType": "QuestionnaireResponse",
            "questionnaire": f"{smart.fhir}/Questionnaire/{query['number']}",
            "status": "completed",
            "item": [{"linkId": "question", "answer": [{"valueCoding": {"code": "other"}}]},
                     {"linkId": "explanation", "answer": [{"valueString": "See my note"}]}],
        }  # fmt: skip
        assert (await whole.post("/fhir/QuestionnaireResponse", json=response)).status_code == 201
    for type_ in ("Task", "Questionnaire", "QuestionnaireResponse"):
        assert (await found(whole, f"/fhir/{type_}"))["total"] == 2, type_
        for patient in (OWN, OWN.partition("|")[2]):
            own = await found(http, f"/fhir/{type_}", patient=patient)
            assert (own["total"], len(own["entry"])) == (1, 1), type_
            counted = await found(http, f"/fhir/{type_}", patient=patient, _summary="count")
            assert (counted["total"], "entry" in counted) == (1, False)
        for parameters in ({}, {"patient": "MAIN|M100296"}, {"patient": f"{OWN},MAIN|M100296"}):
            assert (await http.get(f"/fhir/{type_}", params=parameters)).status_code == 403, parameters
    answers = f"/fhir/QuestionnaireResponse/{mine['id']}"
    for path in (answers, f"{answers}/_history", f"{answers}/_history/1"):
        assert (await http.get(path)).status_code == 200, path
        assert (await http.get(path.replace(str(mine["id"]), str(other["id"])))).status_code == 404, path


async def test_what_comes_along_needs_its_scope_and_is_of_the_patient(smart: SmartWorld) -> None:
    await asked(smart.world, MINE, OTHER)
    wanted = {"_include": ["Task:patient", "Task:encounter"]}
    http = await client(smart, LIMITED)
    assert types(await found(http, "/fhir/Task", patient=OWN, **wanted)) == ["Task", "Patient", "Encounter"]
    less = await client(smart, LIMITED, "system/Task.rs", "system/Patient.r")
    assert types(await found(less, "/fhir/Task", patient=OWN, **wanted)) == ["Task", "Patient"]
    least = await client(smart, WHOLE, "system/Task.rs")
    assert types(await found(least, "/fhir/Task", **wanted)) == ["Task", "Task"]


async def test_asking_needs_its_role_and_scope(smart: SmartWorld) -> None:
    body = {"resourceType": "Task", "status": "requested", "intent": "order"}
    for peer, scopes, status in ((TOOL, "system/Task.c", 422), (TOOL, "system/Task.rs", 403)):
        answer = await (await client(smart, peer, scopes)).post("/fhir/Task", json=body)
        assert answer.status_code == status, answer.text
    assert (await (await client(smart, WHOLE)).post("/fhir/Task", json=body)).status_code == 403
