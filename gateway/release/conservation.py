"""Charge conservation: every charge that came in is on a claim, or it is said why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from gateway.encounter.billable import Billable
from gateway.encounter.credits import taken_back
from gateway.encounter.model import Charge, ChargeKind, Encounter
from gateway.review.model import Finding, HoldKind, Severity


class Fate(StrEnum):
    """What became of a charge that stands."""

    CLAIMED = "claimed"
    """A line of the newest claim."""
    REVERSED = "reversed"
    """Taken back by a credit, or the credit that does so."""
    NOT_BILLABLE = "not-billable"
    """A payment, an adjustment, a co-payment."""
    HELD = "held"
    """A hold stands; it tells the reason."""
    READY = "ready"
    """On the claim that leaves next."""
    MERGED = "merged"
    """Its encounter became part of another, which has it too."""
    UNACCOUNTED = "unaccounted"
    """None of these: a defect, and a hold."""


_NOT_BILLED = frozenset({ChargeKind.PAYMENT, ChargeKind.ADJUSTMENT, ChargeKind.COPAYMENT})


def fates(encounter: Encounter, *, claimed: Sequence[str], lines: Sequence[str], held: bool) -> Mapping[str, Fate]:
    """Charge id -> what became of it. `claimed` are the charges of the newest claim's lines, `lines` those that would
    be billed now, `held` whether a hold stands.
    """
    if encounter.merged_into is not None:
        return {charge.id: Fate.MERGED for charge in encounter.charges}
    gone = taken_back(encounter.charges)
    on_claim, billed = frozenset(claimed), frozenset(lines)
    return {charge.id: _fate(charge, gone, on_claim, billed, held=held) for charge in encounter.charges}


def _fate(
    charge: Charge, gone: frozenset[str], on_claim: frozenset[str], billed: frozenset[str], *, held: bool
) -> Fate:
    if charge.kind in _NOT_BILLED:
        return Fate.NOT_BILLABLE
    if charge.id in gone or (charge.kind is ChargeKind.CREDIT and charge.reverses in gone):
        return Fate.REVERSED
    if charge.id in on_claim:
        return Fate.CLAIMED
    if held:
        return Fate.HELD
    return Fate.READY if charge.id in billed else Fate.UNACCOUNTED


def lost(encounter: Encounter) -> int:
    """How many charges the messages said that nothing here explains: 0, or reading them has a defect."""
    tally = encounter.tally
    return tally.said - len(encounter.charges) - tally.repeated - tally.removed - tally.passed_over


def conservation_findings(encounter: Encounter, billed: Billable) -> tuple[Finding, ...]:
    """Said before release: charges in = lines on the claim + lines that are explained."""
    missing = lost(encounter)
    charges = [charge.id for charge in encounter.charges if charge.kind is ChargeKind.CHARGE]
    gone = taken_back(encounter.charges)
    if not missing and len(charges) == len(billed.lines) + len(gone):
        return ()
    lines = {line.charge for line in billed.lines}
    unexplained = [id for id in charges if id not in lines and id not in gone]
    count = max(abs(missing), len(unexplained), 1)
    return (
        Finding(
            rule="charges-not-conserved",
            severity=Severity.ERROR,
            kind=HoldKind.UNMAPPED,
            where="charges",
            text=f"{count} charges that came in are neither billed nor explained",
            remedy="Compare the encounter's messages with its charges (gateway explain), and mend the feed's dialect",
            source="charge conservation",
            evidence=tuple(unexplained[:5]),
        ),
    )
