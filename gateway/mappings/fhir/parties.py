"""People and organizations: Patient, Practitioner, PractitionerRole and Organization, with the data types they use."""

from __future__ import annotations

from typing import Any

from gateway.encounter.identity import Identifier
from gateway.encounter.model import Address, Patient, PersonName, Provider, ProviderRole
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.source import Reading, assigner, logical_identifier


def codings(concept: Element) -> list[tuple[str | None, str]]:
    """The (system, code) pairs of a CodeableConcept, those without a code left out."""
    pairs = ((coding.text("system"), coding.text("code")) for coding in concept.many("coding"))
    return [(system, code) for system, code in pairs if code]


def code_of(concept: Element, *wanted: str) -> str | None:
    """The first code of one of the `wanted` systems."""
    return next((code for system, code in codings(concept) if system in wanted), None)


def first_code(concept: Element) -> str | None:
    """The first code, whatever its system, or else the text."""
    return next((code for _, code in codings(concept)), None) or concept.text("text")


def identifier_type(identifier: Element) -> str | None:
    """The identifier's type: its code in HL7 table 0203, or another system's; None when it says none."""
    kind = identifier.one("type")
    return code_of(kind, systems.IDENTIFIER_TYPE) or next((code for _, code in codings(kind)), None)


def identifiers(reading: Reading, element: Element) -> tuple[Identifier, ...]:
    """The identifiers of a person, without those that are old."""
    return tuple(
        Identifier(value=value, authority=reading.called(assigner(item)), type=identifier_type(item))
        for item in element.many("identifier")
        if (value := item.text("value")) and item.text("use") != "old"
    )


def npi_of(element: Element) -> str | None:
    """The NPI among the identifiers."""
    return next((i.text("value") for i in element.many("identifier") if i.text("system") == systems.NPI), None)


_NAME_RANK = {"official": 0, "usual": 1, None: 2}


def person_name(element: Element) -> PersonName | None:
    """The official name of a person, or the usual one, or the first; old and maiden names don't count."""
    names = [n for n in element.many("name") if n.text("use") not in ("old", "maiden", "nickname", "anonymous")]
    if not names:
        return None
    name = min(names, key=lambda n: _NAME_RANK.get(n.text("use"), 3))
    given = name.texts("given")
    return PersonName(
        family=name.text("family"),
        given=given[0] if given else None,
        middle=" ".join(given[1:]) or None,
        suffix=" ".join(name.texts("suffix")) or None,
    )


def address(element: Element) -> Address | None:
    """The first address that isn't old."""
    found = next((a for a in element.many("address") if a.text("use") not in ("old", "billing")), None)
    if found is None:
        return None
    lines = found.texts("line")
    return Address(
        line=lines[0] if lines else None,
        line2=" ".join(lines[1:]) or None,
        city=found.text("city"),
        state=found.text("state"),
        postal_code=found.text("postalCode"),
        country=found.text("country"),
    )


def sex(element: Element) -> str | None:
    """Patient.gender as claims write it."""
    gender = element.text("gender")
    return systems.GENDER.get(gender) if gender else None


def patient(reading: Reading, reference: Element) -> Patient | None:
    """The patient that `reference` names: of a contained Patient all it says, else only the identifier."""
    found = reading.contained(reference, "Patient")
    if not found:
        named = logical_identifier(reference)
        if named is None:
            return None
        kind = identifier_type(reference.one("identifier"))
        authority = reading.called(named.system)
        return Patient(identifiers=(Identifier(value=named.value, authority=authority, type=kind),))
    said: dict[str, Any] = {
        "identifiers": identifiers(reading, found),
        "name": person_name(found),
        "birth_date": day(reading, found, "birthDate"),
        "sex": sex(found),
        "address": address(found),
        "phone": next((t.text("value") for t in found.many("telecom") if t.text("system") == "phone"), None),
    }
    return Patient(**{name: value for name, value in said.items() if value})


def day(reading: Reading, element: Element, name: str) -> Any:
    """A date that the change can do without: a year or month alone becomes a problem."""
    try:
        return element.day(name, reading.source.zone)
    except MappingError as error:
        if error.code != "value":
            raise
        reading.problem("value-unreadable", error.where, error.text)
        return None


def instant(reading: Reading, element: Element, name: str) -> Any:
    """An instant that the change can do without, as `day`."""
    try:
        return element.instant(name, reading.source.zone)
    except MappingError as error:
        if error.code != "value":
            raise
        reading.problem("value-unreadable", error.where, error.text)
        return None


def provider(reading: Reading, reference: Element, role: ProviderRole) -> Provider | None:
    """The provider that `reference` names, in `role`; None for a reference that says neither who nor which number."""
    practice = reading.contained(reference, "PractitionerRole")
    if practice:
        reference = practice.one("practitioner")
    found = reading.contained(reference, "Practitioner", "Organization")
    if found:
        return _contained_provider(reading, found, role)
    named = logical_identifier(reference)
    if named is None:
        number = npi_of(practice)
        return Provider(role=role, npi=number) if number else None
    if named.system == systems.NPI:
        return Provider(role=role, npi=named.value)
    kind = identifier_type(reference.one("identifier"))
    known = Identifier(value=named.value, authority=reading.called(named.system), type=kind)
    return Provider(role=role, identifiers=(known,))


def _contained_provider(reading: Reading, found: Element, role: ProviderRole) -> Provider:
    said: dict[str, Any] = {
        "npi": npi_of(found),
        "identifiers": tuple(i for i in identifiers(reading, found) if i.authority != systems.NPI),
    }
    if found.text("resourceType") == "Organization":
        said["organization"] = found.text("name")
    else:
        said["name"] = person_name(found)
    return Provider(role=role, **{name: value for name, value in said.items() if value})


# ---- written


def concept(system: str | None, code: str) -> dict[str, Any]:
    """A CodeableConcept of one coding, never with a display: descriptors may be somebody's property."""
    return {"coding": [{"system": system, "code": code} if system else {"code": code}]}


def identifier_json(number: Identifier) -> dict[str, Any]:
    """An Identifier; an authority that isn't a URI is told as its assigner."""
    written: dict[str, Any] = {}
    if number.type:
        written["type"] = concept(systems.IDENTIFIER_TYPE, number.type)
    if number.authority:
        if ":" in number.authority:
            written["system"] = number.authority
        else:
            written["assigner"] = {"display": number.authority}
    written["value"] = number.value
    return written


def name_json(name: PersonName) -> list[dict[str, Any]]:
    """HumanName[0..1]."""
    written: dict[str, Any] = {}
    if name.family:
        written["family"] = name.family
    given = [part for part in (name.given, name.middle) if part]
    if given:
        written["given"] = given
    if name.suffix:
        written["suffix"] = [name.suffix]
    return [written] if written else []


def address_json(home: Address) -> list[dict[str, Any]]:
    """Address[0..1]."""
    written: dict[str, Any] = {}
    lines = [line for line in (home.line, home.line2) if line]
    if lines:
        written["line"] = lines
    for name, value in (
        ("city", home.city),
        ("state", home.state),
        ("postalCode", home.postal_code),
        ("country", home.country),
    ):
        if value:
            written[name] = value
    return [written] if written else []


def person_json(name: PersonName | None, birth: str | None, gender: str | None, home: Address | None) -> dict[str, Any]:
    """The elements that Patient and RelatedPerson share."""
    written: dict[str, Any] = {}
    if name and (names := name_json(name)):
        written["name"] = names
    if gender:
        written["gender"] = gender
    if birth:
        written["birthDate"] = birth
    if home and (homes := address_json(home)):
        written["address"] = homes
    return written


def npi_json(npi: str) -> dict[str, Any]:
    """An Identifier of the national provider system."""
    return {"system": systems.NPI, "value": npi}
