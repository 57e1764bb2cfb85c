"""What would be billed, and its fingerprint: what an approval is bound to."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from encounter_making import DAY, KEY, charge, credit, encounters, final, working
from hypothesis import given, settings

from gateway.encounter.billable import billable, billed_diagnoses, fingerprint
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import (
    Address,
    Charge,
    ChargeKind,
    ClaimKind,
    Coding,
    Coverage,
    Document,
    Encounter,
    EncounterClass,
    Entry,
    Guarantor,
    Patient,
    PersonName,
    Procedure,
    Provider,
    ProviderRole,
    Visit,
    VisitStatus,
)
from gateway.encounter.problem import Problem

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
DOCTOR = Provider(role=ProviderRole.RENDERING, npi="1417000038", name=PersonName(family="OKAFOR"))

ENCOUNTER = Encounter(
    key=KEY,
    identifiers=(Identifier(value="A1001", authority="HOSP", type="AN"),),
    patient=Patient(
        name=PersonName(family="A", given="B"), birth_date=date(1950, 1, 1), sex="F", address=Address(city="S")
    ),
    guarantor=Guarantor(relationship="self"),
    visit=Visit(
        status=VisitStatus.DISCHARGED,
        encounter_class=EncounterClass.OUTPATIENT,
        place_of_service="11",
        admitted=NOON,
        discharged=NOON + timedelta(hours=1),
        account=Identifier(value="A1001", authority="HOSP", type="AN"),
    ),
    coverages=(Coverage(id="2", rank=2, member_id="M2"), Coverage(id="1", rank=1, member_id="M1")),
    providers=(Provider(role=ProviderRole.ATTENDING, npi="1528000149"),),
    diagnoses=(final("E785", 2), working("R07"), final("I10", 1)),
    procedures=(Procedure(id="p", code="0DTJ4ZZ", performed=DAY),),
    charges=(charge("c1", diagnoses=("I10", "E785"), providers=(DOCTOR,)), charge("c2", "36415", "12.50")),
    documents=(Document(id="n1"),),
    coding=Coding(coder="jdoe", final=True, drg="470"),
)


def with_(**said: Any) -> Encounter:
    return ENCOUNTER.model_copy(update=said)


def with_charge(**said: Any) -> Encounter:
    return with_(charges=(ENCOUNTER.charges[0].model_copy(update=said), *ENCOUNTER.charges[1:]))


def with_visit(**said: Any) -> Encounter:
    return with_(visit=ENCOUNTER.visit.model_copy(update=said))


def with_patient(**said: Any) -> Encounter:
    return with_(patient=ENCOUNTER.patient.model_copy(update=said))


def with_diagnosis(**said: Any) -> Encounter:
    return with_(diagnoses=(ENCOUNTER.diagnoses[0].model_copy(update=said), *ENCOUNTER.diagnoses[1:]))


# What is billed


def test_lines_point_to_the_final_codes_in_their_order() -> None:
    billed = billable(ENCOUNTER)
    assert [d.code for d in billed.diagnoses] == ["I10", "E785"]
    assert [line.pointers for line in billed.lines] == [(1, 2), (1,)]
    assert billed.total == Decimal("180.50")


def test_a_pointer_to_a_code_that_is_not_final_is_left_out() -> None:
    assert billable(with_charge(diagnoses=("R07", "E785"))).lines[0].pointers == (2,)


def test_a_code_is_billed_once_at_its_first_rank() -> None:
    twice = with_(diagnoses=(final("I10", 3), final("E785", 2), final("I10", 1), final("R07", None)))  # type: ignore[arg-type]
    assert [d.code for d in billed_diagnoses(twice)] == ["I10", "E785", "R07"]


def test_coverages_are_billed_in_the_order_of_their_rank() -> None:
    assert [c.id for c in billable(ENCOUNTER).coverages] == ["1", "2"]


def test_the_line_names_who_rendered_it_and_where() -> None:
    line, other = billable(ENCOUNTER).lines
    assert line.rendering == DOCTOR
    assert line.place_of_service == "11"
    assert other.rendering is None
    assert billable(with_charge(place_of_service="22")).lines[0].place_of_service == "22"


def test_a_revenue_code_makes_the_claim_institutional() -> None:
    assert billable(ENCOUNTER).kind is ClaimKind.PROFESSIONAL
    assert billable(with_charge(revenue_code="0510")).kind is ClaimKind.INSTITUTIONAL


def test_what_was_taken_back_or_is_no_charge_is_not_billed() -> None:
    taken_back = with_(charges=(*ENCOUNTER.charges, credit("k1", reverses="c1"), charge("p", kind=ChargeKind.PAYMENT)))
    assert [line.charge for line in billable(taken_back).lines] == ["c2"]


def test_nothing_is_billed_of_an_encounter_without_charges() -> None:
    billed = billable(Encounter(key=KEY))
    assert billed.lines == ()
    assert billed.total == Decimal(0)
    assert billed.kind is ClaimKind.PROFESSIONAL


# What changes the fingerprint

BILLED: dict[str, Encounter] = {
    "the key": with_(key=EncounterKey("MAIN", "HOSP", "A1002")),
    "a line's code": with_charge(code="99214"),
    "a line's modifiers": with_charge(modifiers=("25",)),
    "the order of modifiers": with_charge(modifiers=("59", "25")),
    "a line's units": with_charge(units=Decimal(2)),
    "a line's amount": with_charge(amount=Decimal("168.01")),
    "a line's day": with_charge(start=DAY + timedelta(days=1)),
    "a line's last day": with_charge(end=DAY + timedelta(days=1)),
    "a line's pointers": with_charge(diagnoses=("E785", "I10")),
    "a line's place": with_charge(place_of_service="22"),
    "a line's revenue code": with_charge(revenue_code="0510"),
    "who rendered a line": with_charge(providers=(DOCTOR.model_copy(update={"npi": "1528000149"}),)),
    "one line more": with_(charges=(*ENCOUNTER.charges, charge("c3"))),
    "one line less": with_(charges=ENCOUNTER.charges[:1]),
    "a credit": with_(charges=(*ENCOUNTER.charges, credit("k1", reverses="c1"))),
    "a final code": with_diagnosis(code="E786"),
    "the order of the codes": with_diagnosis(rank=0),
    "present on admission": with_diagnosis(present_on_admission="Y"),
    "one code more": with_(diagnoses=(*ENCOUNTER.diagnoses, final("N390", 3))),
    "a procedure": with_(procedures=()),
    "the DRG": with_(coding=ENCOUNTER.coding.model_copy(update={"drg": "469"})),
    "the patient's name": with_patient(name=PersonName(family="C", given="B")),
    "the patient's birth date": with_patient(birth_date=date(1950, 1, 2)),
    "the patient's sex": with_patient(sex="M"),
    "the patient's address": with_patient(address=Address(city="T")),
    "the admission": with_visit(admitted=NOON + timedelta(days=1)),
    "the discharge": with_visit(discharged=NOON + timedelta(days=1)),
    "the disposition": with_visit(disposition="20"),
    "the class": with_visit(encounter_class=EncounterClass.INPATIENT),
    "the visit's place": with_visit(place_of_service="22"),
    "the account": with_visit(account=Identifier(value="A9", authority="HOSP", type="AN")),
    "who is billed first": with_(coverages=ENCOUNTER.coverages[:1]),
    "the member": with_(coverages=(ENCOUNTER.coverages[1].model_copy(update={"member_id": "M9"}),)),
    "the attending": with_(providers=(Provider(role=ProviderRole.ATTENDING, npi="1417000038"),)),
}

NOT_BILLED: dict[str, Encounter] = {
    "nothing": with_(),
    "where a charge came from": with_charge(source="encoder", origin="7 FT1[1]"),
    "where a code came from": with_diagnosis(source="encoder", origin="7 DG1[1]"),
    "the words beside a code": with_diagnosis(description="as the encoder has it"),
    "where a procedure came from": with_(procedures=(ENCOUNTER.procedures[0].model_copy(update={"origin": "7 PR1"}),)),
    "the history": with_(history=(Entry(7, 0),)),
    "the problems": with_(problems=(Problem("date", "PID-7", "not a date"),)),
    "the charge master's code": with_charge(local_code="4711"),
    "another number of the encounter": with_(identifiers=()),
    "the patient's numbers": with_patient(identifiers=(Identifier(value="M1", type="MR"),)),
    "the patient's telephone": with_patient(phone="2175550142"),
    "a provider's other numbers": with_(
        providers=(ENCOUNTER.providers[0].model_copy(update={"identifiers": (Identifier(value="77"),)}),)
    ),
    "a renderer's other numbers": with_charge(
        providers=(DOCTOR.model_copy(update={"identifiers": (Identifier(value="77"),)}),)
    ),
    "who ordered a line": with_charge(providers=(DOCTOR, Provider(role=ProviderRole.ORDERING, npi="1528000149"))),
    "the guarantor": with_(guarantor=None),
    "a document": with_(documents=()),
    "a working diagnosis": with_(diagnoses=(ENCOUNTER.diagnoses[0], ENCOUNTER.diagnoses[2])),
    "the coder": with_(coding=ENCOUNTER.coding.model_copy(update={"coder": "other", "coded": NOON})),
    "the visit's status": with_visit(status=VisitStatus.ACTIVE),
    "the visit's location": with_visit(location="ED-4", service="MED", type="x"),
    "a payment": with_(charges=(*ENCOUNTER.charges, charge("p", kind=ChargeKind.PAYMENT))),
    "the order in which coverages came": with_(coverages=ENCOUNTER.coverages[::-1]),
    "the order in which codes came": with_(diagnoses=ENCOUNTER.diagnoses[::-1]),
}


@pytest.mark.parametrize("what", BILLED)
def test_a_change_of_what_is_billed_changes_the_fingerprint(what: str) -> None:
    assert fingerprint(BILLED[what]) != fingerprint(ENCOUNTER)


@pytest.mark.parametrize("what", NOT_BILLED)
def test_a_change_of_anything_else_does_not(what: str) -> None:
    assert fingerprint(NOT_BILLED[what]) == fingerprint(ENCOUNTER)


def test_no_two_of_these_have_one_fingerprint() -> None:
    assert len({fingerprint(encounter) for encounter in BILLED.values()}) == len(BILLED)


# Whatever the encounter


@given(encounters)
@settings(max_examples=60, deadline=None)
def test_the_fingerprint_survives_storage(encounter: Encounter) -> None:
    assert fingerprint(Encounter.from_json(encounter.to_json())) == fingerprint(encounter)


@given(encounters)
@settings(max_examples=60, deadline=None)
def test_where_values_came_from_never_counts(encounter: Encounter) -> None:
    elsewhere = {"source": "elsewhere", "origin": "9 X[1]"}
    moved = {
        name: tuple(item.model_copy(update=elsewhere) for item in getattr(encounter, name))
        for name in ("diagnoses", "procedures", "charges", "documents")
    }
    told = encounter.model_copy(update={**moved, "history": (Entry(9, 1),)})
    assert fingerprint(told) == fingerprint(encounter)


def _whole(credit: Charge, named: dict[str, Charge]) -> bool:
    """Whether the credit is for all units and the whole amount of the charge that it names, where it says them."""
    charge = named.get(credit.reverses or "")
    if charge is None:
        return False
    units = credit.units is None or abs(credit.units) == abs(charge.units or 0)
    return units and (credit.amount is None or abs(credit.amount) == abs(charge.amount or 0))


@given(encounters)
@settings(max_examples=60, deadline=None)
def test_lines_are_the_charges_that_stand_in_their_order(encounter: Encounter) -> None:
    billed = billable(encounter)
    named = {c.id: c for c in encounter.charges if c.kind is ChargeKind.CHARGE}
    taken_back = {c.reverses for c in encounter.charges if c.kind is ChargeKind.CREDIT and _whole(c, named)}
    standing = [c for c in encounter.charges if c.kind is ChargeKind.CHARGE and c.id not in taken_back]
    assert [line.charge for line in billed.lines] == [c.id for c in standing]
    assert billed.total == sum((c.amount or Decimal(0) for c in standing), Decimal(0))
    assert all(0 < p <= len(billed.diagnoses) for line in billed.lines for p in line.pointers)
