"""Encounter: what an EHR says of a visit, with the Conditions, Procedures and Account that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.encounter.change import Change, Item, Items, ItemT, Mode, Places
from gateway.encounter.model import Diagnosis, EncounterClass, Procedure, Provider, ProviderRole, Visit
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.account import account_coverages, guarantor
from gateway.mappings.fhir.condition import encounter_diagnoses, names_encounter
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.numbers import encounter_numbers, identifying, named_encounter
from gateway.mappings.fhir.parties import code_of, codings, first_code, instant, patient, provider
from gateway.mappings.fhir.procedure import read_procedures
from gateway.mappings.fhir.source import Reading, item_places

_PLACES = {
    "status": "status",
    "encounter_class": "class",
    "type": "type[0]",
    "service": "serviceType",
    "location": "location",
    "admitted": "period.start",
    "discharged": "period.end",
    "disposition": "hospitalization.dischargeDisposition",
    "account": "account",
    "number": "identifier",
}


def encounter_change(reading: Reading) -> Change:
    """The change that an Encounter makes: the visit, with patient, providers, diagnoses and procedures, and the
    coverages and the guarantor of its account.
    """
    resource = reading.resource
    key, numbers = named_encounter(reading, [encounter_numbers(reading, resource)], "Encounter.identifier")
    period = resource.one("period")
    stay = _class(reading, resource.one("class"))
    said: dict[str, Any] = {
        "status": _status(reading, resource),
        "encounter_class": stay,
        "type": first_code(resource.first("type")),
        "service": first_code(resource.one("serviceType")),
        "location": _location(reading, resource),
        "admitted": instant(reading, period, "start"),
        "discharged": instant(reading, period, "end"),
        "disposition": _disposition(reading, resource, stay),
        "account": numbers.account,
        "number": numbers.visit,
    }
    visit = Visit(**{name: value for name, value in said.items() if value is not None})
    who = patient(reading, resource.one("subject"))
    places = [Places("visit", "Encounter", {n: _PLACES[n] for n in visit.model_fields_set}, ".")]
    if who is not None:
        places.append(Places("patient", "Encounter", dict.fromkeys(who.model_fields_set, "subject"), "."))
    said_before = [Reading(r, reading.source, reading.message, reading.logical_id) for r in reading.source.former]
    covers, complete = account_coverages(reading)
    diagnoses, procedures = encounter_diagnoses(reading), _procedures(reading)
    places += [*item_places("diagnoses", diagnoses), *item_places("procedures", procedures)]
    return Change(
        message=reading.message,
        key=key,
        identifiers=identifying(numbers, who),
        patient=who,
        guarantor=guarantor(reading),
        visit=visit,
        providers=_providers(reading, resource) or None,
        coverages=Items(covers, Mode.REPLACE if complete else Mode.ADD) if covers else None,
        diagnoses=_listed(diagnoses, [_diagnosed(r) for r in said_before]),
        procedures=_listed(procedures, [_done(r) for r in said_before]),
        places=tuple(places),
        problems=tuple(reading.problems),
        notices=tuple(reading.notices),
    )


def _procedures(reading: Reading) -> tuple[Procedure, ...]:
    return read_procedures(reading, [p for p in reading.contains("Procedure") if names_encounter(reading, p)])


def _diagnosed(former: Reading) -> tuple[Diagnosis, ...]:
    """What an earlier version of the Encounter says. One that could not be read was set aside: nothing of it stands."""
    try:
        return encounter_diagnoses(former)
    except MappingError:
        return ()


def _done(former: Reading) -> tuple[Procedure, ...]:
    """As `_diagnosed`, the procedures."""
    try:
        return _procedures(former)
    except MappingError:
        return ()


def _listed(said: tuple[ItemT, ...], before: Sequence[Sequence[Item]]) -> Items[ItemT] | None:
    """The items beside those of other feeds; what earlier versions listed, and this one does not, is gone."""
    gone = {item.id for items in before for item in items} - {item.id for item in said}
    return Items(said, removed=tuple(sorted(gone))) if said or gone else None


def _status(reading: Reading, resource: Element) -> Any:
    status = resource.text("status")
    if status is not None and status not in systems.ENCOUNTER_STATUS:
        reading.problem("code-unknown", "Encounter.status", "is not in the required value set")
    return systems.ENCOUNTER_STATUS.get(status or "")


def _class(reading: Reading, said: Element) -> EncounterClass | None:
    code = said.text("code")
    if code is None:
        return None
    known = systems.ENCOUNTER_CLASS.get((said.text("system") or "", code))
    if known is None:
        reading.problem("code-unknown", said.path, "is in neither v3-ActCode nor table 0004 as a class of encounter")
        return EncounterClass.OTHER
    return known


def _location(reading: Reading, resource: Element) -> str | None:
    """Where the patient is, or was last: the last place that is active and not left, else the last. The place's own
    number or name, where its Location is here; else what the reference calls it.
    """
    places = resource.many("location")
    if not places:
        return None
    active = [p for p in places if p.text("status") in (None, "active")]
    staying = [p for p in active if not p.one("period").text("end")]
    where = (staying or active or places)[-1].one("location")
    known = reading.contained(where, "Location")
    number = known.first("identifier").text("value") or known.text("name")
    return number or where.text("display") or where.one("identifier").text("value")


def _disposition(reading: Reading, resource: Element, stay: EncounterClass | None) -> str | None:
    """The disposition. One that says no patient status is a problem of inpatient stays only: others are billed
    without."""
    said = resource.one("hospitalization").one("dischargeDisposition")
    known = disposition(said)
    if known is None and stay is EncounterClass.INPATIENT and codings(said):
        reading.problem("code-unknown", said.path, "gives no UB-04 patient status, and none follows from it")
    return known


def disposition(said: Element) -> str | None:
    """The UB-04 patient status (HL7 table 0112). FHIR's own coarse codes are taken only where they leave no choice."""
    pairs = [(system or "", code) for system, code in codings(said)]
    exact = code_of(said, *systems.DISPOSITION_AS_IS)
    return exact or next((systems.DISPOSITION[pair] for pair in pairs if pair in systems.DISPOSITION), None)


def _providers(reading: Reading, resource: Element) -> tuple[Provider, ...]:
    """The participants who have a part in a claim, and the organization when it has an NPI. The last of a role counts,
    as a later participant took over from an earlier one; one who left (period.end) gives way to one who did not. Of
    consultants there may be several.
    """
    found: dict[ProviderRole, Provider] = {}
    consulting: dict[Provider, None] = {}
    members = resource.many("participant")
    members.sort(key=lambda member: not member.one("period").text("end"))
    for member in members:
        for role in _roles(member):
            who = provider(reading, member.one("individual"), role)
            if who is None:
                continue
            if role is ProviderRole.CONSULTING:
                consulting[who] = None
            else:
                found[role] = who
    organization = provider(reading, resource.one("serviceProvider"), ProviderRole.BILLING)
    if organization is not None and organization.npi:
        found[ProviderRole.BILLING] = organization
    return (*found.values(), *consulting)


def _roles(member: Element) -> list[ProviderRole]:
    said = [code for kind in member.many("type") for system, code in codings(kind) if system == systems.PARTICIPATION]
    return [systems.PARTICIPANT_ROLE[code] for code in said if code in systems.PARTICIPANT_ROLE]
