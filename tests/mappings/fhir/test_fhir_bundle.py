from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from gateway.encounter.change import Change
from gateway.encounter.identity import EncounterKey
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import bundle as bundles
from gateway.mappings.fhir.bundle import unbundle
from gateway.mappings.fhir.mapping import map_resource
from gateway.mappings.fhir.resource import screen, validate
from gateway.mappings.fhir.source import FhirSource

Load = Callable[[str], dict[str, Any]]

PATIENT, PAYER, COVERAGE, DOCTOR, VISIT = (f"urn:uuid:00000000-0000-4000-8000-00000000000{n}" for n in range(1, 6))


def entry(full_url: str, resource: dict[str, Any]) -> dict[str, Any]:
    kind = resource["resourceType"]
    return {"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": kind}}


@pytest.fixture
def transaction(load: Load) -> dict[str, Any]:
    """The fixture's claim and visit, with each contained resource as an entry of its own."""
    claim, encounter = load("claim-professional"), load("encounter")
    patient, payer, coverage, doctor = claim.pop("contained")
    encounter["contained"] = encounter["contained"][1:]
    for resource in (patient, payer, coverage, doctor, encounter):
        resource.pop("id")
    claim["patient"] = coverage["beneficiary"] = coverage["subscriber"] = {"reference": PATIENT}
    encounter["subject"] = {"reference": PATIENT}
    coverage["payor"] = [{"reference": PAYER}]
    claim["insurance"][0]["coverage"] = {"reference": COVERAGE}
    claim["careTeam"][0]["provider"] = {"reference": DOCTOR}
    claim["item"][0]["encounter"] = [{"reference": VISIT}]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            entry("urn:uuid:00000000-0000-4000-8000-00000000000a", claim),
            entry(PATIENT, patient),
            entry(PAYER, payer),
            entry(COVERAGE, coverage),
            entry(DOCTOR, doctor),
            entry(VISIT, encounter),
        ],
    }


def test_each_main_resource_becomes_whole(transaction: dict[str, Any], load: Load, source: FhirSource) -> None:
    before = copy.deepcopy(transaction)
    assert screen(transaction) == []
    visit, claim = unbundle(transaction)
    assert transaction == before
    assert (visit.index, visit.resource["resourceType"]) == (5, "Encounter")
    assert (claim.index, claim.resource["resourceType"], claim.method, claim.url) == (0, "Claim", "POST", "Claim")
    for whole in (visit.resource, claim.resource):
        assert screen(whole) == []
        assert validate(whole) == []
    change = map_resource(claim.resource, source, 7)
    assert isinstance(change, Change)
    alone = map_resource(load("claim-professional"), source, 7)
    assert isinstance(alone, Change)
    assert change.key == EncounterKey("MAIN", "AUTH", "A-9001")
    assert (change.coverages, change.patient, change.charges) == (alone.coverages, alone.patient, alone.charges)
    assert change.providers == alone.providers


def test_relative_references_and_what_a_drawn_resource_contains(load: Load, source: FhirSource) -> None:
    encounter, document = load("encounter"), load("document-reference")
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": document}, {"resource": encounter}],
    }
    first, second = unbundle(bundle)
    assert (first.index, second.index) == (1, 0)
    whole = second.resource
    assert [inner["resourceType"] for inner in whole["contained"]] == ["Encounter", "Patient", "Practitioner"]
    assert validate(whole) == []
    change = map_resource(whole, FhirSource("ehr", "MAIN"), 7)
    assert isinstance(change, Change)
    assert change.key.number == "A-9001"


def test_resources_that_point_at_each_other_end(load: Load) -> None:
    claim = load("claim-professional")
    claim["careTeam"][0]["provider"] = {"reference": "Organization/a"}
    loop = [
        {"resource": {"resourceType": "Organization", "id": "a", "partOf": {"reference": "Organization/b"}}},
        {"resource": {"resourceType": "Organization", "id": "b", "partOf": {"reference": "Organization/a"}}},
    ]
    (whole,) = unbundle({"resourceType": "Bundle", "type": "batch", "entry": [{"resource": claim}, *loop]})
    drawn = whole.resource["contained"][-2:]
    assert [o["partOf"]["reference"] for o in drawn] == [f"#{drawn[1]['id']}", f"#{drawn[0]['id']}"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": "searchset"}, "unsupported"),
        ({"type": None}, "unsupported"),
        ({"entry": {}}, "structure"),
        ({"entry": [{"resource": {"resourceType": "Claim"}, "request": {"method": "DELETE"}}]}, "unsupported"),
        ({"entry": [{"fullUrl": "urn:x", "resource": {"a": 1}}, {"fullUrl": "urn:x", "resource": {}}]}, "ambiguous"),
        ({"entry": [{"resource": {"resourceType": "Patient"}}] * 501}, "limit"),
    ],
)
def test_bundles_that_are_refused(transaction: dict[str, Any], change: dict[str, Any], code: str) -> None:
    with pytest.raises(MappingError) as refused:
        unbundle(transaction | change)
    assert refused.value.code == code


def test_a_large_resource_under_many_entries_is_limited(
    transaction: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "MAX_DRAWN", 2_000)
    with pytest.raises(MappingError, match="refer to too much"):
        unbundle(transaction)
