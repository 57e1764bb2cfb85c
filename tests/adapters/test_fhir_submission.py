"""Encounter, Claim and DocumentReference over real HTTP: what is acknowledged, and what is refused and why."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest
from kept_world import Kept, Still, Tokens, door

from gateway.store.interface import StoreFault, UncertainCommit

__all__ = ["Kept", "Still", "Tokens", "encounter", "issue_of"]

facade = door


def encounter(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "identifier": [{"system": "urn:oid:1.2.3", "value": "V1001"}],
        **more,
    }


async def test_a_created_resource_is_kept_before_it_is_acknowledged() -> None:
    kept = Kept()
    body = orjson.dumps(encounter())
    async with facade(kept) as client:
        answer = await client.post("/Encounter", content=body, headers={"X-Request-Id": "request-0001"})
    assert answer.status_code == 201
    message = kept.received[0]
    assert (message.payload, message.feed, message.control) == (body, "ehr-a", "request-0001")
    assert message.type == f"POST Encounter/{message.id}"
    assert answer.headers["Location"] == f"{client.base_url}Encounter/{message.id}/_history/1"
    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.headers["Last-Modified"] == "Sun, 01 Mar 2026 12:30:15 GMT"
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert answer.json()["id"] == str(message.id)
    assert answer.json()["meta"]["versionId"] == "1"


@pytest.mark.parametrize(
    ("prefer", "holds"),
    [("return=minimal", ""), ("return=OperationOutcome", "OperationOutcome"), ("return=representation", "Encounter")],
)
async def test_the_client_chooses_what_comes_back(prefer: str, holds: str) -> None:
    async with facade(Kept()) as client:
        answer = await client.post("/Encounter", json=encounter(), headers={"Prefer": prefer})
    assert answer.status_code == 201
    assert (answer.json()["resourceType"] if answer.content else "") == holds


async def test_put_creates_then_updates_and_each_version_is_a_message() -> None:
    kept = Kept()
    async with facade(kept) as client:
        first = await client.put("/Encounter/e-1", json=encounter(id="e-1"))
        second = await client.put("/Encounter/e-1", json=encounter(id="e-1", status="planned"))
        read = await client.get("/Encounter/e-1")
        earlier = await client.get(first.headers["Location"])
        none = await client.get("/Encounter/e-1/_history/3")
    assert (earlier.json()["status"], none.status_code) == ("finished", 404)
    assert [(a.status_code, a.headers["ETag"]) for a in (first, second)] == [(201, 'W/"1"'), (200, 'W/"2"')]
    assert [m.type for m in kept.received] == ["PUT Encounter/e-1"] * 2
    assert (read.json()["status"], read.json()["meta"]["versionId"]) == ("planned", "2")
    assert read.headers["ETag"] == 'W/"2"'


async def test_a_retransmission_gets_the_first_answer_and_changes_nothing() -> None:
    kept = Kept()
    async with facade(kept) as client:
        answers = [
            await client.post("/Encounter", json=encounter(), headers={"X-Request-Id": "request-0007"})
            for _ in range(3)
        ]
    assert len(kept.received) == 1
    assert len({(a.status_code, a.headers["Location"], a.headers["ETag"]) for a in answers}) == 1


async def test_numbers_are_read_back_with_all_their_digits() -> None:
    kept = Kept()
    text = orjson.dumps(encounter(id="e-1"))[:-1] + b',"length":{"value":10.50}}'
    async with facade(kept) as client:
        await client.put("/Encounter/e-1", content=text)
        assert b'"value":10.50' in (await client.get("/Encounter/e-1")).content


async def test_if_match_guards_against_a_version_that_was_not_seen() -> None:
    async with facade(Kept()) as client:
        await client.put("/Encounter/e-1", json=encounter(id="e-1"))
        stale = await client.put("/Encounter/e-1", json=encounter(id="e-1"), headers={"If-Match": 'W/"2"'})
        wrong = await client.put("/Encounter/e-1", json=encounter(id="e-1"), headers={"If-Match": "2"})
        right = await client.put("/Encounter/e-1", json=encounter(id="e-1"), headers={"If-Match": 'W/"1"'})
    assert [a.status_code for a in (stale, wrong, right)] == [412, 400, 200]
    assert stale.json()["issue"][0]["code"] == "conflict"


async def test_writers_that_meet_get_versions_of_their_own() -> None:
    kept = Kept()
    async with facade(kept) as client:
        puts = [client.put("/Encounter/e-1", json=encounter(id="e-1", language=f"x-{n}")) for n in range(3)]
        answers = await asyncio.gather(*puts)
    assert sorted(a.headers["ETag"] for a in answers) == ['W/"1"', 'W/"2"', 'W/"3"']


async def test_ids_are_each_clients_own() -> None:
    other = {"Authorization": "Bearer b"}
    async with facade(Kept()) as client:
        await client.put("/Encounter/e-1", json=encounter(id="e-1"))
        assert (await client.get("/Encounter/e-1", headers=other)).status_code == 404
        theirs = await client.put("/Encounter/e-1", json=encounter(id="e-1", status="planned"), headers=other)
        assert (theirs.status_code, theirs.headers["ETag"]) == (201, 'W/"1"')
        assert (await client.get("/Encounter/e-1")).json()["status"] == "finished"
        assert (await client.get("/Encounter", headers=other)).json()["total"] == 1


def issue_of(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    issue = body["issue"][0]
    assert issue["severity"] in ("fatal", "error")
    assert issue["diagnostics"]
    return dict(issue)


@pytest.mark.parametrize(
    ("body", "status", "code", "expression"),
    [
        (b"{", 400, "structure", "request.body"),
        (b'{"resourceType":"Encounter","text":{"div":"\xff"}}', 400, "structure", "request.body"),
        (b'{"resourceType":"Patient"}', 400, "invalid", "resourceType"),
        (encounter(status="asleep"), 422, "code-invalid", "Encounter.status"),
        ({"resourceType": "Encounter"}, 422, "required", "Encounter.status"),
        (encounter(status=["finished"]), 400, "structure", "Encounter.status"),
    ],
)
async def test_what_cannot_be_taken_is_told_in_an_operation_outcome(
    body: Any, status: int, code: str, expression: str | None
) -> None:
    kept = Kept()
    async with facade(kept) as client:
        payload = body if isinstance(body, bytes) else orjson.dumps(body)
        answer = await client.post("/Encounter", content=payload)
    assert answer.status_code == status
    issue = issue_of(answer)
    assert issue["code"] == code
    assert issue.get("expression", [None])[0] == expression
    assert kept.received == []


async def test_every_refusal_of_the_door_is_an_operation_outcome_too() -> None:
    async with facade(Kept()) as client:
        unknown = await client.post("/Encounter", json=encounter(), headers={"Authorization": "Bearer ?"})
        nowhere = await client.get("/Nothing/1")
        xml = await client.post("/Encounter", content=b"<x/>", headers={"Content-Type": "application/fhir+xml"})
        missing = await client.get("/Encounter/none")
        odd = await client.get("/Encounter/a%20b")
        mismatch = await client.put("/Encounter/e-1", json=encounter(id="e-2"))
        conditional = await client.post("/Encounter", json=encounter(), headers={"If-None-Exist": "x"})
        deleted = await client.delete("/Encounter/e-1")
    answers = (unknown, nowhere, xml, missing, odd, mismatch, conditional, deleted)
    assert [a.status_code for a in answers] == [401, 404, 415, 404, 404, 400, 400, 405]
    codes = [issue_of(answer)["code"] for answer in answers]
    assert codes[:4] == ["login", "not-found", "not-supported", "not-found"]


async def test_a_congested_gateway_asks_to_come_again() -> None:
    kept = Kept(congested=True)
    async with facade(kept) as client:
        answer = await client.post("/Encounter", json=encounter())
    assert (answer.status_code, issue_of(answer)["code"]) == (503, "transient")
    assert int(answer.headers["Retry-After"]) > 0
    assert kept.received == []


@pytest.mark.parametrize("fault", [StoreFault("disk /var"), UncertainCommit("lost")])
async def test_nothing_is_acknowledged_that_may_not_be_kept(fault: Exception) -> None:
    async with facade(Kept(faults=[fault])) as client:
        answer = await client.post("/Encounter", json=encounter())
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "/var" not in answer.text
