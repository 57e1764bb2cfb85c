"""The description of /api with values in it that the gateway knows: random ones alone would meet nothing but 404."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway_world import World
from two_patients import Furnished

from gateway.release.model import DeliveryState
from gateway.store.interface import MessageQuery

Seeds = Mapping[tuple[str, str], list[str]]
"""(the beginning of a path, the name of its variable) -> values that lead to something."""


async def seeds(world: World, furnished: Iterable[Furnished]) -> Seeds:
    """What there is to ask for."""
    store = world.gateway.store
    patients = list(furnished)
    messages = await store.messages(MessageQuery(limit=20))
    deliveries = await store.deliveries(tuple(DeliveryState), limit=20)
    return {
        ("/api/encounters/", "key"): [patients[0].key, "MAIN:MAIN:NONE"],
        ("/api/encounters/", "document"): [patients[0].document, "none"],
        ("/api/encounters/", "id"): [str(hold["id"]) for hold in patients[0].encounter["holds"]],
        ("/api/queries/", "id"): [str(one.query["id"]) for one in patients],
        ("/api/deliveries/", "id"): [str(delivery.id) for delivery in deliveries],
        ("/api/messages/", "id"): [str(message.id) for message in messages] + [one.aside for one in patients],
        ("/api/configuration/", "id"): ["1"],
        ("/api/destinations/", "name"): ["clearinghouse", "payer-fhir"],
    }


def sown(document: dict[str, Any], known: Seeds, patient: Furnished) -> dict[str, Any]:
    """`document` with `known` values: in the paths they are all that is asked for, in bodies they stand beside what the
    schemas allow. The document itself changes.
    """
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                _sow(parameter, path, known)
    schemas = document["components"]["schemas"]
    _also(schemas["Approval"]["properties"], "fingerprint", [patient.encounter["fingerprint"]])
    _also(schemas["Mapping"]["properties"], "feed", ["epic-adt", "encoder"])
    _also(schemas["Mapping"]["properties"], "table", ["filing", "procedure_system"])
    _also(schemas["QueryDraft"]["properties"], "provider", [patient.query["draft"]["provider"]])
    _also(schemas["Filling"]["properties"], "template", ["acuity", "specificity"])
    return document


def _sow(parameter: dict[str, Any], path: str, known: Seeds) -> None:
    for (beginning, name), values in known.items():
        if parameter["name"] == name and path.startswith(beginning) and values:
            parameter["schema"] = {"enum": values}


def _also(holder: dict[str, Any], name: str, values: list[str]) -> None:
    holder[name] = {"anyOf": [{"enum": values}, holder[name]]}
