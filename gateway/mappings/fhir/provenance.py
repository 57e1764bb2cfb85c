"""What was made of what, as FHIR Provenance: of the events that tell of a transformation or a release.

A Provenance has the place of its event in the trail as its id, and says no more than the event: what was made, when, by
whom, and from what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gateway.mappings.fhir import systems
from gateway.mappings.fhir.audit import MESSAGE, SUBJECT
from gateway.mappings.fhir.questionnaire import stamp

_OPERATION = systems.TERMINOLOGY + "v3-DataOperation"
_PARTICIPANT = systems.TERMINOLOGY + "provenance-participant-type"
_SOURCE, _REVISION = "source", "revision"

_PART: Mapping[str, str] = {"feed": "informant", "client": "author", "user": "performer"}
"""What someone has done who is named so in the trail; the gateway itself assembles."""


class _Made(NamedTuple):
    """How an action transforms: what it makes, and the operation on it (v3-DataOperation)."""

    target: str
    operation: str


_MADE: Mapping[str, _Made] = {
    "encounter.changed": _Made("encounter", "UPDATE"),
    "encounter.merged": _Made("into", "UPDATE"),
    "query.answered": _Made("encounter", "UPDATE"),
    "claim.released": _Made("claim", "CREATE"),
}
"""The actions that have a Provenance."""

ACTIONS = tuple(_MADE)
CHANGES = ("encounter.changed", "encounter.merged", "query.answered")
"""Actions by which messages came into an encounter."""


def provenance(
    *,
    seq: int,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    encounter: str | None,
    message: int | None = None,
    detail: Mapping[str, object] | None = None,
    sources: Sequence[int] = (),
    site: str = "coding-review-gateway",
) -> dict[str, Any]:
    """The Provenance of one event. `sources`: the messages that a released claim's encounter was made of.

    KeyError for an action that transforms nothing.
    """
    made = _MADE[str(action)]
    told = detail or {}
    return {
        "resourceType": "Provenance",
        "id": str(seq),
        "meta": {"versionId": "1", "lastUpdated": stamp(at)},
        "target": [_target(made, subject, encounter, told)],
        "occurredDateTime": stamp(at),
        "recorded": stamp(at),
        "activity": {
            "coding": [
                {"system": _OPERATION, "code": made.operation},
                {"system": systems.AUDIT_ACTION, "code": str(action)},
            ]
        },
        "agent": _agents(actor, told, site),
        "entity": _entities(made, subject, encounter, message, sources),
    }


def _target(made: _Made, subject: str, encounter: str | None, told: Mapping[str, object]) -> dict[str, Any]:
    """An event that names no encounter is about what its subject names."""
    if made.target == "claim":
        return _named("Claim", systems.CLAIM_NUMBER, subject.partition("/")[2])
    into = told.get("into")
    key = str(into) if made.target == "into" and into else encounter
    return _named("Encounter", systems.ENCOUNTER_KEY, key) if key else _named(None, SUBJECT, subject)


def _agents(actor: str, told: Mapping[str, object], site: str) -> list[dict[str, Any]]:
    agents = [{"type": _part("assembler"), "who": {"display": site}}]
    part = _PART.get(actor.partition(":")[0])
    if part is not None:
        agents.append({"type": _part(part), "who": _named(None, systems.ACTOR, actor)})
    approved = told.get("approved_by")
    if isinstance(approved, str) and approved:
        agents.append({"type": _part("verifier"), "who": _named(None, systems.ACTOR, approved)})
    return agents


def _entities(
    made: _Made, subject: str, encounter: str | None, message: int | None, sources: Sequence[int]
) -> list[dict[str, Any]]:
    """Messages are what it was made from; an encounter that changed, what it was a version of before."""
    entities = []
    if encounter:
        role = _REVISION if made.target == "encounter" else _SOURCE
        entities.append({"role": role, "what": _named("Encounter", systems.ENCOUNTER_KEY, encounter)})
    if subject.startswith("query/"):
        entities.append({"role": _SOURCE, "what": _named("Task", SUBJECT, subject)})
    for number in dict.fromkeys([*([message] if message is not None else []), *sources]):
        entities.append({"role": _SOURCE, "what": _named(None, MESSAGE, str(number))})
    return entities


def _named(type: str | None, system: str, value: str) -> dict[str, Any]:
    """A reference by number: none of these is a resource that everyone may read."""
    typed = {"type": type} if type is not None else {}
    return {**typed, "identifier": {"system": system, "value": value}}


def _part(code: str) -> dict[str, Any]:
    return {"coding": [{"system": _PARTICIPANT, "code": code}]}
