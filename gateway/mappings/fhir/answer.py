"""A provider's answer as a change of the encounter: the answer itself, and a document that keeps it with the record."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime

from gateway.encounter.change import Answer, Change, Content, Items
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import Document, DocumentKind, Provider, ProviderRole
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import instant
from gateway.mappings.fhir.query import IssuedQuery
from gateway.mappings.fhir.questionnaire import query_of, response_answer
from gateway.mappings.fhir.source import Reading
from gateway.mappings.fhir.task import task_number, task_update

_UNFINISHED = ("in-progress", "stopped", "entered-in-error")


def query_number(resource: Element) -> str | None:
    """The number of the query that a Task or QuestionnaireResponse is about."""
    return task_number(resource) if resource.path == "Task" else query_of(resource)


def answer_change(reading: Reading) -> Change | Unused:
    """The change that an answer makes. The query comes from `FhirSource.queries`; MappingError when it isn't there."""
    resource = reading.resource
    query = reading.source.queries.get(query_number(resource) or "")
    if query is None:
        raise MappingError("unresolved", resource.path, "is about no query that is known here")
    if resource.path == "QuestionnaireResponse":
        if resource.text("status") in _UNFINISHED:
            return Unused("the answer is not finished")
        return _change(reading, query, response_answer(reading, query), instant(reading, resource, "authored"))
    update = task_update(reading, query)
    if update.response:
        return Unused("the answer is the QuestionnaireResponse that the Task refers to")
    said = update.answer or Answer(query=query.number, text=update.status_reason or "")
    return _change(reading, query, replace(said, status=update.status), instant(reading, resource, "lastModified"))


def _change(reading: Reading, query: IssuedQuery, answer: Answer, written: datetime | None) -> Change:
    try:
        key = EncounterKey.parse(query.encounter)
    except ValueError as error:
        raise MappingError("unresolved", reading.resource.path, "the query's encounter has no key") from error
    answered = answer.status == "completed"
    content = _content(query, answer) if answered else None
    return Change(
        message=reading.message,
        key=key,
        documents=Items((_document(reading, query, answer, content, written),)) if content else None,
        contents=(content,) if content else (),
        problems=tuple(reading.problems),
        answers=(answer,),
    )


def _content(query: IssuedQuery, answer: Answer) -> Content:
    lines = [query.draft.question, "", answer.option or answer.text]
    if answer.option and answer.text != answer.option:
        lines.append(answer.text)
    body = "\n".join(lines).encode()
    return Content(hashlib.sha256(body).hexdigest(), "text/plain; charset=utf-8", body)


def _document(
    reading: Reading, query: IssuedQuery, answer: Answer, content: Content, written: datetime | None
) -> Document:
    author = answer.author or ""
    by_npi = author if len(author) == 10 and author.isdigit() else None
    return Document(
        id=f"query/{query.number}",
        kind=DocumentKind.QUERY_ANSWER,
        title=f"Answer to query {query.number}",
        author=Provider(role=ProviderRole.AUTHOR, npi=by_npi) if by_npi else None,
        written=written,
        content_type=content.content_type,
        digest=content.digest,
        size=len(content.body),
        source=reading.source.feed,
        origin=reading.origin(reading.resource),
    )
