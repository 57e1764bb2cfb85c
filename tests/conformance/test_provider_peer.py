"""The provider's system: what it asks for, and what it sends, against a FHIR server of a few canned answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx

from conformance.desk_client import Refused
from conformance.hospital import LINDGREN
from conformance.provider import ProviderSystem

BASE = "http://gateway.test/fhir"
FORM = {
    "resourceType": "Questionnaire",
    "id": "Q7",
    "item": [
        {"linkId": "indicators", "type": "group", "item": [{"linkId": "i1", "type": "display", "text": "BNP 1,840"}]},
        {
            "linkId": "question",
            "type": "choice",
            "answerOption": [
                {"valueCoding": {"code": "option-1", "display": "Acute"}},
                {"valueCoding": {"code": "other", "display": "Other"}},
            ],
        },
        {"linkId": "explanation", "type": "text"},
    ],
}


def task(id: str = "7", version: str = "3") -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "id": id,
        "meta": {"versionId": version},
        "status": "requested",
        "input": [{"valueCanonical": f"{BASE}/Questionnaire/Q7|1"}],
    }


def page(*tasks: dict[str, Any], following: str | None = None) -> httpx.Response:
    links = [{"relation": "next", "url": following}] if following else []
    return httpx.Response(200, json={"entry": [{"resource": one} for one in tasks], "link": links})


@respx.mock
async def test_the_inbox_follows_every_page() -> None:
    respx.get(f"{BASE}/Task", params={"status": "requested"}).mock(
        side_effect=[page(task("7"), following=f"{BASE}/Task?_after=7&status=requested"), page(task("8"))]
    )
    async with ProviderSystem(BASE, "t" * 16, LINDGREN.npi) as provider:
        assert [one["id"] for one in await provider.inbox()] == ["7", "8"]
    asked = respx.calls[0].request
    assert asked.url.params["owner:identifier"].endswith(f"us-npi|{LINDGREN.npi}")
    assert asked.headers["Authorization"] == f"Bearer {'t' * 16}"


@respx.mock
async def test_an_update_names_the_version_that_was_read() -> None:
    route = respx.put(f"{BASE}/Task/7").respond(200, json={**task(), "status": "accepted"})
    async with ProviderSystem(BASE, "t" * 16, LINDGREN.npi) as provider:
        assert (await provider.take_up(task()))["status"] == "accepted"
    assert route.calls.last.request.headers["If-Match"] == 'W/"3"'
    assert json.loads(route.calls.last.request.content)["status"] == "accepted"


@respx.mock
async def test_the_answer_fills_the_form() -> None:
    respx.get(f"{BASE}/Questionnaire/Q7").respond(200, json=FORM)
    route = respx.post(f"{BASE}/QuestionnaireResponse").respond(201, json={"resourceType": "QuestionnaireResponse"})
    async with ProviderSystem(BASE, "t" * 16, LINDGREN.npi) as provider:
        await provider.answer(task(), option="Acute", text="Decompensated.")
    sent = json.loads(route.calls.last.request.content)
    assert sent["questionnaire"] == f"{BASE}/Questionnaire/Q7|1"
    assert sent["item"] == [
        {"linkId": "question", "answer": [{"valueCoding": {"code": "option-1", "display": "Acute"}}]},
        {"linkId": "explanation", "answer": [{"valueString": "Decompensated."}]},
    ]


@respx.mock
async def test_a_refusal_says_why() -> None:
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [{"diagnostics": "The resource has another version by now"}],
    }
    respx.put(f"{BASE}/Task/7").respond(412, json=outcome)
    async with ProviderSystem(BASE, "t" * 16, LINDGREN.npi) as provider:
        with pytest.raises(Refused, match="412: The resource has another version by now"):
            await provider.take_up(task())
