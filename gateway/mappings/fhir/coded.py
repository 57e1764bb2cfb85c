"""Codes of diagnoses and procedures, and the ids that they get: the same as what HL7 v2 says of them would get."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from gateway.encounter.model import CodeSystem, DiagnosisUse
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import codings
from gateway.mappings.fhir.source import Reading

DIAGNOSIS = (CodeSystem.ICD10CM, CodeSystem.ICD9CM)
PROCEDURE = (CodeSystem.ICD10PCS, CodeSystem.CPT, CodeSystem.HCPCS)


def coded(concept: Element, wanted: tuple[CodeSystem, ...]) -> tuple[str | None, CodeSystem | None]:
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


def description(concept: Element) -> str | None:
    """How the sender words a diagnosis: of the coding that counts, else as text. Never asked of CPT."""
    for coding in concept.many("coding"):
        if systems.CODE_SYSTEM_READ.get(coding.text("system") or "") in DIAGNOSIS and coding.text("display"):
            return coding.text("display")
    return concept.text("text")


def diagnosis_id(use: DiagnosisUse, code: str) -> str:
    """Names a diagnosis by its use and code: said again, by whichever feed, it takes its own place."""
    return f"{use}-{code}"


def procedure_ids(procedures: Iterable[tuple[str, date | None]]) -> list[str]:
    """Names procedures by code and day. Alike ones are numbered."""
    seen: dict[str, int] = {}
    named = []
    for code, performed in procedures:
        name = f"{code}@{performed}" if performed is not None else code
        count = seen[name] = seen.get(name, 0) + 1
        named.append(name if count == 1 else f"{name}#{count}")
    return named


def present_on_admission(reading: Reading, said: Element) -> str | None:
    """The POA indicator that a concept says; one that is none is a problem."""
    pairs = codings(said)
    if not pairs:
        return None
    code = systems.PRESENT_ON_ADMISSION.get(pairs[0][1])
    if code is None:
        reading.problem("code-unknown", said.path, "is not Y, N, U, W or 1")
    return code
