"""Claim, inbound: the final codes and charges of an encounter. What is released goes out by `released_claim`.

The encounter is the one that every `item.encounter` names (a contained or known Encounter, or its identifier); or else
a `supportingInfo.valueReference` of type Encounter; or else a `supportingInfo` of category `patientaccountnumber` with
the account number as `valueString` (CARIN Blue Button). Nothing else is taken for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from gateway.encounter.change import Change, Item, Items, Mode, Places
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import Coding, Coverage, DiagnosisUse, Procedure, Provider, ProviderRole, Visit
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.claim_codes import drg, read_diagnoses, read_procedures
from gateway.mappings.fhir.claim_lines import CareTeam, care_team, lines, read_charges
from gateway.mappings.fhir.coverage import coverage
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.encounter import disposition
from gateway.mappings.fhir.numbers import ACCOUNT, both, identifying, named_encounter, referred_numbers
from gateway.mappings.fhir.parties import code_of, codings, instant, npi_of, patient, provider
from gateway.mappings.fhir.source import Numbers, Reading, item_places, logical_identifier

_INSTITUTIONAL = "institutional"
_TYPES = ("professional", _INSTITUTIONAL)
_WITHDRAWN = ("cancelled", "entered-in-error")
_OF_LINES = frozenset({ProviderRole.RENDERING, ProviderRole.ORDERING})


def claim_encounters(resource: Element) -> list[Element]:
    """The references in which a Claim names its encounter."""
    named = [reference for item in resource.many("item") for reference in item.many("encounter")]
    if named:
        return named
    told = [info.one("valueReference") for info in resource.many("supportingInfo")]
    return [r for r in told if r.text("type") == "Encounter" or "Encounter/" in (r.text("reference") or "")]


def claim_change(reading: Reading) -> Change | Unused:
    """The change that a Claim makes. Its lines replace those that it, or the claim it supersedes, had before."""
    resource = reading.resource
    kind = code_of(resource.one("type"), systems.CLAIM_TYPE)
    if resource.text("use") != "claim":
        return Unused("the Claim asks for authorization or an estimate; it bills nothing")
    if kind not in _TYPES:
        return Unused("the Claim is neither professional nor institutional")
    if resource.text("status") not in systems.CLAIM_STATUS:
        raise MappingError("value", "Claim.status", "is not in the required value set")
    key, numbers = _encounter(reading)
    within = tuple(_prefix(number) for number in (_number(reading), *_superseded(resource)))
    reading.about = within[0]
    if resource.text("status") in _WITHDRAWN:
        return _withdrawal(reading, key, numbers, within)
    return _coding(reading, key, numbers, within, whole=kind == _INSTITUTIONAL)


def _encounter(reading: Reading) -> tuple[EncounterKey, Numbers]:
    named = [referred_numbers(reading, reference) for reference in claim_encounters(reading.resource)]
    return named_encounter(reading, named or _account_numbers(reading), "Claim.item.encounter")


def _account_numbers(reading: Reading) -> list[Numbers]:
    found = []
    for info in reading.resource.many("supportingInfo"):
        number = info.text("valueString")
        if number and any(code == "patientaccountnumber" for _, code in codings(info.one("category"))):
            found.append(Numbers(Identifier(value=number, authority=reading.source.authority, type=ACCOUNT)))
    return found


def _number(reading: Reading) -> str:
    number = reading.resource.first("identifier").text("value") or reading.logical_id
    if not number:
        raise MappingError("required", "Claim.identifier", "a claim has a number of its own")
    return number


def _superseded(resource: Element) -> list[str]:
    """The claims that this one takes the place of (Claim.related, relationship `prior`)."""
    numbers = []
    for related in resource.many("related"):
        if any(code in ("prior", "replaces") for _, code in codings(related.one("relationship"))):
            named = logical_identifier(related.one("claim"))
            if named:
                numbers.append(named.value)
    return numbers


class _Named(NamedTuple):
    """The ids of what claims list."""

    charges: set[str]
    procedures: set[str]


def _former(reading: Reading, *more: dict[str, Any]) -> _Named:
    """What the claim's earlier versions, those that it supersedes, and `more` list."""
    found = _Named(set(), set())
    for resource in (*reading.source.former, *more):
        former = Reading(resource, reading.source, reading.message, reading.logical_id)
        try:
            prefix = _prefix(_number(former))
            charges = {name for _, name in lines(former.resource, prefix)}
            procedures = {each.id for each in read_procedures(former, prefix)}
        except MappingError:
            continue  # One that cannot be read was set aside: nothing of it stands.
        found.charges.update(charges)
        found.procedures.update(procedures)
    return found


def _prefix(number: str) -> str:
    return f"{quote(number, safe='')}/"


def _withdrawal(reading: Reading, key: EncounterKey, numbers: Numbers, within: tuple[str, ...]) -> Change:
    listed = _former(reading, reading.resource.data)
    return Change(
        message=reading.message,
        key=key,
        identifiers=both(numbers),
        coding=Coding(final=False),
        procedures=Items((), removed=tuple(sorted(listed.procedures))) if listed.procedures else None,
        charges=Items((), Mode.REPLACE, within, tuple(sorted(listed.charges))),
        places=(Places("coding", "Claim", {"final": "status"}, "."),),
        problems=tuple(reading.problems),
        notices=tuple(reading.notices),
    )


def _coding(reading: Reading, key: EncounterKey, numbers: Numbers, within: tuple[str, ...], *, whole: bool) -> Change:
    resource, prefix = reading.resource, within[0]
    use = DiagnosisUse.FINAL if resource.text("status") == "active" else DiagnosisUse.WORKING
    diagnoses, by_sequence = read_diagnoses(reading, prefix, use)
    team = care_team(reading)
    charges = read_charges(reading, prefix, by_sequence, team)
    procedures = read_procedures(reading, prefix)
    former = _former(reading)
    who = patient(reading, resource.one("patient"))
    visit, coding = _visit(reading, numbers), _coded(reading, use)
    return Change(
        message=reading.message,
        key=key,
        identifiers=identifying(numbers, who),
        patient=who,
        visit=visit,
        coding=coding,
        providers=_providers(reading, team) or None,
        coverages=_coverages(reading),
        diagnoses=Items(diagnoses, Mode.REPLACE) if diagnoses else None,
        procedures=_done(procedures, former.procedures, whole=whole),
        charges=Items(charges, Mode.REPLACE, within, _no_more(former.charges, charges)),
        places=(
            *_places(visit, coding, bool(who)),
            *item_places("diagnoses", diagnoses),
            *item_places("procedures", procedures),
            *item_places("charges", charges),
        ),
        problems=tuple(reading.problems),
        notices=tuple(reading.notices),
    )


def _done(procedures: tuple[Procedure, ...], former: set[str], *, whole: bool) -> Items[Procedure] | None:
    """The procedures: all that the encounter has when an institutional claim lists any, as with BAR; else besides those
    of others. What the claim listed before and lists no more is gone.
    """
    gone = _no_more(former, procedures)
    if not procedures and not gone:
        return None
    return Items(procedures, Mode.REPLACE if whole and procedures else Mode.ADD, removed=gone)


def _no_more(former: set[str], said: Sequence[Item]) -> tuple[str, ...]:
    return tuple(sorted(former - {item.id for item in said}))


def _coded(reading: Reading, use: DiagnosisUse) -> Coding:
    said: dict[str, Any] = {
        "coder": _coder(reading, reading.resource.one("enterer")),
        "encoder": reading.source.feed,
        "coded": instant(reading, reading.resource, "created"),
        "drg": drg(reading.resource),
    }
    final = use is DiagnosisUse.FINAL
    return Coding(final=final, **{name: value for name, value in said.items() if value is not None})


def _coder(reading: Reading, reference: Element) -> str | None:
    """The number of whoever entered the claim; a display name alone identifies nobody."""
    who = reading.contained(reference, "Practitioner")
    if who:
        return npi_of(who) or who.first("identifier").text("value")
    named = logical_identifier(reference)
    return named.value if named else reference.text("reference")


def _visit(reading: Reading, numbers: Numbers) -> Visit | None:
    said: dict[str, Any] = {"account": numbers.account, "number": numbers.visit}
    for info in reading.resource.many("supportingInfo"):
        if any(code in ("discharge", "discharge-status") for _, code in codings(info.one("category"))):
            said["disposition"] = disposition(info.one("code"))
    said = {name: value for name, value in said.items() if value is not None}
    return Visit(**said) if said else None


def _providers(reading: Reading, team: CareTeam) -> tuple[Provider, ...]:
    """One of each role, the first of the claim; and whoever bills, when it can be told who that is. Who rendered or
    ordered is of the lines alone where each line says whom it is from.
    """
    found: dict[ProviderRole, Provider] = {}
    said = all(item.integers("careTeamSequence") for item in reading.resource.many("item"))
    for member in team.values():
        if member.role is None or member.provider is None or (said and member.role in _OF_LINES):
            continue
        found.setdefault(member.role, member.provider)
    billing = provider(reading, reading.resource.one("provider"), ProviderRole.BILLING)
    if billing is not None and billing.npi:
        found[ProviderRole.BILLING] = billing
    return tuple(found.values())


def _coverages(reading: Reading) -> Items[Coverage] | None:
    """The claim's coverages: all that the encounter has when each could be read, else besides the others.

    None when it only refers to them: then what another feed says of the patient's coverages stands.
    """
    found, absent = [], []
    for insurance in reading.resource.many("insurance"):
        cover = coverage(reading, insurance.one("coverage"), insurance.integer("sequence"))
        if cover is None:
            absent.append(insurance.place("coverage"))
        else:
            found.append(cover)
    if not found:
        return None
    for where in absent:
        reading.problem("coverage-absent", where, "the Coverage should be contained, or stand in the same Bundle")
    return Items(tuple(found), Mode.ADD if absent else Mode.REPLACE)


_CODING_PLACES = {
    "coder": "enterer",
    "coded": "created",
    "final": "status",
    "encoder": "meta",
    "drg": "supportingInfo",
}
_VISIT_PLACES = {"account": "item.encounter", "number": "item.encounter", "disposition": "supportingInfo"}


def _places(visit: Visit | None, coding: Coding, patient_said: bool) -> tuple[Places, ...]:
    places = [Places("coding", "Claim", {name: _CODING_PLACES[name] for name in coding.model_fields_set}, ".")]
    if visit is not None:
        places.append(Places("visit", "Claim", {name: _VISIT_PLACES[name] for name in visit.model_fields_set}, "."))
    if patient_said:
        places.append(Places("patient", "Claim", {"identifiers": "patient"}, "."))
    return tuple(places)
