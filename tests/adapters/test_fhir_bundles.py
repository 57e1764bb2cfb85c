"""Transactions and batches over HTTP: all or nothing, references between entries, every kind of entry."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import orjson
import pytest
from kept_world import Kept, door
from test_fhir_submission import encounter, issue_of

from gateway.mappings.fhir.resource import validate
from gateway.store.interface import Conflict, StoreFault

ANN = "urn:uuid:6f1b1c9e-0000-4000-8000-000000000001"
VISIT = "urn:uuid:6f1b1c9e-0000-4000-8000-000000000002"
REQUEST = {"X-Request-Id": "request-0001"}


def entry(method: str, url: str, resource: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    full_url = {"fullUrl": more.pop("fullUrl")} if "fullUrl" in more else {}
    brought = {"resource": resource} if resource is not None else {}
    return {**full_url, **brought, "request": {"method": method, "url": url, **more}}


def bundle(kind: str, *entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


PATIENT = entry("POST", "Patient", {"resourceType": "Patient", "gender": "female"}, fullUrl=ANN)


def root(client: httpx.AsyncClient) -> str:
    """The address of the facade itself, without a slash behind it."""
    return str(client.base_url).rstrip("/")


def document(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"url": "Binary/note"}}],
        "subject": {"reference": ANN},
        "context": {"encounter": [{"reference": VISIT}]},
        **more,
    }


def statuses(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert validate(answer.json()) == []
    return [one["response"]["status"].split()[0] for one in answer.json()["entry"]]


def names(answer: httpx.Response) -> list[str]:
    return [one["response"].get("location", "").partition("/_history")[0] for one in answer.json()["entry"]]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_entries_that_refer_to_each_other_are_kept_with_the_ids_they_got(kind: str) -> None:
    """In whatever order they come; what others refer to is processed first."""
    kept = Kept()
    visit = encounter(subject={"reference": ANN})
    note = {"resourceType": "Binary", "id": "note", "contentType": "text/plain", "data": "SGVsbG8="}
    sent = bundle(
        kind,
        entry("POST", "DocumentReference", document()),
        entry("POST", "Encounter", visit, fullUrl=VISIT),
        entry("PUT", "Binary/note", note),
        PATIENT,
    )
    async with door(kept) as client:
        answer = await client.post(root(client), json=sent, headers=REQUEST)
        assert statuses(answer) == ["201"] * 4
        written = [(await client.get(f"/{name}")).json() for name in names(answer)]
        patient, of_patient = names(answer)[3], await client.get(f"/Encounter?patient={names(answer)[3]}")
    assert written[0]["subject"]["reference"] == patient
    assert written[0]["context"]["encounter"][0]["reference"] == names(answer)[1]
    assert written[1]["subject"]["reference"] == patient
    assert of_patient.json()["total"] == 1
    kinds = [message.type.split()[1].partition("/")[0] for message in kept.received]
    assert kinds[:2] in (["Binary", "Patient"], ["Patient", "Binary"])
    assert kinds[2:] == ["Encounter", "DocumentReference", "Bundle"]
    first = answer.json()["entry"][0]["response"]
    assert (first["etag"], first["lastModified"][:10]) == ('W/"1"', "2026-03-01")


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_the_same_bundle_again_repeats_nothing(kind: str) -> None:
    """Even where what it asked for would be refused by now."""
    kept = Kept()
    async with door(kept) as client:
        await client.put("/Encounter/e-1", json=encounter(id="e-1"))
        body = orjson.dumps(
            bundle(kind, PATIENT, entry("PUT", "Encounter/e-1", encounter(id="e-1", language="en"), ifMatch='W/"1"'))
        )
        answers = [await client.post(root(client), content=body, headers=REQUEST) for _ in range(3)]
        elsewhere = await client.post(root(client), content=body, headers={"X-Request-Id": "request-0002"})
    assert len({answer.content for answer in answers}) == 1
    assert statuses(answers[0]) == ["201", "200"]
    assert len(kept.received) == (4 if kind == "transaction" else 6)
    assert elsewhere.status_code == (412 if kind == "transaction" else 200)


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_the_same_bundle_with_a_get_is_told_again_and_read_anew(kind: str) -> None:
    kept = Kept()
    unless = "identifier=urn:mrn|7"
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "7"}]}
    sent = bundle(
        kind,
        entry("GET", "Organization/o-1"),
        entry("POST", "Patient", patient, ifNoneExist=unless),
        entry("POST", "Location", {"resourceType": "Location", "name": "Ward 3"}),
    )
    async with door(kept) as client:
        first = await client.post(root(client), json=sent, headers=REQUEST)
        await client.put("/Organization/o-1", json={"resourceType": "Organization", "id": "o-1", "name": "General"})
        count = len(kept.received)
        again = await client.post(root(client), json=sent, headers=REQUEST)
    assert [statuses(first), statuses(again)] == [["404", "201", "201"], ["200", "201", "201"]]
    assert names(again)[1:] == names(first)[1:]
    assert again.json()["entry"][0]["resource"]["name"] == "General"
    assert len(kept.received) == count


async def test_a_long_answer_is_told_again_by_its_statuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.adapters.fhir.kept.bundles.LARGEST_REPLY", 300)
    async with door(Kept()) as client:
        headers = {**REQUEST, "Prefer": "return=representation"}
        answers = [await client.post(root(client), json=bundle("transaction", PATIENT), headers=headers) for _ in "12"]
    assert [statuses(answer) for answer in answers] == [["201"], ["201"]]
    assert names(answers[0]) == names(answers[1])
    assert ["resource" in answer.json()["entry"][0] for answer in answers] == [True, False]


async def test_a_batch_that_broke_off_is_taken_up_where_it_ended() -> None:
    kept = Kept()
    sent = bundle("batch", PATIENT, entry("POST", "Encounter", encounter(subject={"reference": ANN})))
    async with door(kept) as client:
        kept.faults = [StoreFault("disk")]
        broken = await client.post(root(client), json=sent, headers=REQUEST)
        assert broken.status_code == 503
        kept.faults = []
        whole = await client.post(root(client), json=sent, headers=REQUEST)
        again = await client.post(root(client), json=sent, headers=REQUEST)
    assert statuses(whole) == ["201", "201"]
    assert again.content == whole.content
    assert [message.type.split("/")[0] for message in kept.received] == [
        "POST Patient",
        "POST Encounter",
        "POST Bundle",
    ]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (entry("PUT", "Encounter/e-2", encounter(id="e-2", status="asleep")), 422),
        (entry("PUT", "Encounter/e-2", encounter(id="e-2"), ifMatch='W/"3"'), 412),
        (entry("DELETE", "Encounter/e-1"), 405),
        (entry("HEAD", "Encounter/e-1"), 405),
        (entry("POST", "Patient", {"resourceType": "Patient"}, ifNoneExist="_id=1"), 400),
        (entry("POST", "Medication", {"resourceType": "Medication"}), 422),
        (entry("PATCH", "Encounter/e-9", {"resourceType": "Binary", "contentType": "text/plain"}), 422),
        (entry("PUT", "Encounter/e-1", encounter(id="e-1")), 400),
        (entry("POST", "Patient", {"resourceType": "Patient", "id": "other"}, fullUrl=ANN), 422),
    ],
)
async def test_one_wrong_entry_leaves_nothing_of_a_transaction(wrong: dict[str, Any], status: int) -> None:
    kept = Kept()
    good = entry("PUT", "Encounter/e-1", encounter(id="e-1"))
    async with door(kept) as client:
        answer = await client.post(root(client), json=bundle("transaction", PATIENT, good, wrong))
        missing = await client.get("/Encounter/e-1")
    assert answer.status_code == status
    assert issue_of(answer)["expression"][0].startswith("Bundle.entry[2]")
    assert (missing.status_code, kept.received) == (404, [])


async def test_a_transaction_that_cannot_be_kept_leaves_nothing() -> None:
    kept = Kept(faults=[StoreFault("disk")])
    async with door(kept) as client:
        answer = await client.post(root(client), json=bundle("transaction", PATIENT))
    assert (answer.status_code, kept.received) == (503, [])


async def test_every_kind_of_entry_in_one_transaction() -> None:
    kept = Kept()
    operations = base64.b64encode(orjson.dumps([{"op": "replace", "path": "/status", "value": "planned"}])).decode()
    patch = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": operations}
    known = {"resourceType": "Patient", "identifier": [{"system": "urn:mr", "value": "1"}]}
    async with door(kept) as client:
        stands = (await client.post("/Patient", json=known)).json()["id"]
        await client.put("/Encounter/e-1", json=encounter(id="e-1"))
        answer = await client.post(
            root(client),
            json=bundle(
                "transaction",
                entry("GET", "Encounter/e-1"),
                entry("GET", "Encounter?patient=" + stands),
                entry("POST", "Patient", known, fullUrl=ANN, ifNoneExist="identifier=urn:mr|1"),
                entry("PATCH", "Encounter/e-1", patch, ifMatch='W/"1"'),
                entry("POST", "Encounter", encounter(subject={"reference": ANN})),
                entry("GET", "Encounter/none"),
            ),
        )
    assert statuses(answer) == ["200", "200", "200", "200", "201", "404"]
    read, search, patient = answer.json()["entry"][:3]
    assert (read["resource"]["status"], read["response"]["etag"]) == ("planned", 'W/"2"')
    assert search["resource"]["total"] == 1
    assert patient["response"]["location"] == f"Patient/{stands}/_history/1"


async def test_wrong_entries_of_a_batch_stand_for_themselves() -> None:
    kept = Kept()
    wrong = entry("PUT", "Encounter/e-2", encounter(id="e-2", status="asleep"))
    async with door(kept) as client:
        answer = await client.post(
            root(client), json=bundle("batch", PATIENT, wrong, entry("DELETE", "Patient/1"), "nothing"), headers=REQUEST
        )
    assert statuses(answer) == ["201", "422", "405", "400"]
    outcomes = [one["response"].get("outcome") for one in answer.json()["entry"]]
    assert outcomes[1]["issue"][0]["expression"] == ["Bundle.entry[1].resource.status"]
    assert len(kept.received) == 2


async def test_the_client_chooses_what_entries_tell() -> None:
    async with door(Kept()) as client:
        whole = await client.post(
            root(client), json=bundle("batch", PATIENT), headers={"Prefer": "return=representation"}
        )
        told = await client.post(
            root(client), json=bundle("batch", PATIENT), headers={"Prefer": "return=OperationOutcome"}
        )
    assert whole.json()["entry"][0]["resource"]["gender"] == "female"
    assert told.json()["entry"][0]["response"]["outcome"]["resourceType"] == "OperationOutcome"


async def test_large_bundles_are_refused() -> None:
    async with door(Kept()) as client:
        answer = await client.post(root(client), json=bundle("batch", *[PATIENT] * 501))
    assert (answer.status_code, issue_of(answer)["code"]) == (413, "too-long")


async def test_every_refusal_says_what_it_is_about() -> None:
    async with door(Kept()) as client:
        json = {"Content-Type": "application/fhir+json"}
        strict = {"Prefer": "handling=strict"}
        answers = {
            "Patient.id": await client.get("/Patient/none"),
            "Patient.meta.versionId": await client.get("/Patient/none/_history/x"),
            "Resource.id": await client.get("/Patient/" + "x" * 65),
            "request.method": await client.delete("/Patient/none"),
            "request.url": await client.get("/Nothing"),
            "request.body": await client.post("/Patient", content=b'{\n "a": ,}', headers=json),
            "colour": await client.get("/Patient?colour=red", headers=strict),
            "Patient": await client.get("/Patient?PT-123456%20=1", headers=strict),
        }
    assert {place: issue_of(answer)["expression"] for place, answer in answers.items()} == {
        place: [place] for place in answers
    }
    assert issue_of(answers["request.body"])["diagnostics"].endswith("line 2, column 7")


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_the_same_bundle_again_reads_anew_and_writes_nothing(kind: str) -> None:
    kept = Kept()
    put = entry("PUT", "Patient/p-1", {"resourceType": "Patient", "id": "p-1", "gender": "female"})
    body = orjson.dumps(bundle(kind, PATIENT, entry("GET", "Patient?gender=female"), put))
    async with door(kept) as client:
        first = await client.post(root(client), content=body, headers=REQUEST)
        await client.put("/Patient/p-2", json={"resourceType": "Patient", "id": "p-2", "gender": "female"})
        again = await client.post(root(client), content=body, headers=REQUEST)
    assert statuses(first) == statuses(again) == ["201", "200", "201"]
    assert names(again) == names(first)
    assert [answer.json()["entry"][1]["resource"]["total"] for answer in (first, again)] == [2, 3]
    assert len(kept.received) == 4


async def test_a_long_answer_is_given_again_without_the_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.adapters.fhir.kept.bundles.LARGEST_REPLY", 100)
    headers = {**REQUEST, "Prefer": "return=representation"}
    async with door(Kept()) as client:
        answers = [await client.post(root(client), json=bundle("transaction", PATIENT), headers=headers) for _ in "ab"]
    assert [statuses(answer) for answer in answers] == [["201"], ["201"]]
    assert names(answers[0]) == names(answers[1])
    assert ["resource" in answer.json()["entry"][0] for answer in answers] == [True, False]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_what_refers_to_one_that_stands_already_leads_to_it(kind: str) -> None:
    numbered = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "7"}]}
    patient = entry("POST", "Patient", numbered, fullUrl=ANN, ifNoneExist="identifier=urn:x|7")
    sent = bundle(kind, patient, entry("POST", "Encounter", encounter(subject={"reference": ANN})))
    async with door(Kept()) as client:
        await client.post("/Patient", json=numbered)
        answer = await client.post(root(client), json=sent, headers=REQUEST)
        written = (await client.get(f"/{names(answer)[1]}")).json()
    assert statuses(answer) == ["200", "201"]
    assert written["subject"]["reference"] == names(answer)[0]


async def test_two_entries_that_forbid_each_other_are_told_so() -> None:
    numbered = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "7"}]}
    patient = entry("POST", "Patient", numbered, ifNoneExist="identifier=urn:x|7")
    async with door(Kept()) as client:
        answer = await client.post(root(client), json=bundle("transaction", patient, patient), headers=REQUEST)
        alone = await client.post(root(client), json=bundle("transaction", patient), headers=REQUEST)
        both = await client.post(root(client), json=bundle("transaction", patient, patient), headers=REQUEST)
    assert (answer.status_code, issue_of(answer)["expression"]) == (412, ["Bundle.entry[1].request.ifNoneExist"])
    assert (statuses(alone), statuses(both)) == (["201"], ["200", "200"])


async def test_a_conditional_create_again_is_told_what_it_was_told_though_it_was_changed_since() -> None:
    numbered = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "7"}]}
    headers = {**REQUEST, "If-None-Exist": "identifier=urn:x|7"}
    async with door(Kept()) as client:
        first = await client.post("/Patient", json=numbered, headers=headers)
        own = first.json()["id"]
        other = {"resourceType": "Patient", "id": own, "identifier": [{"system": "urn:x", "value": "8"}]}
        await client.put(f"/Patient/{own}", json=other)
        again = await client.post("/Patient", json=numbered, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Location"] == first.headers["Location"]


async def test_an_entry_that_meets_another_is_worked_on_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of a message is its place in the order of work: the version that stands is worked on last."""
    kept, others = Kept(), []
    real = kept.accept

    def accept(received: Any, *given: Any) -> Any:
        if received.type == "PUT Encounter/e-1" and not others:
            others.append(kept.new_id())
            raise Conflict("another was faster")
        return real(received, *given)

    monkeypatch.setattr(kept, "accept", accept)
    async with door(kept) as client:
        sent = bundle("batch", entry("PUT", "Encounter/e-1", encounter(id="e-1")))
        assert statuses(await client.post(root(client), json=sent, headers=REQUEST)) == ["201"]
    assert kept.received[0].id > others[0]


async def test_an_update_with_if_match_again_is_told_what_it_was_told() -> None:
    async with door(Kept()) as client:
        await client.put("/Encounter/e-1", json=encounter(id="e-1"))
        headers = {**REQUEST, "If-Match": 'W/"1"'}
        changed = encounter(id="e-1", language="en")
        answers = [await client.put("/Encounter/e-1", json=changed, headers=headers) for _ in "ab"]
        other = await client.put("/Encounter/e-1", json=encounter(id="e-1", language="fr"), headers=headers)
    assert [(answer.status_code, answer.headers["ETag"]) for answer in answers] == [(200, 'W/"2"')] * 2
    assert other.status_code == 412


async def test_a_transaction_resolves_references_by_search() -> None:
    numbered = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "7"}]}
    visit = entry("POST", "Encounter", encounter(subject={"reference": "Patient?identifier=urn:x|7"}))
    kept = Kept()
    async with door(kept) as client:
        early = await client.post(root(client), json=bundle("transaction", visit))
        kept_so = (await client.get(f"/{names(early)[0]}")).json()
        patient = (await client.post("/Patient", json=numbered)).json()["id"]
        found = await client.post(root(client), json=bundle("transaction", visit))
        written = (await client.get(f"/{names(found)[0]}")).json()
        await client.post("/Patient", json=numbered)
        several = await client.post(root(client), json=bundle("transaction", PATIENT, visit))
    assert written["subject"]["reference"] == f"Patient/{patient}"
    assert kept_so["subject"]["reference"] == "Patient?identifier=urn:x|7"
    assert (several.status_code, issue_of(several)["code"]) == (412, "multiple-matches")
    assert issue_of(several)["expression"] == ["Bundle.entry[1]"]
    assert len([one for one in kept.received if "Encounter" in one.type]) == 2


@pytest.mark.parametrize("asked", ["Basic?identifier=7", "Patient?shoe-size=44", "Patient?"])
async def test_a_search_that_is_not_offered_leaves_the_reference_as_it_is(asked: str) -> None:
    visit = entry("POST", "Encounter", encounter(subject={"reference": asked}))
    async with door(Kept()) as client:
        answer = await client.post(root(client), json=bundle("transaction", visit))
        written = (await client.get(f"/{names(answer)[0]}")).json()
    assert written["subject"]["reference"] == asked


async def test_a_transaction_with_a_reference_to_nothing_is_refused() -> None:
    kept = Kept()
    async with door(kept) as client:
        sent = bundle("transaction", PATIENT, entry("POST", "Encounter", encounter(subject={"reference": VISIT})))
        answer = await client.post(root(client), json=sent)
    assert (answer.status_code, issue_of(answer)["expression"]) == (422, ["Bundle.entry[1]"])
    assert kept.received == []


async def test_a_slash_behind_the_base_address_is_no_other_address() -> None:
    async with door(Kept()) as client:
        assert statuses(await client.post(f"{root(client)}/", json=bundle("batch", PATIENT))) == ["201"]
