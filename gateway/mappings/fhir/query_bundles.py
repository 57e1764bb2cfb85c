"""Pages and histories of queries as Bundles (R4, search and history), with what a search brings along.

What is brought along says no more than the Task itself says of it, and what R4 demands: it has no address of its own
here, so it goes by a name that is made of its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import NAMESPACE_URL, uuid5

from gateway.encounter.identity import Identifier
from gateway.encounter.model import ClaimKind, EncounterClass, Visit, VisitStatus
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.parties import concept, identifier_json, npi_json
from gateway.mappings.fhir.query import IssuedQuery
from gateway.mappings.fhir.questionnaire import encounter_identifier, stamp
from gateway.mappings.fhir.source import Numbers

_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_VOID = "8"

_STATUS: Mapping[VisitStatus | None, str] = {
    VisitStatus.PLANNED: "planned",
    VisitStatus.ACTIVE: "in-progress",
    VisitStatus.DISCHARGED: "finished",
    VisitStatus.CANCELLED: "cancelled",
    None: "unknown",
}
_CLASS: Mapping[EncounterClass | None, str] = {
    EncounterClass.INPATIENT: "IMP",
    EncounterClass.OUTPATIENT: "AMB",
    EncounterClass.EMERGENCY: "EMER",
    EncounterClass.OBSERVATION: "OBSENC",
    EncounterClass.PREADMIT: "PRENC",
}
"""Encounter classes with one code of v3-ActCode; the others are told as unknown."""


class NamedClaim(Protocol):
    """A claim, as `gateway.release.model.Claim` has it."""

    @property
    def number(self) -> str: ...
    @property
    def frequency(self) -> str: ...
    @property
    def kind(self) -> ClaimKind: ...
    @property
    def released(self) -> datetime: ...


Included = tuple[str, dict[str, Any]]
"""A name for `fullUrl`, and the resource."""


def page(
    matches: Sequence[Mapping[str, Any]],
    base_url: str,
    links: Iterable[tuple[str, str]],
    total: int | None,
    included: Sequence[Included] = (),
) -> dict[str, Any]:
    """A page of a search: its matches, then what comes along with them, each once. `links` are (relation, URL)."""
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": _links(links)}
    if total is not None:
        bundle["total"] = total
    found = [(f"{base_url}/{match['resourceType']}/{match['id']}", match, "match") for match in matches]
    found += [(name, resource, "include") for name, resource in dict(included).items()]
    entries = [{"fullUrl": name, "resource": resource, "search": {"mode": mode}} for name, resource, mode in found]
    return bundle | {"entry": entries} if entries else bundle


def history(
    versions: Sequence[Mapping[str, Any]], base_url: str, links: Iterable[tuple[str, str]], total: int | None
) -> dict[str, Any]:
    """Versions of one resource, the newest first: the lowest one was created here. `links` are (relation, URL)."""
    entries = [_version(version, base_url) for version in versions]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "history", "link": _links(links)}
    if total is not None:
        bundle["total"] = total
    return bundle | {"entry": entries} if entries else bundle


def _links(links: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"relation": relation, "url": url} for relation, url in links]


def _version(resource: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    name, number = f"{resource['resourceType']}/{resource['id']}", resource["meta"]["versionId"]
    first = number == "1"
    request = {"method": "POST" if first else "PUT", "url": resource["resourceType"] if first else name}
    changed = resource["meta"]["lastUpdated"]
    response = {"status": "201" if first else "200", "etag": f'W/"{number}"', "lastModified": changed}
    return {"fullUrl": f"{base_url}/{name}", "resource": resource, "request": request, "response": response}


# ---- what is brought along


def patient(number: Identifier) -> Included:
    """The patient of a Task, by the number that it carries."""
    identifier = identifier_json(number)
    return _named("Patient", number.authority, number.value), {"resourceType": "Patient", "identifier": [identifier]}


def practitioner(npi: str) -> Included:
    """Whom a Task asks."""
    return _named("Practitioner", systems.NPI, npi), {"resourceType": "Practitioner", "identifier": [npi_json(npi)]}


def encounter(query: IssuedQuery, visit: Visit, subject: Identifier | None) -> Included:
    """The encounter of a Task: its number, class, state and period."""
    numbers = Numbers(account=visit.account, visit=visit.number)
    written: dict[str, Any] = {
        "resourceType": "Encounter",
        "identifier": [encounter_identifier(query, numbers)],
        "status": _STATUS[visit.status],
        "class": _class(visit.encounter_class),
    }
    if subject is not None:
        written["subject"] = {"identifier": identifier_json(subject)}
    ends = {"start": visit.admitted, "end": visit.discharged}
    period = {name: stamp(moment) for name, moment in ends.items() if moment is not None}
    if period:
        written["period"] = period
    return _named("Encounter", systems.ENCOUNTER_KEY, query.encounter), written


def _class(kind: EncounterClass | None) -> dict[str, Any]:
    code = _CLASS.get(kind)
    return {"system": systems.ACT_CODE, "code": code} if code else _absent("unknown")


def claim(released: NamedClaim, subject: Identifier | None) -> Included:
    """The claim of a Task: that it is there, and of which kind. Nothing of money, and of no payer: what a provider is
    asked must not depend on it.
    """
    written: dict[str, Any] = {
        "resourceType": "Claim",
        "meta": {"tag": [_SUBSETTED]},
        "identifier": [{"system": systems.CLAIM_NUMBER, "value": released.number}],
        "status": "cancelled" if released.frequency == _VOID else "active",
        "type": concept(systems.CLAIM_TYPE, str(released.kind)),
        "use": "claim",
        "patient": {"identifier": identifier_json(subject)} if subject is not None else _absent("unknown"),
        "created": stamp(released.released),
        "provider": _absent("masked"),
        "priority": concept(systems.PROCESS_PRIORITY, "normal"),
        "insurance": [{"sequence": 1, "focal": True, "coverage": _absent("masked")}],
    }
    return _named("Claim", systems.CLAIM_NUMBER, released.number), written


def _absent(reason: str) -> dict[str, Any]:
    return {"extension": [{"url": _ABSENT, "valueCode": reason}]}


def _named(type_: str, system: str | None, value: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{type_}|{system or str()}|{value}')}"
