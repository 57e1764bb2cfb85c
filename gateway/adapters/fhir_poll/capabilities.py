"""What a server says that it can, as far as polling asks for it: which referred resources it sends along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

INCLUDES: Mapping[str, tuple[str, ...]] = {
    "Encounter": (
        "Encounter:patient",
        "Encounter:participant",
        "Encounter:service-provider",
        "Encounter:location",
        "Encounter:account",
        "Encounter:diagnosis",
    ),
    "Claim": ("Claim:patient", "Claim:provider", "Claim:care-team", "Claim:encounter", "Claim:insurer"),
    "DocumentReference": ("DocumentReference:patient", "DocumentReference:author", "DocumentReference:encounter"),
}
"""What is worth having of each type: what its mapping looks at."""


def includes(statement: Mapping[str, Any], kind: str) -> list[str]:
    """Those of `INCLUDES` that the server declares for `kind` (CapabilityStatement.rest.resource.searchInclude)."""
    declared = {name for offer in _offers(statement, kind) for name in _texts(offer.get("searchInclude"))}
    return [name for name in INCLUDES.get(kind, ()) if name in declared or "*" in declared]


def _offers(statement: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    for rest in _objects(statement.get("rest")):
        for offer in _objects(rest.get("resource")):
            if offer.get("type") == kind:
                yield offer


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
