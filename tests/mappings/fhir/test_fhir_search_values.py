"""What resources are found by: tokens by each parameter, and every literal reference."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.fhir.search_values import MAX_VALUES, literal_references, search_values

CLAIM: dict[str, Any] = {
    "resourceType": "Claim",
    "identifier": [{"system": "urn:claims", "value": "7"}, {"value": "8"}],
    "status": "active",
    "use": "claim",
    "created": "2026-03-01T23:30:00-06:00",
    "patient": {"reference": "https://ehr.example/fhir/Patient/p1/_history/3"},
    "provider": {"identifier": {"system": "urn:npi", "value": "1043"}},
    "insurer": {"reference": "#payer"},
    "item": [{"encounter": [{"reference": "Encounter/e1"}]}, {"encounter": [{"reference": "Encounter/e1"}]}],
    "contained": [{"resourceType": "Organization", "id": "payer", "partOf": {"reference": "Organization/o1"}}],
}


def test_each_parameter_gives_its_tokens() -> None:
    assert set(search_values(CLAIM)) == {
        ("identifier", "7"),
        ("identifier", "urn:claims|7"),
        ("identifier", "8"),
        ("identifier", "|8"),
        ("status", "active"),
        ("use", "claim"),
        ("created", "2026-03-02T05:30:00"),
        ("patient", "Patient/p1"),
        ("provider:identifier", "1043"),
        ("provider:identifier", "urn:npi|1043"),
        ("encounter", "Encounter/e1"),
        ("_reference", "Patient/p1"),
        ("_reference", "Encounter/e1"),
        ("_reference", "Organization/o1"),
    }


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"resourceType": "Encounter", "subject": {"reference": "Group/1"}}, {("subject", "Group/1")}),
        (
            {"resourceType": "Encounter", "subject": {"reference": "Patient/1"}},
            {("subject", "Patient/1"), ("patient", "Patient/1")},
        ),
        ({"resourceType": "Encounter", "period": {"start": "2026-03"}}, {("date", "2026-03-01T00:00:00")}),
        ({"resourceType": "Encounter", "period": {"end": "2026"}}, {("date", "0000-01-01T00:00:00")}),
        ({"resourceType": "Procedure", "performedDateTime": "2026"}, {("date", "2026-01-01T00:00:00")}),
        ({"resourceType": "Practitioner", "active": False}, {("active", "false")}),
        (
            {"resourceType": "Condition", "code": {"coding": [{"system": "s", "code": "c"}, {"code": "d"}]}},
            {("code", "c"), ("code", "s|c"), ("code", "d"), ("code", "|d")},
        ),
        ({"resourceType": "Patient", "birthDate": "yesterday", "identifier": "x", "gender": 7}, {("identifier", "x")}),
        ({"resourceType": "Unheard"}, set()),
        ({}, set()),
    ],
)
def test_shapes_of_every_kind(resource: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert {value for value in search_values(resource) if value[0] != "_reference"} == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda v: (
        st.lists(v, max_size=3)
        | st.dictionaries(
            st.sampled_from(["reference", "identifier", "item", "encounter", "period", "start", "coding", "code", "a"]),
            v,
            max_size=3,
        )
    ),
    max_leaves=15,
)


@given(
    st.dictionaries(st.sampled_from(["identifier", "status", "patient", "item", "created", "use"]), JSON, max_size=6)
)
def test_whatever_comes_gives_texts_of_bounded_number(more: dict[str, Any]) -> None:
    values = search_values({"resourceType": "Claim", **more})
    assert all(isinstance(name, str) and isinstance(token, str) for name, token in values)
    assert len(set(values)) == len(values) <= MAX_VALUES


REFERENCES = st.sampled_from(["Patient/1", "Encounter/e-2", "#x", "urn:uuid:7", "http://h/f/Coverage/3/_history/2"])
TREES = st.recursive(
    st.dictionaries(st.just("reference"), REFERENCES, max_size=1)
    | st.sampled_from(['say "reference": "Patient/9"', 7]),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), v, max_size=3),
    max_leaves=10,
)


@given(TREES, st.sampled_from([None, 1]))
def test_the_bytes_tell_the_same_references_as_the_resource(tree: Any, indent: int | None) -> None:
    resource = {"resourceType": "Claim", "tree": tree}
    payload = json.dumps(resource, indent=indent).encode()
    assert set(literal_references(resource, payload)) == set(literal_references(resource))
