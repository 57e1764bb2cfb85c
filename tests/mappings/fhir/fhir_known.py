"""Resources read as the gateway reads them: with the one Encounter that their client has kept."""

from __future__ import annotations

from typing import Any

from gateway.encounter.change import Change
from gateway.mappings.errors import Unused
from gateway.mappings.fhir import mapping
from gateway.mappings.fhir.drawing import drawn, followed
from gateway.mappings.fhir.source import FhirSource

_TYPE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "AN"}]}
KEPT: dict[str, dict[str, Any]] = {
    "Encounter/enc-1": {"resourceType": "Encounter", "identifier": [{"type": _TYPE, "value": "A-9001"}]}
}


def map_resource(
    resource: dict[str, Any], source: FhirSource, message_id: int, *, logical_id: str | None = None
) -> Change | Unused:
    """As `mapping.map_resource`, once what the resource refers to and its client has kept is drawn in."""
    known = {name: KEPT[name] for name in followed(resource, main=True) if name in KEPT}
    return mapping.map_resource(drawn(resource, known), source, message_id, logical_id=logical_id)
