"""Charges as particular senders write them: what each says must become a line, a finding, or be explained."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from gateway.encounter.apply import apply
from gateway.encounter.change import Change
from gateway.encounter.model import Charge, ChargeKind, CodeSystem, ProviderRole
from gateway.mappings.hl7v2.mapping import MappingError

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Maps, Says, Site


def ft1(**fields: str) -> str:
    """An FT1 of the fields given by number, as f25="99213"; a charge of 20 January unless they are given too."""
    said = {4: "20260120", 6: "CG", **{int(name[1:]): value for name, value in fields.items()}}
    return "FT1|" + "|".join(said.get(n, "") for n in range(1, max(said) + 1))


def charges(change: object) -> tuple[Charge, ...]:
    assert isinstance(change, Change)
    assert change.charges is not None
    assert change.counted == len(change.charges.items) + change.passed_over
    return change.charges.items


def rules(change: object) -> list[str]:
    assert isinstance(change, Change)
    return [problem.rule for problem in change.problems]


# The visit is named in FT1-23 only; codes without a system; modifiers beside the charge and in PR1; ICD-9 by DG1-2.
VISIT_IN_CHARGE = (
    "PID|1|77|77^^^^MR||DRAKE^DANA||19700201|M",
    ft1(f7="73630", f10="1", f20="9^ROE^ANN^^^IN", f23="881234", f24="9^ROE^ANN^^^IN", f25="73630", f26="RT~GA"),
    "PR1|1|CPT|73630||20260120114700|||||||9^ROE^ANN^^^IN||||RT~GA",
    "DG1|1|ICD9|959.7|Foot injury||F",
)


def test_a_visit_that_only_the_charge_names(maps: Maps, site: Site) -> None:
    with pytest.raises(MappingError, match="no-encounter-number"):
        maps("DFT^P03", *VISIT_IN_CHARGE)
    mapped = maps("DFT^P03", *VISIT_IN_CHARGE, source=site("key: [visit]\nfields: {visit: {number: [PV1-19, FT1-23]}}"))
    (line,) = charges(mapped)
    assert isinstance(mapped, Change)
    assert mapped.key.number == "881234"
    assert (line.code, line.modifiers, line.diagnoses) == ("73630", ("RT", "GA"), ("9597",))
    assert mapped.procedures is None, "the PR1 is the charge's own"
    assert mapped.diagnoses is not None
    assert [(d.code, d.system) for d in mapped.diagnoses.items] == [("9597", CodeSystem.ICD9CM)]
    assert [(p.role, p.npi) for p in line.providers] == [(ProviderRole.RENDERING, None)]


def test_a_dental_fee_and_a_tooth(maps: Maps, site: Site) -> None:
    """The fee in FT1-22, tooth and surface in FT1-26, names in one component."""
    segments = (
        "PID|1||D5||REYES^LIA",
        "PV1|1|O|||||||||||||||||4411",
        ft1(f10="1.0", f20="DOC1^Albert, Brian S^^", f22="85.00", f25="D2332", f26="26^MID"),
    )
    mapped = maps(
        "DFT^P03", *segments, source=site("fields: {charges: {unit_amount: [FT1-12, FT1-22], modifiers: null}}")
    )
    (line,) = charges(mapped)
    assert (line.code, line.amount, line.units, line.modifiers) == ("D2332", Decimal("85.000"), Decimal("1.0"), ())
    assert [i.value for i in line.providers[0].identifiers] == ["DOC1"]
    assert line.diagnoses == ()


def test_local_codes_only_and_a_department_where_modifiers_stand(maps: Maps, site: Site) -> None:
    segments = (
        "PID|1||F5||OTA^KEN",
        "PV1|1|O|||||||||||||||||5522",
        ft1(f2="R1", f7="CTHEAD^CT head^RIS", f10="1", f20="^LANE^SUE", f25="CTHEAD^CT head^RIS", f26="CT"),
    )
    (line,) = charges(mapped := maps("DFT^P03", *segments))
    assert (line.code, line.local_code) == (None, "CTHEAD")
    assert "charge-unmapped" in rules(mapped)
    known = site("fields: {charges: {modifiers: null}}\ncharge_codes: {CTHEAD: {code: '70450', system: cpt}}")
    (line,) = charges(mapped := maps("DFT^P03", *segments, source=known))
    assert (line.code, line.system, line.modifiers) == ("70450", CodeSystem.CPT, ())
    assert rules(mapped) == []


def test_two_generations_of_diagnosis_codes_and_a_upin(maps: Maps) -> None:
    segments = (
        "PID|1||H5||VANCE^MO|||||||||||||889",
        ft1(f2="H1", f10="1", f11="75", f19="J18.9^^I10~486^^I9", f20="&7654321&UPIN^COLE^ED", f25="99213"),
    )
    (line,) = charges(mapped := maps("DFT^P03", *segments))
    assert (line.code, line.diagnoses) == ("99213", ("J189", "486"))
    assert isinstance(mapped, Change)
    assert mapped.diagnoses is not None
    assert [(d.code, d.system) for d in mapped.diagnoses.items] == [
        ("J189", CodeSystem.ICD10CM),
        ("486", CodeSystem.ICD9CM),
    ]
    assert line.providers[0].npi is None


def test_the_npi_in_the_authority(says: Says) -> None:
    """XCN.1 is empty, and the number stands where its assigning authority belongs."""
    (line,) = charges(says(ft1(f2="T1", f25="99213^^CPT", f20="^MOSS^IDA^^^^^^1234567893")))
    assert [(p.npi, p.name.family if p.name else None) for p in line.providers] == [("1234567893", "MOSS")]


USAGE = (
    "PID|1||U5||NASH^BO|||||||||||||990",
    ft1(f2="S1", f7="GAUZE", f10="10", f11="4.00", f13="SUPPLY"),
    ft1(f2="S2", f7="99213^^CPT", f10="1", f11="75", f13="CLINIC"),
    ft1(f2="S3", f7="SPLINT", f10="1", f11="9.00", f13="SUPPLY"),
)


def test_supplies_that_were_used_are_counted_and_passed_over(maps: Maps, site: Site) -> None:
    source = site("only: {charges: {FT1-13: {not: [supply]}}}")
    mapped = maps("DFT^P03", *USAGE, source=source)
    assert [(c.id, c.origin) for c in charges(mapped)] == [("S2", "7 FT1[2]")]
    assert isinstance(mapped, Change)
    assert (mapped.counted, mapped.passed_over, rules(mapped)) == (3, 2, [])
    assert mapped.origins()["charges[0].code"].startswith("FT1[2]-7")
    assert apply(None, mapped).tally == (3, 0, 0, 2)


def test_a_message_of_supplies_has_no_charges(maps: Maps, site: Site) -> None:
    mapped = maps("DFT^P03", *USAGE, source=site("only: {charges: {MSH-3: {not: [ADM]}}}"))
    assert isinstance(mapped, Change)
    assert (mapped.charges, mapped.counted, mapped.passed_over) == (None, 3, 3)


def test_without_a_rule_every_ft1_is_a_charge(maps: Maps) -> None:
    mapped = maps("DFT^P03", *USAGE)
    assert [c.code for c in charges(mapped)] == [None, "99213", None]
    assert isinstance(mapped, Change)
    assert (mapped.counted, mapped.passed_over) == (3, 0)


@pytest.mark.parametrize(
    "segment", ["FT1", "FT1|", "FT1|x|||||||", 'FT1|1|""|""|""||""|""', "FT1|1||||20269999|??|^^^||x|y|z"]
)
def test_nothing_keeps_an_ft1_from_being_counted(says: Says, segment: str) -> None:
    change = says(segment, "FT1|2|T2||20260120||CG|99213^^CPT|||1|75")
    first, second = charges(change)
    assert (first.code, second.code, change.counted) == (None, "99213", 2)
    assert "charge-unmapped" in rules(change)


@pytest.mark.parametrize("type", ["ADT^A08", "BAR^P05", "ORU^R01", "MDM^T02"])
def test_charges_in_other_messages_are_told(maps: Maps, type: str) -> None:
    mapped = maps(type, "PID|1||M1|||||||||||||||A1", "OBR|1||F1", "TXA|1|DS", "FT1|1|T1||20260120||CG|99213^^CPT")
    assert rules(mapped) == ["charges-not-taken"]


def test_orders_between_charges_say_nothing_that_is_billed(maps: Maps) -> None:
    """The expanded DFT (P11)."""
    mapped = maps(
        "DFT^P11",
        "PID|1||M1|||||||||||||||A1",
        "ORC|RE|1|2",
        "OBR|1|1|2|80053^Panel^C4",
        "OBX|1|NM|x^Na||140",
        "DG1|1||R07.9^^I10|||W",
        "FT1|1|T1||20260120||CG|80053^^C4|||1|20",
        "PR1|1||80053^^C4",
        "ORC|RE|3|4",
        "OBR|1|3|4|71046^Chest^C4",
        "DG1|1||J18.9^^I10|||W",
        "FT1|2|T2||20260120||CG|71046^^C4|||1|90",
        "DG1|1||R05.9^^I10|||W",
    )
    assert [(c.id, c.diagnoses) for c in charges(mapped)] == [("T1", ("J189",)), ("T2", ("R059",))]
    assert isinstance(mapped, Change)
    assert (mapped.event, mapped.documents, mapped.procedures) == ("P11", None, None)


def test_a_credit_is_matched_by_the_sites_rule(maps: Maps, site: Site) -> None:
    segments = (
        "PID|1||M1|||||||||||||||A1",
        "FT1|1|T1||20260120||CG|99213^^CPT|||1|75",
        "FT1|2|T2||20260121||CD|99213^^CPT|||1|-75",
    )
    assert [c.reverses for c in apply(None, _change(maps("DFT^P03", *segments))).charges] == [None, None]
    source = site("credits: {match: [code, units, amount]}")
    mapped = _change(maps("DFT^P03", *segments, source=source))
    assert mapped.match == ("code", "units", "amount")
    assert [c.reverses for c in apply(None, mapped).charges] == [None, "T1"]
    named = site("fields: {charges: {reverses: FT1-2}}")
    same = (*segments[:2], segments[2].replace("T2", "T1"))
    after = apply(None, _change(maps("DFT^P03", *same, source=named)))
    assert [(c.id, c.kind, c.reverses) for c in after.charges] == [
        ("T1", ChargeKind.CHARGE, None),
        ("T1.CD", ChargeKind.CREDIT, "T1"),
    ]


def _change(mapped: object) -> Change:
    assert isinstance(mapped, Change)
    return mapped
