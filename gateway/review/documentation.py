"""Does the record support the codes: a final document of a fitting kind for the visit, and for what was done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gateway.encounter.model import DocumentKind, DocumentStatus, Encounter, EncounterClass
from gateway.reference.code_forms import CodeForm, form_of
from gateway.review.edits.context import EditContext, Rule
from gateway.review.model import Finding, HoldKind, Severity

_SUFFICIENT = "AHIMA, conditions of a final bill: a sufficient document set"

DOCUMENT_MISSING = Rule(
    "document-missing",
    Severity.ERROR,
    _SUFFICIENT,
    "Have the provider finish the document, or the EHR send it.",
    HoldKind.DOCUMENTATION,
)
SERVICE_UNDOCUMENTED = Rule(
    "service-undocumented",
    Severity.ERROR,
    "CMS documentation guidelines for evaluation and management; CPT surgery section",
    "Have the note of the service finished and sent, or the code corrected.",
    HoldKind.DOCUMENTATION,
)
RULES = (DOCUMENT_MISSING, SERVICE_UNDOCUMENTED)

SUPPORTS = frozenset({DocumentStatus.FINAL, DocumentStatus.AMENDED})
"""The statuses in which a document supports a code."""

_VISIT_NOTES = frozenset(
    {
        DocumentKind.PROGRESS_NOTE,
        DocumentKind.HISTORY_AND_PHYSICAL,
        DocumentKind.CONSULTATION,
        DocumentKind.EMERGENCY_NOTE,
    }
)
_PROCEDURES = frozenset({DocumentKind.OPERATIVE_NOTE, DocumentKind.PROCEDURE_NOTE})
_REPORTS = frozenset({DocumentKind.IMAGING_REPORT, DocumentKind.PATHOLOGY_REPORT, DocumentKind.LABORATORY_REPORT})
_CLINICAL = _VISIT_NOTES | _PROCEDURES | _REPORTS | {DocumentKind.DISCHARGE_SUMMARY}

VISIT_DOCUMENTS: dict[EncounterClass | None, frozenset[DocumentKind]] = {
    EncounterClass.INPATIENT: frozenset({DocumentKind.DISCHARGE_SUMMARY}),
    EncounterClass.OBSERVATION: _VISIT_NOTES | {DocumentKind.DISCHARGE_SUMMARY},
    EncounterClass.EMERGENCY: frozenset({DocumentKind.EMERGENCY_NOTE, DocumentKind.DISCHARGE_SUMMARY}),
    EncounterClass.OUTPATIENT: _CLINICAL,
    EncounterClass.RECURRING: _CLINICAL,
    EncounterClass.PREADMIT: _CLINICAL,
    EncounterClass.OTHER: _CLINICAL,
    None: _CLINICAL,
}
"""For each class of encounter: one of these kinds must be there."""


class Need(NamedTuple):
    """Codes from `first` to `last` need one of `kinds`; `but` needs none."""

    name: str
    first: int
    last: int
    kinds: frozenset[DocumentKind]
    but: frozenset[str] = frozenset()


SERVICE_DOCUMENTS: tuple[Need, ...] = (
    Need("surgery", 10004, 69990, _PROCEDURES, frozenset({"36400", "36405", "36406", "36410", "36415", "36416"})),
    Need("evaluation and management", 99202, 99499, _VISIT_NOTES),
)
"""CPT category I by section. Drawing blood stands in the surgery section and is documented by its result."""


def check(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """A document for the visit, and one for each kind of service that needs its own."""
    if not context.limits.documentation:
        return
    there = {document.kind for document in encounter.documents if document.status in SUPPORTS}
    visit = encounter.visit.encounter_class
    if there.isdisjoint(VISIT_DOCUMENTS[visit]):
        text = f"No finished document for {visit or 'the'} encounter; one of: {_names(VISIT_DOCUMENTS[visit])}."
        yield DOCUMENT_MISSING.finding("documents", text, evidence=_unfinished(encounter))
    yield from _services(context, there)


def _services(context: EditContext, there: set[DocumentKind]) -> Iterator[Finding]:
    needs = [need for need in SERVICE_DOCUMENTS if there.isdisjoint(need.kinds)]
    if not needs:
        return
    codes = sorted({line.code for line in context.billable.lines if line.code and _in_cpt_1(line.code)})
    for need in needs:
        needing = tuple(code for code in codes if need.first <= int(code) <= need.last and code not in need.but)
        if needing:
            text = f"{', '.join(needing)} ({need.name}) without a finished document; one of: {_names(need.kinds)}."
            yield SERVICE_UNDOCUMENTED.finding("documents", text, subject=need.name, evidence=needing)


def _in_cpt_1(code: str) -> bool:
    return form_of(code) is CodeForm.CPT_CATEGORY_1


def _names(kinds: frozenset[DocumentKind]) -> str:
    return ", ".join(sorted(kinds))


def _unfinished(encounter: Encounter) -> tuple[str, ...]:
    return tuple(d.id for d in encounter.documents if d.status is DocumentStatus.PRELIMINARY)
