"""A client that is limited to certain patients sees nothing of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.compartment import PATIENT_ELEMENT, PatientNumber, sees, shown
from gateway.access.scopes import Scopes
from gateway.encounter.identity import Identifier

MINE = frozenset({PatientNumber("MAIN", "1"), PatientNumber("urn:oid:1.2", "7")})
MY_NUMBER = {"assigner": {"display": "MAIN"}, "value": "1"}
OTHER_NUMBER = {"assigner": {"display": "MAIN"}, "value": "2"}


def about(type_: str, reference: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": type_, PATIENT_ELEMENT[type_]: reference, **more}


@pytest.mark.parametrize("type_", sorted(PATIENT_ELEMENT))
def test_each_type_is_shown_by_its_own_patient_element(type_: str) -> None:
    mine, other = about(type_, {"identifier": MY_NUMBER}), about(type_, {"identifier": OTHER_NUMBER})
    assert shown(mine, MINE) == mine
    assert shown(other, MINE) is None
    assert shown(other, None) == other, "without a limit all is shown"


def patient(*identifiers: dict[str, Any], id_: str = "p") -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "identifier": list(identifiers)}


@pytest.mark.parametrize(
    ("reference", "contained", "visible"),
    [
        ({"identifier": {"system": "urn:oid:1.2", "value": "7"}}, [], True),
        ({"identifier": {"system": "urn:oid:1.3", "value": "7"}}, [], False),
        ({"identifier": {"value": "1"}}, [], False),
        ({"identifier": {"system": "MAIN", "value": "1"}, "reference": "Patient/99"}, [], True),
        ({"reference": "Patient/1"}, [], False),
        ({"reference": "#p"}, [patient(MY_NUMBER)], True),
        ({"reference": "#p"}, [patient(OTHER_NUMBER, MY_NUMBER)], True),
        ({"reference": "#p"}, [patient(OTHER_NUMBER)], False),
        ({"reference": "#q"}, [patient(MY_NUMBER)], False),
        ({"reference": "#p", "identifier": OTHER_NUMBER}, [patient(MY_NUMBER)], False),
        ({"reference": "#p", "identifier": MY_NUMBER}, [patient(OTHER_NUMBER)], False),
        ([{"identifier": MY_NUMBER}, {"identifier": OTHER_NUMBER}], [], False),
        ([], [], False),
        ("MAIN|1", [], False),
        (None, [], False),
        ({"display": "the patient"}, [], False),
        ({"identifier": "MAIN|1"}, [], False),
        ({"identifier": {"assigner": "MAIN", "value": "1"}}, [], False),
    ],
)
def test_a_patient_is_told_by_number_and_authority(reference: Any, contained: list[Any], visible: bool) -> None:
    resource = about("Encounter", reference, contained=contained)
    assert (shown(resource, MINE) is not None) == visible


def test_what_does_not_say_whose_it_is_is_not_shown() -> None:
    for type_ in ("AuditEvent", "Provenance", "Binary", "Practitioner", "Unheard"):
        assert shown({"resourceType": type_}, MINE) is None
    assert shown({}, MINE) is None
    assert shown({"resourceType": "OperationOutcome"}, MINE) is not None
    assert shown(patient(MY_NUMBER), MINE) is not None
    assert shown(patient(OTHER_NUMBER), MINE) is None


def entry(resource: Any, **more: Any) -> dict[str, Any]:
    return {"resource": resource, **more}


def test_a_bundle_is_shown_without_what_is_others() -> None:
    mine, other = about("Task", {"identifier": MY_NUMBER}), about("Task", {"identifier": OTHER_NUMBER})
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": 2, "entry": [entry(other), entry(mine)]}
    assert shown(bundle, MINE) == {"resourceType": "Bundle", "type": "searchset", "entry": [entry(mine)]}
    nested = {"resourceType": "Bundle", "type": "batch-response", "entry": [entry(bundle)]}
    kept = shown(nested, MINE)
    assert kept is not None
    assert kept["entry"][0]["resource"]["entry"] == [entry(mine)]
    only_others = {"resourceType": "Bundle", "entry": [entry(other)]}
    assert shown(only_others, MINE) == {"resourceType": "Bundle"}


def test_a_total_stays_when_only_what_came_along_is_left_out() -> None:
    match = entry(about("Task", {"identifier": MY_NUMBER}), search={"mode": "match"})
    along = entry(about("Encounter", {"identifier": OTHER_NUMBER}), search={"mode": "include"})
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [match, along]}
    assert shown(bundle, MINE) == {**bundle, "entry": [match]}


def test_a_search_brings_along_only_types_that_may_be_read() -> None:
    task = about("Task", {"identifier": MY_NUMBER})
    claim, encounter = about("Claim", None), about("Encounter", None)
    outcome = {"resourceType": "OperationOutcome"}
    bundle = {"resourceType": "Bundle", "entry": [entry(one) for one in (task, claim, encounter, outcome)]}
    kept = shown(bundle, None, Scopes.parse("system/Task.s system/Claim.r system/Encounter.cu"), "Task")
    assert kept is not None
    assert [one["resource"]["resourceType"] for one in kept["entry"]] == ["Task", "Claim", "OperationOutcome"]


@dataclass
class Someone:
    scopes: Scopes | None
    patients: frozenset[PatientNumber] | None


def test_a_caller_sees_whoever_has_one_of_the_numbers() -> None:
    limited = Someone(None, MINE)
    assert sees(limited, [Identifier(value="2", authority="MAIN"), Identifier(value="7", authority="urn:oid:1.2")])
    assert not sees(limited, [Identifier(value="1", authority="OTHER"), Identifier(value="1")])
    assert not sees(limited, [])
    assert sees(Someone(None, None), [])
    assert not sees(Someone(None, frozenset()), [Identifier(value="1", authority="MAIN")])
    assert sees(object(), [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["resourceType", "identifier", "value", "system", "entry", "for"]), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["resourceType", "entry", "for", "subject", "contained", "total"]), JSON))
def test_no_resource_makes_it_fail_and_none_is_shown_by_chance(resource: dict[str, Any]) -> None:
    found = shown({**resource, "resourceType": "Task"}, frozenset({PatientNumber("never", "there")}))
    assert found is None
    shown({**resource, "resourceType": "Bundle"}, MINE)


@pytest.mark.parametrize("text", ["", "1", "|1", "MAIN|", "MAIN|\n1", "MAIN"])
def test_a_number_needs_its_authority(text: str) -> None:
    assert PatientNumber.parse(text) is None
