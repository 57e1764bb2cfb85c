"""What a message does to an encounter."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from encounter_making import KEY, change, changes, charge, credit, encounters, final, working
from hypothesis import given, settings

from gateway.encounter.apply import apply
from gateway.encounter.billable import billed_charges
from gateway.encounter.change import Change, Items, Mode, Places
from gateway.encounter.identity import Identifier
from gateway.encounter.model import (
    Charge,
    ChargeKind,
    Coding,
    Coverage,
    DiagnosisUse,
    Document,
    Encounter,
    Guarantor,
    Patient,
    PersonName,
    Provider,
    ProviderRole,
    Visit,
    VisitStatus,
)
from gateway.encounter.problem import Problem

NONE = Encounter(key=KEY)


def ids(items: tuple[Charge, ...]) -> list[str]:
    return [item.id for item in items]


def with_charges(*charges: Charge) -> Encounter:
    return apply(None, change(charges=Items(charges)))


def reverses(encounter: Encounter) -> dict[str, str | None]:
    return {c.id: c.reverses for c in encounter.charges if c.kind is ChargeKind.CREDIT}


# Groups


def test_the_first_message_begins_the_encounter() -> None:
    begun = apply(None, change(visit=Visit(place_of_service="11")))
    assert begun.key == KEY
    assert begun.visit.place_of_service == "11"


def test_a_group_changes_only_in_what_the_message_sets() -> None:
    before = apply(None, change(patient=Patient(name=PersonName(family="A"), sex="F", phone="1")))
    after = apply(before, change(patient=Patient(phone="2")))
    assert after.patient == Patient(name=PersonName(family="A"), sex="F", phone="2")


def test_a_field_set_to_none_is_deleted_and_one_not_set_is_kept() -> None:
    discharged = datetime(2026, 11, 18, 12, tzinfo=UTC)
    before = apply(None, change(visit=Visit(discharged=discharged, status=VisitStatus.DISCHARGED)))
    after = apply(before, change(visit=Visit(discharged=None)))
    assert after.visit.discharged is None
    assert after.visit.status is VisitStatus.DISCHARGED


def test_a_name_is_replaced_whole() -> None:
    before = apply(None, change(patient=Patient(name=PersonName(family="A", middle="B"))))
    after = apply(before, change(patient=Patient(name=PersonName(family="C"))))
    assert after.patient.name == PersonName(family="C")


def test_a_group_that_was_absent_is_what_the_message_says() -> None:
    assert NONE.guarantor is None
    after = apply(NONE, change(guarantor=Guarantor(relationship="self"), coding=Coding(final=True)))
    assert after.guarantor == Guarantor(relationship="self")
    assert after.coding.final is True


def test_providers_are_replaced_by_role() -> None:
    attending = Provider(role=ProviderRole.ATTENDING, npi="1")
    referring = Provider(role=ProviderRole.REFERRING, npi="2")
    before = apply(None, change(providers=(attending, referring)))
    after = apply(before, change(providers=(Provider(role=ProviderRole.ATTENDING, npi="3"),)))
    assert {p.role: p.npi for p in after.providers} == {ProviderRole.ATTENDING: "3", ProviderRole.REFERRING: "2"}


def test_numbers_are_gathered_each_once() -> None:
    account, visit = Identifier(value="A1", type="AN"), Identifier(value="V1", type="VN")
    after = apply(apply(None, change(identifiers=(account, account))), change(identifiers=(visit, account)))
    assert after.identifiers == (account, visit)


# Lists


def test_items_are_added_and_one_that_is_said_again_keeps_its_position() -> None:
    before = with_charges(charge("c1"), charge("c2"))
    after = apply(before, change(charges=Items((charge("c3"), charge("c1", amount="200.00")))))
    assert ids(after.charges) == ["c1", "c2", "c3"]
    assert after.charges[0].amount == Decimal("200.00")


def test_a_list_is_replaced() -> None:
    after = apply(with_charges(charge("c1"), charge("c2")), change(charges=Items((charge("c9"),), Mode.REPLACE)))
    assert ids(after.charges) == ["c9"]


def test_items_are_removed_by_id_and_one_that_is_unknown_is_no_fault() -> None:
    before = with_charges(charge("c1"), charge("c2"))
    after = apply(before, change(charges=Items((charge("c1"), charge("x")), Mode.REMOVE)))
    assert ids(after.charges) == ["c2"]


def test_a_replacement_stays_within_the_claim_that_it_is_of() -> None:
    before = with_charges(charge("clm-1/1"), charge("clm-2/1"), charge("clm-1/2"))
    after = apply(before, change(charges=Items((charge("clm-1/7"),), Mode.REPLACE, ("clm-1/",))))
    assert ids(after.charges) == ["clm-2/1", "clm-1/7"]


def test_a_replacement_may_span_the_claims_that_it_supersedes() -> None:
    before = with_charges(charge("clm-1/1"), charge("clm-2/1"), charge("ft1"))
    after = apply(before, change(charges=Items((charge("clm-3/1"),), Mode.REPLACE, ("clm-3/", "clm-1/"))))
    assert ids(after.charges) == ["clm-2/1", "ft1", "clm-3/1"]


def test_an_empty_replacement_withdraws_the_claim() -> None:
    before = with_charges(charge("clm-1/1"), charge("clm-2/1"))
    assert ids(apply(before, change(charges=Items((), Mode.REPLACE, ("clm-1/",)))).charges) == ["clm-2/1"]


def test_an_item_with_a_known_id_takes_its_place_even_from_outside_a_replacement() -> None:
    before = with_charges(charge("x"), charge("clm-1/1"))
    after = apply(before, change(charges=Items((charge("x", amount="1.00"),), Mode.REPLACE, ("clm-1/",))))
    assert [(c.id, c.amount) for c in after.charges] == [("x", Decimal("1.00"))]


def test_final_codes_replace_final_codes_and_leave_the_physicians_beside_them() -> None:
    before = apply(None, change(diagnoses=Items((working("R07"), final("I10", 1), final("E119", 2)))))
    after = apply(before, change(diagnoses=Items((final("I214", 1),), Mode.REPLACE)))
    assert [(d.code, d.use) for d in after.diagnoses] == [("R07", DiagnosisUse.WORKING), ("I214", DiagnosisUse.FINAL)]


def test_no_final_codes_any_more_leave_the_physicians() -> None:
    before = apply(None, change(diagnoses=Items((working("R07"), final("I10", 1)))))
    after = apply(before, change(diagnoses=Items((), Mode.REPLACE)))
    assert [d.code for d in after.diagnoses] == ["R07"]


def test_a_draft_that_becomes_final_stands_once() -> None:
    draft = working("I10").model_copy(update={"id": "clm-1/dx1"})
    before = apply(None, change(diagnoses=Items((draft,), Mode.REPLACE)))
    after = apply(
        before, change(diagnoses=Items((draft.model_copy(update={"use": DiagnosisUse.FINAL}),), Mode.REPLACE))
    )
    assert [(d.id, d.use) for d in after.diagnoses] == [("clm-1/dx1", DiagnosisUse.FINAL)]


def test_coverages_and_documents_are_lists_like_any_other() -> None:
    before = apply(
        None, change(coverages=Items((Coverage(id="1"), Coverage(id="2"))), documents=Items((Document(id="n"),)))
    )
    after = apply(before, change(coverages=Items((Coverage(id="1", rank=1),), Mode.REPLACE)))
    assert after.coverages == (Coverage(id="1", rank=1),)
    assert [d.id for d in after.documents] == ["n"]


# Credits


def test_a_credit_takes_back_the_charge_that_it_equals() -> None:
    encounter = with_charges(charge("c1"), charge("c2", "36415", "12.50"), credit("k1", "36415", "-12.50"))
    assert reverses(encounter) == {"k1": "c2"}
    assert ids(billed_charges(encounter)) == ["c1"]


def test_a_credit_that_came_before_its_charge_finds_it_later() -> None:
    before = with_charges(credit("k1"))
    assert reverses(before) == {"k1": None}
    assert reverses(apply(before, change(charges=Items((charge("c1"),))))) == {"k1": "c1"}


def test_the_sign_of_a_credit_does_not_matter() -> None:
    assert reverses(with_charges(charge("c1"), credit("k1", amount="168.00", units=Decimal(-1)))) == {"k1": "c1"}


def test_a_credit_that_equals_no_charge_stays_unmatched() -> None:
    charges = [charge("c1"), charge("c2", modifiers=("25",)), charge("c3", start=None), charge("c4", local_code="X")]
    encounter = with_charges(*charges, credit("k1", amount="-100.00"), credit("k2", "99214"))
    assert reverses(encounter) == {"k1": None, "k2": None}
    assert ids(billed_charges(encounter)) == ["c1", "c2", "c3", "c4"]


def test_two_credits_take_back_two_equal_charges() -> None:
    encounter = with_charges(charge("c1"), charge("c2"), charge("c3"), credit("k1"), credit("k2"))
    assert reverses(encounter) == {"k1": "c1", "k2": "c2"}
    assert ids(billed_charges(encounter)) == ["c3"]


def test_more_credits_than_charges_leave_one_unmatched() -> None:
    assert reverses(with_charges(charge("c1"), credit("k1"), credit("k2"))) == {"k1": "c1", "k2": None}


def test_a_credit_between_charges_that_are_billed_differently_is_not_guessed() -> None:
    by_another = (Provider(role=ProviderRole.RENDERING, npi="2"),)
    for other in (
        charge("c2", diagnoses=("E119",)),
        charge("c2", place_of_service="22"),
        charge("c2", revenue_code="0510"),
        charge("c2", providers=by_another),
    ):
        encounter = with_charges(charge("c1"), other, credit("k1"))
        assert reverses(encounter) == {"k1": None}, other
        assert ids(billed_charges(encounter)) == ["c1", "c2"]


def test_charges_that_came_from_elsewhere_are_still_alike() -> None:
    encounter = with_charges(charge("c1", source="a", origin="1 FT1[1]"), charge("c2", source="b"), credit("k1"))
    assert reverses(encounter) == {"k1": "c1"}


def test_a_credit_that_names_its_charge_is_believed() -> None:
    encounter = with_charges(charge("c1"), charge("c2"), credit("k1", reverses="c2"), credit("k2"))
    assert reverses(encounter) == {"k1": "c2", "k2": "c1"}


def test_payments_and_adjustments_are_kept_and_take_nothing_back() -> None:
    paid = charge("p1", kind=ChargeKind.PAYMENT)
    assert ids(billed_charges(with_charges(charge("c1"), paid))) == ["c1"]


def test_a_credit_that_is_said_again_keeps_its_charge() -> None:
    before = with_charges(charge("c1"), charge("c2"), credit("k1"), credit("k2"))
    after = apply(before, change(charges=Items((credit("k1"),))))
    assert reverses(after) == {"k1": "c1", "k2": "c2"}


# Problems


def problem(where: str, code: str | None = None, rule: str = "charge-unmapped") -> Problem:
    return Problem(rule, where, "the charge has no code", code)


def test_a_problem_ends_when_its_item_is_said_again() -> None:
    before = apply(None, change(charges=Items((charge("c1"),)), problems=(problem("FT1[1]-25", "c1"),)))
    assert before.problems
    other = apply(before, change(charges=Items((charge("c2"),)), places=(Places("charges[0]", "FT1[1]", {}),)))
    assert other.problems == before.problems
    assert apply(before, change(charges=Items((charge("c1"),)))).problems == ()


def test_a_problem_that_comes_again_stands_once() -> None:
    said = change(charges=Items((charge("c1"),)), problems=(problem("FT1[1]-25", "c1"),))
    assert apply(apply(None, said), said).problems == (problem("FT1[1]-25", "c1"),)


def test_a_problem_of_no_item_ends_when_its_segment_is_said_again() -> None:
    before = apply(None, change(problems=(problem("PID-7", rule="date"), problem("PV1-44", rule="date"))))
    after = apply(before, change(places=(Places("patient", "PID", {"birth_date": "7"}),)))
    assert [p.where for p in after.problems] == ["PV1-44"]


def test_a_problem_ends_when_its_item_is_removed() -> None:
    before = apply(None, change(charges=Items((charge("c1"),)), problems=(problem("FT1[1]-25", "c1"),)))
    assert apply(before, change(charges=Items((charge("c1"),), Mode.REMOVE))).problems == ()


def test_a_problem_ends_when_a_new_list_no_longer_has_its_item() -> None:
    unmapped = problem("DG1[2]-3", "final-XYZ", "diagnosis-unmapped")
    items = Items((final("I10", 1), final("XYZ", 2)), Mode.REPLACE)
    before = apply(None, change(diagnoses=items, problems=(unmapped,)))
    assert apply(before, change(visit=Visit(type="x"))).problems == (unmapped,)
    assert apply(before, change(diagnoses=Items((final("I10", 1),), Mode.REPLACE))).problems == ()


def test_a_problem_of_a_claims_line_ends_when_the_claim_is_said_again() -> None:
    """The line that was at fault need not be among those that are said now."""
    before = apply(None, change(problems=(problem("Claim.item[3]", "clm-1/4"), problem("Claim.item[0]", "clm-2/1"))))
    after = apply(before, change(charges=Items((charge("clm-1/1"),), Mode.REPLACE, ("clm-1/",))))
    assert [p.code for p in after.problems] == ["clm-2/1"]


def test_a_replacement_of_everything_ends_no_problem_of_another_list() -> None:
    before = apply(None, change(charges=Items((charge("c1"),)), problems=(problem("FT1[1]-25", "c1"),)))
    after = apply(before, change(diagnoses=Items((final("I10", 1),), Mode.REPLACE)))
    assert after.problems == before.problems


# Origins


def test_a_change_tells_the_place_of_list_items_too() -> None:
    said = change(places=(Places("charges[0]", "FT1[1]", {"code": "25.1"}),))
    assert said.origins() == {"charges[0].code": "FT1[1]-25.1"}


# Whatever is said


@given(encounters, changes)
@settings(max_examples=150, deadline=None)
def test_a_message_that_comes_twice_changes_nothing_the_second_time(encounter: Encounter, said: Change) -> None:
    once = apply(encounter, said)
    again = apply(once, said)
    assert again.model_copy(update={"history": once.history, "tally": once.tally}) == once


@given(encounters, changes)
@settings(max_examples=60, deadline=None)
def test_the_stored_encounter_takes_a_message_as_the_one_in_memory_does(encounter: Encounter, said: Change) -> None:
    """A restart between two messages makes no difference."""
    assert apply(Encounter.from_json(encounter.to_json()), said) == apply(encounter, said)


@given(encounters, changes)
@settings(max_examples=60, deadline=None)
def test_no_charge_is_taken_back_twice_by_matching(encounter: Encounter, said: Change) -> None:
    unmatched = encounter.model_copy(
        update={"charges": tuple(c.model_copy(update={"reverses": None}) for c in encounter.charges)}
    )
    if said.charges is not None and any(c.reverses for c in said.charges.items):
        return
    taken = [c.reverses for c in apply(unmatched, said).charges if c.reverses]
    assert len(taken) == len(set(taken))
