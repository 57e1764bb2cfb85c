"""The way in: one resource becomes what it says about an encounter. A new type is a new file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.encounter.change import Change
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.fhir.answer import answer_change, query_number
from gateway.mappings.fhir.claim import claim_change, claim_encounters
from gateway.mappings.fhir.document import document_change, document_encounters
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.encounter import encounter_change
from gateway.mappings.fhir.numbers import encounter_numbers
from gateway.mappings.fhir.source import FhirSource, Numbers, Reading, logical_identifier, reference_name

_MAPPINGS: Mapping[str, Callable[[Reading], Change | Unused]] = {
    "Encounter": encounter_change,
    "Claim": claim_change,
    "DocumentReference": document_change,
    "QuestionnaireResponse": answer_change,
    "Task": answer_change,
}


def map_resource(
    resource: dict[str, Any], source: FhirSource, message_id: int, *, logical_id: str | None = None
) -> Change | Unused:
    """What a self-contained resource, as `resource.read` gives it, says about an encounter.

    `logical_id` is the id under which the gateway keeps it (in `POST`, R4 ignores the resource's own). Raises
    MappingError, and nothing else, when it can't be used: `structure` (not FHIR's shape), `required`, `value`,
    `unresolved` or `ambiguous` (its encounter), `limit`, `unsupported`.
    """
    reading = Reading(resource, source, message_id, logical_id)
    kind = reading.resource.path
    if kind == "Bundle":
        raise MappingError("unsupported", "Bundle", "is taken apart before its entries are mapped")
    mapping = _MAPPINGS.get(kind)
    return mapping(reading) if mapping else Unused("encounters are made of other resource types")


def references(resource: dict[str, Any]) -> list[str]:
    """The literal references, as `Encounter/123`, that the caller should look up for `FhirSource.references`.

    Those to contained resources are left out. MappingError when the resource hasn't FHIR's shape.
    """
    reading = _unsourced(resource)
    pointing = _POINTING.get(reading.resource.path)
    found = (element.text("reference") or "" for element in (pointing(reading.resource) if pointing else ()))
    return list(dict.fromkeys(reference_name(t) for t in found if t and t[0] != "#" and "?" not in t))


_POINTING: Mapping[str, Callable[[Element], list[Element]]] = {
    "Encounter": lambda resource: [r for r in resource.many("account") if logical_identifier(r) is None],
    "Claim": claim_encounters,
    "DocumentReference": document_encounters,
}


def query_numbers(resource: dict[str, Any]) -> list[str]:
    """The numbers of the provider queries that the resource answers, for `FhirSource.queries`."""
    reading = _unsourced(resource)
    number = query_number(reading.resource) if reading.resource.path in ("QuestionnaireResponse", "Task") else None
    return [number] if number else []


def resource_numbers(resource: dict[str, Any], source: FhirSource) -> Numbers:
    """The numbers of an Encounter resource that is kept, to stand behind a reference to it."""
    reading = Reading(resource, source, 0, None)
    if reading.resource.path != "Encounter":
        raise MappingError("structure", "resourceType", "should be Encounter")
    return encounter_numbers(reading, reading.resource)


def _unsourced(resource: dict[str, Any]) -> Reading:
    return Reading(resource, FhirSource(feed="", facility=""), 0, None)
