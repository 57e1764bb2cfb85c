from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Billing
from gateway.encounter.apply import apply
from gateway.encounter.billable import billable
from gateway.encounter.change import Change
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import Charge, Diagnosis, DiagnosisUse, Encounter
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.mapping import map_resource
from gateway.mappings.fhir.released_claim import claim_issues, claim_resource
from gateway.mappings.fhir.resource import read, validate, write
from gateway.mappings.fhir.source import FhirSource
from gateway.release.model import Claim

Load = Callable[[str], dict[str, Any]]


def released(encounter: Encounter, **more: Any) -> Claim:
    billed = billable(encounter)
    said = {
        "id": 5,
        "number": "C00000000000A1",
        "version": 1,
        "encounter": str(encounter.key),
        "kind": billed.kind,
        "destination": "payer",
        "fingerprint": billed.fingerprint(),
        "billed": billed,
        "approved_by": "user:sam",
        "released": datetime(2026, 3, 9, 8, tzinfo=UTC),
    }
    return Claim(**(said | more))


@pytest.fixture
def encounter(load: Load, source: FhirSource) -> Encounter:
    current = None
    for name in ("encounter", "claim-professional"):
        change = map_resource(load(name), source, 7)
        assert isinstance(change, Change)
        current = apply(current, change)
    assert current is not None
    return current


def test_a_claim_is_valid_and_whole(encounter: Encounter) -> None:
    claim = released(encounter)
    payload = write(claim_resource(claim, Billing()))
    resource = read(payload)
    assert validate(resource) == []
    assert payload == write(claim_resource(claim, Billing()))
    assert resource["identifier"][0]["value"] == "C00000000000A1"
    assert resource["identifier"][1]["value"] == "C00000000000A1-1"
    assert resource["total"] == {"value": Decimal("209.20"), "currency": "USD"}
    assert b'"value":209.20,' in payload
    codes = [d["diagnosisCodeableConcept"]["coding"][0] for d in resource["diagnosis"]]
    assert codes == [
        {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"},
        {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.65"},
    ]
    first = resource["item"][0]
    assert first["productOrService"]["coding"] == [{"system": "http://www.ama-assn.org/go/cpt", "code": "99214"}]
    assert first["diagnosisSequence"] == [1, 2]
    assert first["net"]["value"] == Decimal("185.10")
    contained = {inner["id"]: inner for inner in resource["contained"]}
    assert contained["billing"]["identifier"][0] == {"system": "http://hl7.org/fhir/sid/us-npi", "value": Billing().npi}
    assert contained["coverage-1"]["subscriber"] == {"reference": "#patient"}
    assert resource["billablePeriod"] == {"start": "2026-03-02", "end": "2026-03-02"}
    assert b"display" not in payload.replace(b'"assigner":{"display"', b"")


def test_it_reads_back_as_what_was_billed(encounter: Encounter, source: FhirSource) -> None:
    claim = released(encounter)
    change = map_resource(read(write(claim_resource(claim, Billing()))), source, 8)
    assert isinstance(change, Change)
    again = billable(apply(None, change))
    assert change.key == encounter.key
    assert change.problems == ()
    assert again.total == claim.billed.total
    assert [d.code for d in again.diagnoses] == [d.code for d in claim.billed.diagnoses]
    # A line without a provider of its own is the claim's rendering provider's, and a period of a day is that day.
    rendering = claim.billed.lines[0].rendering
    expected = [
        line.model_copy(update={"charge": "", "end": None, "rendering": rendering}) for line in claim.billed.lines
    ]
    assert [line.model_copy(update={"charge": ""}) for line in again.lines] == expected
    assert [c.model_dump(exclude={"subscriber", "subscriber_address"}) for c in again.coverages] == [
        c.model_dump(exclude={"subscriber", "subscriber_address"}) for c in claim.billed.coverages
    ]


def test_corrections_name_what_they_supersede(encounter: Encounter) -> None:
    corrected = claim_resource(released(encounter, version=2, frequency="7", replaces="PAYER-77"), Billing())
    assert corrected["status"] == "active"
    (related,) = corrected["related"]
    assert related["claim"]["identifier"]["value"] == "C00000000000A1-1"
    assert related["reference"] == {"value": "PAYER-77"}
    void = claim_resource(released(encounter, version=3, frequency="8"), Billing())
    assert void["status"] == "cancelled"
    assert validate(corrected) == validate(void) == []


def test_what_r4_requires_is_asked_for(encounter: Encounter) -> None:
    bare = encounter.model_copy(update={"coverages": ()})
    assert [issue.expression for issue in claim_issues(billable(bare))] == ["coverages"]
    with pytest.raises(MappingError, match="at least one coverage"):
        claim_resource(released(bare), Billing())
    nameless = encounter.coverages[0].model_copy(update={"payer": None, "payer_name": None})
    assert [i.expression for i in claim_issues(billable(encounter.model_copy(update={"coverages": (nameless,)})))] == [
        "coverages[0].payer"
    ]


def test_an_institutional_claim(encounter: Encounter) -> None:
    charge = encounter.charges[0].model_copy(update={"code": None, "revenue_code": "0250", "providers": ()})
    visit = encounter.visit.model_copy(update={"disposition": "06"})
    coding = encounter.coding.model_copy(update={"drg": "637"})
    hospital = encounter.model_copy(update={"charges": (charge,), "visit": visit, "coding": coding})
    resource = claim_resource(released(hospital), Billing())
    assert validate(resource) == []
    assert resource["type"]["coding"][0]["code"] == "institutional"
    assert resource["item"][0]["revenue"]["coding"][0]["code"] == "0250"
    assert resource["item"][0]["productOrService"]["coding"][0]["code"] == "not-applicable"
    assert resource["supportingInfo"][0]["code"]["coding"][0]["code"] == "06"
    assert resource["diagnosis"][0]["packageCode"]["coding"][0]["code"] == "637"


AMOUNTS = st.decimals(min_value=0, max_value=10**7, places=2, allow_nan=False, allow_infinity=False)


@given(st.lists(AMOUNTS, min_size=1, max_size=5))
def test_money_is_exact_on_the_wire(amounts: list[Decimal]) -> None:
    charges = tuple(Charge(id=str(i), code="99213", amount=a) for i, a in enumerate(amounts))
    cover = {"id": "c", "payer_name": "Plan"}
    encounter = Encounter.model_validate(
        {
            "key": EncounterKey("MAIN", "", "1"),
            "charges": charges,
            "coverages": (cover,),
            "diagnoses": (Diagnosis(id="d", code="I10", use=DiagnosisUse.FINAL),),
        }
    )
    resource = read(write(claim_resource(released(encounter), Billing())))
    assert [item["net"]["value"] for item in resource["item"]] == amounts
    assert resource["total"]["value"] == sum(amounts)
