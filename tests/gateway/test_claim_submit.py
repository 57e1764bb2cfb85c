"""Claim/$submit through a whole gateway: taken into review, or told why not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fhir_validators import refused_by_validators
from gateway_world import FEED, World, running

from gateway.access.roles import Role

FHIR = {"Content-Type": "application/fhir+json"}
Resource = dict[str, Any]


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


@pytest.fixture
def visit(fixtures: Path) -> list[Resource]:
    """The resources of an emergency visit, the Claim last."""
    found: list[Resource] = json.loads((fixtures / "parity" / "emergency.json").read_text())
    return found


async def submitted(world: World, body: Resource, request: str = "submit-0001") -> httpx.Response:
    headers = {**FHIR, "X-Request-Id": request}
    return await world.http(Role.FEED).post("/fhir/Claim/$submit", json=body, headers=headers)


def collection(*resources: Resource) -> Resource:
    entries = [{"resource": each} for each in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def response_in(answer: httpx.Response) -> Resource:
    assert answer.status_code == 200, answer.text
    body: Resource = answer.json()
    if body["resourceType"] == "Bundle":
        (entry,) = body["entry"]
        body = entry["resource"]
    assert body["resourceType"] == "ClaimResponse"
    return body


async def test_a_collection_is_taken_into_review(world: World, visit: list[Resource]) -> None:
    answer = await submitted(world, collection(visit[-1], *visit[:-1]))
    assert answer.json()["resourceType"] == "Bundle"
    response = response_in(answer)
    assert (response["outcome"], response["use"]) == ("queued", "claim")
    assert response["request"] == {"reference": "Claim/clm-1001"}
    assert response["disposition"].startswith("Taken into review: held (")
    assert "documentation" in response["disposition"]
    assert "error" not in response
    said = json.dumps(response)
    assert all(word not in said for word in ("FERN", "612.5", "R07.9", "MRN-81"))
    messages = await world.messages(feed=FEED)
    assert len(messages) == len(visit) + 1
    assert "PUT Claim/clm-1001" in {message.type for message in messages}


async def test_a_claim_by_itself_finds_what_was_written_before(world: World, visit: list[Resource]) -> None:
    client = world.http(Role.FEED)
    for each in visit[:-1]:
        written = await client.put(f"/fhir/{each['resourceType']}/{each['id']}", json=each, headers=FHIR)
        assert written.status_code == 201, written.text
    response = response_in(await submitted(world, visit[-1]))
    assert response["outcome"] == "queued"
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": visit[-1]}]}
    again = response_in(await submitted(world, parameters, "submit-0002"))
    assert again["disposition"] == response["disposition"]


async def test_one_whose_encounter_is_not_known_is_an_error_with_the_reason(
    world: World, visit: list[Resource]
) -> None:
    response = response_in(await submitted(world, visit[-1]))
    assert response["outcome"] == "error"
    (error,) = response["error"]
    assert "an encounter that is not known here" in error["code"]["text"]
    assert "Set aside" in response["disposition"]


async def test_an_invalid_claim_and_one_that_bills_nothing(world: World, visit: list[Resource]) -> None:
    claim = visit[-1]
    invalid = response_in(await submitted(world, {**claim, "patient": {"reference": "Organization/hospital"}}))
    assert invalid["outcome"] == "error"
    assert "Claim.patient refers to none of Patient" in invalid["error"][0]["code"]["text"]
    asked = response_in(await submitted(world, {**claim, "use": "preauthorization"}, "submit-0002"))
    assert asked["outcome"] == "error"
    assert "bills nothing" in asked["error"][0]["code"]["text"]


async def test_sent_again_under_its_request_id_it_is_one(world: World, visit: list[Resource]) -> None:
    first = await submitted(world, collection(*visit))
    again = await submitted(world, collection(*visit))
    assert response_in(again)["request"] == response_in(first)["request"]
    assert response_in(again)["disposition"] == response_in(first)["disposition"]
    assert len([m for m in await world.messages(feed=FEED) if m.type.endswith("Claim/clm-1001")]) == 1
    unnamed = {name: value for name, value in visit[-1].items() if name != "id"}
    one = response_in(await submitted(world, unnamed, "submit-0003"))
    other = response_in(await submitted(world, unnamed, "submit-0003"))
    assert one["request"] == other["request"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"resourceType": "Patient"}, 422),
        ({"resourceType": "Claim"}, 422),
        ({"resourceType": "Parameters"}, 422),
        ({"resourceType": "Bundle", "type": "collection", "entry": []}, 422),
        ({"resourceType": "Bundle", "type": "searchset", "entry": []}, 422),
        ({}, 422),
    ],
)
async def test_what_is_no_claim_is_an_operation_outcome(world: World, body: Resource, status: int) -> None:
    answer = await submitted(world, body)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
    assert answer.json()["issue"][0]["diagnostics"]


async def test_a_reader_may_not_submit(world: World, visit: list[Resource]) -> None:
    answer = await world.http(Role.PROVIDER).post("/fhir/Claim/$submit", json=visit[-1], headers=FHIR)
    assert answer.status_code == 403


async def test_what_is_still_worked_on_is_told_as_such(tmp_path: Path, visit: list[Resource]) -> None:
    async with running(tmp_path, processing=False) as world:
        response = response_in(await submitted(world, visit[-1]))
    assert response["outcome"] == "queued"
    assert "not processed yet" in response["disposition"]


async def test_each_response_passes_the_validators(
    world: World, visit: list[Resource], shared_data: Path, tmp_path: Path
) -> None:
    bundle = await submitted(world, collection(*visit))
    unfit = {**visit[-1], "id": "other", "patient": {"reference": "Organization/x"}}
    failed = await submitted(world, unfit, "request-2")
    contained = {
        **visit[-1],
        "id": "third",
        "contained": [{"resourceType": "Patient", "id": "p", "identifier": [{"value": "1"}]}],
        "patient": {"reference": "#p"},
        "mood": "good",
    }
    noted = await submitted(world, contained, "request-3")
    assert response_in(noted)["processNote"][0]["text"] == "Claim has an element that R4 does not know: it is not used"
    assert response_in(noted)["patient"] == {"identifier": {"value": "1"}}
    told = [bundle.json(), response_in(bundle), response_in(failed), response_in(noted)]
    assert refused_by_validators({f"told-{n}": one for n, one in enumerate(told)}, shared_data, tmp_path) == []
