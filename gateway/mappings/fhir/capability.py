"""What the FHIR facade offers: one table, from which its CapabilityStatement is made and its routes can be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.mappings.fhir.questionnaire import stamp

FHIR_VERSION = "4.0.1"


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered of one resource type. `search` gives each parameter its type; `versions` is R4's
    versioning policy, `update_creates` whether PUT to a new id creates.
    """

    interactions: tuple[str, ...]
    search: Mapping[str, str] = field(default_factory=dict)
    versions: str = "versioned"
    update_creates: bool = False


OFFERED: Mapping[str, Offer] = {
    "Encounter": Offer(("create", "update", "read"), update_creates=True),
    "Claim": Offer(("create", "update", "read"), update_creates=True),
    "DocumentReference": Offer(("create", "update", "read"), update_creates=True),
    "Task": Offer(
        ("read", "update", "search-type"),
        {
            "_id": "token",
            "_lastUpdated": "date",
            "status": "token",
            "owner": "reference",
            "identifier": "token",
            "patient": "reference",
            "encounter": "reference",
        },
        versions="versioned-update",
    ),
    "Questionnaire": Offer(("read",)),
    "QuestionnaireResponse": Offer(("create", "read")),
}
"""The interactions of each resource type, and its search parameters."""

SYSTEM_INTERACTIONS = ("transaction", "batch")


def capability_statement(
    base_url: str,
    software: str,
    released: datetime,
    offered: Mapping[str, Offer] = OFFERED,
    system: Sequence[str] = SYSTEM_INTERACTIONS,
) -> dict[str, Any]:
    """The CapabilityStatement of the facade at `base_url`; `software` is the gateway's version, `released` its date."""
    rest: dict[str, Any] = {
        "mode": "server",
        "security": {
            "cors": False,
            "service": [{"text": "Bearer token"}],
            "description": "Every interaction but this one needs a bearer token",
        },
        "resource": [_resource(kind, offer) for kind, offer in offered.items()],
    }
    if system:
        rest["interaction"] = [{"code": code} for code in system]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": stamp(released),
        "kind": "instance",
        "software": {"name": "Coding review gateway", "version": software},
        "implementation": {"description": "Coding review gateway", "url": base_url},
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "json"],
        "rest": [rest],
    }


def _resource(kind: str, offer: Offer) -> dict[str, Any]:
    written: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": code} for code in offer.interactions],
        "versioning": offer.versions,
        "readHistory": False,
        "updateCreate": offer.update_creates,
        "conditionalCreate": False,
    }
    if offer.search:
        written["searchParam"] = [{"name": name, "type": kind_} for name, kind_ in offer.search.items()]
    return written


def searchset(
    resources: Sequence[dict[str, Any]], base_url: str, self_url: str, *, next_url: str | None = None, total: int | None
) -> dict[str, Any]:
    """A Bundle of search results; `total` counts the matches on all pages, None when that isn't known."""
    links = [{"relation": "self", "url": self_url}]
    if next_url:
        links.append({"relation": "next", "url": next_url})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": links}
    if total is not None:
        bundle["total"] = total
    entries = [
        {
            "fullUrl": f"{base_url.rstrip('/')}/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "search": {"mode": "match"},
        }
        for resource in resources
    ]
    return bundle | {"entry": entries} if entries else bundle


def response_bundle(kind: str, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The response to a `transaction` or `batch`: an entry for each of the request's, in its order."""
    return {
        "resourceType": "Bundle",
        "type": f"{kind}-response",
        "entry": [{"response": entry} for entry in entries],
    }
