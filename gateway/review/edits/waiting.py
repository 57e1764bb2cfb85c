"""What an encounter waits for before anybody need look at it: its end, final codes, the days of the bill hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from gateway.encounter.model import Encounter, EncounterClass, VisitStatus
from gateway.review.edits.context import EditContext, Rule
from gateway.review.model import Finding, HoldKind, Severity

VISIT_CANCELLED = Rule(
    "visit-cancelled",
    Severity.ERROR,
    "HL7 v2 ADT^A11, FHIR Encounter.status cancelled",
    "Credit the charges, or have the EHR undo the cancellation.",
    fixed=True,
)
NOT_DISCHARGED = Rule(
    "not-discharged",
    Severity.ERROR,
    "AHIMA, conditions of a final bill: patient status and dates agree",
    "Nothing to do: it ends when the EHR says that the visit is over.",
    HoldKind.WAITING,
    fixed=True,
)
CODES_NOT_FINAL = Rule(
    "codes-not-final",
    Severity.ERROR,
    "AHIMA, conditions of a final bill: codes are final",
    "Finish the coding; the encoder's final codes end it.",
    HoldKind.WAITING,
    fixed=True,
)
BILL_HOLD = Rule(
    "bill-hold",
    Severity.ERROR,
    "the site's policy, bill_hold_days",
    "Nothing to do: it ends by the clock.",
    HoldKind.WAITING,
    fixed=True,
)
RULES = (VISIT_CANCELLED, NOT_DISCHARGED, CODES_NOT_FINAL, BILL_HOLD)


class Ending(NamedTuple):
    """How the visits of a class end: by one of these statuses, or when the last day of service is over."""

    statuses: frozenset[VisitStatus | None]
    with_the_day: bool


_STAYS = Ending(frozenset({VisitStatus.DISCHARGED}), with_the_day=False)
_COMES_AND_GOES = Ending(frozenset({VisitStatus.DISCHARGED, None}), with_the_day=True)

ENDINGS: dict[EncounterClass | None, Ending] = {
    EncounterClass.INPATIENT: _STAYS,
    EncounterClass.EMERGENCY: _STAYS,
    EncounterClass.OBSERVATION: _STAYS,
    EncounterClass.OUTPATIENT: _COMES_AND_GOES,
    EncounterClass.RECURRING: _COMES_AND_GOES,
    EncounterClass.OTHER: _COMES_AND_GOES,
    EncounterClass.PREADMIT: Ending(frozenset(), with_the_day=False),
    None: _COMES_AND_GOES,
}
"""Outpatients are often never discharged in the EHR. A pre-admission is billed only once it has become a visit."""


def check(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """The visit is over, its codes are final, and its bill-hold days have passed."""
    visit = encounter.visit
    if visit.status is not VisitStatus.CANCELLED:
        yield from _ended(encounter, context)
    elif context.billable.lines:
        yield VISIT_CANCELLED.finding("visit.status", "The visit was cancelled and has charges.")
    else:
        return
    if encounter.coding.final is not True:
        yield CODES_NOT_FINAL.finding("coding.final", "The codes are not final.")
    yield from _bill_hold(encounter, context)


def is_over(encounter: Encounter, context: EditContext) -> bool:
    """Whether the visit has ended."""
    return encounter.visit.status is not VisitStatus.CANCELLED and not any(_ended(encounter, context))


def _ended(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    visit = encounter.visit
    ending = ENDINGS[visit.encounter_class]
    discharged = visit.discharged is not None and visit.status is not VisitStatus.PLANNED
    if visit.status in ending.statuses or (discharged and VisitStatus.DISCHARGED in ending.statuses):
        return
    days = context.service_days() if ending.with_the_day and visit.status is VisitStatus.ACTIVE else None
    if days is None:
        yield NOT_DISCHARGED.finding("visit.status", "The visit is not over.")
    elif days[1] >= context.today:
        over = days[1] + timedelta(days=1)
        text = f"The visit is over when its last day of service is: on {over}."
        yield NOT_DISCHARGED.finding("visit.status", text, until=context.midnight(over))


def _bill_hold(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    days = context.limits.bill_hold(encounter.visit.encounter_class)
    end = _end_of(encounter, context) if days else None
    if end is not None and context.today < end + timedelta(days=days):
        over = end + timedelta(days=days)
        yield BILL_HOLD.finding(
            "visit.discharged", f"Held for {days} days after {end}, until {over}.", until=context.midnight(over)
        )


def _end_of(encounter: Encounter, context: EditContext) -> date | None:
    days = context.service_days()
    return context.day(encounter.visit.discharged) or (days[1] if days else None)
