from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.outcome import Issue, issue_of, operation_outcome
from gateway.mappings.fhir.resource import read, screen, validate, write

Load = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'{"a": 1, "a": 2}', "structure"),
        (b'{"a": {"b": 1, "b": 1}}', "structure"),
        (b'{"a": NaN}', "structure"),
        (b'{"a": Infinity}', "structure"),
        (b'{"a": 1e999}', "structure"),
        (b"[]", "structure"),
        (b"", "structure"),
        (b'{"a": "\xff"}', "structure"),
        (b'{"a": "\\ud800"}', "structure"),
        (b'{"a": "x\\u0000y"}', "value"),
        (b'{"a": "x\\by"}', "value"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "limit"),
        (b'{"a":' * 100_000, "structure"),
    ],
)
def test_refuses_what_two_readers_could_read_differently(payload: bytes, code: str) -> None:
    with pytest.raises(MappingError) as refused:
        read(payload)
    assert refused.value.code == code


def test_reads_an_escaped_backslash_before_u0000_as_text() -> None:
    assert read(b'{"a": "\\\\u0000 \\n\\t"}') == {"a": "\\u0000 \n\t"}


def test_depth_is_counted_to_the_level() -> None:
    assert read(b'{"a":{"b":[]}}', limit_depth=3) == {"a": {"b": []}}
    with pytest.raises(MappingError, match="more than 2 levels"):
        read(b'{"a":{"b":[]}}', limit_depth=2)


def test_decimals_keep_every_digit_both_ways() -> None:
    payload = b'{"value":185.10,"large":123456789012345678.901,"small":0.000000001}'
    resource = read(payload)
    assert resource["value"] == Decimal("185.10")
    assert write(resource) == payload


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.decimals(allow_nan=False, allow_infinity=False, places=4),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_is_written_is_read_again(value: object) -> None:
    payload = write({"v": value})
    if any(ord(c) < 32 and c not in "\t\n\r" for c in _strings(value)):
        with pytest.raises(MappingError, match="control character"):
            read(payload, limit_depth=100)
    else:
        assert read(payload, limit_depth=100) == {"v": value}


def _strings(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(map(_strings, [*value, *value.values()]))
    return "".join(map(_strings, value)) if isinstance(value, list) else value if isinstance(value, str) else ""


def test_the_fixtures_of_a_visit_pass(load: Load) -> None:
    for name in ("encounter", "claim-professional", "document-reference"):
        assert screen(load(name)) == []
        assert validate(load(name)) == []


def issues(resource: dict[str, object]) -> set[tuple[str, str, str]]:
    return {(issue.severity, issue.code, issue.expression) for issue in validate(resource)}


def test_validation_tells_where_and_what(load: Load) -> None:
    claim = load("claim-professional")
    del claim["provider"]
    claim["item"][0]["net"]["value"] = "ninety"
    claim["item"][1]["net"] = []
    claim["invented"] = 1
    claim["status"] = "wrong"
    claim["contained"][1].pop("id")
    assert issues(claim) >= {
        ("error", "required", "Claim.provider"),
        ("error", "value", "Claim.item[0].net.value"),
        ("error", "structure", "Claim.item[1].net"),
        ("warning", "structure", "Claim.invented"),
        ("error", "code-invalid", "Claim.status"),
        ("error", "required", "Claim.contained[1].id"),
    }


def test_an_unknown_element_alone_does_not_refuse(load: Load) -> None:
    claim = load("claim-professional") | {"invented": 1}
    (issue,) = validate(claim)
    assert issue.severity == "warning"
    assert not issue.refuses


def test_nothing_of_the_patient_is_repeated(load: Load) -> None:
    encounter = load("encounter")
    patient = encounter["contained"][0]
    patient["birthDate"] = "Canary-1961"
    patient["Canary Street 5"] = "Canary"
    patient["gender"] = ["Canary"]
    said = orjson.dumps(operation_outcome(validate(encounter)))
    assert b"birthDate" in said
    assert b"Canary" not in said


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"resourceType": 5},
        {"resourceType": "Nothing"},
        {"resourceType": "Claim", "contained": [{"resourceType": "Nothing"}]},
        {"resourceType": "Claim", "contained": ["Patient"]},
        {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": {"resourceType": "Nothing"}}]},
    ],
)
def test_hostile_resources_are_refused_not_crashed_on(resource: dict[str, object]) -> None:
    assert any(issue.refuses for issue in validate(resource))


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("encounter", {"status": "gone"}, ("code-invalid", "Encounter.status")),
        ("encounter", {"class": "AMB"}, ("structure", "Encounter.class")),
        ("claim-professional", {"use": "gift"}, ("code-invalid", "Claim.use")),
        ("claim-professional", {"insurance": None}, ("required", "Claim.insurance")),
        ("document-reference", {"docStatus": "done"}, ("code-invalid", "DocumentReference.docStatus")),
        ("encounter", {"resourceType": "Observation"}, ("not-supported", "resourceType")),
    ],
)
def test_screening(load: Load, name: str, change: dict[str, object], expected: tuple[str, str]) -> None:
    assert [(issue.code, issue.expression) for issue in screen(load(name) | change)] == [expected]


def test_outcomes() -> None:
    error = MappingError("unresolved", "Claim.item[0].encounter[0]", "refers to nothing known")
    assert operation_outcome([issue_of(error)]) == {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "not-found",
                "diagnostics": "refers to nothing known",
                "expression": ["Claim.item[0].encounter[0]"],
            }
        ],
    }
    for outcome in (operation_outcome([]), operation_outcome([Issue("warning", "value", "", "odd")])):
        assert validate(outcome) == []


def test_hl7s_own_examples_validate(shared_data: Path) -> None:
    """All of HL7's examples of the types taken here, and those that the gateway writes."""
    refused = {}
    for path in sorted((shared_data / "fhir" / "hl7-r4-official").glob("*-*.json")):
        if path.name.startswith(("Claim-", "Encounter-", "Document", "Task-", "AuditEvent-", "Bundle-", "Quest")):
            found = [issue for issue in validate(read(path.read_bytes())) if issue.severity == "error"]
            if found:
                refused[path.name] = found
    assert set(refused) == {"Questionnaire-qs1.json"}


@pytest.mark.parametrize(
    "diagnosis",
    [
        {"sequence": 1},
        {"sequence": 1, "diagnosisCodeableConcept": {"text": "x"}, "diagnosisReference": {"reference": "Condition/c"}},
    ],
)
def test_a_choice_of_none_or_several_names_what_to_choose_from(load: Load, diagnosis: dict[str, Any]) -> None:
    claim = load("claim-professional")
    claim["diagnosis"][0] = diagnosis
    (issue,) = validate(claim)
    assert (issue.code, issue.expression) == ("required", "Claim.diagnosis[0]")
    assert issue.diagnostics == "should have one of diagnosisCodeableConcept, diagnosisReference, and only one"
