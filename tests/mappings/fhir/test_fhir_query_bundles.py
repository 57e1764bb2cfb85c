"""What a search for queries brings along, and the Tasks by which queries are asked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.encounter.identity import Identifier
from gateway.encounter.model import ClaimKind, EncounterClass, Visit, VisitStatus
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import query_bundles, systems, task_asked
from gateway.mappings.fhir.questionnaire import questionnaire_response
from gateway.mappings.fhir.resource import validate
from gateway.mappings.fhir.source import Numbers
from gateway.mappings.fhir.task import task_resource
from gateway.mappings.fhir.task_asked import CitedPassage, read_asked
from gateway.review.model import Query, QueryStatus

BASE = "https://gateway.example.org/fhir"
MOMENT = datetime(2026, 3, 5, 9, tzinfo=UTC)
PATIENT = Identifier(value="MRN-7001", authority="urn:oid:2.999.1", type="MR")


@dataclass(frozen=True)
class Released:
    number: str = "C1"
    frequency: str = "1"
    kind: ClaimKind = ClaimKind.PROFESSIONAL
    released: datetime = MOMENT


def sound(resource: dict[str, Any]) -> bool:
    return not [issue for issue in validate(resource) if issue.refuses]


def words(value: Any) -> str:
    return str(value).casefold()


@pytest.mark.parametrize("status", [*VisitStatus, None])
@pytest.mark.parametrize("kind", [*EncounterClass, None])
def test_an_encounter_of_every_class_and_state(
    query: Query, status: VisitStatus | None, kind: EncounterClass | None
) -> None:
    visit = Visit(status=status, encounter_class=kind, admitted=MOMENT, number=Identifier(value="V1", authority="A"))
    name, resource = query_bundles.encounter(query, visit, PATIENT)
    assert sound(resource)
    assert name.startswith("urn:uuid:")
    assert resource["identifier"][0]["value"] == "V1"
    assert resource["period"] == {"start": "2026-03-05T09:00:00.000+00:00"}
    assert ("code" in resource["class"]) != ("extension" in resource["class"])


def test_an_encounter_of_which_little_is_known(query: Query) -> None:
    _, resource = query_bundles.encounter(query, Visit(), None)
    assert sound(resource)
    assert resource["status"] == "unknown"
    assert resource["identifier"] == [{"system": systems.ENCOUNTER_KEY, "value": query.encounter}]


@pytest.mark.parametrize("subject", [PATIENT, None])
def test_a_claim_tells_nothing_of_money(subject: Identifier | None) -> None:
    _, resource = query_bundles.claim(Released(), subject)
    assert sound(resource)
    assert not {"total", "item", "insurer", "diagnosis", "payee"} & set(resource)
    assert resource["insurance"][0]["coverage"]["extension"][0]["valueCode"] == "masked"
    _, void = query_bundles.claim(Released(frequency="8"), subject)
    assert (resource["status"], void["status"]) == ("active", "cancelled")


def test_a_page_has_its_matches_first_and_each_companion_once(query: Query) -> None:
    task = task_resource(query, PATIENT, Numbers(), BASE)
    along = [query_bundles.patient(PATIENT), query_bundles.practitioner("1234567893"), query_bundles.patient(PATIENT)]
    bundle = query_bundles.page([task], BASE, [("self", BASE)], 7, along)
    assert sound(bundle)
    assert [(entry["resource"]["resourceType"], entry["search"]["mode"]) for entry in bundle["entry"]] == [
        ("Task", "match"),
        ("Patient", "include"),
        ("Practitioner", "include"),
    ]
    assert bundle["total"] == 7
    assert "entry" not in query_bundles.page([], BASE, [("self", BASE)], 0)


def test_a_history_names_how_each_version_came(query: Query) -> None:
    later = query.model_copy(update={"version": 2, "status": QueryStatus.ACCEPTED, "changed": MOMENT})
    versions = [task_resource(each, PATIENT, Numbers(), BASE) for each in (later, query)]
    bundle = query_bundles.history(versions, BASE, [("self", f"{BASE}/Task/41/_history")], 2)
    assert sound(bundle)
    assert [entry["request"]["method"] for entry in bundle["entry"]] == ["PUT", "POST"]
    assert [entry["response"]["etag"] for entry in bundle["entry"]] == ['W/"2"', 'W/"1"']


def test_an_answer_names_its_patient_and_encounter(query: Query) -> None:
    said = {"status": QueryStatus.COMPLETED, "answered": MOMENT, "answer": "Yes", "changed": MOMENT}
    resource = questionnaire_response(
        query.model_copy(update=said), BASE, PATIENT, Numbers(visit=Identifier(value="V1", authority="urn:a"))
    )
    assert sound(resource)
    assert resource["subject"]["identifier"]["value"] == PATIENT.value
    assert resource["encounter"]["identifier"] == {"system": "urn:a", "value": "V1"}


# ---- asking


def coded(system: str, *codes: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for code in codes]}


def asking(*inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    template = {"type": coded(task_asked.INPUT, "template"), "valueString": "acuity"}
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "encounter": {"identifier": {"system": "urn:a", "value": "V1"}},
        "owner": {"identifier": {"system": systems.NPI, "value": "1234567893"}},
        "input": [template, *inputs],
        **more,
    }


def cited(name: str, document: str, quote: str) -> dict[str, Any]:
    reference = {"identifier": {"value": document}, "display": quote}
    return {"type": coded(task_asked.INDICATOR, name), "valueReference": reference}


def test_all_that_a_task_may_ask() -> None:
    said = read_asked(
        asking(
            {"type": coded(task_asked.VALUE, "condition"), "valueString": "Heart failure"},
            cited("course", "n1", "dyspnoea at rest"),
            cited("course", "n2", "oedema"),
            {"type": coded(task_asked.OPTION, "course", "finding"), "valueString": "Acute"},
            {"type": coded(task_asked.INPUT, "due-days"), "valueInteger": 3},
            reasonCode={**coded(task_asked.RULE, "unspecified"), "text": "d1"},
            meta={"tag": [{"code": "cdi-inpatient"}]},
            **{"for": {"identifier": {"system": "urn:a", "value": "MRN-7001"}}},
        )
    )
    assert (said.encounter, said.keyed, said.provider) == ("urn:a|V1", False, "1234567893")
    assert (said.template, said.due_days) == ("acuity", 3)
    assert said.values == {"condition": "Heart failure"}
    assert said.indicators == {"course": [CitedPassage("n1", "dyspnoea at rest"), CitedPassage("n2", "oedema")]}
    assert said.options == [("Acute", ("course", "finding"))]
    assert (said.need, said.tags) == (("unspecified", "d1"), ("cdi-inpatient",))
    assert said.patient is not None
    assert said.patient.value == "MRN-7001"


@pytest.mark.parametrize(
    ("task", "code", "where"),
    [
        (asking(description="x"), "unsupported", "Task.description"),
        (asking(focus={"reference": "Claim/1"}), "unsupported", "Task.focus"),
        (asking(encounter={"reference": "Encounter/1"}), "required", "Task.encounter.identifier"),
        (asking({"type": coded("urn:other", "x"), "valueString": "x"}), "unsupported", "Task.input[1].type"),
        (asking({"type": coded(task_asked.VALUE, "a", "b"), "valueString": "x"}), "value", "Task.input[1].type"),
        (asking({"type": coded(task_asked.VALUE, "a")}), "required", "Task.input[1].valueString"),
        (asking({"type": coded(task_asked.INPUT, "template"), "valueString": "x"}), "value", "Task.input[1].type"),
        (asking({"type": coded(task_asked.INPUT, "due-days")}), "required", "Task.input[1].valuePositiveInt"),
        (asking({"type": coded(task_asked.INPUT, "title"), "valueString": "x"}), "conflict", "Task.input"),
        ({**asking(), "input": []}, "required", "Task.input"),
        (asking(cited("course", "n1", "")), "required", "Task.input[1].valueReference"),
        (
            asking(encounter={"identifier": {"system": systems.ENCOUNTER_KEY, "value": "nokey"}}),
            "value",
            "Task.encounter.identifier.value",
        ),
    ],
)
def test_what_would_not_be_heeded_is_refused(task: dict[str, Any], code: str, where: str) -> None:
    with pytest.raises(MappingError) as refused:
        read_asked(task)
    assert (refused.value.code, refused.value.where) == (code, where)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*sorted(asking()), "meta", "for", "reasonCode", "x"]), _JSON, max_size=4))
def test_whatever_a_task_holds_it_is_read_or_refused(changes: dict[str, Any]) -> None:
    with suppress(MappingError):
        assert read_asked({**asking(), **changes}).words
