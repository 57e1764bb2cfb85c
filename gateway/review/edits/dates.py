"""Dates that agree: service inside the visit, nothing in the future, an end after its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from gateway.encounter.model import Encounter, EncounterClass
from gateway.review.edits.context import EditContext, Rule
from gateway.review.edits.lines import standing
from gateway.review.model import Finding, Severity

_AGREE = "AHIMA, conditions of a final bill: dates agree"
_DTP = "005010X222A1 and 005010X223A2, DTP*472 and DTP*434"

DATE_MISSING = Rule("service-date-missing", Severity.ERROR, _DTP, "Have the sender say when the service was given.")
DATE_ORDER = Rule("service-date-order", Severity.ERROR, _DTP, "Correct the dates: the service ends before it begins.")
DATE_FUTURE = Rule("date-in-future", Severity.ERROR, _DTP, "Correct the date: it has not come yet.")
OUTSIDE_VISIT = Rule(
    "service-outside-visit", Severity.ERROR, _AGREE, "Correct the date, or move the service to the visit it belongs to."
)
DISCHARGE_ORDER = Rule("discharge-before-admission", Severity.ERROR, _AGREE, "Correct the visit's dates in the EHR.")
DISCHARGE_MISSING = Rule(
    "discharge-date-missing", Severity.ERROR, _DTP, "Have the EHR say when the inpatient was discharged."
)
RULES = (DATE_MISSING, DATE_ORDER, DATE_FUTURE, OUTSIDE_VISIT, DISCHARGE_ORDER, DISCHARGE_MISSING)

DAYS_BEFORE: dict[EncounterClass | None, int] = {EncounterClass.INPATIENT: 3, EncounterClass.OBSERVATION: 1}
"""How long before admission a service may still belong to the visit: Medicare's three-day payment window
(42 CFR 412.2(c)(5)); for an observation the night in the emergency room before it.
"""
UNBOUNDED = frozenset({EncounterClass.RECURRING, EncounterClass.PREADMIT})
"""Classes whose services come on days that the visit's dates do not frame."""


def check(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """The visit's own dates, then each line's and procedure's."""
    yield from _visit(encounter, context)
    frame = _frame(encounter, context)
    for where, charge, line in standing(encounter, context):
        if line.start is None:
            yield DATE_MISSING.finding(f"{where}.start", "The line has no date of service.", subject=charge.id)
            continue
        if line.end is not None and line.end < line.start:
            yield DATE_ORDER.finding(f"{where}.end", f"Ends {line.end}, begins {line.start}.", subject=charge.id)
        finding = _beyond((where, "start"), charge.id, (line.start, line.end or line.start), frame, context)
        if finding is not None:
            yield finding
    for index, procedure in enumerate(encounter.procedures):
        day = procedure.performed
        if day is not None:
            finding = _beyond((f"procedures[{index}]", "performed"), procedure.id, (day, day), frame, context)
            if finding is not None:
                yield finding


def _visit(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    visit = encounter.visit
    if visit.admitted and visit.discharged and visit.discharged < visit.admitted:
        text = f"Discharged {context.day(visit.discharged)}, admitted {context.day(visit.admitted)}."
        yield DISCHARGE_ORDER.finding("visit.discharged", text)
    if visit.encounter_class is EncounterClass.INPATIENT and encounter.coding.final and not visit.discharged:
        yield DISCHARGE_MISSING.finding("visit.discharged", "A coded inpatient without discharge date.")
    for name in ("admitted", "discharged"):
        day = context.day(getattr(visit, name))
        if day is not None and day > context.today:
            yield DATE_FUTURE.finding(f"visit.{name}", f"{name.capitalize()} {day}.", subject=name)


def _frame(encounter: Encounter, context: EditContext) -> tuple[date | None, date | None]:
    """The first and the last day that belong to the visit; None where it is open."""
    visit = encounter.visit
    if visit.encounter_class in UNBOUNDED:
        return None, None
    admitted = context.day(visit.admitted)
    before = timedelta(days=DAYS_BEFORE.get(visit.encounter_class, 0))
    return admitted - before if admitted else None, context.day(visit.discharged)


def _beyond(
    at: tuple[str, str],
    subject: str,
    days: tuple[date, date],
    frame: tuple[date | None, date | None],
    context: EditContext,
) -> Finding | None:
    (start, end), (first, last) = days, frame
    if end > context.today:
        return DATE_FUTURE.finding(".".join(at), f"The service is dated {end}.", subject=subject)
    if (first is not None and start < first) or (last is not None and end > last):
        text = f"{start} is outside the visit, {first or 'its beginning'} to {last or 'now'}."
        return OUTSIDE_VISIT.finding(".".join(at), text, subject=subject)
    return None
