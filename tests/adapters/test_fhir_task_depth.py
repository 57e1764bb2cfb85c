"""Tasks, their forms and answers in depth, over real HTTP and a real desk and store: versions, patches, searches with
pages and what comes along.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "desk"))

from desk_world import NPI
from served_tasks import OTHER_NPI, PATCH, Served, link, refused, served_tasks, shown

from gateway.mappings.fhir.resource import validate
from gateway.review.model import Query


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with served_tasks() as made:
        yield made


# ---- versions


async def test_every_version_is_read_and_the_history_has_them_all(served: Served) -> None:
    query = await served.asked()
    for status in ("received", "accepted"):
        assert (await served.moved(query, status)).status_code == 200
    first = await served.inbox.get(f"/Task/{query.id}/_history/1")
    newest = await served.inbox.get(f"/Task/{query.id}/_history/3")
    assert (first.json()["status"], first.headers["ETag"]) == ("requested", 'W/"1"')
    assert newest.json() == (await served.inbox.get(f"/Task/{query.id}")).json()
    history = (await served.inbox.get(f"/Task/{query.id}/_history")).json()
    assert not [issue for issue in validate(history) if issue.refuses]
    assert history["total"] == 3
    told = [(entry["resource"]["status"], entry["request"]["method"]) for entry in history["entry"]]
    assert told == [("accepted", "PUT"), ("received", "PUT"), ("requested", "POST")]
    await served_in_pages(served, query)
    for missing in ("4", "0", "x", "99999999999999999999"):
        refused(await served.inbox.get(f"/Task/{query.id}/_history/{missing}"), 404)
    for path in (f"/Task/{query.id}/_history", f"/Task/{query.id}/_history/1"):
        refused(await served.clients["other"].get(path), 404)


async def served_in_pages(served: Served, query: Query) -> None:
    address = f"/Task/{query.id}/_history"
    first = (await served.inbox.get(address, params={"_count": "2"})).json()
    following = link(first, "next")
    assert following is not None
    second = (await served.inbox.get(following)).json()
    assert [entry["resource"]["meta"]["versionId"] for page in (first, second) for entry in page["entry"]] == list(
        "321"
    )
    assert (first["total"], link(second, "next")) == (3, None)
    late = (await served.inbox.get(address, params={"_since": "2999-01-01"})).json()
    assert ("entry" in late, "total" in late) == (False, False)
    for wrong in ({"_count": "x"}, {"_count": "0"}, {"_since": "yesterday"}):
        refused(await served.inbox.get(address, params=wrong), 400)


async def test_a_fault_is_told_once(served: Served) -> None:
    answer = await served.cdi.post("/Task", json={"resourceType": "Task", "status": "requested"})
    places = [issue["expression"] for issue in refused(answer, 422)]
    assert places.count(["Task.intent"]) == 1


# ---- patches


def patch(*operations: tuple[str, str, Any]) -> list[dict[str, Any]]:
    return [{"op": op, "path": path, "value": value} for op, path, value in operations]


async def test_a_patch_moves_and_answers_a_query_as_an_update_does(served: Served) -> None:
    query = await served.asked()
    address = f"/Task/{query.id}"
    steps: list[tuple[list[dict[str, Any]], str]] = [
        (patch(("test", "/status", "requested"), ("replace", "/status", "accepted")), "accepted"),
        (patch(("replace", "/status", "in-progress")), "in-progress"),
        (
            patch(
                ("replace", "/status", "completed"),
                ("add", "/output", [{"type": {"text": "answer"}, "valueString": "Acute blood loss anaemia"}]),
            ),
            "completed",
        ),
    ]
    for version, (operations, status) in enumerate(steps, start=1):
        answer = await served.inbox.patch(
            address, json=operations, headers={**PATCH, "If-Match": f'W/"{version}"', "Prefer": "return=representation"}
        )
        assert (answer.status_code, answer.json()["status"]) == (200, status), answer.text
    stands = await served.here.store.query(query.id)
    assert stands is not None
    assert (stands.answer_option, stands.version) == ("Acute blood loss anaemia", 4)
    kept = [stored.event.detail["type"] for stored in await served.here.told() if "type" in stored.event.detail]
    assert kept == [f"PATCH Task/{query.id}"] * 3


@pytest.mark.parametrize(
    ("operations", "if_match", "status", "place"),
    [
        (patch(("replace", "/status", "accepted")), None, 428, "If-Match"),
        (patch(("replace", "/status", "accepted")), 'W/"2"', 412, "If-Match"),
        (patch(("test", "/status", "completed"), ("replace", "/status", "accepted")), 'W/"1"', 409, "[0].value"),
        (patch(("replace", "/status", "completed")), 'W/"1"', 422, "Task.output"),
        (patch(("replace", "/status", "rejected")), 'W/"1"', 422, "Task.statusReason"),
        (patch(("replace", "/status", "on-hold")), 'W/"1"', 409, "Task.status"),
        (patch(("replace", "/status", "asleep")), 'W/"1"', 422, "Task.status"),
        (patch(("replace", "/description", "Sepsis?")), 'W/"1"', 422, "Task.description"),
        (patch(("add", "/note", [{"text": "x"}])), 'W/"1"', 422, "Task.note"),
        (patch(("remove", "/nothing", None)), 'W/"1"', None, "[0].path"),
        ({"op": "replace"}, 'W/"1"', 400, "request.body"),
    ],
)
async def test_a_patch_that_cannot_be_is_refused_with_its_place(
    served: Served, operations: Any, if_match: str | None, status: int | None, place: str | None
) -> None:
    query = await served.asked()
    headers = {**PATCH, **({"If-Match": if_match} if if_match else {})}
    answer = await served.inbox.patch(f"/Task/{query.id}", json=operations, headers=headers)
    issues = refused(answer, status or answer.status_code)
    assert 400 <= answer.status_code < 500
    assert issues[0].get("expression", [None]) == [place]
    stands = await served.here.store.query(query.id)
    assert stands == query


async def test_what_is_no_patch_is_refused(served: Served) -> None:
    query = await served.asked()
    for body in (b"", b"[", b'[], "more": []', b'[{"op":"test","op":"add"}]', b"\xff"):
        answer = await served.inbox.patch(f"/Task/{query.id}", content=body, headers={**PATCH, "If-Match": 'W/"1"'})
        refused(answer, 400)
    refused(await served.inbox.patch(f"/Task/{query.id}", json=[], headers={"If-Match": 'W/"1"'}), 415)


@pytest.mark.parametrize(("wanted", "kind"), [("minimal", None), ("OperationOutcome", "OperationOutcome")])
async def test_a_client_gets_as_much_back_as_it_wants(served: Served, wanted: str, kind: str | None) -> None:
    query = await served.asked()
    headers = {**PATCH, "If-Match": 'W/"1"', "Prefer": f"return={wanted}"}
    answer = await served.inbox.patch(
        f"/Task/{query.id}", json=patch(("replace", "/status", "accepted")), headers=headers
    )
    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert (answer.json()["resourceType"] if answer.content else None) == kind


# ---- searches


async def test_a_search_by_all_that_a_task_is_found_by(served: Served) -> None:
    elsewhere = await served.another_encounter("2002")
    first, second = await served.asked("One"), await served.asked("Two")
    third = await served.asked("Three", key=elsewhere)
    await served.moved(second, "accepted")
    ids = [str(query.id) for query in (first, second, third)]

    async def found(**parameters: Any) -> list[int]:
        bundle = await served.found(**parameters)
        assert bundle["total"] == len(shown(bundle))
        return [ids.index(id_) for id_ in shown(bundle)]

    task = (await served.inbox.get(f"/Task/{first.id}")).json()
    patient, visit = task["for"]["identifier"], task["encounter"]["identifier"]
    assert await found() == [0, 1, 2]
    assert await found(status="accepted,requested", owner=f"http://hl7.org/fhir/sid/us-npi|{NPI}") == [0, 1, 2]
    assert await found(**{"status:not": "accepted"}) == [0, 2]
    assert await found(**{"patient:identifier": f"{patient['assigner']['display']}|{patient['value']}"}) == [0, 1]
    assert await found(patient="M2002", status="requested") == [2]
    assert await found(patient="MAIN|M2002,MAIN|nobody") == [2]
    assert await found(**{"encounter.identifier": visit["value"]}) == [0, 1]
    assert await found(encounter=f"urn:x-coding-review-gateway:encounter|{elsewhere}") == [2]
    assert await found(encounter=elsewhere, patient=patient["value"]) == []
    assert await found(identifier=f"urn:x-coding-review-gateway:query|{third.number},{first.number}") == [0, 2]
    assert await found(code="http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp|data-request-questionnaire") == [
        0, 1, 2,
    ]  # fmt: skip
    assert await found(requester="urn:x-coding-review-gateway:actor|user:cora") == [0, 1, 2]
    assert await found(requester="user:nobody") == []
    assert await found(focus="Claim/none") == []
    assert await found(_id=",".join(ids[1:]), status="requested", patient="M2002") == [2]
    assert await found(_sort="-_lastUpdated") == [1, 2, 0]
    assert await found(_sort="-authored-on") == [2, 1, 0]
    changed = task["meta"]["lastUpdated"]
    assert await found(_lastUpdated=f"gt{changed}") == [1, 2]
    assert await found(_lastUpdated=changed) == [0]
    assert await found(_lastUpdated=f"le{changed}") == [0]
    assert await found(_lastUpdated=f"ne{changed}") == [1, 2]
    assert (await served.found(owner=OTHER_NPI))["total"] == 0
    assert (await served.found(client="other"))["total"] == 0
    assert (await served.found(client="cdi", status="accepted"))["total"] == 1
    posted = await served.inbox.post(
        "/Task/_search?status=requested",
        content="patient=M2002",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert shown(posted.json()) == [ids[2]]


async def test_pages_neither_lose_nor_repeat_while_tasks_change(served: Served) -> None:
    asked = [await served.asked(f"Number {number}") for number in range(7)]
    for sort, follows in (("authored-on", 1), ("-_id", -1), ("_lastUpdated", 1), ("-_lastUpdated", -1)):
        url: str | None = f"{served.base}/Task?_count=2&_sort={sort}"
        seen: list[str] = []
        while url:
            page = (await served.inbox.get(url)).json()
            assert page["total"] == 7
            assert link(page, "self") == url
            assert link(page, "first") == f"{served.base}/Task?_count=2&_sort={sort}"
            seen += shown(page)
            url = link(page, "next")
        assert seen == [str(query.id) for query in asked][::follows], sort
    page = await served.found(_count=3, _sort="_lastUpdated")
    await served.moved(asked[0], "accepted")
    rest = (await served.inbox.get(link(page, "next") or "")).json()
    assert shown(rest) == [str(query.id) for query in asked[3:6]]
    last = (await served.inbox.get(link(rest, "next") or "")).json()
    assert shown(last) == [str(asked[6].id), str(asked[0].id)], "what changed comes again, with its change"


async def test_only_the_total_or_only_some_elements(served: Served) -> None:
    await served.asked("One")
    await served.asked("Two")
    strict = {"Prefer": "handling=strict"}
    for unsupported in ({"_sort": "status"}, {"_summary": "true"}):
        bundle = await served.found(**unsupported)
        assert (len(bundle["entry"]), link(bundle, "self")) == (2, f"{served.base}/Task")
        refused(await served.inbox.get("/Task", params=unsupported, headers=strict), 400)
    for parameters in ({"_count": 0}, {"_summary": "count"}):
        bundle = await served.found(**parameters)
        assert (bundle["total"], "entry" in bundle, link(bundle, "next")) == (2, False, None)
    bundle = await served.found(_total="none", _count=1)
    assert "total" not in bundle
    assert link(bundle, "next")
    slim = (await served.found(_elements="description,for"))["entry"][0]["resource"]
    assert set(slim) == {"resourceType", "id", "meta", "status", "intent", "description", "for"}
    assert slim["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_what_comes_along_says_no_more_than_the_task(served: Served) -> None:
    query, again = await served.asked("One"), await served.asked("Two")
    bundle = await served.found(_include=["Task:patient", "Task:encounter", "Task:owner", "Task:focus"])
    assert shown(bundle) == [str(query.id), str(again.id)]
    assert shown(bundle, "include") == ["Patient", "Encounter", "Practitioner"], "each once; there is no claim yet"
    patient, visit = (entry["resource"] for entry in bundle["entry"][2:4])
    task = bundle["entry"][0]["resource"]
    assert patient == {"resourceType": "Patient", "identifier": [task["for"]["identifier"]]}
    assert visit["identifier"] == [task["encounter"]["identifier"]]
    assert visit["subject"] == task["for"]
    assert set(visit) <= {"resourceType", "identifier", "status", "class", "subject", "period"}
    assert bundle["total"] == 2
    assert shown(await served.found(_include="Task:patient:Patient", status="completed"), "include") == []
    ignored = await served.found(_include="Task:part-of")
    assert shown(ignored, "include") == []
    strict = {"Prefer": "handling=strict"}
    refused(await served.inbox.get("/Task", params={"_include": "Task:part-of"}, headers=strict), 400)
    refused(await served.inbox.get("/Task", params={"business-status": "x"}, headers=strict), 400)


# ---- forms and answers


async def test_forms_and_answers_are_found_and_read(served: Served) -> None:
    query, other = await served.asked("One"), await served.asked("Two")
    url = f"{served.base}/Questionnaire/{query.number}"
    given = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{url}|1",
        "status": "completed",
        "author": {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": NPI}},
        "item": [{"linkId": "question", "answer": [{"valueCoding": {"code": "option-1"}}]}],
    }
    assert shown(await served.found("/QuestionnaireResponse")) == []
    created = await served.inbox.post("/QuestionnaireResponse", json=given)
    assert created.status_code == 201
    answer = (await served.inbox.get(f"/QuestionnaireResponse/{query.id}")).json()
    assert (await served.inbox.get(created.headers["Location"])).json() == answer == created.json()
    assert answer["subject"] == (await served.inbox.get(f"/Task/{query.id}")).json()["for"]

    async def answers(**parameters: Any) -> int:
        bundle = await served.found("/QuestionnaireResponse", **parameters)
        assert bundle["total"] == len(shown(bundle))
        assert set(shown(bundle)) <= {str(query.id)}
        return len(shown(bundle))

    for parameters in (
        {},
        {"questionnaire": f"{url}|1"},
        {"questionnaire": url, "status": "completed"},
        {"identifier": f"urn:x-coding-review-gateway:query-answer|{query.number}"},
        {"patient": answer["subject"]["identifier"]["value"]},
        {"subject:identifier": answer["subject"]["identifier"]["value"]},
        {"encounter": answer["encounter"]["identifier"]["value"]},
        {"author": f"Practitioner/{NPI}"},
        {"authored": answer["authored"]},
        {"_id": str(query.id), "_lastUpdated": f"ge{answer['meta']['lastUpdated']}"},
    ):
        assert await answers(**parameters) == 1, parameters
    for parameters in (
        {"questionnaire": other.number},
        {"status": "in-progress"},
        {"author": OTHER_NPI},
        {"authored": f"gt{answer['authored']}"},
        {"_id": str(other.id)},
    ):
        assert await answers(**parameters) == 0, parameters
    refused(await served.inbox.get(f"/QuestionnaireResponse/{query.id}/_history/2"), 404)
    history = (await served.inbox.get(f"/QuestionnaireResponse/{query.id}/_history")).json()
    assert [entry["resource"] for entry in history["entry"]] == [answer]

    form = (await served.inbox.get(f"/Questionnaire/{query.number}/_history/1")).json()
    for parameters in ({"url": url}, {"_id": query.number}, {"identifier": query.number, "status": "active"}):
        bundle = await served.found("/Questionnaire", **parameters)
        assert [entry["resource"] for entry in bundle["entry"]] == [form], parameters
    assert (await served.found("/Questionnaire"))["total"] == 2
    assert (await served.found("/Questionnaire", client="other"))["total"] == 0
