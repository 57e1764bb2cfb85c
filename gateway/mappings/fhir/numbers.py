"""The account and visit numbers of an encounter: on the Encounter itself, and behind a reference to it."""

from __future__ import annotations

from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import Patient
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import identifier_type
from gateway.mappings.fhir.source import Numbers, Reading, key_of, logical_identifier

ACCOUNT, VISIT = "AN", "VN"
"""HL7 table 0203."""


def encounter_numbers(reading: Reading, encounter: Element) -> Numbers:
    """The numbers of an Encounter resource.

    The visit is the identifier of type VN, or else the first without a type; the account is that of type AN, or else
    the identifier of the first Account that `Encounter.account` points to.
    """
    by_type: dict[str | None, Identifier] = {}
    for identifier in encounter.many("identifier"):
        value = identifier.text("value")
        kind = identifier_type(identifier)
        if value and identifier.text("use") != "old":
            by_type.setdefault(kind, Identifier(value=value, authority=reading.authority(identifier), type=kind))
    visit = by_type.get(VISIT) or by_type.get(None)
    account = by_type.get(ACCOUNT) or _account(reading, encounter)
    return Numbers(account, visit.model_copy(update={"type": VISIT}) if visit else None)


def _account(reading: Reading, encounter: Element) -> Identifier | None:
    for reference in encounter.many("account"):
        inner = reading.contained(reference, "Account").first("identifier")
        value = inner.text("value")
        if value:
            return Identifier(value=value, authority=reading.authority(inner), type=ACCOUNT)
        named = logical_identifier(reference)
        if named:
            authority = reading.source.authority or reading.called(named.system)
            return Identifier(value=named.value, authority=authority, type=ACCOUNT)
    return None


def referred_numbers(reading: Reading, reference: Element) -> Numbers:
    """The numbers behind a reference to an Encounter: a contained one, or its identifier.

    MappingError `unresolved` when it leads nowhere.
    """
    inner = reading.contained(reference, "Encounter")
    if inner:
        return encounter_numbers(reading, inner)
    named = logical_identifier(reference)
    if named is None:
        raise MappingError("unresolved", reference.path, "refers to an encounter that is not known here: send it first")
    kind = identifier_type(reference.one("identifier")) or VISIT
    authority = reading.source.authority or reading.called(named.system)
    number = Identifier(value=named.value, authority=authority, type=kind)
    return Numbers(number, None) if kind == ACCOUNT else Numbers(None, number if kind == VISIT else None)


def named_encounter(reading: Reading, found: list[Numbers], where: str) -> tuple[EncounterKey, Numbers]:
    """The one encounter that all of `found` name, and its numbers. MappingError when there is none, or several."""
    if not found:
        raise MappingError("required", where, "names no encounter")
    keys = {key_of(numbers, reading.source, where) for numbers in found}
    if len(keys) > 1:
        raise MappingError("ambiguous", where, "names more than one encounter")
    account = next((numbers.account for numbers in found if numbers.account), None)
    visit = next((numbers.visit for numbers in found if numbers.visit), None)
    return keys.pop(), Numbers(account, visit)


def identifying(numbers: Numbers, who: Patient | None) -> tuple[Identifier, ...]:
    """All numbers that lead to the encounter: its own, then the patient's."""
    return (*both(numbers), *(who.identifiers if who is not None else ()))


def both(numbers: Numbers) -> tuple[Identifier, ...]:
    """The numbers that are there, as a change carries them."""
    return tuple(number for number in numbers if number is not None)
