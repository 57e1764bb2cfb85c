"""Coverage, both ways."""

from __future__ import annotations

from typing import Any

from gateway.encounter.identity import Identifier
from gateway.encounter.model import Coverage
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import (
    address,
    code_of,
    codings,
    concept,
    day,
    identifier_json,
    identifier_type,
    identifiers,
    person_json,
    person_name,
    sex,
)
from gateway.mappings.fhir.source import Reading, logical_identifier

_FILING = "https://x12.org/codes/claim-filing-indicator-codes"


def coverage(reading: Reading, reference: Element, rank: int | None) -> Coverage | None:
    """The coverage that `reference` names; None when it isn't contained. Only what is said is set."""
    found = reading.contained(reference, "Coverage")
    if not found:
        return None
    member = found.text("subscriberId") or _member_number(found)
    payer, payer_name = _payer(reading, found.first("payor"))
    group, _ = _class(found, "group")
    plan, plan_name = _class(found, "plan")
    said: dict[str, Any] = {
        "rank": rank,
        "payer": payer,
        "payer_name": payer_name,
        "plan": plan or plan_name,
        "filing": code_of(found.one("type"), _FILING),
        "member_id": member,
        "group_number": group,
        "relationship": _relationship(reading, found.one("relationship")),
        **_subscriber(reading, found),
    }
    payer_id = payer.value if payer else payer_name or ""
    # A coverage has no number of its own that every sender gives: payer and member together are one.
    name = f"{payer_id}/{member}" if payer_id and member else found.text("id") or found.path
    return Coverage(id=name, **{key: value for key, value in said.items() if value is not None})


def _member_number(found: Element) -> str | None:
    numbers = found.many("identifier")
    member = next((n for n in numbers if identifier_type(n) == "MB"), numbers[0] if numbers else None)
    return member.text("value") if member else None


def _payer(reading: Reading, reference: Element) -> tuple[Identifier | None, str | None]:
    organization = reading.contained(reference, "Organization")
    numbers = identifiers(reading, organization)
    if organization:
        return (numbers[0] if numbers else None, organization.text("name") or reference.text("display"))
    named = logical_identifier(reference)
    payer = Identifier(value=named.value, authority=reading.called(named.system)) if named else None
    return payer, reference.text("display")


def _class(found: Element, wanted: str) -> tuple[str | None, str | None]:
    for group in found.many("class"):
        if any(code == wanted for _, code in codings(group.one("type"))):
            return group.text("value"), group.text("name")
    return None, None


def _relationship(reading: Reading, said: Element) -> str | None:
    code = next((code for _, code in codings(said)), None)
    if code is None:
        return None
    known = systems.RELATIONSHIP.get(code)
    if known is None:
        reading.problem("code-unknown", said.path, "is no relationship that a claim can say")
    return known


def _subscriber(reading: Reading, found: Element) -> dict[str, Any]:
    person = reading.contained(found.one("subscriber"), "Patient", "RelatedPerson")
    if not person:
        return {}
    return {
        "subscriber": person_name(person),
        "subscriber_birth_date": day(reading, person, "birthDate"),
        "subscriber_sex": sex(person),
        "subscriber_address": address(person),
    }


# ---- written


def coverage_json(cover: Coverage, position: int) -> list[dict[str, Any]]:
    """The contained resources of one coverage: itself, its payer, and the subscriber unless that is the patient.

    MappingError when it names no payer, which R4 requires (Coverage.payor).
    """
    if cover.payer is None and not cover.payer_name:
        raise MappingError("required", f"coverages[{position - 1}].payer", "a FHIR Coverage names its payer")
    parts = [_payer_json(cover, position)]
    own = cover.relationship == "self" or cover.subscriber is None
    if not own:
        parts.append(_subscriber_json(cover, position))
    written: dict[str, Any] = {
        "resourceType": "Coverage",
        "id": f"coverage-{position}",
        "status": "active",
        "beneficiary": {"reference": "#patient"},
        "payor": [{"reference": f"#payer-{position}"}],
    }
    if cover.relationship == "self" or not own:
        written["subscriber"] = {"reference": "#patient" if own else f"#subscriber-{position}"}
    if cover.member_id:
        written["subscriberId"] = cover.member_id
    if cover.filing:
        written["type"] = concept(_FILING, cover.filing)
    if cover.relationship:
        written["relationship"] = concept(systems.SUBSCRIBER_RELATIONSHIP, cover.relationship)
    classes = [
        {"type": concept(systems.COVERAGE_CLASS, kind), "value": value}
        for kind, value in (("group", cover.group_number), ("plan", cover.plan))
        if value
    ]
    if classes:
        written["class"] = classes
    return [written, *parts]


def _payer_json(cover: Coverage, position: int) -> dict[str, Any]:
    payer: dict[str, Any] = {"resourceType": "Organization", "id": f"payer-{position}"}
    if cover.payer:
        payer["identifier"] = [identifier_json(cover.payer)]
    if cover.payer_name:
        payer["name"] = cover.payer_name
    return payer


def _subscriber_json(cover: Coverage, position: int) -> dict[str, Any]:
    born = cover.subscriber_birth_date
    return {
        "resourceType": "RelatedPerson",
        "id": f"subscriber-{position}",
        "patient": {"reference": "#patient"},
        **person_json(
            cover.subscriber,
            born.isoformat() if born else None,
            systems.SEX_WRITTEN.get(cover.subscriber_sex or ""),
            cover.subscriber_address,
        ),
    }
