"""The way in: one resource becomes what it says about an encounter. A new type is a new file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.encounter.change import Change
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.fhir.answer import answer_change, query_number
from gateway.mappings.fhir.claim import claim_change
from gateway.mappings.fhir.document import absence, attachments, document_change
from gateway.mappings.fhir.drawing import SUPPORTING
from gateway.mappings.fhir.encounter import encounter_change
from gateway.mappings.fhir.source import FhirSource, Reading

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
    if mapping is not None:
        return mapping(reading)
    if kind in SUPPORTING:
        why = absence(resource) if kind == "Binary" else None
        return Unused(f"{ABSENT}: {why}" if why else SUPPORTS, supports=True)
    return Unused("encounters are made of other resource types")


ABSENT = "the content of a document's attachment is not fetched"
SUPPORTS = "kept for the Encounters, Claims and documents that refer to it"


def attachment_addresses(resource: dict[str, Any]) -> list[str]:
    """The addresses of a DocumentReference's contents that did not come inline, for `FhirSource.contents`."""
    reading = _unsourced(resource)
    if reading.resource.path != "DocumentReference":
        return []
    found = attachments(reading.resource)
    urls = [url for each in found if not each.data.get("data") and (url := each.text("url"))]
    return list(dict.fromkeys(urls))


def query_numbers(resource: dict[str, Any]) -> list[str]:
    """The numbers of the provider queries that the resource answers, for `FhirSource.queries`."""
    reading = _unsourced(resource)
    number = query_number(reading.resource) if reading.resource.path in ("QuestionnaireResponse", "Task") else None
    return [number] if number else []


def _unsourced(resource: dict[str, Any]) -> Reading:
    return Reading(resource, FhirSource(feed="", facility=""), 0, None)
