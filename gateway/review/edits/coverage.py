"""Somebody to bill: a payer and the patient's number with them."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.encounter.model import Coverage, Encounter, Patient, PersonName
from gateway.review.edits.context import EditContext, Rule
from gateway.review.model import Finding, Severity

COVERAGE_MISSING = Rule(
    "coverage-missing", Severity.ERROR, "005010X222A1, loop 2000B", "Have registration say who pays."
)
PAYER_MISSING = Rule("payer-missing", Severity.ERROR, "005010X222A1, loop 2010BB", "Have registration name the payer.")
MEMBER_ID_MISSING = Rule(
    "member-id-missing", Severity.ERROR, "005010X222A1, loop 2010BA NM109", "Have registration say the member's number."
)
SUBSCRIBER_DIFFERS = Rule(
    "subscriber-differs",
    Severity.WARNING,
    "005010X222A1, loops 2000B and 2010BA",
    "Have registration correct the subscriber, or the patient's relationship to the subscriber.",
)
CHILD_OLDER = Rule(
    "child-older-than-subscriber",
    Severity.WARNING,
    "005010X222A1, loop 2000C PAT01; HL7 v2 IN1-17",
    "Find out who is whose child: have registration correct it, or the feed's table of relationships turned round.",
)
RULES = (COVERAGE_MISSING, PAYER_MISSING, MEMBER_ID_MISSING, SUBSCRIBER_DIFFERS, CHILD_OLDER)

_SELF, _CHILD = "self", "child"


def check(_encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """The coverage that is billed first; and of each, whether its subscriber can be who it says."""
    coverages = context.billable.coverages
    if not coverages:
        yield COVERAGE_MISSING.finding("coverages", "No coverage is known.")
        return
    first = coverages[0]
    if not ((first.payer and first.payer.value) or first.payer_name):
        yield PAYER_MISSING.finding("coverages[0].payer", "The first coverage names no payer.")
    if not first.member_id:
        yield MEMBER_ID_MISSING.finding("coverages[0].member_id", "The first coverage has no member number.")
    for index, coverage in enumerate(coverages):
        yield from _subscriber(f"coverages[{index}]", coverage, context.billable.patient)


def _subscriber(where: str, coverage: Coverage, patient: Patient) -> Iterator[Finding]:
    """Whether the subscriber can be what the coverage says that the patient is to them."""
    differs = _differs(patient, coverage) if coverage.relationship == _SELF else ""
    if differs:
        text = f"The patient is said to be the subscriber, who has another {differs}."
        yield SUBSCRIBER_DIFFERS.finding(f"{where}.subscriber", text, subject=coverage.id)
    born, subscriber = patient.birth_date, coverage.subscriber_birth_date
    if coverage.relationship == _CHILD and born and subscriber and born <= subscriber:
        text = "The patient is said to be the subscriber's child, and is not younger."
        yield CHILD_OLDER.finding(f"{where}.relationship", text, subject=coverage.id)


def _differs(patient: Patient, coverage: Coverage) -> str:
    """What the subscriber has otherwise than the patient, where both are said; a claim would be of two persons."""
    said = {
        "family name": (_plain(patient.name, "family"), _plain(coverage.subscriber, "family")),
        "given name": (_plain(patient.name, "given"), _plain(coverage.subscriber, "given")),
        "date of birth": (patient.birth_date, coverage.subscriber_birth_date),
    }
    return ", ".join(name for name, (own, subscriber) in said.items() if own and subscriber and own != subscriber)


def _plain(name: PersonName | None, part: str) -> str:
    """A part of a name without what is written in many ways: case, hyphens, apostrophes; of given names the first."""
    text = (getattr(name, part) or "").casefold() if name else ""
    words = text.split() if part == "given" else [text]
    return "".join(mark for mark in "".join(words[:1]) if mark.isalnum())
