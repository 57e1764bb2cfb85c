from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest
from review_making import (
    CHICAGO,
    TODAY,
    add,
    change,
    change_item,
    charge,
    charges,
    found,
    load,
    moved,
    rules,
    without,
)

from gateway.encounter.identity import Identifier
from gateway.encounter.model import (
    CodeSystem,
    DocumentKind,
    Encounter,
    PersonName,
    Procedure,
    Provider,
    ProviderRole,
    VisitStatus,
)
from gateway.review.edits.registry import FAMILIES, RULES
from gateway.review.model import Severity
from gateway.review.policy import Policy

Change = Callable[[Encounter], Encounter]
BILL_HOLD = Policy(bill_hold_days=20)


class Row(NamedTuple):
    """What is changed on a clean encounter, and the one finding that must follow."""

    rule: str
    where: str
    change: Change
    subject: str = ""
    severity: Severity = Severity.ERROR
    base: str = "outpatient"
    policy: Policy = Policy()


def first_charge(**update: object) -> Change:
    return lambda encounter: change_item(encounter, "charges", 0, **update)


def visit(**update: object) -> Change:
    return lambda encounter: change(encounter, "visit", **update)


def first_diagnosis(**update: object) -> Change:
    return lambda encounter: change_item(encounter, "diagnoses", 0, **update)


def record_number(value: str) -> Identifier:
    return Identifier(value=value, authority="MAIN", type="MR")


def no_diagnosis(encounter: Encounter) -> Encounter:
    return without(encounter, "diagnoses", "charges").model_copy(
        update={"charges": tuple(c.model_copy(update={"diagnoses": ()}) for c in encounter.charges)}
    )


W, I = Severity.WARNING, Severity.INFORMATION  # noqa: E741
TOMORROW = datetime.combine(TODAY + timedelta(days=1), datetime.min.time(), tzinfo=CHICAGO)
CREDIT = charge(id="x", kind="credit", code="99999", units="1", amount="5", start="2026-11-02")
TWICE = charge(
    id="again", code="36415", system="hcpcs", units="1", amount="12.00", start="2026-11-02", diagnoses=("E119",),
    providers=(Provider(role=ProviderRole.RENDERING, npi="1234567893"),),
)  # fmt: skip

ROWS = [
    Row("visit-cancelled", "visit.status", visit(status=VisitStatus.CANCELLED)),
    Row("not-discharged", "visit.status", visit(status=VisitStatus.PLANNED)),
    Row("codes-not-final", "coding.final", lambda e: change(e, "coding", final=None)),
    Row("bill-hold", "visit.discharged", lambda e: e, policy=BILL_HOLD),
    Row("charge-unmapped", "charges[0].code", first_charge(code=None, local_code="CDM1"), "c1"),
    Row("charge-unmapped", "charges[0].code", first_charge(code=None), "c1"),
    Row("charge-unmapped", "charges[0].code", first_charge(system=CodeSystem.LOCAL), "c1"),
    Row("charge-code-form", "charges[0].code", first_charge(code="9921"), "c1"),
    Row("charge-code-system-unsaid", "charges", first_charge(system=None), severity=I),
    Row("charge-modifier-form", "charges[0].modifiers", first_charge(modifiers=("25", "5")), "c1"),
    Row("charge-modifier-count", "charges[0].modifiers", first_charge(modifiers=("25", "59", "LT", "RT", "77")), "c1"),
    Row(
        "charge-revenue-code-form", "charges[0].revenue_code", first_charge(revenue_code="120"), "r1", base="inpatient"
    ),
    Row("charge-place-of-service", "charges[0].place_of_service", first_charge(place_of_service="98"), "c1"),
    Row("charge-units-missing", "charges[0].units", first_charge(units=None), "c1"),
    Row("charge-units-range", "charges[0].units", first_charge(units=Decimal(0)), "c1"),
    Row("charge-units-range", "charges[0].units", first_charge(units=Decimal(-1)), "c1"),
    Row("charge-units-range", "charges[0].units", first_charge(units=Decimal(10_000)), "c1"),
    Row("charge-units-fraction", "charges[0].units", first_charge(units=Decimal("1.5")), "c1", W),
    Row("charge-amount-missing", "charges[0].amount", first_charge(amount=None), "c1"),
    Row("charge-amount-range", "charges[0].amount", first_charge(amount=Decimal("-0.01")), "c1"),
    Row("charge-amount-range", "charges[0].amount", first_charge(amount=Decimal("1000000.01")), "c1"),
    Row("charge-amount-cents", "charges[0].amount", first_charge(amount=Decimal("1.005")), "c1"),
    Row("charge-amount-zero", "charges[0].amount", first_charge(amount=Decimal("0.00")), "c1", W),
    Row("credit-unmatched", "charges[2]", lambda e: add(e, "charges", CREDIT), "x", W),
    Row("charge-duplicate", "charges[2]", lambda e: add(e, "charges", TWICE), "again", W),
    Row("claim-lines", "charges", lambda e: charges(e, 51)),
    Row(
        "claim-diagnoses",
        "diagnoses",
        lambda e: add(
            e,
            "diagnoses",
            *(
                e.diagnoses[0].model_copy(update={"id": f"x{n}", "code": code, "rank": 3 + n})
                for n, code in enumerate(["A000", "K8000", "R059", "S020XXA"] + [f"I{n}" for n in range(7)])
            ),
        ),
    ),
    Row(
        "claim-kind-unclear",
        "charges",
        lambda e: add(e, "procedures", Procedure(id="p", code="02HV33Z", system=CodeSystem.ICD10PCS)),
        severity=W,
    ),
    Row("claim-kind-unclear", "charges", lambda e: change(e, "coding", drg="193"), severity=W),
    Row("charge-points-nowhere", "charges[0].diagnoses", first_charge(diagnoses=()), "c1"),
    Row("charge-points-to-absent-diagnosis", "charges[0].diagnoses", first_charge(diagnoses=("I10", "R059")), "c1"),
    Row(
        "charge-points-beyond-four",
        "charges[0].diagnoses",
        lambda e: change_item(
            add(
                e,
                "diagnoses",
                *(e.diagnoses[0].model_copy(update={"id": c, "code": c}) for c in ("A000", "R059", "K8000")),
            ),
            "charges",
            0,
            diagnoses=("I10", "E119", "A000", "R059", "K8000"),
        ),
        "c1",
        W,
    ),
    Row("diagnosis-missing", "diagnoses", no_diagnosis, base="inpatient"),
    Row("diagnosis-system", "diagnoses[0].code", first_diagnosis(system=CodeSystem.ICD9CM), "d1"),
    Row("icd10-unknown", "diagnoses[0].code", first_diagnosis(code="Z9999"), "d1", base="inpatient"),
    Row("icd10-not-billable", "diagnoses[0].code", first_diagnosis(code="K80"), "d1", base="inpatient"),
    Row("icd10-not-in-force", "visit", lambda e: moved(e, date(2014, 3, 1))),
    Row("icd10-release", "diagnoses", lambda e: moved(e, date(2019, 3, 1)), severity=I),
    Row("npi-invalid", "providers[0].npi", lambda e: change_item(e, "providers", 0, npi="1234567890"), "1234567890"),
    Row(
        "npi-invalid",
        "procedures[0].providers[0].npi",
        lambda e: change_item(e, "procedures", 0, providers=(Provider(role=ProviderRole.OPERATING, npi="999"),)),
        "999",
        base="inpatient",
    ),
    Row("npi-missing", "providers[1].npi", lambda e: change_item(e, "providers", 1, npi=None), "rendering"),
    Row(
        "rendering-provider-missing",
        "charges[0].providers",
        lambda e: change_item(e.model_copy(update={"providers": e.providers[:1]}), "charges", 0, providers=()),
    ),
    Row(
        "attending-provider-missing",
        "providers",
        lambda e: e.model_copy(update={"providers": e.providers[1:]}),
        severity=W,
        base="inpatient",
    ),
    Row("service-date-missing", "charges[0].start", first_charge(start=None), "c1"),
    Row("service-date-order", "charges[0].end", first_charge(end=date(2026, 11, 1)), "c1"),
    Row("date-in-future", "visit.discharged", visit(discharged=TOMORROW), "discharged"),
    Row(
        "date-in-future",
        "charges[0].start",
        lambda e: change_item(change(e, "visit", discharged=None), "charges", 0, start=TODAY + timedelta(days=1)),
        "c1",
    ),
    Row("service-outside-visit", "charges[0].start", first_charge(start=date(2026, 11, 1)), "c1"),
    Row("service-outside-visit", "charges[0].start", first_charge(start=date(2026, 11, 3)), "c1"),
    Row(
        "service-outside-visit",
        "procedures[0].performed",
        lambda e: change_item(e, "procedures", 0, performed=date(2026, 10, 25)),
        "p1",
        base="inpatient",
    ),
    Row(
        "discharge-before-admission",
        "visit.discharged",
        visit(discharged=datetime(2026, 11, 2, 14, 59, tzinfo=UTC)),
    ),
    Row("discharge-date-missing", "visit.discharged", visit(discharged=None), base="inpatient"),
    Row("coverage-missing", "coverages", lambda e: without(e, "coverages")),
    Row("payer-missing", "coverages[0].payer", lambda e: change_item(e, "coverages", 0, payer=None, payer_name=None)),
    Row("member-id-missing", "coverages[0].member_id", lambda e: change_item(e, "coverages", 0, member_id=None)),
    Row(
        "subscriber-differs",
        "coverages[0].subscriber",
        lambda e: change_item(e, "coverages", 0, subscriber=PersonName(family="OTHER", given="ALEX")),
        "1",
        W,
    ),
    Row(
        "child-older-than-subscriber",
        "coverages[0].relationship",
        lambda e: change_item(e, "coverages", 0, relationship="child", subscriber_birth_date=date(1995, 5, 5)),
        "1",
        W,
    ),
    Row(
        "patient-numbers-differ",
        "patient.identifiers",
        lambda e: add(change(e, "patient", identifiers=(record_number("1"),)), "identifiers", record_number("2")),
        "MAIN MR",
        W,
    ),
    Row(
        "document-missing",
        "documents",
        lambda e: change_item(e, "documents", 0, kind=DocumentKind.OPERATIVE_NOTE),
        base="inpatient",
    ),
    Row(
        "service-undocumented",
        "documents",
        lambda e: change_item(e, "documents", 0, kind=DocumentKind.IMAGING_REPORT),
        "evaluation and management",
    ),
    Row(
        "service-undocumented",
        "documents",
        lambda e: e.model_copy(update={"documents": e.documents[:1]}),
        "surgery",
        base="inpatient",
    ),
]


@pytest.mark.parametrize("name", ["outpatient", "inpatient"])
def test_a_clean_encounter_has_no_finding(name: str) -> None:
    assert found(load(name)) == ()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.rule}-{row.where}")
def test_what_is_wrong_is_found(row: Row) -> None:
    findings = found(row.change(load(row.base)), row.policy)
    finding = next(f for f in findings if f.rule == row.rule)
    assert (finding.where, finding.subject, finding.severity) == (row.where, row.subject, row.severity)
    assert finding.kind is RULES[row.rule].kind
    assert finding.text.endswith(".")
    assert finding.remedy.endswith((".", '"'))
    assert finding.source
    beside = {"icd10-unknown"} if row.rule == "claim-diagnoses" else set()
    assert set(rules(findings)) - beside <= {row.rule, *ALONGSIDE.get(row.rule, ())}


ALONGSIDE = {
    "charge-amount-range": (),
    "service-date-order": ("service-outside-visit",),
    "charge-unmapped": (),
    "claim-diagnoses": ("icd10-unknown",),
    "discharge-before-admission": (),
    "date-in-future": (),
}
"""Findings that the same mistake makes beside the one that is asked for."""


def test_every_rule_has_a_row() -> None:
    assert {row.rule for row in ROWS} == RULES.keys()


def test_rules_are_named_once() -> None:
    names = [rule.name for family in FAMILIES for rule in family.rules]
    assert len(names) == len(set(names))


def test_each_finding_of_a_rule_says_what_it_is_about(outpatient: Encounter) -> None:
    bad = change_item(change_item(outpatient, "charges", 0, units=None), "charges", 1, units=None)
    assert [f.identity for f in found(bad)] == [("charge-units-missing", "c1"), ("charge-units-missing", "c2")]


def test_texts_name_no_patient(outpatient: Encounter) -> None:
    for row in ROWS:
        for finding in found(row.change(load(row.base)), row.policy):
            assert "EXAMPLE" not in finding.model_dump_json()
