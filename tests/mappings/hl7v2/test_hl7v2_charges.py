"""Charges as senders write them: codes, ids, modifiers, amounts, pointers, providers, dates."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.encounter.apply import apply
from gateway.encounter.change import Change
from gateway.encounter.model import Charge, ChargeKind, CodeSystem, DiagnosisUse, ProviderRole
from gateway.mappings.hl7v2.dialect import load_dialects
from gateway.mappings.hl7v2.mapping import FeedProfile
from gateway.mappings.hl7v2.providers import is_npi

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Says


def ft1(**fields: str) -> str:
    """An FT1 of the fields given by number, as f25="99213"; FT1-2 and FT1-6 unless they are given too."""
    said = {2: "T1", 6: "CG", **{int(name[1:]): value for name, value in fields.items()}}
    return "FT1|" + "|".join(said.get(n, "") for n in range(1, max(said) + 1))


def only(change: Change) -> Charge:
    assert change.charges is not None
    (charge,) = change.charges.items
    return charge


def rules(change: Change) -> list[tuple[str, str, str | None]]:
    return [(problem.rule, problem.where, problem.code) for problem in change.problems]


@pytest.mark.parametrize(
    ("f25", "f7", "code", "system", "local"),
    [
        ("92250^x^CPT", "92250^x^CPT", "92250", CodeSystem.CPT, None),
        ("73630", "", "73630", None, None),
        ("", "99213^Visit^CPT", "99213", CodeSystem.CPT, None),
        ("99213^^C4", "CHG7^Visit^CDM", "99213", CodeSystem.CPT, "CHG7"),
        ("J1885^^HCPCS", "", "J1885", CodeSystem.HCPCS, None),
        ("LOC9^x^L^99213^^CPT4", "", "99213", CodeSystem.CPT, "LOC9"),
        ("CHG7^^CDM", "99213^^CPT", "99213", CodeSystem.CPT, None),
        ("d2332", "", "D2332", None, None),
        ("0042T^^CPT-4", "", "0042T", CodeSystem.CPT, None),
    ],
)
def test_the_code_is_taken_from_where_it_is(
    says: Says, f25: str, f7: str, code: str, system: CodeSystem | None, local: str | None
) -> None:
    change = says(ft1(f25=f25, f7=f7))
    charge = only(change)
    assert (charge.code, charge.system) == (code, system)
    assert change.problems == ()
    assert charge.local_code == local


@pytest.mark.parametrize(
    ("f25", "f7", "local"),
    [
        ("", "", None),
        ("", "CHEST2V^x^CDM", "CHEST2V"),
        ("A1^^SCT", "", "A1"),
        ("FAKE", "", "FAKE"),
        ("71046^^NOSUCH", "", "71046"),
    ],
)
def test_a_charge_without_a_code_that_is_billed_is_kept_and_reported(
    says: Says, f25: str, f7: str, local: str | None
) -> None:
    change = says(ft1(f25=f25, f7=f7))
    charge = only(change)
    assert (charge.code, charge.local_code) == (None, local)
    assert ("charge-unmapped", "FT1[1]-25", "T1") in rules(change)
    assert {problem[0] for problem in rules(change)} <= {"charge-unmapped", "code-unmapped"}


def test_a_payment_needs_no_code(says: Says) -> None:
    change = says(ft1(f6="PY", f11="20.00"))
    assert (only(change).kind, only(change).id) == (ChargeKind.PAYMENT, "T1.PY")
    assert change.problems == ()


@pytest.mark.parametrize("kind", ["", "CR", "XX"])
def test_an_unknown_transaction_type_is_for_a_person_to_decide(says: Says, kind: str) -> None:
    change = says(ft1(f6=kind, f25="99213^^CPT"))
    assert only(change).kind is ChargeKind.CHARGE
    assert ("transaction-unknown", "FT1[1]-6", "T1") in rules(change)


def test_codes_are_found_in_small_letters_too(says: Says) -> None:
    assert only(says(ft1(f6="cg", f25="99213^^cpt"))).kind is ChargeKind.CHARGE


@pytest.mark.parametrize(
    ("amount", "unit", "units", "expected"),
    [
        ("100&USD", "50&USD", "2", Decimal(100)),
        ("", "50.25&USD", "2", Decimal("100.50")),
        ("", "50.25", "", None),
        ("0", "", "1", Decimal(0)),
        ("-12.50", "", "1", Decimal("-12.50")),
        (".5", "", "1.0", Decimal("0.5")),
    ],
)
def test_the_amount_is_the_lines_whole_amount(
    says: Says, amount: str, unit: str, units: str, expected: Decimal | None
) -> None:
    change = says(ft1(f25="99213^^CPT", f10=units, f11=amount, f12=unit))
    assert only(change).amount == expected
    assert change.problems == ()


def test_what_a_unit_costs_is_not_what_is_charged_for_it(says: Says) -> None:
    assert only(says(ft1(f25="D2332", f10="1", f22="85.00"))).amount is None


@pytest.mark.parametrize(
    ("amount", "unit", "units", "differs"),
    [
        ("25", "25", "4", True),
        ("100", "25", "4", False),
        ("-25", "25", "1", False),
        ("25", "25", "", False),
        ("25", "", "4", False),
        ("99.99", "33.33", "3", False),
    ],
)
def test_an_amount_that_is_not_the_units_times_the_price_is_reported(
    says: Says, amount: str, unit: str, units: str, differs: bool
) -> None:
    change = says(ft1(f25="J1885^^HCPCS", f10=units, f11=amount, f12=unit))
    assert only(change).amount == Decimal(amount)
    assert rules(change) == ([("charge-amount-differs", "FT1[1]-11", "T1")] if differs else [])


@pytest.mark.parametrize(
    ("f25", "f7", "reported"),
    [
        ("99214^^CPT", "99213^^CPT", True),
        ("G0463^^HCPCS", "99213^^CPT", True),
        ("99214^^CPT", "99213", False),
        ("99214^^CPT", "4010022^x^CDM", False),
        ("99214^^CPT", "99214^^CPT", False),
    ],
)
def test_two_billable_codes_on_one_line_are_reported(says: Says, f25: str, f7: str, reported: bool) -> None:
    change = says(ft1(f25=f25, f7=f7))
    assert only(change).code == f25[:5]
    assert rules(change) == ([("charge-code-differs", "FT1[1]-7", "T1")] if reported else [])


@pytest.mark.parametrize("value", ["two", "1,000", "$5", "1e3", "NaN", "Infinity", "١", "1" * 13])
def test_a_number_that_is_none_is_a_problem_of_that_charge(says: Says, value: str) -> None:
    change = says(ft1(f25="99213^^CPT", f10=value))
    assert only(change).units is None
    assert rules(change) == [("value-unreadable", "FT1[1]-10", "T1")]
    assert value not in change.problems[0].text


@pytest.mark.parametrize(
    ("f26", "pr1", "modifiers", "wrong"),
    [
        ("26", "", ("26",), False),
        ("RT~GA", "RT~GA", ("RT", "GA"), False),
        ("", "RT~GA", ("RT", "GA"), False),
        ("rt", "", ("RT",), False),
        ("25~25", "", ("25",), False),
        ("59^MID", "", ("59",), False),
        ("25~LEFT~59", "", ("25", "LEFT", "59"), False),
        ("CHEST", "", (), True),
        ("", "", (), False),
        ('""', "", (), False),
    ],
)
def test_modifiers_have_their_shape(says: Says, f26: str, pr1: str, modifiers: tuple[str, ...], wrong: bool) -> None:
    change = says(ft1(f25="73630", f26=f26), f"PR1|1|CPT|73630|||||||||||||{pr1}")
    assert only(change).modifiers == modifiers
    assert [p.rule for p in change.problems] == (["value-unreadable"] if wrong else [])
    assert change.procedures is None


def test_another_procedures_modifiers_are_not_the_charges(says: Says) -> None:
    change = says(ft1(f25="73630"), "PR1|1|CPT|73620|||||||||||||RT")
    assert only(change).modifiers == ()
    assert change.procedures is not None
    assert [(p.id, p.code, p.system, p.modifiers) for p in change.procedures.items] == [
        ("73620-RT", "73620", CodeSystem.CPT, ("RT",))
    ]


def test_ids_are_the_senders_or_the_same_for_the_same_bytes(says: Says) -> None:
    segments = (ft1(f2="", f25="99213^^CPT"), ft1(f2="", f25="99213^^CPT"))
    first, again = says(*segments), says(*segments)
    assert first.charges is not None
    assert again.charges is not None
    ids = [charge.id for charge in first.charges.items]
    assert len(set(ids)) == 2
    assert ids == [charge.id for charge in again.charges.items]
    other = says(*segments, "NTE|1")
    assert other.charges is not None
    assert not set(ids) & {charge.id for charge in other.charges.items}


def test_an_id_that_comes_twice_loses_no_charge(says: Says) -> None:
    change = says(ft1(f25="99213^^CPT"), ft1(f25="71046^^CPT"))
    assert change.charges is not None
    assert [(c.id, c.code) for c in change.charges.items] == [("T1", "99213"), ("T1.2", "71046")]
    assert rules(change) == [("charge-id-repeated", "FT1[2]-2", "T1.2")]


def test_a_credit_under_its_charges_id_takes_it_back(says: Says) -> None:
    line = {"f4": "20260105", "f10": "1", "f11": "90", "f25": "99213^^CPT"}
    encounter = apply(apply(None, says(ft1(**line))), says(ft1(**line, f6="CD")))
    assert [(c.id, c.kind, c.reverses) for c in encounter.charges] == [
        ("T1", ChargeKind.CHARGE, None),
        ("T1.CD", ChargeKind.CREDIT, "T1"),
    ]


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("20260105", date(2026, 1, 5), None),
        ("20260105^20260107", date(2026, 1, 5), date(2026, 1, 7)),
        ("20260105231500", date(2026, 1, 5), None),
        ("20260106031500+0000", date(2026, 1, 5), None),
        ("202601060315Z", None, None),
        ("202601", None, None),
        ("20260230", None, None),
    ],
)
def test_service_dates_are_days_of_the_feeds_calendar(
    says: Says, value: str, start: date | None, end: date | None
) -> None:
    change = says(ft1(f4=value, f25="99213^^CPT"))
    assert (only(change).start, only(change).end) == (start, end)
    assert bool(change.problems) == (start is None)


def test_pointers_are_ft1_19_first_pointer_first(says: Says) -> None:
    change = says(ft1(f25="99213^^CPT", f19="j18.9^x^I10~250.00^^I9~J18.9^^ICD-10-CM~E11.9"))
    assert only(change).diagnoses == ("J189", "25000", "E119")
    assert change.diagnoses is not None
    assert [(d.code, d.system) for d in change.diagnoses.items] == [
        ("J189", CodeSystem.ICD10CM),
        ("25000", CodeSystem.ICD9CM),
        ("E119", None),
    ]


def test_dg1_beside_the_only_charge_is_what_it_points_to(says: Says) -> None:
    change = says(ft1(f25="99213^^CPT"), "DG1|1|ICD10|J18.9||||F", "DG1|2|ICD10|E11.9||||F")
    assert only(change).diagnoses == ("J189", "E119")
    assert change.diagnoses is not None
    assert {d.system for d in change.diagnoses.items} == {CodeSystem.ICD10CM}


def test_dg1_between_charges_belongs_to_the_one_before(says: Says) -> None:
    change = says(
        ft1(f2="1", f25="99213^^CPT"),
        "DG1|1||J18.9^^I10",
        ft1(f2="2", f25="71046^^CPT"),
        "DG1|2||E11.9^^I10",
    )
    assert change.charges is not None
    assert [c.diagnoses for c in change.charges.items] == [("J189",), ("E119",)]


def test_dg1_after_several_charges_describes_the_visit(says: Says) -> None:
    change = says(ft1(f2="1", f25="99213^^CPT"), ft1(f2="2", f25="71046^^CPT"), "DG1|1||J18.9^^I10")
    assert change.charges is not None
    assert [c.diagnoses for c in change.charges.items] == [(), ()]
    assert change.diagnoses is not None


def test_a_diagnosis_of_an_unknown_system_is_kept_as_local(says: Says) -> None:
    change = says(ft1(f25="99213^^CPT", f19="29857009^Pain^SCT"))
    assert change.diagnoses is not None
    assert [(d.id, d.system) for d in change.diagnoses.items] == [("working-29857009", CodeSystem.LOCAL)]
    assert rules(change) == [("diagnosis-unmapped", "FT1[1]-19[1]", "working-29857009")]


def test_a_diagnosis_without_code_is_reported(says: Says) -> None:
    change = says("DG1|1|||Chest pain||W")
    assert change.diagnoses is None
    assert [p[:2] for p in rules(change)] == [("diagnosis-unmapped", "DG1[1]-3")]


def test_a_dialect_may_say_that_charges_bring_final_codes(says: Says, base: FeedProfile) -> None:
    source = replace(base, dialect=base.dialect.model_copy(update={"final": frozenset({"DFT", "BAR"})}))
    change = says(ft1(f25="99213^^CPT", f19="J18.9^^I10"), "DG1|1||E11.9^^I10|||W", source=source)
    assert change.diagnoses is not None
    assert [(d.code, d.use) for d in change.diagnoses.items] == [
        ("E119", DiagnosisUse.WORKING),
        ("J189", DiagnosisUse.FINAL),
    ]
    assert change.coding is not None
    assert change.coding.final is True


@pytest.mark.parametrize(
    ("f20", "npi", "identifiers"),
    [
        ("1234567893^SMITH^ADAM", "1234567893", []),
        ("77^SMITH^ADAM^^^^^^^^^^1234567893", "1234567893", ["77"]),
        ("^SMITH^ADAM^^^^^^1234567893", "1234567893", []),
        ("77^SMITH^ADAM~1234567893^SMITH^ADAM^^^^^^NPI", "1234567893", ["77"]),
        ("77^SMITH^ADAM~1234567893^JONES^EVE^^^^^^NPI", None, ["77"]),
        ("1234567890^SMITH^ADAM^^^^^^NPI", "1234567890", []),
        ("1234567890^SMITH^ADAM^^^^^^^^^^NPI", "1234567890", []),
        ("E77^SMITH^ADAM^^^^^^NPISER^^^^NPI~1234567893^SMITH^ADAM^^^^^^NPI^^^^NPI", "1234567893", ["E77"]),
        ("1234567890^SMITH^ADAM^^^^^^NPI^^^^DEA", None, ["1234567890"]),
        ("1234567893^SMITH^ADAM^^^^^^^^^^DEA", None, ["1234567893"]),
        ("DOC1^Albert, Brian S^^", None, ["DOC1"]),
        ("^SMITH^ADAM^^^^^^smith@example.org", None, []),
    ],
)
def test_the_npi_wherever_the_sender_puts_it(says: Says, f20: str, npi: str | None, identifiers: list[str]) -> None:
    (provider,) = only(says(ft1(f25="99213^^CPT", f20=f20))).providers
    assert (provider.role, provider.npi) == (ProviderRole.RENDERING, npi)
    assert [i.value for i in provider.identifiers] == identifiers


@given(st.from_regex(r"[12][0-9]{8}", fullmatch=True))
def test_one_check_digit_in_ten_makes_an_npi(base: str) -> None:
    assert sum(is_npi(base + digit) for digit in "0123456789") == 1


def test_the_npis_that_cms_gives_as_an_example() -> None:
    assert is_npi("1234567893")
    assert not any(map(is_npi, ("1234567890", "123456789", "12345678933", "3234567893", "", "12345678٩3")))


SITE = """
extends: base
fields:
  charges:
    place_of_service: [ZFT-1, PV1-3.4]
    revenue_code: ZFT-2
    modifiers:
    units: {from: FT1-10, with: [first-word]}
    reverses: [FT1-2]
tables:
  transaction: {CH: charge, CG: credit, "": charge}
charge_codes:
  CHEST2V: {code: "71046", system: cpt, revenue_code: "0324"}
"""


@pytest.fixture
def site(base: FeedProfile, tmp_path: Path) -> FeedProfile:
    (tmp_path / "site.yaml").write_text(SITE)
    return replace(base, dialect=load_dialects(tmp_path)["site"])


def test_a_sites_own_dialect_is_data(says: Says, site: FeedProfile) -> None:
    change = says(
        "PV1|1|O|ED^^^23",
        ft1(f2="1", f6="CH", f7="CHEST2V^x^CDM", f10="2 EA", f26="26"),
        "ZFT|11|0450",
        ft1(f2="2", f6="CH", f7="CHEST2V"),
        ft1(f2="2", f6="CG", f7="CHEST2V"),
        ft1(f2="3", f6="", f25="99213^^CPT"),
        source=site,
    )
    assert change.problems == ()
    assert change.charges is not None
    said = [(c.id, c.code, c.units, c.place_of_service, c.revenue_code, c.modifiers) for c in change.charges.items]
    assert said == [
        ("1", "71046", Decimal(2), "11", "0450", ()),
        ("2", "71046", None, "23", "0324", ()),
        ("2.CD", "71046", None, "23", "0324", ()),
        ("3", "99213", None, "23", None, ()),
    ]
    assert [c.reverses for c in change.charges.items] == [None, None, "2", None]
    assert change.origins()["charges[0].place_of_service"] == "ZFT[1]-1[1].1"


def test_a_site_whose_charges_name_their_own_performer(says: Says) -> None:
    change = says(ft1(f25="73630"), "PR1|1|CPT|73630||||||||1234567893^SMITH^ADAM")
    assert [(p.role, p.npi) for p in only(change).providers] == [(ProviderRole.OPERATING, "1234567893")]


def test_a_hostile_count_of_charges_takes_time_in_proportion(says: Says) -> None:
    charge = (ft1(f2="", f6="", f25="99213", f10="x"), "PR1|1||99213", "DG1|1||J18.9^^ZZ")
    started = time.process_time()
    change = says(*(charge * 3000))
    assert change.charges is not None
    assert len(change.charges.items) == 3000
    assert time.process_time() - started < 5
