"""Condition: what was diagnosed in a visit, as Encounter.diagnosis ranks it or as the Condition itself says."""

from __future__ import annotations

from typing import Any

from gateway.encounter.model import Diagnosis, DiagnosisUse
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.coded import DIAGNOSIS, coded, description, diagnosis_id, present_on_admission
from gateway.mappings.fhir.drawing import named_encounter
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import codings
from gateway.mappings.fhir.source import Reading


def encounter_diagnoses(reading: Reading) -> tuple[Diagnosis, ...]:
    """The coded diagnoses of the Encounter being read, each use and code once: those that it lists, then the
    Conditions of category `encounter-diagnosis` that name it. Conditions in other code systems are noticed.
    """
    found: dict[str, Diagnosis] = {}
    listed: set[int] = set()
    for entry in reading.resource.many("diagnosis"):
        condition = reading.contained(entry.one("condition"), "Condition")
        listed.add(id(condition.data))
        use = _use(entry)
        if condition and use is not None:
            _take(found, _diagnosis(reading, condition, entry, use))
    for condition in reading.contains("Condition"):
        if id(condition.data) not in listed and _is_of_visit(reading, condition):
            _take(found, _diagnosis(reading, condition, condition, DiagnosisUse.WORKING))
    return tuple(found.values())


def names_encounter(reading: Reading, supporting: Element) -> bool:
    """Whether a Condition or Procedure says that it is of the Encounter being read."""
    within = supporting.one("encounter").text("reference") == "#"
    return within or named_encounter(supporting.data) == f"Encounter/{reading.logical_id}"


def _take(found: dict[str, Diagnosis], said: Diagnosis | None) -> None:
    if said is not None:
        found.setdefault(said.id, said)


def _use(entry: Element) -> DiagnosisUse | None:
    """A role that is none of the table's, or none at all, says no more than that it is a diagnosis."""
    roles = [code for _, code in codings(entry.one("use"))]
    known = [systems.DIAGNOSIS_ROLE[role] for role in roles if role in systems.DIAGNOSIS_ROLE]
    return known[0] if known else DiagnosisUse.WORKING


def _is_of_visit(reading: Reading, condition: Element) -> bool:
    categories = {code for category in condition.many("category") for _, code in codings(category)}
    return systems.ENCOUNTER_DIAGNOSIS in categories and names_encounter(reading, condition)


def _diagnosis(reading: Reading, condition: Element, entry: Element, use: DiagnosisUse) -> Diagnosis | None:
    if any(code in systems.NO_DIAGNOSIS for _, code in codings(condition.one("verificationStatus"))):
        return None
    code, system = coded(condition.one("code"), DIAGNOSIS)
    if code is None or system not in DIAGNOSIS:
        reading.notices[f"{entry.path} is coded in no system that diagnoses are billed by"] = None
        return None
    noted, name = len(reading.problems), diagnosis_id(use, code)
    said: dict[str, Any] = {
        "rank": entry.integer("rank"),
        "present_on_admission": _on_admission(reading, entry) or _on_admission(reading, condition),
        "description": description(condition.one("code")),
    }
    reading.attribute(name, noted)
    return Diagnosis(
        id=name,
        code=code,
        system=system,
        use=use,
        source=reading.source.feed,
        origin=reading.origin(entry),
        **{key: value for key, value in said.items() if value is not None},
    )


def _on_admission(reading: Reading, element: Element) -> str | None:
    for extension in element.many("extension"):
        if extension.text("url") == systems.ADMISSION_EXTENSION:
            return present_on_admission(reading, extension.one("valueCodeableConcept"))
    return None
