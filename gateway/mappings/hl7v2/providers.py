"""Providers (XCN), and the National Provider Identifier wherever a sender puts it."""

from __future__ import annotations

from gateway.encounter.identity import Identifier
from gateway.encounter.model import Provider, ProviderRole
from gateway.mappings.hl7v2.kinds import Read, person_name
from gateway.mappings.hl7v2.reading import At, Reading


def is_npi(value: str) -> bool:
    """Whether `value` is ten digits from 1 or 2 on whose last is the check digit (45 CFR 162.406; Luhn with 80840)."""
    if len(value) != 10 or not value.isascii() or not value.isdecimal() or value[0] not in "12":
        return False
    total = 24
    for index, character in enumerate(value):
        digit = ord(character) - 48
        if index % 2 == 0:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


def provider(role: ProviderRole) -> Read:
    """A reader of the provider in one repetition of an XCN field."""

    def read(reading: Reading, raw: str, at: At) -> Provider | None:
        parts = raw.split(reading.repetition) if reading.repetition in raw else [raw]
        return _provider(reading, parts[at.repetition :], role)

    return read


def providers(role: ProviderRole) -> Read:
    """A reader of a list of providers: each repetition is another person."""

    def read(reading: Reading, raw: str, at: At) -> tuple[Provider, ...] | None:
        each = (_provider(reading, [part], role) for part in raw.split(reading.repetition))
        return tuple(found for found in each if found is not None) or None

    return read


def _provider(reading: Reading, repetitions: list[str], role: ProviderRole) -> Provider | None:
    """The person of the first repetition. Others that name the same person, or nobody, add their numbers."""
    if not repetitions:
        return None
    first, *others = (part.split(reading.component) for part in repetitions)
    name = person_name(reading, first)
    same = [first, *(each for each in others if person_name(reading, each) in (None, name))]
    npi = next((found for read in (_npi, _called_npi) for each in same if (found := read(reading, each))), None)
    numbers = tuple(number for each in same if (number := _number(reading, each, npi)))
    if name is None and npi is None and not numbers:
        return None
    return Provider(role=role, npi=npi, name=name, identifiers=numbers)


def _npi(reading: Reading, components: list[str]) -> str | None:
    """The NPI in any component that passes the check digit; XCN.1 unless it is said to be another number."""
    kind = reading.said(components, 12)
    other_kind = kind is not None and kind != "NPI" and kind.isalpha()
    for index, raw in enumerate(components):
        if not raw or (index == 0 and other_kind):
            continue
        for part in raw.split(reading.subcomponent):
            if is_npi(part):
                return part
    return None


def _called_npi(reading: Reading, components: list[str]) -> str | None:
    """XCN.1 where XCN.13 or XCN.9 calls it an NPI, though it can be none: that is for the edits to find."""
    kind = reading.said(components, 12) or reading.said(components, 8)
    return reading.said(components, 0) if kind == "NPI" else None


def _number(reading: Reading, components: list[str], npi: str | None) -> Identifier | None:
    value = reading.said(components, 0)
    if value is None or value == npi:
        return None
    authority, kind = reading.said(components, 8), reading.said(components, 12)
    return Identifier(
        value=value, authority=authority if authority != npi else None, type=kind if kind != npi else None
    )
