"""Resources that clients write, over HTTP: conditional creates, patches, versions, histories."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kept_world import Kept, Still, door
from test_fhir_submission import encounter, issue_of

from gateway.mappings.fhir.resource import validate
from gateway.store.interface import StoreFault

PATCH = {"Content-Type": "application/json-patch+json"}
NEW = {"If-None-Exist": "identifier=urn:oid:1.2.3|V1001"}


async def test_a_conditional_create_writes_once() -> None:
    kept = Kept()
    async with door(kept) as client:
        first = await client.post("/Encounter", json=encounter(), headers=NEW)
        again = await client.post("/Encounter", json=encounter(), headers=NEW)
        quiet = await client.post("/Encounter", json=encounter(), headers={**NEW, "Prefer": "return=minimal"})
        told = await client.post("/Encounter", json=encounter(), headers={**NEW, "Prefer": "return=OperationOutcome"})
        other = await client.post("/Encounter", json=encounter(), headers={"If-None-Exist": "identifier=other"})
        several = await client.post("/Encounter", json=encounter(), headers={"If-None-Exist": "status=finished"})
    assert [a.status_code for a in (first, again, quiet, told, other, several)] == [201, 200, 200, 200, 201, 412]
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.json()["id"] == first.json()["id"]
    assert (quiet.content, told.json()["resourceType"]) == (b"", "OperationOutcome")
    assert issue_of(several)["code"] == "multiple-matches"
    assert len(kept.received) == 2


async def test_conditional_creates_that_meet_keep_one() -> None:
    kept = Kept()
    async with door(kept) as client:
        posts = [client.post("/Encounter", json=encounter(language=f"x-{n}"), headers=NEW) for n in range(6)]
        answers = await asyncio.gather(*posts)
    assert sorted(a.status_code for a in answers) == [200] * 5 + [201]
    assert len({a.headers["Location"] for a in answers}) == 1
    assert len(kept.received) == 1


@pytest.mark.parametrize(
    "header",
    ["identifier", "_id=1", "date=2026", "status:not=planned", "identifier=a&status=b&class=c&account=d", "x=1"],
)
async def test_a_condition_that_cannot_be_decided_is_refused(header: str) -> None:
    async with door(Kept()) as client:
        answer = await client.post("/Encounter", json=encounter(), headers={"If-None-Exist": header})
    assert answer.status_code == 400
    issue_of(answer)


async def test_a_patch_makes_the_next_version() -> None:
    kept = Kept()
    async with door(kept) as client:
        await client.put("/Encounter/e-1", json=encounter(id="e-1"))
        operations = [
            {"op": "test", "path": "/status", "value": "finished"},
            {"op": "replace", "path": "/status", "value": "planned"},
            {"op": "add", "path": "/identifier/-", "value": {"value": "second"}},
        ]
        headers = {**PATCH, "If-Match": 'W/"1"', "X-Request-Id": "request-0042"}
        done = await client.patch("/Encounter/e-1", json=operations, headers=headers)
        repeated = await client.patch("/Encounter/e-1", json=operations, headers={**headers, "If-Match": 'W/"1"'})
        read = await client.get("/Encounter/e-1")
    assert (done.status_code, done.headers["ETag"]) == (200, 'W/"2"')
    assert (repeated.status_code, repeated.json()) == (200, done.json())
    assert read.json() == done.json()
    assert read.json()["status"] == "planned"
    assert [one["value"] for one in read.json()["identifier"]] == ["V1001", "second"]
    assert [message.type for message in kept.received] == ["PUT Encounter/e-1", "PATCH Encounter/e-1"]


@pytest.mark.parametrize(
    ("operations", "status", "headers"),
    [
        ([{"op": "test", "path": "/status", "value": "planned"}], 409, {}),
        ([{"op": "replace", "path": "/status", "value": "asleep"}], 422, {}),
        ([{"op": "remove", "path": "/nothing"}], 422, {}),
        ([{"op": "replace", "path": "/id", "value": "e-2"}], 422, {}),
        ([{"op": "remove", "path": "/status"}], 422, {}),
        ([{"op": "grow", "path": "/status"}], 400, {}),
        ({"op": "remove"}, 400, {}),
        ([], 412, {"If-Match": 'W/"7"'}),
        ([], 415, {"Content-Type": "application/fhir+json"}),
    ],
)
async def test_a_patch_that_does_not_fit_changes_nothing(operations: Any, status: int, headers: dict[str, str]) -> None:
    kept = Kept()
    async with door(kept) as client:
        await client.put("/Encounter/e-1", json=encounter(id="e-1"))
        answer = await client.patch("/Encounter/e-1", json=operations, headers={**PATCH, **headers})
        unknown = await client.patch("/Encounter/none", json=[], headers=PATCH)
    assert (answer.status_code, unknown.status_code) == (status, 404)
    issue_of(answer)
    assert len(kept.received) == 1


async def test_what_the_client_has_already_is_not_sent_again() -> None:
    async with door(Kept()) as client:
        await client.put("/Encounter/e-1", json=encounter(id="e-1"))
        same = await client.get("/Encounter/e-1", headers={"If-None-Match": 'W/"1"'})
        other = await client.get("/Encounter/e-1", headers={"If-None-Match": 'W/"2"'})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", 'W/"1"')
    assert other.status_code == 200


async def test_histories_have_every_version_on_pages() -> None:
    kept = Kept(clock=Still(ticking=1))
    async with door(kept) as client:
        for status in ("planned", "arrived", "finished"):
            await client.put("/Encounter/e-1", json=encounter(id="e-1", status=status))
        await client.post("/Encounter", json=encounter())
        whole = (await client.get("/Encounter/e-1/_history")).json()
        first = (await client.get("/Encounter/_history", params={"_count": 3})).json()
        links = {link["relation"]: link["url"] for link in first["link"]}
        rest = (await client.get(links["next"])).json()
        since = (await client.get("/Encounter/_history", params={"_since": "2027-01-01"})).json()
        nothing = await client.get("/Encounter/none/_history")
        wrong = await client.get("/Encounter/_history", params={"_since": "yesterday"})
    assert (validate(whole), validate(first), validate(since)) == ([], [], [])
    assert (whole["type"], whole["total"]) == ("history", 3)
    assert [entry["resource"]["status"] for entry in whole["entry"]] == ["finished", "arrived", "planned"]
    assert [entry["response"]["status"] for entry in whole["entry"]] == ["200 OK", "200 OK", "201 Created"]
    assert whole["entry"][0]["request"] == {"method": "PUT", "url": "Encounter/e-1"}
    seen = [(e["resource"]["id"], e["resource"]["meta"]["versionId"]) for e in first["entry"] + rest["entry"]]
    assert len(set(seen)) == 4
    assert first["entry"][0]["request"] == {"method": "POST", "url": "Encounter"}
    assert "next" not in {link["relation"] for link in rest["link"]}
    assert "entry" not in since
    assert (nothing.status_code, wrong.status_code) == (404, 400)


async def test_elements_that_r4_does_not_know_are_kept_and_told() -> None:
    async with door(Kept()) as client:
        body = encounter(id="e-1", invented="here")
        answer = await client.put("/Encounter/e-1", json=body, headers={"Prefer": "return=OperationOutcome"})
        read = await client.get("/Encounter/e-1")
    assert answer.status_code == 201
    assert {"severity": "warning", "expression": ["Encounter.invented"]}.items() <= answer.json()["issue"][1].items()
    assert read.json()["invented"] == "here"


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient", "name": [{"family": "Ames"}]},
        {
            "resourceType": "Coverage",
            "status": "active",
            "beneficiary": {"reference": "Patient/1"},
            "payor": [{"display": "Payer"}],
        },
        {"resourceType": "Condition", "subject": {"reference": "Patient/1"}},
        {"resourceType": "Procedure", "status": "completed", "subject": {"reference": "Patient/1"}},
        {"resourceType": "Practitioner"},
        {"resourceType": "PractitionerRole"},
        {"resourceType": "Organization", "name": "Payer"},
        {"resourceType": "Location", "name": "Ward"},
        {"resourceType": "Account", "status": "active"},
        {"resourceType": "RelatedPerson", "patient": {"reference": "Patient/1"}},
        {"resourceType": "Binary", "contentType": "text/plain", "data": "SGVsbG8="},
    ],
    ids=lambda resource: resource["resourceType"],
)
async def test_what_others_refer_to_is_kept_like_them(resource: dict[str, Any]) -> None:
    kind = resource["resourceType"]
    async with door(Kept()) as client:
        created = await client.post(f"/{kind}", json=resource)
        put = await client.put(f"/{kind}/x-1", json={**resource, "id": "x-1"})
        read = await client.get(f"/{kind}/x-1")
        found = (await client.get(f"/{kind}", params={"_id": "x-1"})).json()
    assert (created.status_code, put.status_code) == (201, 201)
    assert {**resource, "id": "x-1"}.items() <= read.json().items()
    assert [entry["resource"] for entry in found["entry"]] == [read.json()]


@pytest.mark.parametrize(
    ("headers", "params", "status"),
    [
        ({"Accept": "application/fhir+xml"}, {}, 406),
        ({"Accept": "text/html, application/xml;q=0.9"}, {}, 406),
        ({"Accept": "text/html, */*;q=0.1"}, {}, 200),
        ({"Accept": "application/fhir+xml"}, {"_format": "json"}, 200),
        ({}, {"_format": "xml"}, 406),
        ({}, {"_format": "application/fhir+json"}, 200),
    ],
)
async def test_answers_are_json_alone(headers: dict[str, str], params: dict[str, str], status: int) -> None:
    async with door(Kept()) as client:
        answer = await client.get("/Encounter", headers=headers, params=params)
    assert answer.status_code == status
    if status == 406:
        assert issue_of(answer)["code"] == "not-supported"


async def test_what_was_pruned_is_gone_and_says_so() -> None:
    kept = Kept()
    async with door(kept) as client:
        await client.put("/Encounter/e-1", json=encounter(id="e-1"))
        db = kept.store._writer
        db.execute("UPDATE payloads SET payload = x''")
        gone = await client.get("/Encounter/e-1")
        history = (await client.get("/Encounter/e-1/_history")).json()
    assert (gone.status_code, issue_of(gone)["code"]) == (410, "deleted")
    assert "resource" not in history["entry"][0]


async def test_a_conditional_create_that_cannot_be_kept_is_told() -> None:
    async with door(Kept(faults=[StoreFault("disk")])) as client:
        answer = await client.post("/Encounter", json=encounter(), headers=NEW)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
