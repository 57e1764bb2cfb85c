"""What the FHIR facade offers: one table, from which its CapabilityStatement, the values that resources are found by,
and the routes of kept resources are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.mappings.fhir.patch import MEDIA_TYPE as JSON_PATCH
from gateway.mappings.fhir.questionnaire import stamp

FHIR_VERSION = "4.0.1"

TOKEN, REFERENCE, DATE = "token", "reference", "date"

SEARCH_PARAMETER = "http://hl7.org/fhir/SearchParameter/"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter: its type, and the FHIRPath of what it looks at. `definition` is the name of R4's own
    SearchParameter where that is not `Type-name`. A reference is of one of the types in `target`.
    """

    type: str
    expression: str = ""
    definition: str = ""
    target: tuple[str, ...] = ()
    documentation: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered of one resource type. `includes` are the parameters that `_include` follows; `versions` is R4's
    versioning policy, `update_creates` whether PUT to a new id creates; `operations` gives each its definition.

    `kept`: clients write it, and read back their own.
    """

    interactions: tuple[str, ...]
    search: Mapping[str, Parameter] = field(default_factory=dict)
    includes: tuple[str, ...] = ()
    versions: str = "versioned"
    update_creates: bool = False
    conditional_create: bool = False
    read_history: bool = False
    operations: Mapping[str, str] = field(default_factory=dict)
    kept: bool = False
    documentation: str = ""


_EVERY: Mapping[str, Parameter] = {
    "_id": Parameter(TOKEN, "Resource.id", "Resource-id"),
    "_lastUpdated": Parameter(DATE, "Resource.meta.lastUpdated", "Resource-lastUpdated"),
}
_KEPT = (
    "create",
    "update",
    "patch",
    "read",
    "vread",
    "history-instance",
    "history-type",
    "search-type",
)
_EXPORT = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"
_TRAIL = "For compliance. Agents, entities, targets and patients are named by identifier: system|value."
_OWN = "A client finds and reads what it has written itself; ids are each client's own."


def _token(expression: str, definition: str = "") -> Parameter:
    return Parameter(TOKEN, expression, definition)


def _date(expression: str, definition: str = "") -> Parameter:
    text = "compared by the moment at which the value begins"
    return Parameter(DATE, expression, definition, documentation=text)


def _reference(expression: str, *target: str, definition: str = "") -> Parameter:
    return Parameter(REFERENCE, expression, definition, target)


def _patient(element: str, definition: str = "") -> Parameter:
    """The subject, or what else names the patient, when it is one."""
    return Parameter(REFERENCE, element, definition, ("Patient",))


def _subject(type_: str) -> Mapping[str, Parameter]:
    return {
        "patient": _patient(f"{type_}.subject.where(resolve() is Patient)", "clinical-patient"),
        "subject": _reference(f"{type_}.subject", "Patient", "Group"),
    }


def _kept(search: Mapping[str, Parameter], operations: Mapping[str, str] | None = None) -> Offer:
    """A type that clients write. `_include` follows each of its references."""
    return Offer(
        _KEPT,
        {**_EVERY, **search},
        includes=tuple(name for name, parameter in search.items() if parameter.type == REFERENCE),
        update_creates=True,
        conditional_create=True,
        read_history=True,
        operations=operations or {},
        kept=True,
        documentation=_OWN,
    )


OFFERED: Mapping[str, Offer] = {
    "Encounter": _kept(
        {
            "identifier": _token("Encounter.identifier", "clinical-identifier"),
            "status": _token("Encounter.status"),
            "class": _token("Encounter.class"),
            "date": _date("Encounter.period", "clinical-date"),
            **_subject("Encounter"),
            "account": _reference("Encounter.account", "Account"),
            "service-provider": _reference("Encounter.serviceProvider", "Organization"),
        }
    ),
    "Claim": _kept(
        {
            "identifier": _token("Claim.identifier"),
            "status": _token("Claim.status"),
            "use": _token("Claim.use"),
            "created": _date("Claim.created"),
            "patient": _patient("Claim.patient"),
            "encounter": _reference("Claim.item.encounter", "Encounter"),
            "provider": _reference("Claim.provider", "Practitioner", "PractitionerRole", "Organization"),
            "insurer": _reference("Claim.insurer", "Organization"),
        },
        {"submit": "http://hl7.org/fhir/OperationDefinition/Claim-submit"},
    ),
    "DocumentReference": _kept(
        {
            "identifier": _token("DocumentReference.identifier", "clinical-identifier"),
            "status": _token("DocumentReference.status"),
            "type": _token("DocumentReference.type", "clinical-type"),
            "category": _token("DocumentReference.category"),
            "date": _date("DocumentReference.date"),
            **_subject("DocumentReference"),
            "encounter": _reference(
                "DocumentReference.context.encounter", "Encounter", definition="clinical-encounter"
            ),
            "author": _reference("DocumentReference.author", "Practitioner", "PractitionerRole", "Organization"),
        }
    ),
    "Patient": _kept(
        {
            "identifier": _token("Patient.identifier"),
            "active": _token("Patient.active"),
            "gender": _token("Patient.gender", "individual-gender"),
            "birthdate": _date("Patient.birthDate", "individual-birthdate"),
            "organization": _reference("Patient.managingOrganization", "Organization"),
        }
    ),
    "Coverage": _kept(
        {
            "identifier": _token("Coverage.identifier"),
            "status": _token("Coverage.status"),
            "type": _token("Coverage.type"),
            "patient": _patient("Coverage.beneficiary"),
            "beneficiary": _patient("Coverage.beneficiary"),
            "payor": _reference("Coverage.payor", "Organization", "Patient", "RelatedPerson"),
            "subscriber": _reference("Coverage.subscriber", "Patient", "RelatedPerson"),
        }
    ),
    "Condition": _kept(
        {
            "identifier": _token("Condition.identifier", "clinical-identifier"),
            "code": _token("Condition.code", "clinical-code"),
            "category": _token("Condition.category"),
            "clinical-status": _token("Condition.clinicalStatus"),
            "recorded-date": _date("Condition.recordedDate"),
            **_subject("Condition"),
            "encounter": _reference("Condition.encounter", "Encounter"),
        }
    ),
    "Procedure": _kept(
        {
            "identifier": _token("Procedure.identifier", "clinical-identifier"),
            "status": _token("Procedure.status"),
            "code": _token("Procedure.code", "clinical-code"),
            "date": _date("Procedure.performed", "clinical-date"),
            **_subject("Procedure"),
            "encounter": _reference("Procedure.encounter", "Encounter", definition="clinical-encounter"),
            "performer": _reference("Procedure.performer.actor", "Practitioner", "PractitionerRole", "Organization"),
        }
    ),
    "Practitioner": _kept({"identifier": _token("Practitioner.identifier"), "active": _token("Practitioner.active")}),
    "PractitionerRole": _kept(
        {
            "identifier": _token("PractitionerRole.identifier"),
            "active": _token("PractitionerRole.active"),
            "practitioner": _reference("PractitionerRole.practitioner", "Practitioner"),
            "organization": _reference("PractitionerRole.organization", "Organization"),
        }
    ),
    "Organization": _kept(
        {
            "identifier": _token("Organization.identifier"),
            "active": _token("Organization.active"),
            "type": _token("Organization.type"),
            "partof": _reference("Organization.partOf", "Organization"),
        }
    ),
    "Location": _kept(
        {
            "identifier": _token("Location.identifier"),
            "status": _token("Location.status"),
            "organization": _reference("Location.managingOrganization", "Organization"),
        }
    ),
    "Account": _kept(
        {
            "identifier": _token("Account.identifier"),
            "status": _token("Account.status"),
            "type": _token("Account.type"),
            "patient": _patient("Account.subject.where(resolve() is Patient)"),
            "subject": _reference("Account.subject", "Patient", "Practitioner", "Organization"),
            "owner": _reference("Account.owner", "Organization"),
        }
    ),
    "RelatedPerson": _kept(
        {
            "identifier": _token("RelatedPerson.identifier"),
            "active": _token("RelatedPerson.active"),
            "patient": _patient("RelatedPerson.patient"),
        }
    ),
    "Binary": _kept({}),
    "Task": Offer(
        ("create", "update", "patch", "read", "vread", "history-instance", "search-type"),
        {
            **_EVERY,
            "status": _token("Task.status"),
            "owner": _reference("Task.owner", "Practitioner"),
            "identifier": _token("Task.identifier"),
            "code": _token("Task.code"),
            "patient": _patient("Task.for"),
            "subject": _reference("Task.for", "Patient"),
            "encounter": _reference("Task.encounter", "Encounter"),
            "requester": _reference("Task.requester", "Practitioner"),
            "focus": Parameter(
                REFERENCE, "Task.reasonReference", target=("Claim",), documentation="the claim in reasonReference"
            ),
            "modified": Parameter(DATE, "Task.lastModified"),
        },
        includes=("patient", "subject", "encounter", "focus", "owner"),
        versions="versioned-update",
        conditional_create=True,
        read_history=True,
        documentation="Provider queries. Who speaks for certain providers sees the queries addressed to them.",
    ),
    "Questionnaire": Offer(
        ("read", "vread", "search-type"),
        {
            **_EVERY,
            "url": Parameter("uri", "Questionnaire.url"),
            "identifier": _token("Questionnaire.identifier"),
            "status": _token("Questionnaire.status"),
        },
        documentation="The forms of provider queries.",
    ),
    "QuestionnaireResponse": Offer(
        ("create", "read", "vread", "history-instance", "search-type"),
        {
            **_EVERY,
            "status": _token("QuestionnaireResponse.status"),
            "questionnaire": _reference("QuestionnaireResponse.questionnaire", "Questionnaire"),
            "identifier": _token("QuestionnaireResponse.identifier"),
            "patient": _patient("QuestionnaireResponse.subject"),
            "subject": _reference("QuestionnaireResponse.subject", "Patient"),
            "encounter": _reference("QuestionnaireResponse.encounter", "Encounter"),
            "author": _reference("QuestionnaireResponse.author", "Practitioner"),
            "authored": _date("QuestionnaireResponse.authored"),
        },
        read_history=True,
        documentation="The answers to provider queries. A query has one.",
    ),
    "AuditEvent": Offer(
        ("read", "vread", "search-type"),
        {
            **_EVERY,
            "date": _date("AuditEvent.recorded"),
            "action": _token("AuditEvent.action"),
            "type": _token("AuditEvent.type"),
            "subtype": _token("AuditEvent.subtype"),
            "outcome": _token("AuditEvent.outcome"),
            "agent": _reference("AuditEvent.agent.who"),
            "entity": _reference("AuditEvent.entity.what"),
            "patient": _patient("AuditEvent.agent.who.where(resolve() is Patient)"),
        },
        operations={"export": _EXPORT},
        documentation=_TRAIL,
    ),
    "Provenance": Offer(
        ("read", "vread", "search-type"),
        {
            **_EVERY,
            "recorded": _date("Provenance.recorded"),
            "target": _reference("Provenance.target", "Encounter", "Claim"),
            "patient": _patient("Provenance.target.where(resolve() is Patient)"),
        },
        operations={"export": _EXPORT},
        documentation=_TRAIL,
    ),
}
"""The interactions of each resource type, and what it is searched by."""

KEPT: Mapping[str, Offer] = {kind: offer for kind, offer in OFFERED.items() if offer.kept}
"""Types that clients write and read back."""

SYSTEM_INTERACTIONS = ("transaction", "batch")

SYSTEM_OPERATIONS: Mapping[str, str] = {"export": _EXPORT}
"""Operations on the whole system, by name: their definitions."""

_SECURITY = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"


def capability_statement(
    base_url: str,
    software: str,
    released: datetime,
    offered: Mapping[str, Offer] = OFFERED,
    system: Sequence[str] = SYSTEM_INTERACTIONS,
    *,
    token_url: str | None = None,
) -> dict[str, Any]:
    """The CapabilityStatement of the facade at `base_url`; `software` is the gateway's version, `released` its date,
    `token_url` where SMART Backend Services get their tokens.
    """
    rest: dict[str, Any] = {
        "mode": "server",
        "documentation": "Every interaction but this one needs a bearer token. " + _OWN,
        "security": _security(token_url),
        "resource": [_resource(kind, offer) for kind, offer in offered.items()],
    }
    if system:
        rest["interaction"] = [{"code": code} for code in system]
    if SYSTEM_OPERATIONS:
        rest["operation"] = _operations(SYSTEM_OPERATIONS)
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": stamp(released),
        "kind": "instance",
        "software": {"name": "Coding review gateway", "version": software},
        "implementation": {"description": "Coding review gateway", "url": base_url},
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "json"],
        "patchFormat": [JSON_PATCH],
        "rest": [rest],
    }


def _security(token_url: str | None) -> dict[str, Any]:
    security: dict[str, Any] = {
        "cors": False,
        "service": [
            {
                "coding": [{"system": _SECURITY, "code": "SMART-on-FHIR", "display": "SMART-on-FHIR"}],
                "text": "Bearer tokens, by SMART Backend Services or fixed",
            }
        ],
        "description": "A bearer token: of SMART Backend Services, or one that was given out",
    }
    if token_url is not None:
        uris = [{"url": "token", "valueUri": token_url}]
        security["extension"] = [{"url": _OAUTH_URIS, "extension": uris}]
    return security


def _resource(kind: str, offer: Offer) -> dict[str, Any]:
    written: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": code} for code in offer.interactions],
        "versioning": offer.versions,
        "readHistory": offer.read_history,
        "updateCreate": offer.update_creates,
        "conditionalCreate": offer.conditional_create,
        "conditionalRead": "not-match" if offer.kept else "not-supported",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
    }
    if offer.documentation:
        written["documentation"] = offer.documentation
    if offer.includes:
        written["searchInclude"] = [f"{kind}:{name}" for name in offer.includes]
    if offer.search:
        written["searchParam"] = [_parameter(kind, name, one) for name, one in offer.search.items()]
    if offer.operations:
        written["operation"] = _operations(offer.operations)
    return written


def _parameter(kind: str, name: str, parameter: Parameter) -> dict[str, Any]:
    definition = SEARCH_PARAMETER + (parameter.definition or f"{kind}-{name}")
    written = {"name": name, "definition": definition, "type": parameter.type}
    if parameter.documentation:
        written["documentation"] = parameter.documentation
    return written


def _operations(operations: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "definition": definition} for name, definition in operations.items()]


def searchset(
    resources: Sequence[dict[str, Any]],
    base_url: str,
    self_url: str,
    *,
    next_url: str | None = None,
    total: int | None,
    included: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A Bundle of search results; `total` counts the matches on all pages, None when that isn't known. `included` is
    what the matches bring along.
    """
    links = [{"relation": "self", "url": self_url}]
    if next_url:
        links.append({"relation": "next", "url": next_url})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": links}
    if total is not None:
        bundle["total"] = total
    base = base_url.rstrip("/")
    modes = (("match", resources), ("include", included))
    entries = [_result(resource, base, mode) for mode, found in modes for resource in found]
    return bundle | {"entry": entries} if entries else bundle


def _result(resource: dict[str, Any], base: str, mode: str) -> dict[str, Any]:
    address = f"{base}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": address, "resource": resource, "search": {"mode": mode}}


def history_bundle(
    entries: Sequence[dict[str, Any]], self_url: str, *, next_url: str | None = None, total: int | None = None
) -> dict[str, Any]:
    """A history (R4, history): each entry says what was asked and answered; `total` counts those on all pages."""
    links = [{"relation": "self", "url": self_url}]
    if next_url:
        links.append({"relation": "next", "url": next_url})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "history", "link": links}
    if total is not None:
        bundle["total"] = total
    return bundle | {"entry": list(entries)} if entries else bundle


def response_bundle(kind: str, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The response to a `transaction` or `batch`: an entry for each of the request's, in its order. A `resource` among
    what an entry says stands beside its response.
    """
    return {"resourceType": "Bundle", "type": f"{kind}-response", "entry": [_response(entry) for entry in entries]}


def _response(entry: dict[str, Any]) -> dict[str, Any]:
    response = {name: value for name, value in entry.items() if name != "resource"}
    told = {"resource": entry["resource"]} if "resource" in entry else {}
    return {**told, "response": response}
