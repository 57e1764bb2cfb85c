"""Procedure: what was done in a visit, when and by whom."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from gateway.encounter.model import CodeSystem, Procedure, Provider
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.coded import PROCEDURE, coded, procedure_ids
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import codings, day, provider
from gateway.mappings.fhir.source import Reading


def performed(reading: Reading, procedure: Element) -> date | None:
    """The day on which it was done, or begun. An age, a text or a year alone say none."""
    moment = (procedure, "performedDateTime") if procedure.text("performedDateTime") else None
    begun: date | None = day(reading, *(moment or (procedure.one("performedPeriod"), "start")))
    return begun


def performers(reading: Reading, procedure: Element) -> tuple[Provider, ...]:
    """Who operated and who performed, one of each; the order is that of PR1-11 and PR1-12."""
    found: dict[object, Provider] = {}
    for member in procedure.many("performer"):
        pairs = [(system or "", code) for system, code in codings(member.one("function"))]
        role = next((systems.PERFORMER[pair] for pair in pairs if pair in systems.PERFORMER), None)
        who = provider(reading, member.one("actor"), role) if role is not None else None
        if who is not None:
            found.setdefault(role, who)
    return tuple(found[role] for role in dict.fromkeys(systems.PERFORMER.values()) if role in found)


def read_procedures(reading: Reading, procedures: Iterable[Element]) -> tuple[Procedure, ...]:
    """The procedures that were carried out and are coded in ICD-10-PCS, CPT or HCPCS."""
    found = []
    for element in procedures:
        if element.text("status") in systems.NOT_DONE:
            continue
        code, system = coded(element.one("code"), PROCEDURE)
        if code is None or system not in PROCEDURE:
            reading.notices[f"{element.path} is coded in no system that procedures are billed by"] = None
            continue
        found.append(_procedure(reading, element, code, system))
    names = procedure_ids((p.code, p.performed) for p in found)
    return tuple(
        p.model_copy(update={"id": name, "rank": rank})
        for rank, (name, p) in enumerate(zip(names, found, strict=True), start=1)
    )


def _procedure(reading: Reading, element: Element, code: str, system: CodeSystem) -> Procedure:
    return Procedure(
        id="",
        code=code,
        system=system,
        performed=performed(reading, element),
        providers=performers(reading, element),
        source=reading.source.feed,
        origin=reading.origin(element),
    )
