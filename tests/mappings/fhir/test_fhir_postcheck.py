"""What the models do not catch: each rule breaks a resource that is otherwise good."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from gateway.mappings.fhir.outcome import ERROR, WARNING
from gateway.mappings.fhir.resource import validate

Resource = dict[str, Any]
Break = Callable[[Resource], None]

_SUBJECT = {"reference": "Patient/1"}
GOOD: dict[str, Resource] = {
    "Task": {
        "resourceType": "Task",
        "id": "t1",
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
        "contained": [{"resourceType": "Patient", "id": "p", "name": [{"use": "official", "family": "X"}]}],
        "identifier": [{"use": "official", "system": "urn:x", "value": "1"}],
        "status": "requested",
        "intent": "order",
        "priority": "routine",
        "for": {"reference": "#p"},
        "encounter": {"reference": "Encounter/1"},
        "authoredOn": "2026-01-02T10:00:00Z",
        "lastModified": "2026-01-02T11:00:00Z",
        "owner": {"reference": "Practitioner/1"},
        "restriction": {"repetitions": 2, "period": {"start": "2026-01-02", "end": "2026-01-09"}},
        "input": [{"type": {"text": "form"}, "valueString": "a"}],
    },
    "Claim": {
        "resourceType": "Claim",
        "status": "active",
        "type": {"coding": [{"code": "professional"}]},
        "use": "claim",
        "patient": _SUBJECT,
        "created": "2026-03-03",
        "provider": {"reference": "Organization/1"},
        "priority": {"coding": [{"code": "normal"}]},
        "careTeam": [{"sequence": 1, "provider": {"reference": "Practitioner/1"}}],
        "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": {"text": "x"}}],
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/1"}}],
        "item": [
            {
                "sequence": 1,
                "careTeamSequence": [1],
                "diagnosisSequence": [1],
                "productOrService": {"text": "x"},
                "quantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "1"},
                "net": {"value": 10.5, "currency": "USD"},
                "factor": 1.0,
                "encounter": [{"reference": "Encounter/1"}],
            }
        ],
    },
    "Encounter": {
        "resourceType": "Encounter",
        "status": "finished",
        "statusHistory": [{"status": "arrived", "period": {"start": "2026-01-01T10:00:00Z"}}],
        "class": {"code": "AMB"},
        "subject": _SUBJECT,
        "diagnosis": [{"condition": {"reference": "Condition/1"}, "rank": 1}],
        "period": {"start": "2026-01-01T10:00:00-05:00", "end": "2026-01-01T16:00:00Z"},
        "location": [{"location": {"reference": "Location/1"}, "status": "active"}],
    },
    "DocumentReference": {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": "final",
        "relatesTo": [{"code": "replaces", "target": {"reference": "DocumentReference/1"}}],
        "content": [{"attachment": {"contentType": "text/plain", "data": "eA==", "size": 1}}],
    },
    "Patient": {
        "resourceType": "Patient",
        "active": True,
        "name": [{"use": "official", "family": "X"}],
        "telecom": [{"system": "phone", "value": "1", "use": "home"}],
        "gender": "female",
        "address": [{"use": "home", "type": "both", "city": "X"}],
        "contact": [{"name": {"use": "usual", "family": "Y"}}],
        "link": [{"type": "seealso", "other": {"reference": "Patient/2"}}],
    },
    "Coverage": {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": _SUBJECT,
        "payor": [{"reference": "Organization/1"}],
    },
    "Condition": {
        "resourceType": "Condition",
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "subject": _SUBJECT,
        "encounter": {"reference": "Encounter/1"},
    },
    "Procedure": {"resourceType": "Procedure", "status": "completed", "subject": _SUBJECT},
    "Organization": {"resourceType": "Organization", "name": "X", "address": [{"use": "work", "city": "X"}]},
    "Account": {"resourceType": "Account", "status": "active", "coverage": [{"coverage": {"reference": "Coverage/1"}}]},
    "QuestionnaireResponse": {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": "http://x/q",
        "status": "completed",
        "item": [{"linkId": "a", "answer": [{"valueString": "x"}]}],
    },
    "PractitionerRole": {
        "resourceType": "PractitionerRole",
        "active": True,
        "practitioner": {"reference": "Practitioner/1"},
    },
}


def put(path: str, value: Any) -> Break:
    """Puts `value` at a path like `item.0.net.value`."""

    def broken(resource: Resource) -> None:
        *way, last = path.split(".")
        at: Any = resource
        for step in way:
            at = at[int(step)] if step.isdigit() else at[step]
        at[int(last) if last.isdigit() else last] = value

    return broken


def gone(name: str) -> Break:
    return lambda resource: resource.pop(name)


KINDS: dict[str, tuple[Break, str, str]] = {
    "a code of no value set": (put("status", "done"), "code-invalid", "Task.status"),
    "a required element missing": (gone("intent"), "required", "Task.intent"),
    "a code of a type's own": (put("identifier.0.use", "mine"), "code-invalid", "Task.identifier[0].use"),
    "a reference to another type": (put("encounter", {"reference": "Patient/1"}), "value", "Task.encounter"),
    "a type that is another": (
        put("owner", {"type": "Location", "identifier": {"value": "1"}}),
        "value",
        "Task.owner",
    ),
    "a reference to nothing contained": (put("for.reference", "#q"), "invariant", "Task.for.reference"),
    "an object for a list": (put("identifier", {"value": "1"}), "structure", "Task.identifier"),
    "a list for an object": (put("for", [{"reference": "#p"}]), "structure", "Task.for"),
    "an empty list": (put("note", []), "structure", "Task.note"),
    "an empty object": (put("code", {}), "structure", "Task.code"),
    "an empty string": (put("description", ""), "structure", "Task.description"),
    "a number as a string": (put("restriction.repetitions", "2"), "structure", "Task.restriction.repetitions"),
    "a date that is none": (put("authoredOn", "yesterday"), "value", "Task.authoredOn"),
    "a period that ends before it starts": (
        put("restriction.period.end", "2026-01-01"),
        "invariant",
        "Task.restriction.period.end",
    ),
    "changed before it was made": (put("lastModified", "2026-01-01T10:00:00Z"), "invariant", "Task.lastModified"),
    "contained without an id": (lambda r: r["contained"][0].pop("id"), "required", "Task.contained[0].id"),
    "contained in what is contained": (
        put("contained.0.contained", [{"resourceType": "Patient", "id": "i"}]),
        "invariant",
        "Task.contained[0].contained",
    ),
    "two values of a choice": (put("input.0.valueInteger", 1), "required", "Task.input[0]"),
    "an extension with a value and more": (
        put("extension", [{"url": "urn:x", "valueCode": "a", "extension": [{"url": "b", "valueCode": "c"}]}]),
        "invariant",
        "Task.extension[0]",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_broken_task_is_caught(kind: str) -> None:
    broken, code, expression = KINDS[kind]
    task = copy.deepcopy(GOOD["Task"])
    broken(task)
    assert (code, expression) in {(i.code, i.expression) for i in validate(task) if i.severity in (ERROR, "fatal")}


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_resource_has_nothing_against_it(kind: str) -> None:
    assert validate(copy.deepcopy(GOOD[kind])) == []


@pytest.mark.parametrize(
    ("kind", "broken", "code", "expression"),
    [
        ("Claim", put("use", "gift"), "code-invalid", "Claim.use"),
        ("Claim", put("patient", {"reference": "Group/1"}), "value", "Claim.patient"),
        ("Claim", put("patient", {"reference": "https://x/fhir/Group/1"}), "value", "Claim.patient"),
        ("Claim", put("patient", {"reference": "Group?identifier=1"}), "value", "Claim.patient"),
        ("Claim", put("item.0.encounter.0.reference", "EpisodeOfCare/1"), "value", "Claim.item[0].encounter[0]"),
        ("Claim", put("insurance.0.coverage.reference", "Patient/1"), "value", "Claim.insurance[0].coverage"),
        ("Claim", put("insurance.0.focal", "true"), "structure", "Claim.insurance[0].focal"),
        ("Claim", put("item.0.sequence", "1"), "structure", "Claim.item[0].sequence"),
        ("Claim", put("item.0.diagnosisSequence", ["1"]), "structure", "Claim.item[0].diagnosisSequence"),
        ("Claim", put("item.0.net.value", "10.5"), "structure", "Claim.item[0].net.value"),
        ("Claim", put("item.0.factor", "1"), "structure", "Claim.item[0].factor"),
        ("Claim", put("item.0.quantity.comparator", "~"), "code-invalid", "Claim.item[0].quantity.comparator"),
        ("Claim", lambda r: r["item"][0]["quantity"].pop("system"), "invariant", "Claim.item[0].quantity.system"),
        ("Claim", lambda r: r["item"].append(r["item"][0]), "invariant", "Claim.item[1].sequence"),
        ("Encounter", put("statusHistory.0.status", "gone"), "code-invalid", "Encounter.statusHistory[0].status"),
        ("Encounter", put("location.0.status", "gone"), "code-invalid", "Encounter.location[0].status"),
        ("Encounter", put("diagnosis.0.rank", "1"), "structure", "Encounter.diagnosis[0].rank"),
        ("Encounter", put("period.end", "2026-01-01T09:30:00-06:00"), "", ""),
        ("Encounter", put("period.end", "2026-01-01T10:30:00Z"), "invariant", "Encounter.period.end"),
        ("DocumentReference", put("docStatus", "done"), "code-invalid", "DocumentReference.docStatus"),
        ("DocumentReference", put("relatesTo.0.code", "is"), "code-invalid", "DocumentReference.relatesTo[0].code"),
        (
            "DocumentReference",
            lambda r: r["content"][0]["attachment"].pop("contentType"),
            "invariant",
            "DocumentReference.content[0].attachment.contentType",
        ),
        ("Patient", put("gender", "F"), "code-invalid", "Patient.gender"),
        ("Patient", put("name.0.use", "legal"), "code-invalid", "Patient.name[0].use"),
        ("Patient", put("contact.0.name.use", "legal"), "code-invalid", "Patient.contact[0].name.use"),
        ("Patient", put("address.0.use", "house"), "code-invalid", "Patient.address[0].use"),
        ("Patient", put("address.0.type", "house"), "code-invalid", "Patient.address[0].type"),
        ("Patient", put("telecom.0.system", "letter"), "code-invalid", "Patient.telecom[0].system"),
        ("Patient", put("telecom.0.use", "night"), "code-invalid", "Patient.telecom[0].use"),
        ("Patient", lambda r: r["telecom"][0].pop("system"), "invariant", "Patient.telecom[0].system"),
        ("Patient", put("contact.0", {"gender": "male"}), "invariant", "Patient.contact[0]"),
        ("Patient", put("link.0.type", "is"), "code-invalid", "Patient.link[0].type"),
        ("Patient", put("active", "true"), "structure", "Patient.active"),
        ("Patient", put("text", {"status": "new", "div": "<div>x</div>"}), "code-invalid", "Patient.text.status"),
        ("Coverage", put("status", "on"), "code-invalid", "Coverage.status"),
        ("Coverage", put("payor.0.reference", "Location/1"), "value", "Coverage.payor[0]"),
        (
            "Condition",
            put("clinicalStatus.coding.0.code", "on"),
            "code-invalid",
            "Condition.clinicalStatus.coding[0].code",
        ),
        ("Condition", put("abatementString", "over"), "invariant", "Condition.clinicalStatus"),
        (
            "Condition",
            put("verificationStatus", {"coding": [{"code": "entered-in-error"}]}),
            "invariant",
            "Condition.clinicalStatus",
        ),
        ("Procedure", put("status", "done"), "code-invalid", "Procedure.status"),
        ("Organization", gone("name"), "invariant", "Organization"),
        ("Organization", put("address.0.use", "home"), "invariant", "Organization.address[0].use"),
        ("Account", put("coverage.0.coverage.reference", "Patient/1"), "value", "Account.coverage[0].coverage"),
        ("QuestionnaireResponse", put("status", "done"), "code-invalid", "QuestionnaireResponse.status"),
        ("QuestionnaireResponse", put("item.0.item", [{"linkId": "b"}]), "invariant", "QuestionnaireResponse.item[0]"),
        ("PractitionerRole", put("practitioner.reference", "Person/1"), "value", "PractitionerRole.practitioner"),
    ],
)
def test_each_rule(kind: str, broken: Break, code: str, expression: str) -> None:
    resource = copy.deepcopy(GOOD[kind])
    broken(resource)
    refusing = {(i.code, i.expression) for i in validate(resource) if i.refuses}
    assert (refusing == set()) if not code else (code, expression) in refusing


def test_contained_resources_are_looked_at_too() -> None:
    claim = copy.deepcopy(GOOD["Claim"])
    claim["contained"] = [{"resourceType": "Patient", "id": "p", "gender": "F", "meta": {"versionId": "1"}}]
    claim["patient"] = {"reference": "#p"}
    assert {(i.severity, i.code, i.expression) for i in validate(claim)} == {
        (ERROR, "code-invalid", "Claim.contained[0].gender"),
        (WARNING, "invariant", "Claim.contained[0].meta"),
    }
    claim["insurance"][0]["coverage"] = {"reference": "#p"}
    assert "Claim.insurance[0].coverage" in {i.expression for i in validate(claim)}


def test_a_pointer_to_nothing_warns_as_the_mapping_holds_the_claim() -> None:
    claim = copy.deepcopy(GOOD["Claim"])
    claim["item"][0]["diagnosisSequence"] = [4]
    (issue,) = validate(claim)
    assert (issue.severity, issue.expression) == (WARNING, "Claim.item[0].diagnosisSequence")


def test_an_unknown_element_warns_and_comes_after_what_refuses() -> None:
    task = copy.deepcopy(GOOD["Task"]) | {"mood": "good", "priority": "soon"}
    assert [(i.severity, i.expression) for i in validate(task)] == [(ERROR, "Task.priority"), (WARNING, "Task.mood")]


@pytest.mark.parametrize("value", [1, "x", True, None, [], {}, [[]], [{}], {"a": {}}, [1, "x"]])
@pytest.mark.parametrize("kind", GOOD)
def test_other_shapes_are_told_and_never_a_fault(kind: str, value: Any) -> None:
    for name in GOOD[kind]:
        if name != "resourceType":
            validate(copy.deepcopy(GOOD[kind]) | {name: value})
