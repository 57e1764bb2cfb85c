"""Each final diagnosis is a billable ICD-10-CM code on its date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from gateway.encounter.model import CodeSystem, Diagnosis, Encounter, EncounterClass
from gateway.reference.icd10cm import CodeState, CodeStatus
from gateway.review.edits.context import EditContext, Rule
from gateway.review.model import Finding, Severity

_SET = "ICD-10-CM tabular list (CDC/NCHS); 45 CFR 162.1002"

DIAGNOSIS_MISSING = Rule(
    "diagnosis-missing",
    Severity.ERROR,
    "005010X222A1 and 005010X223A2, loop 2300 HI",
    "Code the encounter: a claim needs at least one final diagnosis.",
)
DIAGNOSIS_SYSTEM = Rule(
    "diagnosis-system", Severity.ERROR, _SET, "Code the diagnosis in ICD-10-CM, or mend the feed's code system table."
)
ICD10_UNKNOWN = Rule(
    "icd10-unknown", Severity.ERROR, _SET, "Correct the code: the release in force on the date does not have it."
)
ICD10_NOT_BILLABLE = Rule(
    "icd10-not-billable", Severity.ERROR, _SET, "Code to the highest number of characters, 7th character included."
)
ICD10_NOT_IN_FORCE = Rule(
    "icd10-not-in-force", Severity.ERROR, _SET, "Correct the date of service: ICD-10-CM is used from 2015-10-01."
)
ICD10_RELEASE = Rule(
    "icd10-release",
    Severity.INFORMATION,
    "the loaded ICD-10-CM releases",
    "Load the release of that date to have its codes checked for certain.",
)
RULES = (
    DIAGNOSIS_MISSING,
    DIAGNOSIS_SYSTEM,
    ICD10_UNKNOWN,
    ICD10_NOT_BILLABLE,
    ICD10_NOT_IN_FORCE,
    ICD10_RELEASE,
)


def check(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """Every code is checked on each date that decides: see `dates`."""
    diagnoses = context.billable.diagnoses
    if not diagnoses:
        yield DIAGNOSIS_MISSING.finding("diagnoses", "There are charges and no final diagnosis.")
        return
    on = dates(encounter, context)
    asked = context.icd10.status("A00", on[0])
    if asked.before_icd10cm:
        yield ICD10_NOT_IN_FORCE.finding("visit", f"{on[0]} is before ICD-10-CM.")
        return
    if not asked.in_force:
        yield ICD10_RELEASE.finding("diagnoses", f"No loaded release covers {on[0]}: {asked.release} was asked.")
    for diagnosis in diagnoses:
        finding = _check(encounter, diagnosis, on, context)
        if finding is not None:
            yield finding


def dates(encounter: Encounter, context: EditContext) -> tuple[date, ...]:
    """The dates on which codes must be valid: the discharge of an inpatient, the first and last service of others.

    ICD-10-CM guidelines, introduction: the code set in effect on the discharge date or the date of service.
    """
    visit = encounter.visit
    discharged = context.day(visit.discharged)
    if visit.encounter_class is EncounterClass.INPATIENT and discharged is not None:
        return (discharged,)
    days = context.service_days()
    if days is not None:
        return days if days[0] != days[1] else days[:1]
    return (discharged or context.day(visit.admitted) or context.today,)


def _check(encounter: Encounter, diagnosis: Diagnosis, on: tuple[date, ...], context: EditContext) -> Finding | None:
    if diagnosis.system not in (CodeSystem.ICD10CM, None):
        where = _where(encounter, diagnosis)
        return DIAGNOSIS_SYSTEM.finding(where, f"{diagnosis.code} is not an ICD-10-CM code.", subject=diagnosis.id)
    for day in on:
        status = context.icd10.status(diagnosis.code, day)
        if status.state is not CodeState.BILLABLE:
            return _finding(_where(encounter, diagnosis), diagnosis, status, day)
    return None


def _finding(where: str, diagnosis: Diagnosis, status: CodeStatus, day: date) -> Finding:
    """Against a release that does not cover the date it is only a warning."""
    header = status.state is CodeState.HEADER
    rule = ICD10_NOT_BILLABLE if header else ICD10_UNKNOWN
    lacks = "lacks its 7th character" if status.needs_seventh else "is a heading and needs more characters"
    says = lacks if header else f"is not in {status.release}"
    return rule.finding(
        where,
        f"{diagnosis.code} {says}; checked for {day}.",
        subject=diagnosis.id,
        evidence=(diagnosis.code, status.release, day.isoformat()),
        severity=None if status.in_force else Severity.WARNING,
    )


def _where(encounter: Encounter, diagnosis: Diagnosis) -> str:
    index = next(i for i, d in enumerate(encounter.diagnoses) if d.id == diagnosis.id)
    return f"diagnoses[{index}].code"
