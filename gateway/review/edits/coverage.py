"""Somebody to bill: a payer and the patient's number with them."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.encounter.model import Encounter
from gateway.review.edits.context import EditContext, Rule
from gateway.review.model import Finding, Severity

COVERAGE_MISSING = Rule(
    "coverage-missing", Severity.ERROR, "005010X222A1, loop 2000B", "Have registration say who pays."
)
PAYER_MISSING = Rule("payer-missing", Severity.ERROR, "005010X222A1, loop 2010BB", "Have registration name the payer.")
MEMBER_ID_MISSING = Rule(
    "member-id-missing", Severity.ERROR, "005010X222A1, loop 2010BA NM109", "Have registration say the member's number."
)
RULES = (COVERAGE_MISSING, PAYER_MISSING, MEMBER_ID_MISSING)


def check(_encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """The coverage that is billed first."""
    coverages = context.billable.coverages
    if not coverages:
        yield COVERAGE_MISSING.finding("coverages", "No coverage is known.")
        return
    first = coverages[0]
    if not ((first.payer and first.payer.value) or first.payer_name):
        yield PAYER_MISSING.finding("coverages[0].payer", "The first coverage names no payer.")
    if not first.member_id:
        yield MEMBER_ID_MISSING.finding("coverages[0].member_id", "The first coverage has no member number.")
