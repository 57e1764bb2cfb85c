"""What a charge must say before it can be billed: a code, units and an amount that can be right, credits that match."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

from gateway.encounter.credits import unmatched
from gateway.encounter.model import CodeSystem, Encounter
from gateway.reference.code_forms import (
    PLACES_OF_SERVICE,
    CodeForm,
    billable_service,
    form_of,
    modifier_is_formed,
    revenue_code_is_formed,
)
from gateway.review.edits.context import EditContext, Limits, Rule
from gateway.review.edits.lines import Standing, standing
from gateway.review.model import Finding, HoldKind, Severity

_FORMS = "CPT and HCPCS level II, forms of codes"
_SV = "005010X222A1 SV1, 005010X223A2 SV2"

UNMAPPED = Rule(
    "charge-unmapped",
    Severity.ERROR,
    "the feed's charge table",
    "Have the sender send its code, or add the charge to charge_codes of the feed's dialect and replay.",
    HoldKind.UNMAPPED,
    fixed=True,
)
CODE_FORM = Rule("charge-code-form", Severity.ERROR, _FORMS, "Correct the code: no CPT or HCPCS code has this form.")
SYSTEM_UNSAID = Rule(
    "charge-code-system-unsaid",
    Severity.INFORMATION,
    _FORMS,
    "Say fields.charges.system in the feed's dialect, as {value: C4}, or have the sender say it beside the code.",
)
MODIFIER_FORM = Rule("charge-modifier-form", Severity.ERROR, _FORMS, "Correct the modifier: two digits or capitals.")
MODIFIER_COUNT = Rule("charge-modifier-count", Severity.ERROR, _SV, "Leave at most four modifiers on the line.")
REVENUE_FORM = Rule(
    "charge-revenue-code-form", Severity.ERROR, "NUBC UB-04, form locator 42", "Write the four digits, zero included."
)
PLACE_OF_SERVICE = Rule(
    "charge-place-of-service", Severity.ERROR, "CMS place-of-service code set", "Correct the place of service."
)
UNITS_MISSING = Rule("charge-units-missing", Severity.ERROR, _SV, "Have the sender say how many units.")
UNITS_RANGE = Rule("charge-units-range", Severity.ERROR, _SV, "Correct the units: more than none, within the limit.")
UNITS_FRACTION = Rule(
    "charge-units-fraction", Severity.WARNING, _SV, "Check the units: this code is counted in whole units."
)
AMOUNT_MISSING = Rule("charge-amount-missing", Severity.ERROR, _SV, "Have the sender say the line's amount.")
AMOUNT_RANGE = Rule("charge-amount-range", Severity.ERROR, _SV, "Correct the amount: not negative, within the limit.")
AMOUNT_CENTS = Rule("charge-amount-cents", Severity.ERROR, _SV, "Correct the amount: whole cents.")
AMOUNT_ZERO = Rule("charge-amount-zero", Severity.WARNING, _SV, "Confirm that the line is billed at no charge.")
CREDIT_UNMATCHED = Rule(
    "credit-unmatched",
    Severity.WARNING,
    "HL7 v2 FT1-6 (table 0017)",
    "Find the charge that the credit takes back; resolve it once the bill is right without it.",
)
DUPLICATE = Rule(
    "charge-duplicate",
    Severity.WARNING,
    "CMS duplicate line edits; modifiers 76, 77, 59 and 91 say that it is none",
    "Credit the second line, or confirm that the service was given twice.",
)
RULES = (
    UNMAPPED,
    CODE_FORM,
    SYSTEM_UNSAID,
    MODIFIER_FORM,
    MODIFIER_COUNT,
    REVENUE_FORM,
    PLACE_OF_SERVICE,
    UNITS_MISSING,
    UNITS_RANGE,
    UNITS_FRACTION,
    AMOUNT_MISSING,
    AMOUNT_RANGE,
    AMOUNT_CENTS,
    AMOUNT_ZERO,
    CREDIT_UNMATCHED,
    DUPLICATE,
)

COUNTED_IN_TENTHS = frozenset({"A0425", "A0435", "A0436"})
"""Ambulance mileage: the codes whose units may have a tenth (CMS claims manual, chapter 15, 30.1.2)."""
NOT_A_REPEAT = frozenset({"59", "76", "77", "91", "XE", "XP", "XS", "XU"})
_MAX_MODIFIERS = 4
_MOST_TOLD = 10
_CENT = Decimal("0.01")


def check(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """Every line, and every credit."""
    lines = standing(encounter, context)
    limits = context.limits
    for place in lines:
        if is_plain(place, limits):
            continue
        for test in _LINE_TESTS:
            finding = test(place, context)
            if finding is not None:
                yield finding
    yield from _systems_unsaid(lines)
    yield from _duplicates(lines)
    yield from _credits(encounter)


def is_plain(place: Standing, limits: Limits) -> bool:
    """Whether the line is as most lines are, so that none of the tests finds anything: one look instead of seven."""
    _, charge, line = place
    code, units, amount = charge.code, charge.units, charge.amount
    return (
        code is not None
        and units is not None
        and amount is not None
        and (not charge.modifiers or _are_plain(charge.modifiers))
        and charge.revenue_code is None
        and charge.system is not CodeSystem.LOCAL
        and (line.place_of_service is None or line.place_of_service in PLACES_OF_SERVICE)
        and 0 < units <= limits.max_line_units
        and not units % 1
        and 0 < amount <= limits.max_line_amount
        and amount.same_quantum(_CENT)
        and billable_service(code)
    )


@lru_cache(maxsize=512)
def _are_plain(modifiers: tuple[str, ...]) -> bool:
    return len(modifiers) <= _MAX_MODIFIERS and all(map(modifier_is_formed, modifiers))


def _code(place: Standing, _context: EditContext) -> Finding | None:
    where, charge, _ = place
    if charge.code is None or charge.system is CodeSystem.LOCAL:
        if charge.revenue_code is not None and charge.local_code is None:
            return None
        known = charge.local_code or charge.code
        text = f"No billable code is known for {known}." if known else "The charge has no code."
        return UNMAPPED.finding(f"{where}.code", text, subject=charge.id, evidence=(known,) if known else ())
    if billable_service(charge.code):
        return None
    return CODE_FORM.finding(f"{where}.code", f"{charge.code} is not formed as a code.", subject=charge.id)


def _modifiers(place: Standing, _context: EditContext) -> Finding | None:
    where, charge, _ = place
    bad = [modifier for modifier in charge.modifiers if not modifier_is_formed(modifier)]
    if not bad:
        return None
    text = f"{', '.join(bad)}: not formed as modifiers."
    return MODIFIER_FORM.finding(f"{where}.modifiers", text, subject=charge.id, evidence=tuple(bad))


def _modifier_count(place: Standing, _context: EditContext) -> Finding | None:
    where, charge, _ = place
    if len(charge.modifiers) <= _MAX_MODIFIERS:
        return None
    return MODIFIER_COUNT.finding(f"{where}.modifiers", f"{len(charge.modifiers)} modifiers.", subject=charge.id)


def _revenue_code(place: Standing, _context: EditContext) -> Finding | None:
    where, charge, _ = place
    if charge.revenue_code is None or revenue_code_is_formed(charge.revenue_code):
        return None
    text = f"{charge.revenue_code} is not a revenue code."
    return REVENUE_FORM.finding(f"{where}.revenue_code", text, subject=charge.id)


def _place_of_service(place: Standing, _context: EditContext) -> Finding | None:
    where, charge, line = place
    if line.place_of_service is None or line.place_of_service in PLACES_OF_SERVICE:
        return None
    text = f"{line.place_of_service} is not a place of service."
    return PLACE_OF_SERVICE.finding(f"{where}.place_of_service", text, subject=charge.id)


def _units(place: Standing, context: EditContext) -> Finding | None:
    where, charge, _ = place
    units = charge.units
    if units is None:
        return UNITS_MISSING.finding(f"{where}.units", "The line has no units.", subject=charge.id)
    if units <= 0 or units > context.limits.max_line_units:
        return UNITS_RANGE.finding(f"{where}.units", f"{units} units.", subject=charge.id)
    if units % 1 and charge.code not in COUNTED_IN_TENTHS:
        return UNITS_FRACTION.finding(f"{where}.units", f"{units} units of {charge.code}.", subject=charge.id)
    return None


def _amount(place: Standing, context: EditContext) -> Finding | None:
    where, charge, _ = place
    amount = charge.amount
    if amount is None:
        return AMOUNT_MISSING.finding(f"{where}.amount", "The line has no amount.", subject=charge.id)
    if amount < 0 or amount > context.limits.max_line_amount:
        return AMOUNT_RANGE.finding(f"{where}.amount", f"The amount is {amount}.", subject=charge.id)
    if not _whole_cents(amount):
        return AMOUNT_CENTS.finding(f"{where}.amount", f"The amount is {amount}.", subject=charge.id)
    if not amount and not (charge.code and form_of(charge.code) is CodeForm.CPT_CATEGORY_2):
        return AMOUNT_ZERO.finding(f"{where}.amount", "The amount is zero.", subject=charge.id)
    return None


_LINE_TESTS = (_code, _modifiers, _modifier_count, _revenue_code, _place_of_service, _units, _amount)


def _whole_cents(amount: Decimal) -> bool:
    """Most are written in cents; others (1.500, 1E+3) are compared."""
    return amount.same_quantum(_CENT) or amount == round(amount, 2)


def _systems_unsaid(lines: tuple[Standing, ...]) -> Iterator[Finding]:
    """Once for all lines: it is the feed that says no system, and its every code."""
    codes = dict.fromkeys(charge.code for _, charge, _ in lines if charge.system is None and charge.code is not None)
    if codes:
        text = f"Nothing says of which system {', '.join(list(codes)[:_MOST_TOLD])} are: their form alone decided."
        yield SYSTEM_UNSAID.finding("charges", text, evidence=tuple(codes)[:_MOST_TOLD])


def _duplicates(lines: tuple[Standing, ...]) -> Iterator[Finding]:
    seen: dict[tuple[object, ...], str] = {}
    for where, charge, line in lines:
        if charge.code is None or (charge.modifiers and not NOT_A_REPEAT.isdisjoint(charge.modifiers)):
            continue
        by = line.rendering.npi if line.rendering else None
        same = (charge.code, charge.modifiers, charge.start, charge.units, charge.amount, by)
        first = seen.setdefault(same, charge.id)
        if first != charge.id:
            yield DUPLICATE.finding(
                where, f"{charge.code} on {charge.start} is already on the bill.", subject=charge.id, evidence=(first,)
            )


def _credits(encounter: Encounter) -> Iterator[Finding]:
    """A credit that takes back nothing on the encounter, or only a part of a charge."""
    for index, credit in unmatched(encounter.charges):
        text = f"The credit of {credit.code} matches no charge, or only a part of one."
        yield CREDIT_UNMATCHED.finding(f"charges[{index}]", text, subject=credit.id)
