"""A provider query as a Task (Da Vinci CDex, data request by questionnaire), and the provider's update of it.

The profile allows no `focus`; a claim stands in `reasonReference`. Its work-queue tags are left out: a provider must
not see whose work the answer serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.encounter.change import Answer
from gateway.encounter.identity import Identifier
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import concept, identifier_json, npi_json
from gateway.mappings.fhir.query import Choice, IssuedQuery
from gateway.mappings.fhir.questionnaire import (
    answer_value,
    canonical,
    encounter_identifier,
    response_answer,
    settled,
    stamp,
)
from gateway.mappings.fhir.source import FhirSource, Numbers, Reading, logical_identifier

_PROFILE = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-task-data-request"

TASK_CODE = "data-request-questionnaire"
"""What all our Tasks ask for (CDex)."""

_BUSINESS_STATUS = {
    "draft": "Not yet asked",
    "requested": "Waiting for the provider",
    "received": "Received by the provider's system",
    "accepted": "Accepted by the provider",
    "ready": "About to be answered",
    "in-progress": "Being answered",
    "on-hold": "Put off by the provider",
    "completed": "Answered",
    "rejected": "Declined by the provider",
    "failed": "Could not be answered",
    "cancelled": "Withdrawn",
    "entered-in-error": "Asked in error",
}

_EXPLAINED = frozenset({"rejected", "failed"})
"""CDex: these need a statusReason."""
_COMPLETED = "completed"
"""CDex: this needs an output."""


def task_resource(
    query: IssuedQuery, patient: Identifier | None, encounter: Numbers, base_url: str, claim: str | None = None
) -> dict[str, Any]:
    """The Task of a query. `claim` is the number of the claim that it concerns, once there is one."""
    modified = max(query.changed, query.asked)
    task: dict[str, Any] = {
        "resourceType": "Task",
        "id": str(query.id),
        "meta": {"versionId": str(query.version), "lastUpdated": stamp(modified), "profile": [_PROFILE]},
        "identifier": [{"system": systems.QUERY_NUMBER, "value": query.number}],
        "status": str(query.status),
        "intent": "order",
        "priority": "urgent" if query.reminders else "routine",
        "code": concept(systems.CDEX, TASK_CODE),
        "description": query.draft.title,
        "encounter": {"identifier": encounter_identifier(query, encounter)},
        "authoredOn": stamp(query.asked),
        "lastModified": stamp(modified),
        "requester": {"identifier": {"system": systems.ACTOR, "value": query.asked_by}},
        "owner": {"identifier": npi_json(query.draft.provider)},
        "reasonCode": {"text": "Clarification of the record"},
        "restriction": {"period": {"end": stamp(query.due)}},
        "input": [{"type": concept(systems.SDC, "questionnaire"), "valueCanonical": canonical(query.number, base_url)}],
    }
    business = _BUSINESS_STATUS.get(str(query.status))
    if business:
        task["businessStatus"] = {"text": business}
    if query.status_reason:
        task["statusReason"] = {"text": query.status_reason}
    if query.replaces is not None:
        earlier = {"system": systems.QUERY_NUMBER, "value": query.replaces}
        task["basedOn"] = [{"type": "Task", "identifier": earlier}]
    if patient is not None:
        task["for"] = {"identifier": identifier_json(patient)}
    if claim is not None:
        task["reasonReference"] = {"identifier": {"system": systems.CLAIM_NUMBER, "value": claim}}
    if query.status == _COMPLETED:
        response = {"reference": f"QuestionnaireResponse/{query.id}"}
        task["output"] = [{"type": concept(systems.SDC, "questionnaire-response"), "valueReference": response}]
    return task


@dataclass(frozen=True, slots=True)
class TaskUpdate:
    """What a provider's system says of a query: the status it asks for, why, and the answer.

    `response` is the QuestionnaireResponse that the output refers to, when the answer stands there and not in the Task.
    """

    status: str
    status_reason: str | None = None
    answer: Answer | None = None
    response: str | None = None


def task_number(resource: Element) -> str | None:
    """The number of the query that a Task is about."""
    identifiers = resource.many("identifier")
    return next((i.text("value") for i in identifiers if i.text("system") == systems.QUERY_NUMBER), None)


def read_task_update(resource: dict[str, Any], query: IssuedQuery) -> TaskUpdate:
    """The update that a Task carries: only its status, reason and output count, for all else was fixed when the query
    was issued. Whether the query may take the status is decided by its own table.

    MappingError for another query's Task, a status outside R4, and a missing reason or output (CDex).
    """
    return task_update(Reading(resource, FhirSource(feed="", facility=""), 0, None), query)


def task_update(reading: Reading, query: IssuedQuery) -> TaskUpdate:
    """As `read_task_update`, of a resource that is being read."""
    resource = reading.resource
    if resource.path != "Task":
        raise MappingError("structure", "resourceType", "should be Task")
    if task_number(resource) not in (None, query.number) or resource.text("id") not in (None, str(query.id)):
        raise MappingError("conflict", "Task.identifier", "is not that of the query")
    status = resource.text("status")
    if status is None or status not in systems.TASK_STATUS:
        raise MappingError("value", "Task.status", "is not in the required value set")
    reason = _reason(resource.one("statusReason"))
    if status in _EXPLAINED and reason is None:
        raise MappingError("required", "Task.statusReason", f"is required when the status is {status}")
    if status != _COMPLETED:
        return TaskUpdate(status, reason)
    answer, response = _output(reading, query)
    return TaskUpdate(status, reason, answer, response)


def _reason(said: Element) -> str | None:
    coding = said.first("coding")
    return said.text("text") or coding.text("display") or coding.text("code")


def _output(reading: Reading, query: IssuedQuery) -> tuple[Answer | None, str | None]:
    option: Choice | None = None
    texts: list[str] = []
    for output in reading.resource.many("output"):
        reference = output.one("valueReference")
        inner = reading.contained(reference, "QuestionnaireResponse")
        if inner:
            return response_answer(Reading(inner.data, reading.source, reading.message, None), query), None
        name = reference.text("reference")
        if name:
            return None, name
        picked, text = answer_value(output, query)
        option = picked or option
        if text:
            texts.append(text)
    return settled(query, option, "\n".join(texts) or None, _owner(reading.resource), "Task.output"), None


def _owner(resource: Element) -> str | None:
    named = logical_identifier(resource.one("owner"))
    return named.value if named else None
