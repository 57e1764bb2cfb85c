"""Every charge that comes in is on the claim, or it is said why not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.encounter.billable import billable
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import Charge, ChargeKind, Encounter, Tally
from gateway.release.conservation import Fate, conservation_findings, fates, lost


def charge(id: str, kind: ChargeKind = ChargeKind.CHARGE, **said: object) -> Charge:
    return Charge(id=id, kind=kind, code="99213", units=Decimal(1), amount=Decimal(100), **said)  # type: ignore[arg-type]


def encounter(*charges: Charge, tally: Tally | None = None, merged_into: str | None = None) -> Encounter:
    return Encounter(
        key=EncounterKey("MAIN", "HOSP", "A1"),
        charges=charges,
        tally=tally or Tally(said=len(charges)),
        merged_into=merged_into,
    )


CREDITED = (charge("1"), charge("2"), charge("3", ChargeKind.CREDIT, reverses="2"), charge("4", ChargeKind.PAYMENT))


def test_each_charge_has_its_fate() -> None:
    found = fates(encounter(*CREDITED), claimed=["1"], lines=["1"], held=False)
    assert found == {"1": Fate.CLAIMED, "2": Fate.REVERSED, "3": Fate.REVERSED, "4": Fate.NOT_BILLABLE}


@pytest.mark.parametrize(("held", "fate"), [(True, Fate.HELD), (False, Fate.READY)])
def test_a_charge_not_yet_claimed_is_held_or_ready(held: bool, fate: Fate) -> None:
    assert fates(encounter(charge("1")), claimed=(), lines=["1"], held=held) == {"1": fate}


def test_a_merged_encounters_charges_are_the_other_ones() -> None:
    merged = encounter(*CREDITED, merged_into="MAIN:HOSP:A2")
    assert set(fates(merged, claimed=(), lines=(), held=False).values()) == {Fate.MERGED}


def test_what_is_billed_or_explained_is_conserved() -> None:
    whole = encounter(*CREDITED)
    assert conservation_findings(whole, billable(whole)) == ()


def test_a_charge_that_reading_lost_stops_the_release() -> None:
    short = encounter(charge("1"), tally=Tally(said=3, repeated=1))
    assert lost(short) == 1
    (finding,) = conservation_findings(short, billable(short))
    assert (finding.rule, finding.text[:1]) == ("charges-not-conserved", "1")


def test_a_line_that_is_missing_from_the_bill_is_named() -> None:
    whole = encounter(charge("1"), charge("2"))
    (finding,) = conservation_findings(whole, billable(encounter(charge("1"))))
    assert finding.evidence == ("2",)
