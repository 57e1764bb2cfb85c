"""Queries that a system asks over FHIR: by a template or written out, with all the desk's checks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fhirpy
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "desk"))

from desk_world import CODER, KEY, NPI, draft
from served_tasks import TOKENS, Served, refused, served_tasks, shown

from gateway.mappings.fhir.resource import validate
from gateway.review.model import QueryStatus


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with served_tasks() as made:
        yield made


# ---- asking


def coded(system: str, *codes: str) -> dict[str, Any]:
    return {"coding": [{"system": f"urn:x-coding-review-gateway:{system}", "code": code} for code in codes]}


def asking(**changes: Any) -> dict[str, Any]:
    """A compliant query by the template of acuity."""
    cited = {"type": "DocumentReference", "identifier": {"value": "n1"}, "display": "HGB 6.9 g/dL on 2 November"}
    made = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "encounter": {"identifier": {"system": "urn:x-coding-review-gateway:encounter", "value": KEY}},
        "owner": {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": NPI}},
        "input": [
            {"type": coded("query-input", "template"), "valueString": "acuity"},
            {"type": coded("query-value", "condition"), "valueString": "Anaemia"},
            {"type": coded("query-indicator", "condition"), "valueReference": cited},
            {"type": coded("query-indicator", "course"), "valueReference": {**cited, "display": "Patient pale"}},
            {"type": coded("query-input", "due-days"), "valuePositiveInt": 3},
        ],
    }
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


async def test_a_system_asks_a_provider(served: Served) -> None:
    created = await served.cdi.post("/Task", json=asking())
    assert created.status_code == 201, created.text
    task = created.json()
    assert not [issue for issue in validate(task) if issue.refuses]
    assert created.headers["Location"] == f"{served.base}/Task/{task['id']}/_history/1"
    assert created.headers["ETag"] == 'W/"1"'
    assert (task["status"], task["requester"]["identifier"]["value"]) == ("requested", "user:cdi-tool")
    assert shown(await served.found(status="requested")) == [task["id"]]
    form = (await served.inbox.get(task["input"][0]["valueCanonical"].partition("|")[0])).json()
    assert "naemia" in str(form["item"])
    stands = await served.here.store.query(int(task["id"]))
    assert stands is not None
    assert (stands.draft.template, stands.draft.due_days, stands.status) == ("acuity", 3, QueryStatus.REQUESTED)
    assert "query" in [hold.kind for hold in (await served.here.case()).holds]

    again = await served.cdi.post("/Task", json=asking())
    assert (again.status_code, again.json()["id"]) == (200, task["id"]), "the answer may have been lost"
    assert (await served.found())["total"] == 1


async def test_who_asks_the_same_twice_at_once_asks_once(served: Served) -> None:
    answers = await asyncio.gather(*(served.cdi.post("/Task", json=asking()) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (await served.found())["total"] == 1


async def _ended(served: Served, task: dict[str, Any], *statuses: str) -> None:
    """The provider's system says these statuses, one after the other."""
    stands = await served.here.store.query(int(task["id"]))
    assert stands is not None
    more = {"output": [{"type": {"text": "answer"}, "valueString": "Acute"}], "statusReason": {"text": "Not mine."}}
    for status in statuses:
        answer = await served.moved(stands, status, **more)
        assert answer.status_code == 200, answer.text


async def test_what_is_answered_is_not_asked_again_by_sending_the_same(served: Served) -> None:
    first = (await served.cdi.post("/Task", json=asking())).json()
    await _ended(served, first, "accepted", "in-progress", "completed")
    again = await served.cdi.post("/Task", json=asking())
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, first["id"], "completed")
    assert (await served.found())["total"] == 1

    own_number = {"If-None-Exist": "identifier=urn:cdi-tool|4711"}
    again = await served.cdi.post("/Task", json=asking(), headers=own_number)
    assert (again.status_code, again.json()["id"]) == (200, first["id"]), "no Task of ours has that number"

    condition = {"If-None-Exist": f"encounter={KEY}&status:not=completed"}
    anew = await served.cdi.post("/Task", json=asking(), headers=condition)
    assert (anew.status_code, (await served.found())["total"]) == (201, 2), "on purpose: the condition leaves it out"
    assert anew.json()["id"] != first["id"]
    twice = await served.cdi.post("/Task", json=asking())
    assert (twice.status_code, twice.json()["id"]) == (200, anew.json()["id"]), "the newest of them"


async def test_what_was_rejected_or_taken_back_is_asked_again(served: Served) -> None:
    first = (await served.cdi.post("/Task", json=asking())).json()
    await _ended(served, first, "rejected")
    second = await served.cdi.post("/Task", json=asking())
    assert second.status_code == 201, "it has no answer: asking again is the way on"
    await served.here.queries.withdraw(int(second.json()["id"]), CODER, "asked by mistake")
    third = await served.cdi.post("/Task", json=asking())
    assert (third.status_code, (await served.found())["total"]) == (201, 3)


async def test_a_query_that_was_replaced_is_told_by_what_took_its_place(served: Served) -> None:
    first = (await served.cdi.post("/Task", json=asking())).json()
    other = await served.here.queries.replace(int(first["id"]), CODER, draft(title="Other words"), "clearer so")
    again = await served.cdi.post("/Task", json=asking())
    assert (again.status_code, again.json()["id"]) == (200, str(other[0].id))
    assert (await served.found(status="requested"))["total"] == 1


async def test_a_conditional_create_asks_when_nothing_meets_it(served: Served) -> None:
    condition = {"If-None-Exist": f"encounter={KEY}&owner={NPI}&status:not=completed,cancelled"}
    first = await served.cdi.post("/Task", json=asking(), headers=condition)
    again = await served.cdi.post("/Task", json=written(), headers=condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    await served.asked()
    refused(await served.cdi.post("/Task", json=written(), headers=condition), 412)
    for wrong in ("", "priority=urgent", "_count=1", "status="):
        refused(await served.cdi.post("/Task", json=written(), headers={"If-None-Exist": wrong}), 400)
    assert (await served.found())["total"] == 2


def written(**changes: Any) -> dict[str, Any]:
    """A compliant query in the asker's own words."""
    words = {
        "kind": "multiple-choice",
        "title": "Clarification of the blood count",
        "question": "What is the clinical significance of this finding?",
    }
    cited = {"identifier": {"value": "n1"}, "display": "HGB 6.9 g/dL on 2 November"}
    given = [
        *(
            {"type": coded("query-input", name), "valueString": text}
            for name, text in {**words, **changes}.items()
            if text
        ),
        {"type": coded("query-indicator", "hgb"), "valueReference": cited},
        {"type": coded("query-option", "hgb"), "valueString": "Acute blood loss anaemia"},
    ]
    return asking(input=given)


async def test_a_query_may_be_written_out(served: Served) -> None:
    created = await served.cdi.post("/Task", json=written())
    assert created.status_code == 201, created.text
    stands = await served.here.store.query(int(created.json()["id"]))
    assert stands is not None
    assert [(option.text, option.indicators) for option in stands.draft.options] == [
        ("Acute blood loss anaemia", (0,)),
        ("Other", ()),
        ("Unable to determine", ()),
    ]
    assert (stands.draft.template, stands.draft.indicators[0].quote) == (None, "HGB 6.9 g/dL on 2 November")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"question": "Would you agree that this is sepsis?"}, "query-leading-word"),
        ({"title": "MCC opportunity"}, "query-payment-word"),
        ({"kind": "yes-no"}, "query-yes-no-subject"),
        ({"kind": "open"}, "query-options-unfit"),
        ({"kind": "guess"}, "does not fit"),
        ({"title": None}, "title"),
        ({"template": "acuity"}, "a template has its own"),
    ],
)
async def test_a_query_written_out_passes_the_same_checks(served: Served, changes: dict[str, Any], says: str) -> None:
    issues = refused(await served.cdi.post("/Task", json=written(**changes)), 422)
    assert says in " ".join(issue["diagnostics"] for issue in issues), issues
    assert all(issue["expression"] for issue in issues)


async def test_the_encounter_may_be_named_by_its_number(served: Served) -> None:
    await served.asked()
    number = (await served.found())["entry"][0]["resource"]["encounter"]["identifier"]
    patient = (await served.found())["entry"][0]["resource"]["for"]["identifier"]
    created = await served.cdi.post(
        "/Task", json=asking(encounter={"identifier": number}, **{"for": {"identifier": patient}})
    )
    assert created.status_code == 201, created.text
    assert created.json()["encounter"]["identifier"] == number


def inputs(*changes: dict[str, Any], without: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    given: list[dict[str, Any]] = asking()["input"]
    return [one for place, one in enumerate(given) if place not in without] + list(changes)


WRONG_NPI = {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567890"}}
BAD_QUOTE = {"identifier": {"value": "n1"}, "display": "HGB 12"}


@pytest.mark.parametrize(
    ("changes", "place", "says"),
    [
        ({"owner": None}, "Task.owner.identifier", "NPI"),
        ({"owner": {"identifier": {"system": "urn:x", "value": "1"}}}, "Task.owner.identifier.system", "NPI"),
        ({"owner": WRONG_NPI}, "Task", "query-provider-npi"),
        ({"encounter": None}, "Task.encounter.identifier", "encounter"),
        ({"encounter": {"identifier": {"value": "NONE"}}}, "Task.encounter", "no encounter"),
        ({"for": {"identifier": {"value": "someone-else"}}}, "Task", "another patient"),
        ({"status": "draft"}, "Task.status", "requested"),
        ({"intent": "plan"}, "Task.intent", "order"),
        ({"code": {"text": "x", "coding": [{"code": "other"}]}}, "Task.code", "data-request-questionnaire"),
        ({"restriction": {"repetitions": 1}}, "Task.restriction", "can't be said"),
        ({"input": inputs(without=(0,))}, "Task.input", "template"),
        ({"input": inputs({"type": {"text": "?"}, "valueString": "x"})}, "Task.input[5].type", "no input"),
        ({"input": inputs(without=(1,))}, "Task", "query-value-missing"),
        ({"input": inputs(without=(2,))}, "Task", "query-fact-missing"),
        (
            {"input": inputs({"type": coded("query-indicator", "course"), "valueReference": BAD_QUOTE})},
            "Task",
            "query-passage-absent",
        ),
        (
            {"input": inputs({"type": coded("query-value", "condition2"), "valueString": "x"})},
            "Task",
            "query-name-unknown",
        ),
        (
            {
                "input": [
                    {"type": coded("query-value", "condition"), "valueString": "Anaemia for a higher DRG payment"},
                    *inputs(without=(1,)),
                ]
            },
            "Task",
            "query-payment-word",
        ),
        ({"meta": {"tag": [{"code": "DRG-validation"}]}}, "Task", "query-payment-word"),
        ({"reasonCode": {**coded("rule", "no-such-rule"), "text": "x"}}, "Task", "query-need-unknown"),
        ({"input": [{"type": coded("query-input", "template"), "valueString": "none"}]}, "Task", "template"),
    ],
)  # fmt: skip
async def test_a_query_that_may_not_be_asked_is_refused_with_the_rule(
    served: Served, changes: dict[str, Any], place: str, says: str
) -> None:
    issues = refused(await served.cdi.post("/Task", json=asking(**changes)), 422)
    assert says in " ".join(issue["diagnostics"] for issue in issues), issues
    assert place in [issue.get("expression", [""])[0] for issue in issues]
    assert (await served.found())["total"] == 0


async def test_only_who_may_ask_asks(served: Served) -> None:
    refused(await served.inbox.post("/Task", json=asking()), 403)
    refused(await served.cdi.post("/Task", json={"resourceType": "Task"}), 422)


# ---- an independent client


async def test_fhirpy_asks_finds_pages_and_updates(served: Served) -> None:
    cdi = fhirpy.AsyncFHIRClient(served.base, authorization=f"Bearer {TOKENS['cdi']}")
    made = asking()
    task = cdi.resource(made.pop("resourceType"), **made)
    await task.save()
    assert task["status"] == "requested"
    for number in range(4):
        await served.asked(f"Number {number}")
    inbox = fhirpy.AsyncFHIRClient(
        served.base, authorization=f"Bearer {TOKENS['inbox']}", extra_headers={"If-Match": 'W/"1"'}
    )
    search = inbox.resources("Task").search(owner=NPI, status="requested").sort("_lastUpdated").limit(2)
    assert [len(await search.fetch()), await search.count()] == [2, 5]
    everything = [one async for one in search]
    assert len({one.id for one in everything}) == 5
    mine = await inbox.resources("Task").search(_id=task.id, identifier=task["identifier"][0]["value"]).get()
    mine["status"] = "accepted"
    await mine.save()
    assert (mine["status"], mine["meta"]["versionId"]) == ("accepted", "2")
    bundle = await inbox.resources("Task").search(status="accepted").include("Task", "patient").fetch_raw()
    assert [entry["search"]["mode"] for entry in bundle["entry"]] == ["match", "include"]
    assert await inbox.resources("Task").search(_lastUpdated__gt="2999-01-01").count() == 0
