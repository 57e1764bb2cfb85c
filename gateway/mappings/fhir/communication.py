"""A provider query as a Communication that points at its Task (R4), for EHRs whose servers take no Tasks."""

from __future__ import annotations

from typing import Any

from gateway.encounter.identity import Identifier
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.parties import identifier_json, npi_json
from gateway.mappings.fhir.query import IssuedQuery, choices
from gateway.mappings.fhir.questionnaire import cited_text, stamp
from gateway.mappings.fhir.source import Numbers


def communication_resource(
    query: IssuedQuery, patient: Identifier | None, encounter: Numbers, base_url: str
) -> dict[str, Any]:
    """The Communication of a query: what is asked, the cited facts, the choices, and where its Task is.

    The provider may answer at the Task, or by a document that names the query's number.
    """
    task = f"{base_url.rstrip('/')}/Task/{query.id}"
    written: dict[str, Any] = {
        "resourceType": "Communication",
        "identifier": [{"system": systems.QUERY_NUMBER, "value": query.number}],
        "basedOn": [{"reference": task, "type": "Task"}],
        "status": "completed",
        "priority": "routine",
        "topic": {"text": query.draft.title},
        "sent": stamp(query.asked),
        "recipient": [{"identifier": npi_json(query.draft.provider)}],
        "sender": {"identifier": {"system": systems.ACTOR, "value": query.asked_by}},
        "payload": [{"contentString": text} for text in _texts(query)] + [{"contentReference": {"reference": task}}],
    }
    if patient is not None:
        written["subject"] = {"identifier": identifier_json(patient)}
    number = encounter.visit or encounter.account
    if number is not None:
        written["encounter"] = {"identifier": identifier_json(number)}
    return written


def _texts(query: IssuedQuery) -> list[str]:
    facts = "\n".join(f"- {cited_text(indicator)}" for indicator in query.draft.indicators)
    offered = "\n".join(f"- {choice.text}" for choice in choices(query))
    how = f"Answer here, or in a note that says: Query {query.number}"
    return [text for text in (query.draft.question, facts, offered, how) if text]
