from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from review_making import (
    CHICAGO,
    add,
    change,
    change_item,
    charge,
    charges,
    context,
    found,
    moved,
    only,
    rules,
    without,
)

from gateway.encounter.identity import Identifier
from gateway.encounter.model import (
    ChargeKind,
    DiagnosisUse,
    DocumentKind,
    DocumentStatus,
    Encounter,
    EncounterClass,
    PersonName,
    Provider,
    ProviderRole,
    VisitStatus,
)
from gateway.encounter.problem import Problem
from gateway.review.documentation import SUPPORTS, VISIT_DOCUMENTS
from gateway.review.edits.claim_form import CAPACITIES
from gateway.review.edits.context import Limits
from gateway.review.edits.registry import examine
from gateway.review.edits.waiting import ENDINGS
from gateway.review.model import HoldKind, Severity
from gateway.review.policy import EditLimits, Policy

TWICE = charge(
    id="again", code="36415", system="hcpcs", units="1", amount="12.00", start="2026-11-02", diagnoses=("E119",),
    providers=(Provider(role=ProviderRole.RENDERING, npi="1234567893"),),
)  # fmt: skip


# Waiting


@pytest.mark.parametrize("encounter_class", [*EncounterClass, None])
@pytest.mark.parametrize("status", [*VisitStatus, None])
def test_what_each_class_waits_for(
    outpatient: Encounter, encounter_class: EncounterClass | None, status: VisitStatus | None
) -> None:
    visit_ = change(outpatient, "visit", encounter_class=encounter_class, status=status, discharged=None)
    waits = "not-discharged" in rules(tuple(examine(visit_, context(visit_))))
    ending = ENDINGS[encounter_class]
    over = status in ending.statuses or (ending.with_the_day and status is VisitStatus.ACTIVE)
    assert waits is (not over and status is not VisitStatus.CANCELLED)


def test_an_active_outpatient_waits_for_the_end_of_the_day(outpatient: Encounter) -> None:
    visit_ = change(outpatient, "visit", status=VisitStatus.ACTIVE, discharged=None)
    finding = only(found(visit_, today=date(2026, 11, 2)))
    assert finding.rule == "not-discharged"
    assert finding.until == datetime(2026, 11, 3, 6, 0, tzinfo=UTC)
    assert found(visit_, today=date(2026, 11, 3)) == ()


def test_a_discharge_date_is_a_discharge(inpatient: Encounter) -> None:
    assert found(change(inpatient, "visit", status=VisitStatus.ACTIVE)) == ()
    assert "not-discharged" in rules(found(change(inpatient, "visit", status=VisitStatus.PLANNED)))


def test_the_bill_hold_ends_by_the_facility_s_calendar(inpatient: Encounter) -> None:
    policy = Policy(bill_hold_days=5)
    finding = only(found(inpatient, policy, today=date(2026, 10, 28)))
    assert (finding.rule, finding.kind) == ("bill-hold", HoldKind.WAITING)
    assert finding.until == datetime(2026, 10, 29, 5, 0, tzinfo=UTC)
    assert found(inpatient, policy, today=date(2026, 10, 29)) == ()


def test_bill_hold_days_by_class(inpatient: Encounter, outpatient: Encounter) -> None:
    policy = Policy.model_validate({"bill_hold_days": {"inpatient": 5, "default": 0}})
    assert rules(found(inpatient, policy, today=date(2026, 10, 28))) == ["bill-hold"]
    assert found(outpatient, policy, today=date(2026, 11, 2)) == ()


def test_time_alone_never_ends_in_the_past(outpatient: Encounter) -> None:
    """A finding that the clock ends lies ahead of the day that is asked about: the clock never spins on it."""
    policy = Policy(bill_hold_days=3)
    for days in range(-2, 6):
        today = date(2026, 11, 2) + timedelta(days=days)
        for status in (VisitStatus.ACTIVE, VisitStatus.DISCHARGED):
            visit_ = change(outpatient, "visit", status=status)
            for finding in found(visit_, policy, today=today):
                if finding.until is not None:
                    assert finding.until.astimezone(CHICAGO).date() > today


def test_a_cancelled_visit_with_charges_waits_for_its_codes_too(outpatient: Encounter) -> None:
    """Overriding the cancellation must not let uncoded charges out."""
    cancelled = change(outpatient, "visit", status=VisitStatus.CANCELLED)
    uncoded = change(cancelled, "coding", final=False)
    assert {"visit-cancelled", "codes-not-final"} <= set(rules(found(uncoded)))


def test_a_cancelled_visit_without_charges_is_nothing(outpatient: Encounter) -> None:
    visit_ = change(without(outpatient, "charges"), "visit", status=VisitStatus.CANCELLED)
    assert found(visit_) == ()


def test_before_there_is_anything_to_bill_only_waiting_is_told(outpatient: Encounter) -> None:
    arrived = without(outpatient, "charges", "diagnoses", "coverages", "documents", "providers")
    arrived = change(change(arrived, "visit", status=VisitStatus.ACTIVE, discharged=None), "coding", final=None)
    assert rules(found(arrived)) == ["not-discharged", "codes-not-final"]


def test_before_the_codes_are_final_the_charges_are_looked_at(outpatient: Encounter) -> None:
    early = change(without(outpatient, "diagnoses", "coverages", "documents"), "coding", final=False)
    assert rules(found(change_item(early, "charges", 0, units=None))) == ["codes-not-final", "charge-units-missing"]


# Problems of messages


def test_a_message_s_problem_becomes_a_finding(outpatient: Encounter) -> None:
    told = Problem("not-a-number", "FT1[2]-10", "The units are not a number.", code="c1")
    finding = only(found(outpatient.model_copy(update={"problems": (told,)})))
    assert (finding.rule, finding.where, finding.subject) == ("message.not-a-number", "FT1[2]-10", "c1 10")
    assert finding.severity is Severity.WARNING
    assert only(found(outpatient, problems=(told, told))).rule == "message.not-a-number"


# Charges


def test_an_institutional_line_needs_no_code(inpatient: Encounter) -> None:
    assert inpatient.charges[0].code is None
    assert rules(found(change_item(inpatient, "charges", 0, local_code="ROOM"))) == ["charge-unmapped"]


def test_mileage_is_counted_in_tenths(outpatient: Encounter) -> None:
    mileage = change_item(outpatient, "charges", 1, code="A0425", units=Decimal("12.3"))
    assert found(mileage) == ()


def test_a_performance_measure_may_cost_nothing(outpatient: Encounter) -> None:
    assert found(change_item(outpatient, "charges", 1, code="1036F", amount=Decimal(0))) == ()


@pytest.mark.parametrize("modifier", ["59", "76", "77", "91", "XE"])
def test_a_repeat_that_says_so_is_no_duplicate(outpatient: Encounter, modifier: str) -> None:
    assert found(add(outpatient, "charges", TWICE.model_copy(update={"modifiers": (modifier,)}))) == ()


def test_a_matched_credit_takes_its_charge_off_the_bill(outpatient: Encounter) -> None:
    bad = change_item(outpatient, "charges", 0, units=None)
    credit = charge(id="x", kind=ChargeKind.CREDIT, code="99213", reverses="c1")
    assert found(add(bad, "charges", credit)) == ()
    astray = charge(id="x", kind=ChargeKind.CREDIT, code="99213", reverses="nowhere")
    assert "credit-unmatched" in rules(found(add(bad, "charges", astray)))


def test_payments_are_not_looked_at(outpatient: Encounter) -> None:
    assert found(add(outpatient, "charges", charge(id="p", kind=ChargeKind.PAYMENT))) == ()


def test_limits_come_from_the_policy(outpatient: Encounter) -> None:
    tight = Policy(limits=EditLimits(max_line_amount=Decimal(100), max_line_units=Decimal("0.5")))
    assert set(rules(found(outpatient, tight))) == {"charge-amount-range", "charge-units-range"}
    assert Limits().bill_hold(None) == 0


# Claim form


@pytest.mark.parametrize(("kind", "capacity"), CAPACITIES.items())
def test_a_claim_s_lines_are_counted(kind: str, capacity: tuple[int, int], outpatient: Encounter) -> None:
    revenue = "0510" if kind == "institutional" else None
    visit_ = change_item(outpatient, "charges", 0, revenue_code=revenue)
    assert "claim-lines" not in rules(found(charges(visit_, capacity[0])))
    assert "claim-lines" in rules(found(charges(visit_, capacity[0] + 1)))


def test_an_institutional_line_points_to_nothing(inpatient: Encounter) -> None:
    assert all(c.diagnoses == () for c in inpatient.charges)
    bad = change_item(inpatient, "charges", 0, diagnoses=("R059",))
    assert rules(found(bad)) == ["charge-points-to-absent-diagnosis"]


# Diagnoses


def test_an_inpatient_s_codes_are_checked_on_the_day_of_discharge(inpatient: Encounter) -> None:
    """At the facility it is still the day before."""
    late = change(inpatient, "visit", discharged=datetime(2026, 10, 25, 3, tzinfo=UTC))
    assert "2026-10-24" in only(found(change_item(late, "diagnoses", 0, code="Z9999"))).text


def test_against_a_release_that_does_not_cover_the_date_it_only_warns(outpatient: Encounter) -> None:
    bad = moved(change_item(outpatient, "diagnoses", 1, code="Z9999"), date(2019, 3, 1))
    bad = change_item(change_item(bad, "charges", 0, diagnoses=("I10",)), "charges", 1, diagnoses=("I10",))
    findings = found(bad)
    assert rules(findings) == ["icd10-release", "icd10-unknown"]
    assert findings[1].severity is Severity.WARNING
    assert "ICD-10-CM FY2026 (test)" in findings[1].evidence


def test_a_missing_seventh_character_is_named(inpatient: Encounter) -> None:
    finding = only(found(change_item(inpatient, "diagnoses", 0, code="S020")))
    assert finding.rule == "icd10-not-billable"
    assert "7th character" in finding.text


def test_only_final_codes_are_checked(outpatient: Encounter) -> None:
    working = outpatient.diagnoses[0].model_copy(update={"id": "w", "code": "???", "use": DiagnosisUse.WORKING})
    assert found(add(outpatient, "diagnoses", working)) == ()


# Providers


def test_a_billing_provider_stands_for_the_rendering_one(outpatient: Encounter) -> None:
    bare = change_item(change_item(outpatient, "charges", 0, providers=()), "charges", 1, providers=())
    billed = bare.model_copy(update={"providers": (Provider(role=ProviderRole.BILLING, npi="1234567893"),)})
    assert found(billed) == ()
    attended = bare.model_copy(update={"providers": (Provider(role=ProviderRole.ATTENDING, npi="1234567893"),)})
    assert rules(found(attended)) == ["rendering-provider-missing"]


def test_a_wrong_npi_is_told_once(outpatient: Encounter) -> None:
    wrong = Provider(role=ProviderRole.RENDERING, npi="1234567890")
    bad = change_item(change_item(outpatient, "charges", 0, providers=(wrong,)), "charges", 1, providers=(wrong,))
    assert only(found(bad)).where == "charges[0].providers[0].npi"


# Dates


@pytest.mark.parametrize(("days", "inside"), [(3, True), (4, False)])
def test_the_payment_window_of_an_inpatient(inpatient: Encounter, days: int, inside: bool) -> None:
    early = change_item(inpatient, "charges", 1, start=date(2026, 10, 20) - timedelta(days=days))
    assert ("service-outside-visit" not in rules(found(early))) is inside


def test_the_visit_s_days_are_the_facility_s(outpatient: Encounter) -> None:
    """Discharged at eleven in the evening: the next day in UTC."""
    late = change(outpatient, "visit", discharged=datetime(2026, 11, 3, 5, tzinfo=UTC))
    late = change_item(late, "charges", 0, start=date(2026, 11, 3))
    assert rules(found(late)) == ["service-outside-visit"]
    assert found(late, zone=UTC) == ()


def test_recurring_services_are_not_framed(outpatient: Encounter) -> None:
    series = change(outpatient, "visit", encounter_class=EncounterClass.RECURRING)
    assert found(change_item(series, "charges", 0, start=date(2026, 11, 9))) == ()


# Coverage


def test_the_first_coverage_by_rank_is_looked_at(outpatient: Encounter) -> None:
    second = outpatient.coverages[0].model_copy(update={"id": "2", "rank": 2, "member_id": None})
    assert found(add(outpatient, "coverages", second)) == ()
    first = second.model_copy(update={"rank": 0})
    assert rules(found(add(outpatient, "coverages", first))) == ["member-id-missing"]


# Documentation


@pytest.mark.parametrize("encounter_class", VISIT_DOCUMENTS)
@pytest.mark.parametrize("kind", DocumentKind)
def test_the_kind_of_document_for_each_class(
    outpatient: Encounter, encounter_class: EncounterClass | None, kind: DocumentKind
) -> None:
    visit_ = change(change_item(outpatient, "documents", 0, kind=kind), "visit", encounter_class=encounter_class)
    missing = "document-missing" in rules(found(visit_))
    assert missing is (kind not in VISIT_DOCUMENTS[encounter_class])


@pytest.mark.parametrize("status", DocumentStatus)
def test_only_a_finished_document_supports_a_code(outpatient: Encounter, status: DocumentStatus) -> None:
    findings = found(change_item(outpatient, "documents", 0, status=status))
    assert (findings == ()) is (status in SUPPORTS)
    if status is DocumentStatus.PRELIMINARY:
        assert findings[0].evidence == ("n1",)


def test_documentation_can_be_off(outpatient: Encounter) -> None:
    bare = without(outpatient, "documents")
    assert set(rules(found(bare))) == {"document-missing", "service-undocumented"}
    assert found(bare, Policy.model_validate({"documentation": False})) == ()


def test_drawing_blood_needs_no_procedure_note(outpatient: Encounter) -> None:
    assert outpatient.charges[1].code == "36415"
    assert rules(found(change_item(outpatient, "charges", 1, code="36561"))) == ["service-undocumented"]


def test_every_class_of_encounter_is_in_every_table() -> None:
    classes = {*EncounterClass, None}
    assert VISIT_DOCUMENTS.keys() == classes
    assert ENDINGS.keys() == classes


# Patient


@pytest.mark.parametrize(
    ("registered", "came", "differs"),
    [
        ([("1", "A", "MR")], [("1", "A", "MR")], False),
        ([("1", "A", "MR")], [("2", "A", "MR")], True),
        ([("1", "A", "MR"), ("2", "A", "MR")], [("2", "A", "MR")], False),
        ([("1", "A", "MR")], [("2", "B", "MR")], False),
        ([("1", None, "MR")], [("2", None, "MR")], True),
        ([("1", None, None)], [("2", None, None)], False),
        ([("1", "A", "SS")], [("2", "A", "SS")], False),
        ([], [("2", "A", "MR")], False),
    ],
)
def test_whose_encounter_it_is(
    outpatient: Encounter,
    registered: list[tuple[str, str | None, str | None]],
    came: list[tuple[str, str | None, str | None]],
    differs: bool,
) -> None:
    def numbers(said: list[tuple[str, str | None, str | None]]) -> tuple[Identifier, ...]:
        return tuple(Identifier(value=value, authority=authority, type=kind) for value, authority, kind in said)

    both = add(change(outpatient, "patient", identifiers=numbers(registered)), "identifiers", *numbers(came))
    assert rules(found(both)) == (["patient-numbers-differ"] if differs else [])


# Coverage


@pytest.mark.parametrize(
    ("relationship", "family", "given", "born", "differs"),
    [
        ("self", "EXAMPLE", "ALEX", date(1970, 2, 3), ""),
        ("self", "Example", "Alex Q.", None, ""),
        ("self", "EXAM-PLE", None, None, ""),
        ("self", "OTHER", "ALEX", None, "family name"),
        ("self", "EXAMPLE", "SAM", date(1950, 1, 1), "given name, date of birth"),
        ("child", "OTHER", "SAM", date(1950, 1, 1), ""),
        (None, "OTHER", "SAM", None, ""),
    ],
)
def test_who_is_the_subscriber_of_ones_own_coverage(
    outpatient: Encounter,
    relationship: str | None,
    family: str,
    given: str | None,
    born: date | None,
    differs: str,
) -> None:
    said = {"relationship": relationship, "subscriber_birth_date": born}
    covered = change_item(outpatient, "coverages", 0, subscriber=PersonName(family=family, given=given), **said)
    texts = [finding.text for finding in found(covered) if finding.rule == "subscriber-differs"]
    assert texts == ([f"The patient is said to be the subscriber, who has another {differs}."] if differs else [])


def test_an_unmapped_charge_is_said_once(outpatient: Encounter) -> None:
    unmapped = change_item(outpatient, "charges", 0, code=None, local_code="CDM1")
    told = Problem("charge-unmapped", "FT1[1]-25", "the charge has no code", code="c1")
    assert rules(found(unmapped, problems=(told,))) == ["charge-unmapped"]


def test_only_a_professional_line_is_bound_to_four_diagnoses(inpatient: Encounter) -> None:
    codes = ("A000", "E119", "I10", "K8000", "R059")
    final = [d for d in inpatient.diagnoses if d.use is DiagnosisUse.FINAL]
    known = {d.code for d in final}
    more = [final[0].model_copy(update={"id": c, "code": c, "rank": 9}) for c in codes if c not in known]
    pointing = change_item(add(inpatient, "diagnoses", *more), "charges", 0, diagnoses=codes)
    assert "charge-points-beyond-four" not in rules(found(pointing))
