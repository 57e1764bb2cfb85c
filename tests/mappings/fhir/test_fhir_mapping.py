from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fhir_known import map_resource
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.model import KeyChoice
from gateway.encounter.apply import apply
from gateway.encounter.billable import billable
from gateway.encounter.change import Change, Mode
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import (
    CodeSystem,
    Coverage,
    DiagnosisUse,
    DocumentKind,
    EncounterClass,
    ProviderRole,
    VisitStatus,
)
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.fhir.drawing import followed
from gateway.mappings.fhir.mapping import query_numbers
from gateway.mappings.fhir.questionnaire import questionnaire_response
from gateway.mappings.fhir.resource import read, screen, validate
from gateway.mappings.fhir.search_values import search_values
from gateway.mappings.fhir.source import FhirSource, Numbers
from gateway.mappings.fhir.task import task_resource

Load = Callable[[str], dict[str, Any]]

CHICAGO = ZoneInfo("America/Chicago")
ACCOUNT = Identifier(value="A-9001", authority="AUTH", type="AN")
VISIT = Identifier(value="V-5001", authority="AUTH", type="VN")
KEY = EncounterKey("MAIN", "AUTH", "A-9001")


def mapped(resource: dict[str, Any], source: FhirSource) -> Change:
    change = map_resource(resource, source, 7)
    assert isinstance(change, Change)
    return change


# ---- Encounter


def test_an_encounter(load: Load, source: FhirSource) -> None:
    change = mapped(load("encounter"), source)
    assert change.key == KEY
    medical_record = Identifier(value="MRN-7001", authority="urn:oid:2.999.1", type="MR")
    assert change.identifiers == (ACCOUNT, VISIT, medical_record)
    assert change.problems == ()
    visit = change.visit
    assert visit is not None
    assert visit.status is VisitStatus.DISCHARGED
    assert visit.encounter_class is EncounterClass.OUTPATIENT
    assert visit.admitted == datetime(2026, 3, 2, 9, tzinfo=CHICAGO)
    assert visit.discharged == datetime(2026, 3, 2, 9, 40, tzinfo=CHICAGO)
    assert visit.location == "Clinic 4"
    assert (visit.account, visit.number) == (ACCOUNT, VISIT)
    assert "disposition" not in visit.model_fields_set
    patient = change.patient
    assert patient is not None
    assert patient.name is not None
    assert (patient.name.family, patient.name.given, patient.name.middle) == ("Testcase", "Ada", "Q")
    assert (patient.birth_date, patient.sex, patient.phone) == (date(1961, 4, 9), "F", "217-555-0111")
    assert patient.identifiers == (medical_record,)
    assert change.providers is not None
    assert {p.role: p.npi for p in change.providers} == {
        ProviderRole.ATTENDING: "1234567893",
        ProviderRole.REFERRING: "1245319599",
        ProviderRole.BILLING: "1003000126",
    }
    assert change.origins()["visit.admitted"] == "Encounter.period.start"


def test_the_feed_says_which_number_counts(load: Load, source: FhirSource) -> None:
    by_visit = FhirSource("ehr", "MAIN", key=(KeyChoice.VISIT,))
    assert mapped(load("encounter"), by_visit).key == EncounterKey("MAIN", "urn:oid:2.999.2", "V-5001")
    encounter = load("encounter")
    del encounter["account"]
    assert mapped(encounter, source).key.number == "V-5001"
    with pytest.raises(MappingError, match="no account number"):
        map_resource(encounter, FhirSource("ehr", "MAIN", key=(KeyChoice.ACCOUNT,)), 7)


def test_an_identifier_without_type_is_the_visit_and_another_type_is_not(load: Load, source: FhirSource) -> None:
    encounter = load("encounter")
    del encounter["account"]
    encounter["identifier"] = [
        {"type": {"coding": [{"code": "MR"}]}, "value": "1"},
        {"use": "old", "value": "2"},
        {"value": "3"},
    ]
    assert mapped(encounter, source).key.number == "3"


@pytest.mark.parametrize(
    ("coding", "expected"),
    [
        ({"system": "https://www.nubc.org/CodeSystem/PatDischargeStatus", "code": "06"}, "06"),
        ({"system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": "exp"}, "20"),
        ({"system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": "home"}, None),
    ],
)
def test_a_disposition_is_never_guessed(load: Load, source: FhirSource, coding: Any, expected: str | None) -> None:
    encounter = load("encounter")
    encounter["class"]["code"] = "IMP"
    encounter["hospitalization"] = {"dischargeDisposition": {"coding": [coding]}}
    change = mapped(encounter, source)
    assert change.visit is not None
    assert change.visit.disposition == expected
    assert [problem.rule for problem in change.problems] == ([] if expected else ["code-unknown"])


def test_a_problem_ends_when_the_encounter_is_said_again_well(load: Load, source: FhirSource) -> None:
    encounter = load("encounter")
    encounter["period"]["start"] = "2026-03"
    after = apply(None, mapped(encounter, source))
    assert [problem.where for problem in after.problems] == ["Encounter.period.start"]
    assert apply(after, mapped(load("encounter"), source)).problems == ()


def test_what_a_resource_refers_to(load: Load) -> None:
    assert followed(load("document-reference"), main=True) == ["Encounter/enc-1"]
    assert followed(load("encounter"), main=True) == []
    encounter = load("encounter") | {"account": [{"reference": "Account/9/_history/3"}]}
    assert followed(encounter, main=True) == ["Account/9"]


# ---- Claim


def test_a_professional_claim(load: Load, source: FhirSource) -> None:
    change = mapped(load("claim-professional"), source)
    assert change.key == KEY
    assert change.problems == ()
    assert change.coding is not None
    assert (change.coding.coder, change.coding.encoder, change.coding.final) == ("coder-17", "ehr", True)
    assert change.coding.coded == datetime(2026, 3, 3, 9, tzinfo=CHICAGO)
    assert change.diagnoses is not None
    assert change.diagnoses.mode is Mode.REPLACE
    assert [(d.code, d.system, d.use, d.rank, d.present_on_admission) for d in change.diagnoses.items] == [
        ("I10", CodeSystem.ICD10CM, DiagnosisUse.FINAL, 1, "Y"),
        ("E1165", CodeSystem.ICD10CM, DiagnosisUse.FINAL, 2, None),
    ]
    assert change.charges is not None
    first, second = change.charges.items
    assert (first.id, first.code, first.system, first.local_code) == ("CLM%2F1/1", "99214", CodeSystem.CPT, "CDM-100")
    assert (first.modifiers, first.units, first.amount) == (("25",), Decimal(1), Decimal("185.10"))
    assert (first.start, first.end, first.place_of_service) == (date(2026, 3, 2), None, "11")
    assert first.diagnoses == ("I10", "E1165")
    assert [(p.role, p.npi) for p in first.providers] == [(ProviderRole.RENDERING, "1234567893")]
    assert first.origin == "7 Claim.item[0]"
    assert second.amount == Decimal("24.10")
    assert change.coverages is not None
    assert change.coverages.items == (
        Coverage(
            id="PAYER01/MEM123",
            rank=1,
            payer=Identifier(value="PAYER01", authority="urn:oid:2.999.4"),
            payer_name="Sample Health Plan",
            member_id="MEM123",
            group_number="GRP9",
            relationship="self",
            subscriber=change.patient.name if change.patient else None,
            subscriber_birth_date=date(1961, 4, 9),
            subscriber_sex="F",
        ),
    )


def test_the_same_visit_by_all_three(load: Load, source: FhirSource) -> None:
    encounter = None
    for name in ("encounter", "claim-professional", "document-reference"):
        encounter = apply(encounter, mapped(load(name), source))
    assert encounter is not None
    billed = billable(encounter)
    assert billed.total == Decimal("209.20")
    assert billed.lines[0].pointers == (1, 2)
    assert encounter.documents[0].kind is DocumentKind.PROGRESS_NOTE
    assert encounter.problems == ()


def test_a_claim_said_again_replaces_its_own_lines_only(load: Load, source: FhirSource) -> None:
    first = apply(None, mapped(load("claim-professional"), source))
    other = load("claim-professional")
    other["identifier"][0]["value"] = "CLM/10"
    both = apply(first, mapped(other, source))
    again = load("claim-professional")
    del again["item"][1]
    del again["total"]
    after = apply(both, mapped(again, source))
    assert [c.id for c in after.charges] == ["CLM%2F10/1", "CLM%2F10/2", "CLM%2F1/1"]
    again["status"] = "entered-in-error"
    withdrawn = apply(after, mapped(again, source))
    assert [c.id for c in withdrawn.charges] == ["CLM%2F10/1", "CLM%2F10/2"]
    assert withdrawn.coding.final is False


def test_a_claim_that_supersedes_another_replaces_its_lines(load: Load, source: FhirSource) -> None:
    first = apply(None, mapped(load("claim-professional"), source))
    newer = load("claim-professional")
    newer["identifier"][0]["value"] = "CLM/2"
    newer["related"] = [
        {
            "claim": {"identifier": {"value": "CLM/1"}},
            "relationship": {"coding": [{"code": "prior"}]},
        }
    ]
    assert [c.id for c in apply(first, mapped(newer, source)).charges] == ["CLM%2F2/1", "CLM%2F2/2"]


def test_a_draft_claim_is_not_final(load: Load, source: FhirSource) -> None:
    change = mapped(load("claim-professional") | {"status": "draft"}, source)
    assert change.coding is not None
    assert change.coding.final is False
    assert change.diagnoses is not None
    assert {d.use for d in change.diagnoses.items} == {DiagnosisUse.WORKING}


@pytest.mark.parametrize(
    "change", [{"use": "preauthorization"}, {"type": {"coding": [{"code": "oral"}]}}, {"type": {"text": "?"}}]
)
def test_claims_that_are_not_for_here(load: Load, source: FhirSource, change: dict[str, Any]) -> None:
    assert isinstance(map_resource(load("claim-professional") | change, source, 7), Unused)


def test_what_a_claim_says_badly_becomes_problems(load: Load, source: FhirSource) -> None:
    claim = load("claim-professional")
    claim["item"][0]["net"]["currency"] = "EUR"
    claim["item"][0]["diagnosisSequence"] = [9]
    claim["item"][1]["servicedPeriod"]["start"] = "2026"
    claim["diagnosis"][0]["diagnosisCodeableConcept"]["coding"][0]["system"] = "http://hl7.org/fhir/sid/icd-10"
    change = mapped(claim, source)
    assert {(p.rule, p.where, p.code) for p in change.problems} == {
        ("currency", "Claim.item[0].net", "CLM%2F1/1"),
        ("pointer", "Claim.item[0].diagnosisSequence", "CLM%2F1/1"),
        ("value-unreadable", "Claim.item[1].servicedPeriod.start", "CLM%2F1/2"),
        ("code-system", "Claim.diagnosis[0]", "final-E11.65"),
        ("total", "Claim.total", "CLM%2F1/"),
    }
    mended = apply(apply(None, change), mapped(load("claim-professional"), source))
    assert mended.problems == ()


@pytest.mark.parametrize(
    ("net", "price", "quantity", "factor", "amount", "differs"),
    [
        (25, 10, 3, None, 25, True),
        (30, 10, 3, None, 30, False),
        (24, 10, 3, 0.8, 24, False),
        (100, 33.333, 3, None, 100, False),
        (None, 10, 3, None, 30, False),
        (25, None, 3, None, 25, False),
        (25, 10, None, None, 25, False),
    ],
)
def test_a_lines_amount_and_its_units_times_price_agree(
    load: Load,
    source: FhirSource,
    net: float | None,
    price: float | None,
    quantity: float | None,
    factor: float | None,
    amount: float,
    differs: bool,
) -> None:
    claim = load("claim-professional")
    claim.pop("total", None)
    line = claim["item"][0]
    said = {
        "net": net and {"value": net, "currency": "USD"},
        "unitPrice": price and {"value": price, "currency": "USD"},
        "quantity": quantity and {"value": quantity},
        "factor": factor,
    }
    line.update(said)
    claim["item"][0] = {name: value for name, value in line.items() if value is not None}
    change = mapped(claim, source)
    assert change.charges is not None
    assert change.charges.items[0].amount == Decimal(str(amount))
    found = [(p.rule, p.where) for p in change.problems]
    assert found == ([("charge-amount-differs", "Claim.item[0].net")] if differs else [])


def test_services_within_a_line_are_not_lost_in_silence(load: Load, source: FhirSource) -> None:
    claim = load("claim-professional")
    claim["item"][0]["detail"] = [{"sequence": 1, "productOrService": {"coding": [{"code": "36415"}]}}]
    assert [(p.rule, p.where, p.code) for p in mapped(claim, source).problems] == [
        ("detail", "Claim.item[0].detail", "CLM%2F1/1")
    ]


@pytest.mark.parametrize("uri", ["http://terminology.hl7.org/CodeSystem/HCPCS", "urn:oid:2.16.840.1.113883.6.14"])
def test_other_spellings_of_a_code_system(load: Load, source: FhirSource, uri: str) -> None:
    claim = load("claim-professional")
    claim["item"][0]["productOrService"] = {"coding": [{"system": uri, "code": "J1885"}]}
    change = mapped(claim, source)
    assert change.charges is not None
    assert (change.charges.items[0].code, change.charges.items[0].system) == ("J1885", CodeSystem.HCPCS)


@pytest.mark.parametrize(
    ("encounters", "code"),
    [
        ([{"reference": "Encounter/unknown"}], "unresolved"),
        ([{"reference": "Encounter/enc-1"}, {"identifier": {"value": "another"}}], "ambiguous"),
        ([], "required"),
    ],
)
def test_the_encounter_is_known_and_one(load: Load, source: FhirSource, encounters: list[Any], code: str) -> None:
    claim = load("claim-professional")
    claim["item"][0]["encounter"] = encounters
    with pytest.raises(MappingError) as refused:
        map_resource(claim, source, 7)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Encounter/enc-1"},
        {"reference": "Encounter/enc-1/_history/4"},
        {"reference": "Encounter?identifier=urn%3Aoid%3A2.999.3%7CA-9001"},
        {"identifier": {"type": {"coding": [{"code": "AN"}]}, "value": "A-9001"}},
    ],
)
def test_ways_to_name_the_encounter(load: Load, source: FhirSource, reference: Any) -> None:
    claim = load("claim-professional")
    claim["item"][0]["encounter"] = [reference]
    assert mapped(claim, source).key == KEY


def test_the_account_number_in_supporting_info(load: Load, source: FhirSource) -> None:
    claim = load("claim-professional")
    del claim["item"][0]["encounter"]
    category = {"coding": [{"code": "patientaccountnumber"}]}
    claim["supportingInfo"] = [{"sequence": 1, "category": category, "valueString": "A-9001"}]
    assert screen(claim) == []
    assert mapped(claim, source).key == KEY


def test_two_lines_of_one_sequence_are_refused(load: Load, source: FhirSource) -> None:
    claim = load("claim-professional")
    claim["item"][1]["sequence"] = 1
    with pytest.raises(MappingError, match=r"Claim\.item\[1\]\.sequence"):
        map_resource(claim, source, 7)


# ---- anything


def outcome(use: Callable[[], object]) -> object:
    """What `use` gives, or the one kind of exception that it may raise."""
    try:
        return use()
    except MappingError as error:
        return error


def test_other_types(source: FhirSource) -> None:
    assert isinstance(map_resource({"resourceType": "Patient"}, source, 7), Unused)
    with pytest.raises(MappingError):
        map_resource({"resourceType": "Bundle"}, source, 7)
    with pytest.raises(MappingError):
        map_resource({}, source, 7)


def test_hl7s_own_examples_map_or_say_why(shared_data: Path, source: FhirSource) -> None:
    seen = 0
    for path in (shared_data / "fhir" / "hl7-r4-official").glob("*-*.json"):
        if not path.name.startswith(("Claim-", "Encounter-", "DocumentReference-")):
            continue
        resource = read(path.read_bytes())
        seen += 1
        change = outcome(lambda: map_resource(resource, source, 7))  # noqa: B023
        refused = isinstance(change, MappingError) and change.where.startswith(resource["resourceType"])
        assert refused or isinstance(change, Change | Unused)
    assert seen == 28


JSON = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "#pat",
            "#doc",
            "#cov",
            "Encounter/enc-1",
            "2026-13-45",
            "2026",
            "2026-03-02T09:00:00+99:00",
            [],
            {},
            [None],
            [{}],
            "",
        ]
    )
)


def _answering(name: str, source: FhirSource) -> dict[str, Any] | None:
    """A completed Task that contains its answer, or the answer alone."""
    query = source.queries["Q-41"]
    done = query.model_copy(update={"answer": "Steroid induced", "answer_option": "Other"})  # type: ignore[attr-defined]
    response = questionnaire_response(done, "https://gateway.example.org/fhir")
    task = task_resource(query, ACCOUNT, Numbers(), "https://gateway.example.org/fhir")
    output = [{"type": {"text": "answer"}, "valueReference": {"reference": "#41"}}]
    task |= {"status": "completed", "contained": [response], "output": output}
    return {"task": task, "response": response}.get(name)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(*path, name) for name, _ in inner] + [p for name, v in inner for p in _places(v, (*path, name))]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(["encounter", "claim-professional", "document-reference", "task", "response"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), JSON), min_size=1, max_size=4),
)
def test_no_mutation_raises_anything_but_a_mapping_error(
    load: Load, source: FhirSource, name: str, mutations: list[tuple[float, Any]]
) -> None:
    resource = _answering(name, source) or load(name)
    for position, value in mutations:
        places = _places(resource)
        *path, last = places[int(position * len(places))]
        target: Any = resource
        for step in path:
            target = target[step]
        target[last] = copy.deepcopy(value)
    screen(resource)
    validate(resource)
    for use in (
        lambda: map_resource(resource, source, 7),
        lambda: followed(resource, main=True),
        lambda: query_numbers(resource),
        lambda: search_values(resource),
    ):
        outcome(use)
