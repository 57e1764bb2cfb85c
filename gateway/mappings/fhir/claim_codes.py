"""The diagnoses, procedures and DRG of an inbound Claim."""

from __future__ import annotations

from typing import Any

from gateway.encounter.model import CodeSystem, Diagnosis, DiagnosisUse, Procedure
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import code_of, codings, day
from gateway.mappings.fhir.source import Reading

_DIAGNOSIS = (CodeSystem.ICD10CM, CodeSystem.ICD9CM)
_PROCEDURE = (CodeSystem.ICD10PCS, CodeSystem.CPT, CodeSystem.HCPCS)


def read_diagnoses(
    reading: Reading, prefix: str, use: DiagnosisUse
) -> tuple[tuple[Diagnosis, ...], dict[int, str | None]]:
    """The diagnoses, the principal first and then by sequence; and the code of each sequence, for pointers.

    An admitting diagnosis keeps its own use and has no rank. A diagnosis without a code is a problem.
    """
    ranked: list[tuple[bool, int, Diagnosis]] = []
    admitting: list[Diagnosis] = []
    by_sequence: dict[int, str | None] = {}
    for element in reading.resource.many("diagnosis"):
        sequence = _sequence(element, by_sequence)
        kinds = {code for kind in element.many("type") for _, code in codings(kind)}
        reading.about = f"{prefix}dx{sequence}"
        found = _diagnosis(reading, element, reading.about)
        by_sequence[sequence] = found.code if found else None
        if found is None:
            continue
        if "admitting" in kinds:
            admitting.append(found.model_copy(update={"use": DiagnosisUse.ADMITTING}))
        else:
            ranked.append(("principal" not in kinds, sequence, found))
    reading.about = prefix
    ranked.sort(key=lambda entry: entry[:2])
    ordered = [d.model_copy(update={"use": use, "rank": rank}) for rank, (_, _, d) in enumerate(ranked, start=1)]
    return (*ordered, *admitting), by_sequence


def _sequence(element: Element, taken: dict[int, str | None]) -> int:
    sequence = element.integer("sequence")
    if sequence is None:
        raise MappingError("required", element.place("sequence"), "is required")
    if sequence in taken:
        raise MappingError("value", element.place("sequence"), "stands twice")
    return sequence


def _diagnosis(reading: Reading, element: Element, name: str) -> Diagnosis | None:
    concept = element.one("diagnosisCodeableConcept")
    if not concept:
        concept = reading.contained(element.one("diagnosisReference"), "Condition").one("code")
    code, system = _coded(concept, _DIAGNOSIS)
    if code is None:
        reading.problem("code-unknown", element.path, "gives no code of a diagnosis")
        return None
    if system is CodeSystem.LOCAL:
        reading.problem("code-system", element.path, "the diagnosis is not coded in ICD-10-CM")
    said: dict[str, Any] = {"system": system, "present_on_admission": _on_admission(reading, element)}
    return Diagnosis(
        id=name,
        code=code,
        source=reading.source.feed,
        origin=reading.origin(element),
        **{key: value for key, value in said.items() if value is not None},
    )


def _coded(concept: Element, wanted: tuple[CodeSystem, ...]) -> tuple[str | None, CodeSystem | None]:
    """The code of the first wanted system, or else the first code as a local one; without a system, of none."""
    pairs = codings(concept)
    for uri, code in pairs:
        system = systems.CODE_SYSTEM_READ.get(uri or "")
        if system in wanted:
            return (code.replace(".", "") if system in systems.DOTTED else code), system
    if not pairs:
        return None, None
    uri, code = pairs[0]
    return code, CodeSystem.LOCAL if uri else None


def _on_admission(reading: Reading, element: Element) -> str | None:
    pairs = codings(element.one("onAdmission"))
    if not pairs:
        return None
    code = systems.PRESENT_ON_ADMISSION.get(pairs[0][1])
    if code is None:
        reading.problem("code-unknown", element.place("onAdmission"), "is not Y, N, U or W")
    return code


def read_procedures(reading: Reading, prefix: str) -> tuple[Procedure, ...]:
    """The claim's procedures, by sequence."""
    found: list[tuple[int, Procedure]] = []
    taken: dict[int, str | None] = {}
    for element in reading.resource.many("procedure"):
        sequence = _sequence(element, taken)
        taken[sequence] = None
        reading.about = f"{prefix}px{sequence}"
        concept = element.one("procedureCodeableConcept")
        if not concept:
            concept = reading.contained(element.one("procedureReference"), "Procedure").one("code")
        code, system = _coded(concept, _PROCEDURE)
        if code is None:
            reading.problem("code-unknown", element.path, "gives no code of a procedure")
            continue
        procedure = Procedure(
            id=reading.about,
            code=code,
            system=system,
            performed=day(reading, element, "date"),
            source=reading.source.feed,
            origin=reading.origin(element),
        )
        found.append((sequence, procedure))
    reading.about = prefix
    found.sort(key=lambda entry: entry[0])
    return tuple(p.model_copy(update={"rank": rank}) for rank, (_, p) in enumerate(found, start=1))


def drg(resource: Element) -> str | None:
    """The MS-DRG: of a supportingInfo of category `drg` (CARIN), or of a diagnosis' package code."""
    for info in resource.many("supportingInfo"):
        if any(code == "drg" for _, code in codings(info.one("category"))):
            return code_of(info.one("code"), systems.MS_DRG)
    packages = (code_of(element.one("packageCode"), systems.MS_DRG) for element in resource.many("diagnosis"))
    return next((code for code in packages if code), None)
