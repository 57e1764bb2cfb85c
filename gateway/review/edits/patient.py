"""One patient: no message of the encounter names another."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.encounter.model import Encounter
from gateway.review.edits.context import EditContext, Rule
from gateway.review.model import Finding, Severity

NUMBERS_DIFFER = Rule(
    "patient-numbers-differ",
    Severity.WARNING,
    "HL7 v2 PID-3, FHIR Patient.identifier",
    "Find out whose encounter it is: have what was sent under another patient's number moved, or confirm the merge.",
)
RULES = (NUMBERS_DIFFER,)

RECORD_NUMBERS = frozenset({"MR", "MRN", "PI", "PT"})
"""Types of the numbers that an authority gives to a patient once (HL7 table 0203, and what senders write)."""


def check(encounter: Encounter, _context: EditContext) -> Iterator[Finding]:
    """Each authority's number of the patient, as registration says it now, against all that came with the encounter."""
    current: dict[tuple[str, str | None], set[str]] = {}
    for number in encounter.patient.identifiers:
        if number.type in RECORD_NUMBERS:
            current.setdefault((number.type, number.authority), set()).add(number.value)
    others: dict[tuple[str, str | None], dict[str, None]] = {}
    for number in encounter.identifiers:
        if number.type in RECORD_NUMBERS:
            space = (number.type, number.authority)
            if space in current and number.value not in current[space]:
                others.setdefault(space, {})[number.value] = None
    for (kind, authority), values in others.items():
        whose = f"{kind} of {authority}" if authority else kind
        text = f"Messages of this encounter name the patient by another {whose} than registration does."
        yield NUMBERS_DIFFER.finding(
            "patient.identifiers", text, subject=f"{authority or ''} {kind}".strip(), evidence=tuple(values)
        )
