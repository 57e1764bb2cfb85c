"""Names, addresses and demographics: NM1, N3, N4, DMG, for any party of a claim."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from gateway.encounter.model import Address, PersonName, Provider
from gateway.mappings.x12.countries import country, is_domestic
from gateway.mappings.x12.writer import Segment, Value


def person(
    entity: str, where: str, what: str, name: PersonName | None, qualifier: str = "", identifier: Value | None = None
) -> Segment:
    """NM1 of a person. `qualifier` and `identifier` are NM108 and NM109."""
    said = name or PersonName()
    return Segment(
        "NM1",
        (
            entity,
            "1",
            Value(f"{where}.family", f"{what}'s family name", said.family, 60),
            Value(f"{where}.given", f"{what}'s given name", said.given, 35, required=False),
            Value(f"{where}.middle", f"{what}'s middle name", said.middle, 25, required=False),
            "",
            Value(f"{where}.suffix", f"{what}'s name suffix", said.suffix, 10, required=False),
            *_identified(qualifier, identifier),
        ),
    )


def organization(entity: str, name: Value, qualifier: str = "", identifier: Value | None = None) -> Segment:
    """NM1 of anything but a person."""
    return Segment("NM1", (entity, "2", name, "", "", "", "", *_identified(qualifier, identifier)))


def _identified(qualifier: str, identifier: Value | None) -> tuple[str | Value, ...]:
    if identifier is None or (not identifier.written and not identifier.required):
        return ()
    return (qualifier, identifier)


def provider(entity: str, where: str, what: str, said: Provider, npi_required: bool = True) -> Segment:
    """NM1 of a provider, a person unless only an organization is named. NM108 XX: the NPI."""
    npi = Value(f"{where}.npi", f"{what}'s NPI", said.npi, 10, 10, required=npi_required)
    if said.name is None and said.organization:
        return organization(entity, Value(f"{where}.organization", f"{what}'s name", said.organization, 60), "XX", npi)
    return person(entity, f"{where}.name", what, said.name, "XX", npi)


def address(where: str, what: str, said: Address | None) -> Iterator[Segment]:
    """N3 and N4. Within the United States a state and a ZIP code are required; elsewhere the country is said."""
    place = said or Address()
    domestic = is_domestic(place.country)
    yield Segment(
        "N3",
        (
            Value(f"{where}.line", f"{what}'s street address", place.line, 55),
            Value(f"{where}.line2", f"{what}'s second address line", place.line2, 55, required=False),
        ),
    )
    zip_code = place.postal_code.replace("-", "") if place.postal_code and domestic else place.postal_code
    yield Segment(
        "N4",
        (
            Value(f"{where}.city", f"{what}'s city", place.city, 30, 2),
            Value(f"{where}.state", f"{what}'s state", place.state, 2, 2, required=domestic),
            Value(f"{where}.postal_code", f"{what}'s postal code", zip_code, 15, 3, required=domestic),
            "" if domestic else Value(f"{where}.country", f"{what}'s country", country(place.country), 2, 2),
        ),
    )


def demographics(birth_where: str, what: str, born: date | None, sex_where: str, sex: str | None) -> Segment:
    """DMG: date of birth and sex, both required wherever the segment stands."""
    text = born.strftime("%Y%m%d") if born else None
    return Segment(
        "DMG",
        (
            "D8",
            Value(birth_where, f"{what}'s date of birth", text, 8, 8),
            Value(sex_where, f"{what}'s sex", sex, 1),
        ),
    )
