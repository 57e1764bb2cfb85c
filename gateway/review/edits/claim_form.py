"""What a claim as a whole can carry: lines, diagnoses, and a diagnosis behind every professional line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gateway.encounter.billable import Billable
from gateway.encounter.model import ClaimKind, CodeSystem, Encounter
from gateway.review.edits.context import EditContext, Rule
from gateway.review.edits.lines import standing
from gateway.review.model import Finding, Severity

_GUIDES = "005010X222A1 and 005010X223A2, loops 2300 and 2400"

TOO_MANY_LINES = Rule("claim-lines", Severity.ERROR, _GUIDES, "Divide the encounter into several claims.")
TOO_MANY_DIAGNOSES = Rule(
    "claim-diagnoses", Severity.ERROR, _GUIDES, "Leave the diagnoses that the lines point to, and those that matter."
)
POINTER_MISSING = Rule(
    "charge-points-nowhere", Severity.ERROR, "005010X222A1 SV107", "Say which diagnosis the service was for."
)
POINTER_ABSENT = Rule(
    "charge-points-to-absent-diagnosis",
    Severity.ERROR,
    "005010X222A1 SV107",
    "Add the diagnosis to the final codes, or point to one of them.",
)
POINTERS_BEYOND = Rule(
    "charge-points-beyond-four",
    Severity.WARNING,
    "005010X222A1 SV107",
    "An 837P line carries the first four: confirm that they justify the service, or have the first four changed.",
)
KIND_UNCLEAR = Rule(
    "claim-kind-unclear",
    Severity.WARNING,
    "UB-04 form locators 42, 71 and 74; 005010X223A2 loop 2300",
    "Have the charges' revenue codes sent, or confirm that only professional services are billed.",
)
RULES = (KIND_UNCLEAR, TOO_MANY_LINES, TOO_MANY_DIAGNOSES, POINTER_MISSING, POINTER_ABSENT, POINTERS_BEYOND)


class Capacity(NamedTuple):
    lines: int
    diagnoses: int


CAPACITIES: dict[ClaimKind, Capacity] = {
    ClaimKind.PROFESSIONAL: Capacity(lines=50, diagnoses=12),
    ClaimKind.INSTITUTIONAL: Capacity(lines=999, diagnoses=25),
}
_MAX_POINTERS = 4


def check(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """What kind of claim it is; numbers of lines and diagnoses; pointers."""
    billable = context.billable
    yield from _kind(billable)
    capacity = CAPACITIES[billable.kind]
    if len(billable.lines) > capacity.lines:
        text = f"{len(billable.lines)} lines; a {billable.kind} claim carries {capacity.lines}."
        yield TOO_MANY_LINES.finding("charges", text)
    if len(billable.diagnoses) > capacity.diagnoses:
        text = f"{len(billable.diagnoses)} diagnoses; a {billable.kind} claim carries {capacity.diagnoses}."
        yield TOO_MANY_DIAGNOSES.finding("diagnoses", text)
    yield from _pointers(encounter, context)


def _kind(billable: Billable) -> Iterator[Finding]:
    """A claim without a revenue code is a professional one, and loses what only a hospital's claim carries."""
    if billable.kind is not ClaimKind.PROFESSIONAL:
        return
    hospitals = ["a DRG"] if billable.drg else []
    if any(procedure.system is CodeSystem.ICD10PCS for procedure in billable.procedures):
        hospitals.append("ICD-10-PCS procedures")
    if hospitals:
        text = f"No charge has a revenue code, and a professional claim does not carry {' and '.join(hospitals)}."
        yield KIND_UNCLEAR.finding("charges", text)


def _pointers(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """An institutional line points to nothing; what it points to all the same must exist."""
    final = {diagnosis.code for diagnosis in context.billable.diagnoses}
    professional = context.billable.kind is ClaimKind.PROFESSIONAL
    for where, charge, line in standing(encounter, context):
        absent = tuple(code for code in charge.diagnoses if code not in final)
        if absent:
            yield POINTER_ABSENT.finding(
                f"{where}.diagnoses",
                f"Points to {', '.join(absent)}, not among the final diagnoses.",
                subject=charge.id,
                evidence=absent,
            )
        elif professional and not line.pointers:
            yield POINTER_MISSING.finding(
                f"{where}.diagnoses", f"{charge.code or 'The line'} points to no diagnosis.", subject=charge.id
            )
        if professional and len(line.pointers) > _MAX_POINTERS:
            text = f"Points to {len(line.pointers)} diagnoses."
            yield POINTERS_BEYOND.finding(f"{where}.diagnoses", text, subject=charge.id)
