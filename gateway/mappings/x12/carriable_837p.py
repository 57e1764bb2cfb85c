"""Can a professional claim be written as an 837P that its receiver can use?

All that keeps it from that, each as a `FormProblem`: values that cannot be written, and what the syntax lets pass
though no payer would (X12 validators do not check these).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from gateway.config.model import Billing
from gateway.encounter.billable import Billable, Line
from gateway.encounter.model import ClaimKind, CodeSystem, Provider, ProviderRole
from gateway.mappings.x12.claim_837p import (
    RELATIONSHIPS,
    SEQUENCE,
    Submission,
    claim_segments,
    of_role,
    place_of_service,
    site_segments,
)
from gateway.mappings.x12.countries import is_domestic
from gateway.mappings.x12.envelope import Envelope
from gateway.mappings.x12.problem import FormProblem
from gateway.mappings.x12.writer import problems

MAX_LINES = 50
MAX_DIAGNOSES = 12
MAX_MODIFIERS = 4
MAX_AMOUNT = Decimal("99999999.99")

_DIAGNOSIS = re.compile(r"[A-Z][0-9][0-9A-Z][0-9A-Z]{0,4}")
_PROCEDURE = re.compile(r"[0-9]{5}|[0-9]{4}[A-Z]|[A-Z][0-9]{4}")
_ANESTHESIA = re.compile(r"0[01][0-9]{3}")
"""CPT 00100 to 01999."""
_MODIFIER = re.compile(r"[0-9A-Z]{2}")
_PLACE = re.compile(r"[0-9]{2}")
_ZIP = re.compile(r"[0-9]{5}([0-9]{4})?")
_NINE_DIGITS = re.compile(r"[0-9]{9}")
_TEN_DIGITS = re.compile(r"[0-9]{10}")
_NPI = re.compile(r"[12][0-9]{9}")

_PROBE = Envelope("GATEWAY", "RECEIVER", "T", 1, datetime(2000, 1, 1, tzinfo=UTC))
"""Only to lay out the segments; nothing of it is looked at."""


def carriable(billed: Billable, billing: Billing) -> tuple[FormProblem, ...]:
    """Why `billed` cannot be written as an 837P; empty when it can."""
    if billed.kind is not ClaimKind.PROFESSIONAL:
        return (
            _problem("x12-kind", "kind", "This form carries professional claims only", "Route the claim elsewhere"),
        )
    laid_out = claim_segments(Submission(billed, "0"), UTC)
    unwritable = (found for found in problems(laid_out) if billed.coverages or not found.where.startswith("coverages["))
    found = [*site_problems(billing), *unwritable, *(problem for check in _CHECKS for problem in check(billed))]
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=16)
def site_problems(billing: Billing) -> tuple[FormProblem, ...]:
    """What is wrong with the site's own part, whatever the claim."""
    return (*problems(site_segments(billing, _PROBE)), *_billing(billing))


def npi_valid(npi: str) -> bool:
    """Ten digits, the last of them the Luhn check digit over 80840 and the rest (45 CFR 162.406)."""
    if not _NPI.fullmatch(npi):
        return False
    digits = [int(mark) for mark in reversed("80840" + npi)]
    doubled = (digit * 2 for digit in digits[1::2])
    return (sum(digits[::2]) + sum(digit // 10 + digit % 10 for digit in doubled)) % 10 == 0


def _problem(rule: str, where: str, text: str, remedy: str, subject: str = "") -> FormProblem:
    return FormProblem(rule, where, text, remedy, subject=subject or where)


def _size(billed: Billable) -> Iterator[FormProblem]:
    if not 1 <= len(billed.lines) <= MAX_LINES:
        text = f"{len(billed.lines)} service lines; the form carries 1 to {MAX_LINES}"
        yield _problem("x12-lines", "lines", text, "Split the encounter's charges over several claims")
    if len(billed.diagnoses) > MAX_DIAGNOSES:
        text = f"{len(billed.diagnoses)} diagnoses; the form carries {MAX_DIAGNOSES}"
        yield _problem("x12-diagnoses", "diagnoses", text, "Have the coder choose those that the services were for")
    if billed.total > MAX_AMOUNT:
        yield _problem("x12-total", "lines", "The claim's total has more than ten digits", "Check the charges")


def _diagnoses(billed: Billable) -> Iterator[FormProblem]:
    for index, said in enumerate(billed.diagnoses):
        where = f"diagnoses[{index}]"
        if said.system is not CodeSystem.ICD10CM:
            text = "The diagnosis is not said to be ICD-10-CM, the only system that the form takes"
            yield _problem("x12-diagnosis-system", f"{where}.system", text, "Have it coded in ICD-10-CM", said.id)
        elif not _DIAGNOSIS.fullmatch(said.code):
            text = "The diagnosis is not an ICD-10-CM code without its dot"
            yield _problem("x12-diagnosis-form", f"{where}.code", text, "Correct the code at its source", said.id)


def _patient(billed: Billable) -> Iterator[FormProblem]:
    said = billed.patient
    if said.sex and said.sex not in {"F", "M", "U"}:
        yield _problem("x12-sex", "patient.sex", "The form takes F, M or U", "Map the sender's code in its dialect")
    place = said.address
    if (
        place
        and place.postal_code
        and is_domestic(place.country)
        and not _ZIP.fullmatch(place.postal_code.strip().replace("-", ""))
    ):
        text = "A ZIP code has five or nine digits"
        yield _problem("x12-postal-code", "patient.address.postal_code", text, "Correct the address at registration")


def _coverages(billed: Billable) -> Iterator[FormProblem]:
    if not billed.coverages:
        yield _problem("x12-coverage", "coverages", "No payer is known", "Have registration add the coverage")
    if len(billed.coverages) > len(SEQUENCE):
        text = f"{len(billed.coverages)} coverages; the form carries {len(SEQUENCE)}"
        yield _problem("x12-coverages", "coverages", text, "End the coverages that no longer stand")
    ranks = [coverage.rank for coverage in billed.coverages]
    if len(ranks) > 1 and (None in ranks or len(set(ranks)) < len(ranks)):
        text = "Several coverages, and their order of payment is not said"
        yield _problem("x12-coverage-order", "coverages", text, "Have registration rank them")
    for index, coverage in enumerate(billed.coverages):
        where = f"coverages[{index}]"
        if coverage.relationship and coverage.relationship not in RELATIONSHIPS:
            text = "The patient's relationship to the subscriber is none that the form knows"
            yield _problem("x12-relationship", f"{where}.relationship", text, "Map the sender's code in its dialect")
        if index and coverage.filing in {"MA", "MB"}:
            text = "Medicare is not the first payer; why (SBR05) is not known"
            yield _problem("x12-medicare-secondary", where, text, "Bill it where the reason can be said")


def _providers(billed: Billable) -> Iterator[FormProblem]:
    for role in (ProviderRole.REFERRING, ProviderRole.RENDERING, ProviderRole.SUPERVISING):
        named = of_role(billed, role)
        if len(named) > 1:
            text = f"More than one {role} provider is named; the form carries one"
            yield _problem("x12-providers", f"providers[{role}]", text, "Have the one who is meant named")
        if named and role is not ProviderRole.RENDERING and named[0].name is None and named[0].organization:
            text = f"The {role} provider must be a person"
            yield _problem("x12-provider-person", f"providers[{role}]", text, "Have the person named")
        for said in named:
            yield from _npi(said, f"providers[{role}]")


def _npi(said: Provider, where: str) -> Iterator[FormProblem]:
    if said.npi and not npi_valid(said.npi):
        yield _problem("x12-npi", f"{where}.npi", "The NPI's check digit is wrong", "Correct the provider's record")


def _lines(billed: Billable) -> Iterator[FormProblem]:
    place = place_of_service(billed)
    for index, line in enumerate(billed.lines):
        where = f"lines[{index}]"
        for rule, field, wrong, text, remedy in _LINE_RULES:
            if wrong(line, billed):
                yield _problem(rule, f"{where}.{field}", text, remedy, line.charge)
        if line.place_of_service is None and place is not None:
            text = "The line's place of service is not said, and the claim's own is another line's"
            yield _problem("x12-place", f"{where}.place_of_service", text, "Have the place sent", line.charge)
        if line.rendering is not None:
            yield from _npi(line.rendering, f"{where}.rendering")


def _exponent(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return exponent if isinstance(exponent, int) else -99


def _bad_amount(line: Line, billed: Billable) -> bool:
    amount = line.amount
    return amount is not None and not (amount.is_finite() and 0 <= amount <= MAX_AMOUNT and _exponent(amount) >= -2)


def _bad_units(line: Line, billed: Billable) -> bool:
    units = line.units
    return units is not None and not (units.is_finite() and 0 < units <= 9_999_999 and _exponent(units) >= -3)


def _bad_pointers(line: Line, billed: Billable) -> bool:
    known = range(1, min(len(billed.diagnoses), MAX_DIAGNOSES) + 1)
    return (
        not line.pointers or len(set(line.pointers)) < len(line.pointers) or any(p not in known for p in line.pointers)
    )


def _is_anesthesia(line: Line, billed: Billable) -> bool:
    return bool(line.code) and _ANESTHESIA.fullmatch(line.code or "") is not None


_LineRule = tuple[str, str, Callable[[Line, Billable], bool], str, str]
_LINE_RULES: tuple[_LineRule, ...] = (
    (
        "x12-procedure-form",
        "code",
        lambda line, _: bool(line.code) and not _PROCEDURE.fullmatch(line.code or ""),
        "The procedure is not a CPT or HCPCS code",
        "Correct the code, or map the charge master's code",
    ),
    (
        "x12-modifiers",
        "modifiers",
        lambda line, _: (
            len(line.modifiers) > MAX_MODIFIERS or not all(_MODIFIER.fullmatch(mark) for mark in line.modifiers)
        ),
        f"A line carries up to {MAX_MODIFIERS} modifiers of two characters",
        "Correct the modifiers",
    ),
    ("x12-amount", "amount", _bad_amount, "An amount is 0 or more, in whole cents", "Correct the charge"),
    ("x12-units", "units", _bad_units, "Units are more than 0, with up to three decimals", "Correct the charge"),
    (
        "x12-place",
        "place_of_service",
        lambda line, _: bool(line.place_of_service) and not _PLACE.fullmatch(line.place_of_service or ""),
        "A place of service is two digits",
        "Map the location to its place of service",
    ),
    (
        "x12-dates",
        "end",
        lambda line, _: line.start is not None and line.end is not None and line.end < line.start,
        "The service ends before it begins",
        "Correct the dates of service",
    ),
    (
        "x12-pointers",
        "pointers",
        _bad_pointers,
        "A line points to at least one diagnosis of this claim, and to each once",
        "Have the coder link the charge to its diagnoses",
    ),
    (
        "x12-anesthesia",
        "units",
        _is_anesthesia,
        "Anesthesia is billed by the minute (SV103 MJ), and whether these units are minutes is not known",
        "Bill it where the minutes can be said",
    ),
)


def _billing(billing: Billing) -> Iterator[FormProblem]:
    remedy = "Correct `billing` in the configuration"
    if not npi_valid(billing.npi):
        yield _problem("x12-npi", "billing.npi", "The billing provider's NPI is not valid", remedy)
    if not _NINE_DIGITS.fullmatch(billing.postal_code):
        yield _problem("x12-postal-code", "billing.postal_code", "The billing provider's ZIP has nine digits", remedy)
    if not _TEN_DIGITS.fullmatch(billing.contact_phone):
        text = "The contact's telephone has ten digits, and no other marks"
        yield _problem("x12-telephone", "billing.contact_phone", text, remedy)
    if not _NINE_DIGITS.fullmatch(billing.tax_id):
        yield _problem("x12-tax-id", "billing.tax_id", "The billing provider's tax id has nine digits", remedy)


_CHECKS = (_size, _diagnoses, _patient, _coverages, _providers, _lines)
