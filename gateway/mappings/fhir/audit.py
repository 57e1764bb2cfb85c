"""An event of the audit trail as a FHIR AuditEvent, shaped by IHE's Basic Audit Log Patterns.

Each names two agents, the one who acted and the gateway, and what it was about. The place in the trail, the hash that
was sealed and the bytes that were hashed go along, so that an export can be checked against the seals by itself.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from gateway.mappings.fhir import systems
from gateway.mappings.fhir.questionnaire import stamp

_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_EVENT_TYPE = systems.TERMINOLOGY + "audit-event-type"
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_ENTITY_TYPE = systems.TERMINOLOGY + "audit-entity-type"
_OBJECT_ROLE = systems.TERMINOLOGY + "object-role"
_SOURCE_TYPE = systems.TERMINOLOGY + "security-source-type"
_BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_SOURCE_ROLE, _DESTINATION_ROLE = "110153", "110152"
_APPLICATION_ACTIVITY, _IMPORT, _QUERY, _SECURITY_ALERT, _AUTHENTICATION = (
    "110100",
    "110107",
    "110112",
    "110113",
    "110114",
)
_PERSON, _SYSTEM_OBJECT = "1", "2"
_PATIENT_ROLE, _DOMAIN_RESOURCE, _QUERY_ROLE = "1", "4", "24"
_REFERENCE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(/_history/[A-Za-z0-9.-]{1,64})?")
SUBJECT, MESSAGE = systems.OWN + "subject", systems.OWN + "message"
_SUCCESS, _MINOR_FAILURE, _SERIOUS_FAILURE = "0", "4", "8"


class _Kind(NamedTuple):
    """`action` is C, R, U, D or E; `interaction` a restful interaction, None where no request stands behind it: then
    `activity` is the DICOM event (DCM, audit event ids).
    """

    action: str
    interaction: str | None
    outcome: str = _SUCCESS
    activity: str = _APPLICATION_ACTIVITY


_KINDS: Mapping[str, _Kind] = {
    "message.received": _Kind("C", None, _SUCCESS, _IMPORT),
    "message.processed": _Kind("E", None),
    "message.unused": _Kind("E", None),
    "message.set-aside": _Kind("E", None, _MINOR_FAILURE),
    "message.replayed": _Kind("E", "operation"),
    "message.read": _Kind("R", "read"),
    "message.searched": _Kind("E", "search-type"),
    "lookup.changed": _Kind("U", "update"),
    "encounter.changed": _Kind("U", None),
    "encounter.merged": _Kind("U", None),
    "encounter.read": _Kind("R", "read"),
    "encounter.approved": _Kind("U", "update"),
    "encounter.returned": _Kind("U", "update"),
    "sample.drawn": _Kind("E", None),
    "hold.opened": _Kind("C", None),
    "hold.ended": _Kind("U", None),
    "hold.resolved": _Kind("U", "update"),
    "query.asked": _Kind("C", "create"),
    "query.changed": _Kind("U", "update"),
    "query.answered": _Kind("U", "update"),
    "query.read": _Kind("R", "read"),
    "query.reminded": _Kind("U", "update"),
    "query.escalated": _Kind("U", "update"),
    "query.overdue": _Kind("U", "update"),
    "query.delivered": _Kind("E", "operation"),
    "claim.released": _Kind("C", None),
    "delivery.changed": _Kind("U", None),
    "destination.suspended": _Kind("E", None, _MINOR_FAILURE),
    "destination.resumed": _Kind("E", "operation"),
    "audit.exported": _Kind("R", "operation"),
    "configuration.activated": _Kind("U", "operation"),
    "configuration.kept": _Kind("C", "operation"),
    "configuration.refused": _Kind("U", "operation", _MINOR_FAILURE),
    "encounter.reassessed": _Kind("E", None),
    "alert.raised": _Kind("E", None, _MINOR_FAILURE),
    "alert.ended": _Kind("E", None),
    "messages.pruned": _Kind("D", None),
    "gateway.started": _Kind("E", None),
    "gateway.stopped": _Kind("E", None),
    "access.granted": _Kind("E", None, _SUCCESS, _AUTHENTICATION),
    "access.refused": _Kind("E", None, _SERIOUS_FAILURE, _SECURITY_ALERT),
    "resource.read": _Kind("R", "read"),
    "resource.version-read": _Kind("R", "vread"),
    "resource.history-read": _Kind("R", "history-instance"),
    "resources.history-read": _Kind("R", "history-type"),
    "resource.searched": _Kind("E", "search-type"),
    "operation.called": _Kind("E", "operation"),
    "request.failed": _Kind("E", None, _MINOR_FAILURE),
    "desk.read": _Kind("E", None, _SUCCESS, _QUERY),
}
"""Every action of the trail; a missing key is the error."""

_RECEIVED = "message.received"
_WRITTEN: Mapping[str, _Kind] = {
    "POST Bundle": _Kind("E", "transaction"),
    "POST": _Kind("C", "create"),
    "PUT": _Kind("U", "update"),
    "PATCH": _Kind("U", "patch"),
}
"""What a message is that came by the RESTful interface, by the beginning of its type."""
_WRITE = re.compile(r"(?P<kind>POST Bundle|POST|PUT|PATCH) ?(?P<name>\S*)")

Token = tuple[str, str]
"""A system, empty where a code has none, and a code."""
Tokens = Mapping[str, tuple[Token, ...]]
"""By search parameter."""


def tokens(action: str, detail: Mapping[str, object]) -> Tokens:
    """What the AuditEvent of an event says. KeyError for an unknown action."""
    return _said(action, _kind(action, detail))


def possible(action: str) -> tuple[Tokens, ...]:
    """What AuditEvents of an action may say. KeyError for an unknown action."""
    kinds = (_KINDS[action], *(_WRITTEN.values() if action == _RECEIVED else ()))
    return tuple(_said(action, kind) for kind in kinds)


def _kind(action: str, detail: Mapping[str, object]) -> _Kind:
    match = _WRITE.match(str(detail.get("type", ""))) if action == _RECEIVED else None
    return _WRITTEN[match["kind"]] if match is not None else _KINDS[action]


def _said(action: str, kind: _Kind) -> Tokens:
    spoken = ((_INTERACTION, kind.interaction),) if kind.interaction else ()
    return {
        "action": (("http://hl7.org/fhir/audit-event-action", kind.action),),
        "outcome": (("http://hl7.org/fhir/audit-event-outcome", kind.outcome),),
        "type": ((_EVENT_TYPE, "rest") if kind.interaction else (_DICOM, kind.activity),),
        "subtype": (*spoken, (systems.AUDIT_ACTION, action)),
    }


def audit_event(
    *,
    seq: int,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    hash: str,
    encounter: str | None = None,
    message: int | None = None,
    detail: Mapping[str, object] | None = None,
    content: bytes = b"",
    patient: tuple[str, str] | None = None,
    site: str = "coding-review-gateway",
) -> dict[str, Any]:
    """The AuditEvent of one event: `actor` is `user:NAME` and the like, `subject` `kind/id`, `hash` hexadecimal.

    `detail` may name the `address` the request came from, its `request` id, and the `query` of a search. `content` are
    the bytes that `hash` is of. `patient` (authority, number) is whose data it was. KeyError for an unknown action.
    """
    told = dict(detail or {})
    kind = _kind(str(action), told)
    query = told.pop("query", None)
    entities = _entities(seq, subject, encounter, message, hash, told, content)
    if patient is not None:
        entities.append(_entity(*patient, type=_PERSON, role=_PATIENT_ROLE))
    if isinstance(query, str):
        entities.append(_query(query))
    return {
        "resourceType": "AuditEvent",
        "id": str(seq),
        "meta": {"versionId": "1", "lastUpdated": stamp(at)},
        "type": (
            {"system": _EVENT_TYPE, "code": "rest"} if kind.interaction else {"system": _DICOM, "code": kind.activity}
        ),
        "subtype": [
            *([{"system": _INTERACTION, "code": kind.interaction}] if kind.interaction else []),
            {"system": systems.AUDIT_ACTION, "code": str(action)},
        ],
        "action": kind.action,
        "recorded": stamp(at),
        "outcome": kind.outcome,
        "agent": _agents(kind, actor, told, site),
        "source": {
            "site": site,
            "observer": {"display": site},
            "type": [{"system": _SOURCE_TYPE, "code": "4"}],
        },
        "entity": entities,
    }


def _agents(kind: _Kind, actor: str, told: dict[str, object], site: str) -> list[dict[str, Any]]:
    """The client, the server, and the person behind the client. Roles swap: what is written comes from the client,
    what is read goes to it (BALP, Create and Read patterns).
    """
    writes = kind.action in ("C", "U", "D")
    client_role = _SOURCE_ROLE if writes else _DESTINATION_ROLE
    server_role = _DESTINATION_ROLE if writes else _SOURCE_ROLE
    address = told.pop("address", None)
    network = {"address": address, "type": "2"} if isinstance(address, str) else {"address": actor, "type": "5"}
    who = {"identifier": {"system": systems.ACTOR, "value": actor}}
    person = actor.startswith("user:")
    agents: list[dict[str, Any]] = [
        {"type": _coded(_DICOM, client_role), "who": who, "requestor": not person, "network": network},
        {
            "type": _coded(_DICOM, server_role),
            "who": {"display": site},
            "requestor": False,
            "network": {"address": site, "type": "1"},
        },
    ]
    if person:
        agents.append(
            {
                "type": _coded(systems.PARTICIPATION, "IRCP"),
                "who": who,
                "requestor": True,
                "purposeOfUse": [_coded(systems.ACT_REASON, "HOPERAT")],
            }
        )
    return agents


def _entities(
    seq: int,
    subject: str,
    encounter: str | None,
    message: int | None,
    hash: str,
    told: dict[str, object],
    content: bytes,
) -> list[dict[str, Any]]:
    request = told.pop("request", None)
    about = _entity(SUBJECT, subject)
    written = _WRITE.match(str(told.get("type", "")))
    named = written["name"] if written is not None else subject
    if _REFERENCE.fullmatch(named):
        about["what"]["reference"] = named
    details = [("sequence", str(seq)), ("hash", hash), *((name, _text(value)) for name, value in told.items())]
    about["detail"] = [{"type": name, "valueString": value} for name, value in details if value]
    if content:
        about["detail"].append({"type": "content", "valueBase64Binary": b64encode(content).decode()})
    entities = [about]
    if encounter:
        entities.append(_entity(systems.ENCOUNTER_KEY, encounter))
    if message is not None:
        entities.append(_entity(MESSAGE, str(message)))
    if isinstance(request, str) and request:
        balp = {"system": _BALP_ENTITY, "code": "XrequestId"}
        entities.append({"what": {"identifier": {"value": request}}, "type": balp})
    return entities


def _entity(system: str, value: str, *, type: str = _SYSTEM_OBJECT, role: str = _DOMAIN_RESOURCE) -> dict[str, Any]:
    """What has the number `value`; a system that is no URI is shown as who gave the number."""
    given = {"system": system} if ":" in system else {"assigner": {"display": system}} if system else {}
    return {
        "what": {"identifier": {**given, "value": value}},
        "type": {"system": _ENTITY_TYPE, "code": type},
        "role": {"system": _OBJECT_ROLE, "code": role},
    }


def _query(text: str) -> dict[str, Any]:
    """The parameters of a search (BALP, Query pattern)."""
    return {
        "type": {"system": _ENTITY_TYPE, "code": _SYSTEM_OBJECT},
        "role": {"system": _OBJECT_ROLE, "code": _QUERY_ROLE},
        "query": b64encode(text.encode()).decode(),
    }


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}
