"""All edits. A new family is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from gateway.encounter.model import Encounter
from gateway.review import documentation
from gateway.review.edits import charges, claim_form, coverage, dates, icd10, message, patient, providers, waiting
from gateway.review.edits.context import Edit, EditContext, Rule
from gateway.review.model import Finding


class From(IntEnum):
    """From when on a family is asked: earlier its answer would only be noise that ends by itself."""

    ALWAYS = 0
    CHARGED = 1
    """There is something to bill."""
    CODED = 2
    """There is something to bill and its codes are final."""


class Family(NamedTuple):
    check: Edit
    rules: tuple[Rule, ...]
    asked: From


FAMILIES: tuple[Family, ...] = (
    Family(waiting.check, waiting.RULES, From.ALWAYS),
    Family(message.check, message.RULES, From.ALWAYS),
    Family(patient.check, patient.RULES, From.CHARGED),
    Family(charges.check, charges.RULES, From.CHARGED),
    Family(dates.check, dates.RULES, From.CHARGED),
    Family(providers.check, providers.RULES, From.CODED),
    Family(icd10.check, icd10.RULES, From.CODED),
    Family(claim_form.check, claim_form.RULES, From.CODED),
    Family(coverage.check, coverage.RULES, From.CODED),
    Family(documentation.check, documentation.RULES, From.CODED),
)

RULES: dict[str, Rule] = {rule.name: rule for family in FAMILIES for rule in family.rules}
"""Every rule by its name."""


def progress(encounter: Encounter, context: EditContext) -> From:
    """How far the encounter has come."""
    if not context.billable.lines:
        return From.ALWAYS
    return From.CODED if encounter.coding.final is True else From.CHARGED


def examine(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """All that the edits find, in the order of the registry."""
    come = progress(encounter, context)
    for family in FAMILIES:
        if family.asked <= come:
            yield from family.check(encounter, context)
