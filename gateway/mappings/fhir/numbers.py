"""The account and visit numbers of an encounter: on the Encounter itself, and behind a reference to it."""

from __future__ import annotations

from gateway.encounter.identity import EncounterKey, Identifier
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import identifier_type
from gateway.mappings.fhir.source import Numbers, Reading, key_of, logical_identifier, reference_name

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
            return Identifier(value=named.value, authority=reading.source.authority or named.system, type=ACCOUNT)
        known = reading.source.references.get(reference_name(reference.text("reference") or ""))
        if known and known.account:
            return known.account
    return None


def referred_numbers(reading: Reading, reference: Element) -> Numbers:
    """The numbers behind a reference to an Encounter: a contained one, its identifier, or one that is known.

    MappingError `unresolved` when it leads nowhere.
    """
    inner = reading.contained(reference, "Encounter")
    if inner:
        return encounter_numbers(reading, inner)
    known = reading.source.references.get(reference_name(reference.text("reference") or ""), Numbers())
    named = logical_identifier(reference)
    if named is None:
        if known == Numbers():
            raise MappingError(
                "unresolved", reference.path, "refers to an encounter that is not known here: send it first"
            )
        return known
    kind = identifier_type(reference.one("identifier")) or VISIT
    number = Identifier(value=named.value, authority=reading.source.authority or named.system, type=kind)
    if kind == ACCOUNT:
        return Numbers(number, known.visit)
    return Numbers(known.account, number if kind == VISIT else known.visit)


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


def both(numbers: Numbers) -> tuple[Identifier, ...]:
    """The numbers that are there, as a change carries them."""
    return tuple(number for number in numbers if number is not None)
