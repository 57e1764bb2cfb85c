"""A DocumentReference that answers a provider query; what of a query's Task a provider sees."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from fhir_known import map_resource

from gateway.encounter.change import Change
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.communication import communication_resource
from gateway.mappings.fhir.questionnaire import questionnaire
from gateway.mappings.fhir.source import FhirSource, Numbers
from gateway.mappings.fhir.task import task_resource
from gateway.review.model import Query

Load = Callable[[str], dict[str, Any]]


def related(*numbers: str) -> dict[str, Any]:
    return {"related": [{"identifier": {"system": systems.QUERY_NUMBER, "value": number}} for number in numbers]}


def text(said: str) -> dict[str, Any]:
    attachment = {"contentType": "text/plain", "data": base64.b64encode(said.encode()).decode()}
    return {"content": [{"attachment": attachment}]}


@pytest.mark.parametrize(
    ("context", "content", "number"),
    [
        (related("Q71"), {}, "Q71"),
        (related("Q71"), text("Query Q72"), "Q71"),
        (related("Q71", "Q72"), {}, None),
        ({}, text("As asked in query Q71: acute."), "Q71"),
        ({}, text("Nothing was asked."), None),
    ],
)
def test_the_one_query_that_a_document_names(
    load: Load, source: FhirSource, context: dict[str, Any], content: dict[str, Any], number: str | None
) -> None:
    resource = load("document-reference")
    resource = {**resource, **content, "context": {**resource["context"], **context}}
    change = map_resource(resource, source, 7)
    assert isinstance(change, Change)
    assert change.documents is not None
    assert change.documents.items[0].answers == number


def test_no_work_queue_reaches_the_provider(query: Query) -> None:
    draft = query.draft.model_copy(update={"tags": ("second-look-team",), "template": "acuity"})
    asked = query.model_copy(update={"draft": draft, "replaces": "Q70", "reminders": 1})
    task = task_resource(asked, None, Numbers(), "http://g/fhir")
    everything = str((task, questionnaire(asked, "http://g/fhir"), communication_resource(asked, None, Numbers(), "u")))
    assert "second-look-team" not in everything
    assert "acuity" not in everything
    assert task["basedOn"][0]["identifier"]["value"] == "Q70"
    assert task["priority"] == "urgent"
