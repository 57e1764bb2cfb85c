"""The diagnoses, procedures and DRG of an inbound Claim."""

from __future__ import annotations

from typing import Any

from gateway.encounter.model import CodeSystem, Diagnosis, DiagnosisUse, Procedure
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.coded import (
    DIAGNOSIS,
    PROCEDURE,
    coded,
    description,
    diagnosis_id,
    present_on_admission,
    procedure_ids,
)
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import code_of, codings, day
from gateway.mappings.fhir.procedure import performed, performers
from gateway.mappings.fhir.source import Reading


def read_diagnoses(
    reading: Reading, prefix: str, use: DiagnosisUse
) -> tuple[tuple[Diagnosis, ...], dict[int, str | None]]:
    """The diagnoses, the principal first and then by sequence; and the code of each sequence, for pointers.

    An admitting diagnosis keeps its own use and has no rank. A diagnosis without a code is a problem. A code that
    stands twice in one use is one diagnosis.
    """
    ranked: dict[str, tuple[bool, int, Diagnosis]] = {}
    admitting: dict[str, Diagnosis] = {}
    by_sequence: dict[int, str | None] = {}
    for element in reading.resource.many("diagnosis"):
        sequence = _sequence(element, by_sequence)
        kinds = {code for kind in element.many("type") for _, code in codings(kind)}
        reading.about = f"{prefix}dx{sequence}"
        found = _diagnosis(reading, element, DiagnosisUse.ADMITTING if "admitting" in kinds else use)
        by_sequence[sequence] = found.code if found else None
        if found is None:
            continue
        if found.use is DiagnosisUse.ADMITTING:
            admitting.setdefault(found.id, found)
        else:
            place = ("principal" not in kinds, sequence, found)
            ranked[found.id] = min(place, ranked.get(found.id, place), key=lambda entry: entry[:2])
    reading.about = prefix
    ordered = sorted(ranked.values(), key=lambda entry: entry[:2])
    said = [d.model_copy(update={"rank": rank}) for rank, (_, _, d) in enumerate(ordered, start=1)]
    return (*said, *admitting.values()), by_sequence


def _sequence(element: Element, taken: dict[int, str | None]) -> int:
    sequence = element.integer("sequence")
    if sequence is None:
        raise MappingError("required", element.place("sequence"), "is required")
    if sequence in taken:
        raise MappingError("value", element.place("sequence"), "stands twice")
    return sequence


def _diagnosis(reading: Reading, element: Element, use: DiagnosisUse) -> Diagnosis | None:
    noted = len(reading.problems)
    concept = element.one("diagnosisCodeableConcept")
    if not concept:
        concept = reading.contained(element.one("diagnosisReference"), "Condition").one("code")
    code, system = coded(concept, DIAGNOSIS)
    if code is None:
        reading.problem("code-unknown", element.path, "gives no code of a diagnosis")
        return None
    if system is CodeSystem.LOCAL:
        reading.problem("code-system", element.path, "the diagnosis is not coded in ICD-10-CM")
    said: dict[str, Any] = {
        "system": system,
        "present_on_admission": present_on_admission(reading, element.one("onAdmission")),
        "description": description(concept),
    }
    name = diagnosis_id(use, code)
    reading.attribute(name, noted)
    return Diagnosis(
        id=name,
        code=code,
        use=use,
        source=reading.source.feed,
        origin=reading.origin(element),
        **{key: value for key, value in said.items() if value is not None},
    )


def read_procedures(reading: Reading, prefix: str) -> tuple[Procedure, ...]:
    """The claim's procedures, by sequence."""
    found: list[tuple[int, Procedure]] = []
    taken: dict[int, str | None] = {}
    for element in reading.resource.many("procedure"):
        sequence = _sequence(element, taken)
        taken[sequence] = None
        reading.about = f"{prefix}px{sequence}"
        procedure = _procedure(reading, element)
        if procedure is not None:
            found.append((sequence, procedure))
    reading.about = prefix
    found.sort(key=lambda entry: entry[0])
    names = procedure_ids((p.code, p.performed) for _, p in found)
    return tuple(
        p.model_copy(update={"id": name, "rank": rank})
        for rank, (name, (_, p)) in enumerate(zip(names, found, strict=True), start=1)
    )


def _procedure(reading: Reading, element: Element) -> Procedure | None:
    concept = element.one("procedureCodeableConcept")
    done = Element({}, element.path) if concept else reading.contained(element.one("procedureReference"), "Procedure")
    code, system = coded(concept or done.one("code"), PROCEDURE)
    if code is None:
        reading.problem("code-unknown", element.path, "gives no code of a procedure")
        return None
    return Procedure(
        id="",
        code=code,
        system=system,
        performed=day(reading, element, "date") or performed(reading, done),
        providers=performers(reading, done),
        source=reading.source.feed,
        origin=reading.origin(element),
    )


def drg(resource: Element) -> str | None:
    """The MS-DRG: of a supportingInfo of category `drg` (CARIN), or of a diagnosis' package code."""
    for info in resource.many("supportingInfo"):
        if any(code == "drg" for _, code in codings(info.one("category"))):
            return code_of(info.one("code"), systems.MS_DRG)
    packages = (code_of(element.one("packageCode"), systems.MS_DRG) for element in resource.many("diagnosis"))
    return next((code for code in packages if code), None)
