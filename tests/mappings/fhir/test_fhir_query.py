from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.encounter.change import Answer, Change
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import DocumentKind
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.fhir.mapping import map_resource, query_numbers
from gateway.mappings.fhir.questionnaire import questionnaire, questionnaire_response, read_response
from gateway.mappings.fhir.resource import read, screen, validate
from gateway.mappings.fhir.source import FhirSource, Numbers
from gateway.mappings.fhir.task import TaskUpdate, read_task_update, task_resource
from gateway.review.model import Query, QueryKind, QueryStatus

Make = Callable[..., dict[str, Any]]

BASE = "https://gateway.example.org/fhir"
PATIENT = Identifier(value="MRN-7001", authority="urn:oid:2.999.1", type="MR")
VISIT = Numbers(visit=Identifier(value="V-5001", authority="AUTH", type="VN"))
NPI = {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}}
HYPER = "Type 2 diabetes with hyperglycemia"


def as_task(query: Query) -> dict[str, Any]:
    return task_resource(query, PATIENT, VISIT, BASE, claim="C1")


def answered(query: Query, **more: Any) -> Query:
    moment = datetime(2026, 3, 5, 9, tzinfo=UTC)
    said = {"status": QueryStatus.COMPLETED, "version": 2, "answered": moment, "changed": moment}
    return query.model_copy(update=said | {"answer": HYPER, "answer_option": HYPER, "answered_by": "1234567893"} | more)


@pytest.fixture
def response() -> Make:
    def make(*answers: dict[str, Any], link: str = "question", **more: Any) -> dict[str, Any]:
        resource = {
            "resourceType": "QuestionnaireResponse",
            "questionnaire": f"{BASE}/Questionnaire/Q-41|1",
            "status": "completed",
            "authored": "2026-03-05T09:00:00Z",
            "author": NPI,
            "item": [{"linkId": link, "answer": list(answers)}],
        }
        return resource | more

    return make


# ---- Task


def test_a_query_as_a_task(query: Query) -> None:
    task = as_task(query)
    assert validate(task) == []
    assert screen(task) == []
    assert (task["id"], task["status"], task["intent"]) == ("41", "requested", "order")
    assert task["meta"]["versionId"] == "1"
    assert task["code"]["coding"][0]["code"] == "data-request-questionnaire"
    assert task["owner"] == NPI
    assert task["for"]["identifier"]["value"] == "MRN-7001"
    assert task["encounter"]["identifier"]["value"] == "V-5001"
    assert task["restriction"]["period"]["end"] == "2026-03-11T12:00:00.000+00:00"
    assert task["reasonReference"]["identifier"]["value"] == "C1"
    assert task["input"][0]["valueCanonical"] == f"{BASE}/Questionnaire/Q-41|1"
    assert "focus" not in task
    assert "tag" not in task["meta"]


@pytest.mark.parametrize("status", list(QueryStatus))
def test_every_status_makes_a_valid_task(query: Query, status: QueryStatus) -> None:
    task = as_task(query.model_copy(update={"status": status, "status_reason": "Not my patient"}))
    assert validate(task) == []
    assert task["businessStatus"]["text"]
    assert task["statusReason"] == {"text": "Not my patient"}
    assert ("output" in task) == (status is QueryStatus.COMPLETED)


def test_it_has_the_shape_of_cdex_examples(shared_data: Path, query: Query) -> None:
    example = json.loads((shared_data / "fhir" / "davinci-cdex" / "cdex-task-example27.json").read_text())
    task = as_task(answered(query))
    assert task["code"] == example["code"]
    assert task["input"][0]["type"] == example["input"][0]["type"]
    assert task["output"][0]["type"] == example["output"][0]["type"]
    assert set(example) - {"text"} <= set(task)


def test_no_word_of_money_or_work_queues(query: Query) -> None:
    told = json.dumps([as_task(query), questionnaire(query, BASE)]).lower()
    for word in ("payment", "reimburse", "drg", "risk-adjust", "claims-processing", "coverage", "hpaymt", "denial"):
        assert word not in told


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"status": "accepted"}, TaskUpdate("accepted")),
        (
            {"status": "rejected", "statusReason": {"text": "Not my patient"}},
            TaskUpdate("rejected", "Not my patient"),
        ),
        (
            {
                "status": "completed",
                "output": [{"type": {}, "valueReference": {"reference": "QuestionnaireResponse/9"}}],
            },
            TaskUpdate("completed", response="QuestionnaireResponse/9"),
        ),
        (
            {"status": "completed", "output": [{"type": {}, "valueCoding": {"code": "option-1"}}]},
            TaskUpdate("completed", answer=Answer("Q-41", HYPER, HYPER, "1234567893")),
        ),
        (
            {"status": "completed", "output": [{"type": {}, "valueString": "Neither; steroid induced"}]},
            TaskUpdate("completed", answer=Answer("Q-41", "Neither; steroid induced", None, "1234567893")),
        ),
    ],
)
def test_updates(query: Query, change: dict[str, Any], expected: TaskUpdate) -> None:
    assert read_task_update(as_task(query) | change, query) == expected


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"status": "rejected"}, "Task.statusReason"),
        ({"status": "failed", "statusReason": {}}, "Task.statusReason"),
        ({"status": "completed"}, "Task.output"),
        ({"status": "finished"}, "Task.status"),
        ({"status": None}, "Task.status"),
        ({"id": "42"}, "Task.identifier"),
        ({"status": "completed", "output": [{"valueCoding": {"code": "option-9"}}]}, "Task.output[0]"),
        ({"status": "completed", "output": [{"valueCoding": {"code": "other"}}]}, "Task.output"),
        ({"status": "completed", "output": "yes"}, "Task.output"),
        ({"resourceType": "Encounter"}, "resourceType"),
    ],
)
def test_updates_that_are_refused(query: Query, change: dict[str, Any], where: str) -> None:
    with pytest.raises(MappingError) as refused:
        read_task_update(as_task(query) | change, query)
    assert refused.value.where == where


# ---- Questionnaire and its answer


def test_the_form_of_a_query(query: Query) -> None:
    form = questionnaire(query, BASE)
    assert validate(form) == []
    assert (form["id"], form["url"], form["version"]) == ("Q-41", f"{BASE}/Questionnaire/Q-41", "1")
    indicators, question, explanation = form["item"]
    assert indicators["item"][0]["text"] == "Glucose 288 mg/dL on 2026-03-02"
    assert [option["valueCoding"]["display"] for option in question["answerOption"]] == [
        HYPER,
        "Hyperglycemia without diabetes",
        "Other",
        "Unable to determine",
    ]
    assert not any("initialSelected" in option for option in question["answerOption"])
    assert explanation["type"] == "text"


def test_a_yes_no_and_an_open_query(query: Query, response: Make) -> None:
    yes_no = query.model_copy(
        update={"draft": query.draft.model_copy(update={"kind": QueryKind.YES_NO, "options": ()})}
    )
    form = questionnaire(yes_no, BASE)
    assert [o["valueCoding"]["code"] for o in form["item"][1]["answerOption"]] == [
        "yes",
        "no",
        "other",
        "unable-to-determine",
    ]
    assert read_response(response({"valueBoolean": True}), yes_no).option == "Yes"
    open_ = query.model_copy(update={"draft": query.draft.model_copy(update={"kind": QueryKind.OPEN, "options": ()})})
    assert [item["type"] for item in questionnaire(open_, BASE)["item"]] == ["group", "text"]
    assert read_response(response({"valueString": "Steroid induced"}), open_).text == "Steroid induced"
    assert validate(questionnaire(open_, BASE)) == validate(form) == []


@pytest.mark.parametrize(
    ("answer", "option", "text"),
    [
        ({"valueCoding": {"code": "option-1"}}, HYPER, HYPER),
        ({"valueCoding": {"display": HYPER.upper()}}, HYPER, HYPER),
        ({"valueString": HYPER}, HYPER, HYPER),
        ({"valueCoding": {"code": "unable-to-determine"}}, "Unable to determine", "Unable to determine"),
        ({"valueString": "Something else"}, None, "Something else"),
    ],
)
def test_answers(query: Query, response: Make, answer: dict[str, Any], option: str | None, text: str) -> None:
    resource = response(answer)
    assert validate(resource) == []
    assert read_response(resource, query) == Answer("Q-41", text, option, "1234567893")


def test_other_with_an_explanation_in_a_nested_item(query: Query, response: Make) -> None:
    nested = {"linkId": "explanation", "answer": [{"valueString": "Steroid induced"}]}
    resource = response({"valueCoding": {"code": "other"}, "item": [nested]})
    assert read_response(resource, query) == Answer("Q-41", "Steroid induced", "Other", "1234567893")


@pytest.mark.parametrize(
    ("answer", "more", "code"),
    [
        ({"valueCoding": {"code": "option-9"}}, {}, "value"),
        ({"valueCoding": {"code": "other"}}, {}, "required"),
        ({}, {}, "required"),
        ({"valueCoding": {"code": "option-1"}}, {"status": "in-progress"}, "value"),
        ({"valueCoding": {"code": "option-1"}}, {"questionnaire": f"{BASE}/Questionnaire/Q-42"}, "conflict"),
        ({"valueCoding": "option-1"}, {}, "structure"),
    ],
)
def test_answers_that_are_refused(query: Query, response: Make, answer: Any, more: Any, code: str) -> None:
    with pytest.raises(MappingError) as refused:
        read_response(response(answer, **more), query)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("option", "text"),
    [(HYPER, HYPER), ("Other", "Steroid induced"), (None, "In my own words")],
)
def test_a_stored_answer_reads_back(query: Query, option: str | None, text: str) -> None:
    resource = questionnaire_response(answered(query, answer=text, answer_option=option), BASE)
    assert validate(resource) == []
    assert read_response(resource, query) == Answer("Q-41", text, option, "1234567893")


def test_there_is_no_response_before_the_answer(query: Query) -> None:
    with pytest.raises(MappingError, match="no answer"):
        questionnaire_response(query, BASE)


# ---- an answer as a change


def test_an_answer_changes_the_encounter(response: Make, source: FhirSource) -> None:
    resource = response({"valueCoding": {"code": "option-1"}})
    assert query_numbers(resource) == ["Q-41"]
    change = map_resource(resource, source, 7)
    assert isinstance(change, Change)
    assert change.key == EncounterKey("MAIN", "AUTH", "A-9001")
    assert change.answers == (Answer("Q-41", HYPER, HYPER, "1234567893"),)
    assert change.documents is not None
    (document,) = change.documents.items
    (content,) = change.contents
    assert (document.id, document.kind, document.digest) == ("query/Q-41", DocumentKind.QUERY_ANSWER, content.digest)
    assert content.body.decode() == f"Which condition was treated?\n\n{HYPER}"


def test_a_task_changes_the_query_or_answers_it(query: Query, source: FhirSource) -> None:
    task = as_task(query)
    assert query_numbers(task) == ["Q-41"]
    rejected = map_resource(task | {"status": "rejected", "statusReason": {"text": "On leave"}}, source, 7)
    assert isinstance(rejected, Change)
    assert rejected.answers == (Answer("Q-41", "On leave", status="rejected"),)
    assert rejected.documents is None
    done = task | {"status": "completed", "output": [{"valueReference": {"reference": "QuestionnaireResponse/41"}}]}
    assert isinstance(map_resource(done, source, 7), Unused)


def test_an_answer_inside_the_task(query: Query, source: FhirSource, response: Make) -> None:
    inner = response({"valueCoding": {"code": "option-2"}}) | {"id": "answer"}
    output = [{"type": {"text": "answer"}, "valueReference": {"reference": "#answer"}}]
    task = as_task(query) | {"status": "completed", "contained": [inner], "output": output}
    change = map_resource(read(json.dumps(task).encode()), source, 7)
    assert isinstance(change, Change)
    assert change.answers[0].option == "Hyperglycemia without diabetes"


def test_unfinished_and_unknown(response: Make, source: FhirSource) -> None:
    assert isinstance(map_resource(response({}, status="in-progress"), source, 7), Unused)
    with pytest.raises(MappingError, match="no query that is known"):
        map_resource(response({}, questionnaire=f"{BASE}/Questionnaire/Q-9"), source, 7)
