"""Who may use each route of the gateway, and why: a table. A route without a row in it fails the tests.

The routes of the FHIR interface have a row for each type of resource: a permission to read, and one to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.access.interactions import Interaction, rule_of
from gateway.access.roles import Permission as P
from gateway.access.roles import Role
from gateway.adapters.http.routing import PUBLIC, Public, Route


@dataclass(frozen=True, slots=True)
class Row:
    """`within`: roles that have the permission and that the service refuses all the same, for what was asked here."""

    permission: P | Public
    why: str
    within: frozenset[Role] = frozenset()


_SEES = "People who work on an encounter see it"
_ASKS = "Coders, CDI and supervisors put queries to providers"
_OVERRIDES = frozenset({Role.CODER, Role.CDI})
"""May not end what an error holds: that is hold.override."""

ROUTES: Mapping[str, Row] = {
    "GET /health": Row(PUBLIC, "Load balancers have no token; it tells nothing but that we live"),
    "GET /metrics": Row(P.METRICS_READ, "Numbers of the business are not for everybody"),
    "POST /hl7/{feed}": Row(P.SUBMIT, "Feeds write"),
    "GET /oauth/jwks": Row(PUBLIC, "Public keys are public (RFC 7517)"),
    "POST /oauth/token": Row(PUBLIC, "Who asks for a token has none; the assertion shows who it is"),
    "GET /fhir/.well-known/smart-configuration": Row(PUBLIC, "Clients learn here where to get a token"),
    "GET /fhir/metadata": Row(PUBLIC, "R4 wants it open to all; it holds no data"),
    "POST /fhir": Row(P.SUBMIT, "Feeds write; each entry needs its own scope"),
    "POST /fhir/Task": Row(P.QUERY_ASK, "Who asks may ask by a Task; the provider only moves it"),
    "GET /api/openapi.json": Row(PUBLIC, "It describes, and holds no data"),
    "GET /api/worklist": Row(P.WORKLIST_READ, _SEES),
    "GET /api/encounters/{key}": Row(P.ENCOUNTER_READ, _SEES),
    "GET /api/encounters/{key}/documents/{document}": Row(P.ENCOUNTER_READ, _SEES),
    "GET /api/encounters/{key}/explanation": Row(P.ENCOUNTER_READ, _SEES),
    "POST /api/encounters/{key}/rebuild": Row(P.MESSAGE_REPLAY, "It takes messages again"),
    "POST /api/encounters/{key}/approve": Row(P.APPROVE, "Only supervisors let a claim go"),
    "POST /api/encounters/{key}/return": Row(P.RETURN, "Only supervisors send work back"),
    "POST /api/encounters/{key}/holds/{id}/resolve": Row(P.HOLD_RESOLVE, "Who reviews ends holds", _OVERRIDES),
    "POST /api/encounters/{key}/queries": Row(P.QUERY_ASK, _ASKS),
    "POST /api/encounters/{key}/queries/draft": Row(P.QUERY_ASK, _ASKS),
    "POST /api/encounters/{key}/queries/template": Row(P.QUERY_ASK, _ASKS),
    "POST /api/encounters/{key}/queries/verbal": Row(P.QUERY_ASK, _ASKS),
    "GET /api/queries": Row(P.WORKLIST_READ, "A worklist, of queries"),
    "GET /api/queries/{id}": Row(P.QUERY_READ, "Who asks and who answers reads it"),
    "POST /api/queries/{id}/withdraw": Row(P.QUERY_ASK, _ASKS),
    "POST /api/queries/{id}/replace": Row(P.QUERY_ASK, _ASKS),
    "GET /api/query-templates": Row(P.QUERY_ASK, _ASKS),
    "GET /api/query-report": Row(P.WORKLIST_READ, "Numbers about the work"),
    "POST /api/deliveries/{id}/settle": Row(P.DELIVERY_RESOLVE, "It says what a payer has"),
    "GET /api/destinations": Row(P.METRICS_READ, "How the plant fares"),
    "POST /api/destinations/{name}/suspend": Row(P.DESTINATION_CONTROL, "It stops money"),
    "POST /api/destinations/{name}/resume": Row(P.DESTINATION_CONTROL, "It sends what was stopped"),
    "GET /api/messages": Row(P.MESSAGE_READ, "Analysts look into feeds"),
    "GET /api/messages/{id}": Row(P.MESSAGE_READ, "Analysts look into feeds"),
    "GET /api/messages/{id}/payload": Row(P.MESSAGE_PAYLOAD, "It says all of a patient"),
    "POST /api/messages/{id}/replay": Row(P.MESSAGE_REPLAY, "It changes encounters"),
    "POST /api/messages/replay": Row(P.MESSAGE_REPLAY, "It changes encounters"),
    "GET /api/quarantine": Row(P.MESSAGE_READ, "Analysts look into feeds"),
    "GET /api/codes": Row(P.CODES_READ, "Tables hold nothing of a patient, but how the site bills"),
    "PUT /api/codes": Row(P.CODES_MAP, "It decides what is billed"),
    "GET /api/codes/unmapped": Row(P.CODES_READ, "What waits for a code"),
    "GET /api/charges": Row(P.CHARGES_READ, "Numbers of the business"),
    "GET /api/audit/events": Row(P.AUDIT_READ, "Who looked at what is for compliance"),
    "GET /api/alerts": Row(P.METRICS_READ, "How the plant fares"),
    "GET /api/configuration/versions": Row(P.CONFIGURATION_READ, "What is in force"),
    "GET /api/configuration/versions/{id}": Row(P.CONFIGURATION_READ, "What is in force"),
    "POST /api/configuration/reload": Row(P.CONFIGURATION_CHANGE, "It changes what is in force"),
    "POST /api/configuration/rollback": Row(P.CONFIGURATION_CHANGE, "It changes what is in force"),
}

_WRITTEN = (P.SUBMIT, P.SUBMIT, "Feeds write, and read back their own")
_TRAIL = (P.AUDIT_READ, None, "Who looked at what is for compliance; nobody writes it")

RESOURCES: Mapping[str, tuple[P, P | None, str]] = {
    "Task": (P.QUERY_READ, P.QUERY_ANSWER, "The provider finds the query and moves it"),
    "Questionnaire": (P.QUERY_READ, None, "The query's form; the gateway makes it"),
    "QuestionnaireResponse": (P.QUERY_READ, P.QUERY_ANSWER, "The provider's answer"),
    **dict.fromkeys(
        (
            "Encounter", "Claim", "DocumentReference", "Patient", "Coverage", "Condition", "Procedure", "Practitioner",
            "PractitionerRole", "Organization", "Location", "Account", "Binary", "RelatedPerson",
        ),
        _WRITTEN,
    ),
    "AuditEvent": _TRAIL,
    "Provenance": _TRAIL,
}  # fmt: skip
"""(permission to read, permission to write, why) by type."""

OPERATIONS: Mapping[str, tuple[P, str]] = {
    "Claim/$submit": (P.SUBMIT, "A claim that is written, and answered at once"),
    "$export": (P.AUDIT_READ, "The trail, as a whole"),
    "AuditEvent/$export": (P.AUDIT_READ, "The trail, as a whole"),
    "Provenance/$export": (P.AUDIT_READ, "The trail, as a whole"),
}

_READING = frozenset(
    {
        Interaction.READ,
        Interaction.VREAD,
        Interaction.SEARCH,
        Interaction.HISTORY_INSTANCE,
        Interaction.HISTORY_TYPE,
    }
)


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def row_of(route: Route) -> Row | None:
    """The route's row; None when no table has it."""
    if name(route) in ROUTES:
        return ROUTES[name(route)]
    rule = rule_of(route.method, route.path)
    if rule is None:
        return None
    if rule.interaction is Interaction.OPERATION:
        operation = next((said for said in OPERATIONS if f"/fhir/{said}" in route.path), None)
        return Row(*OPERATIONS[operation]) if operation else None
    if route.segments[1] not in RESOURCES:
        return None
    reading, writing, why = RESOURCES[route.segments[1]]
    permission = reading if rule.interaction in _READING else writing
    return Row(permission, why) if permission else None
