"""A provider query as a Questionnaire, and the QuestionnaireResponse that answers it, both ways.

Nothing here tells of money, groupers or work queues: what the provider sees is the query, as it was checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from gateway.encounter.change import Answer
from gateway.encounter.identity import Identifier
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import identifier_json, npi_json, npi_of
from gateway.mappings.fhir.query import OTHER, Choice, CitedIndicator, IssuedQuery, choices, chosen
from gateway.mappings.fhir.source import FhirSource, Numbers, Reading, logical_identifier

QUESTION, EXPLANATION = "question", "explanation"
"""The linkIds that an answer uses."""

_ANSWERED = ("completed", "amended")
_OPEN = "open"


def stamp(moment: datetime) -> str:
    """An instant as FHIR writes it, to the millisecond."""
    return moment.isoformat(timespec="milliseconds")


def canonical(number: str, base_url: str) -> str:
    """The canonical URL of a query's Questionnaire. A query never changes once issued, so its version is always 1."""
    return f"{base_url.rstrip('/')}/Questionnaire/{number}|1"


def questionnaire(query: IssuedQuery, base_url: str) -> dict[str, Any]:
    """The Questionnaire of a query: the cited indicators, the question with its choices, and free text."""
    url, _, version = canonical(query.number, base_url).partition("|")
    return {
        "resourceType": "Questionnaire",
        "id": query.number,
        "meta": {"versionId": "1", "lastUpdated": stamp(query.asked)},
        "url": url,
        "version": version,
        "identifier": [{"system": systems.QUERY_NUMBER, "value": query.number}],
        "title": query.draft.title,
        "status": "active",
        "subjectType": ["Patient"],
        "date": stamp(query.asked),
        "item": [*_indicators(query), *_question(query)],
    }


def _indicators(query: IssuedQuery) -> Iterator[dict[str, Any]]:
    cited = [
        {"linkId": f"indicator-{index}", "type": "display", "text": cited_text(indicator)}
        for index, indicator in enumerate(query.draft.indicators, start=1)
    ]
    if cited:
        yield {"linkId": "indicators", "type": "group", "text": "Clinical indicators", "item": cited}


def cited_text(indicator: CitedIndicator) -> str:
    """The fact with its passage, and with why it matters where it is of a prior encounter."""
    quote = indicator.quote if indicator.quote and indicator.quote not in indicator.text else None
    told = f"{indicator.text}: \u201c{quote}\u201d" if quote else indicator.text
    return f"{told} (from a prior encounter: {indicator.relevance})" if indicator.relevance else told


def _question(query: IssuedQuery) -> Iterator[dict[str, Any]]:
    offered = choices(query)
    asked = {"linkId": QUESTION, "text": query.draft.question, "required": True}
    if not offered:
        yield {**asked, "type": "text"}
        return
    yield {
        **asked,
        "type": "choice",
        "answerOption": [{"valueCoding": _coding(choice)} for choice in offered],
    }
    yield {
        "linkId": EXPLANATION,
        "text": "Your own words (please explain if you chose Other)",
        "type": "text",
        "required": False,
    }


def _coding(choice: Choice) -> dict[str, str]:
    return {"system": systems.QUERY_CHOICE, "code": choice.code, "display": choice.text}


def query_of(resource: Element) -> str | None:
    """The number of the query that a QuestionnaireResponse answers: the last part of its questionnaire's URL."""
    url = (resource.text("questionnaire") or "").partition("|")[0]
    return url.rstrip("/").rpartition("/")[2] or None


def read_response(resource: dict[str, Any], query: IssuedQuery) -> Answer:
    """The answer that a QuestionnaireResponse gives to `query`. MappingError when it answers another query, isn't
    finished, picks something that wasn't offered, or says nothing.
    """
    return response_answer(Reading(resource, FhirSource(feed="", facility=""), 0, None), query)


def response_answer(reading: Reading, query: IssuedQuery) -> Answer:
    """As `read_response`, of a resource that is being read."""
    resource = reading.resource
    if query_of(resource) != query.number:
        raise MappingError("conflict", resource.place("questionnaire"), "answers another query")
    if resource.text("status") not in _ANSWERED:
        raise MappingError("value", resource.place("status"), "is not that of a finished answer")
    option, text = _said(resource, query)
    return settled(query, option, text, _author(reading), resource.path)


def settled(query: IssuedQuery, option: Choice | None, text: str | None, author: str | None, where: str) -> Answer:
    """The answer from what was picked and what was written. MappingError when that isn't enough to be one."""
    if query.draft.kind != _OPEN and option is None and text is None:
        raise MappingError("required", where, "gives no answer")
    if query.draft.kind == _OPEN and text is None:
        raise MappingError("required", where, "gives no answer")
    if option is not None and option.text.casefold() == OTHER.text.casefold() and text is None:
        raise MappingError("required", where, "an answer of Other needs an explanation")
    said = text or (option.text if option else "")
    return Answer(query=query.number, text=said, option=option.text if option else None, author=author)


def _said(resource: Element, query: IssuedQuery) -> tuple[Choice | None, str | None]:
    option: Choice | None = None
    texts: list[str] = []
    for item in _items(resource):
        link = item.text("linkId")
        if link not in (QUESTION, EXPLANATION):
            continue
        for answer in item.many("answer"):
            picked, text = answer_value(answer, query if link == QUESTION else None)
            option = picked or option
            if text:
                texts.append(text)
    return option, "\n".join(texts) or None


def answer_value(element: Element, query: IssuedQuery | None) -> tuple[Choice | None, str | None]:
    """What one value[x] says: a choice of `query`, or free text. MappingError when it picks what wasn't offered."""
    coding = element.one("valueCoding") or element.one("valueCodeableConcept").first("coding")
    said = coding.text("code") or coding.text("display")
    if said is None and query is not None and element.flag("valueBoolean") is not None:
        said = "yes" if element.flag("valueBoolean") else "no"
    text = (
        element.text("valueString") or element.text("valueMarkdown") or element.one("valueCodeableConcept").text("text")
    )
    if query is None or query.draft.kind == _OPEN:
        return None, text or coding.text("display")
    if said is None:
        picked = chosen(query, text) if text else None
        return (picked, None) if picked else (None, text)
    picked = chosen(query, said)
    if picked is None:
        raise MappingError("value", element.path, "picks an answer that was not offered")
    return picked, text


def _items(resource: Element) -> Iterator[Element]:
    waiting = resource.many("item")
    while waiting:
        item = waiting.pop(0)
        yield item
        waiting += item.many("item")
        for answer in item.many("answer"):
            waiting += answer.many("item")


def _author(reading: Reading) -> str | None:
    reference = reading.resource.one("author")
    who = reading.contained(reference, "Practitioner")
    if who:
        return npi_of(who) or who.first("identifier").text("value")
    named = logical_identifier(reference)
    return named.value if named else reference.text("reference")


def encounter_identifier(query: IssuedQuery, encounter: Numbers) -> dict[str, Any]:
    """The number by which others know the query's encounter, or else our own key."""
    number = encounter.visit or encounter.account
    return identifier_json(number) if number else {"system": systems.ENCOUNTER_KEY, "value": query.encounter}


def questionnaire_response(
    query: IssuedQuery, base_url: str, patient: Identifier | None = None, encounter: Numbers | None = None
) -> dict[str, Any]:
    """The stored answer of a query as a QuestionnaireResponse, whichever way it came. MappingError when unanswered."""
    if query.answer is None and query.answer_option is None:
        raise MappingError("required", "QuestionnaireResponse", "the query has no answer yet")
    picked = chosen(query, query.answer_option) if query.answer_option else None
    items: list[dict[str, Any]] = []
    if picked:
        items.append({"linkId": QUESTION, "answer": [{"valueCoding": _coding(picked)}]})
    if query.answer and (picked is None or query.answer != picked.text):
        link = EXPLANATION if choices(query) else QUESTION
        items.append({"linkId": link, "answer": [{"valueString": query.answer}]})
    written: dict[str, Any] = {
        "resourceType": "QuestionnaireResponse",
        "id": str(query.id),
        "meta": {"versionId": "1", "lastUpdated": stamp(query.answered or query.changed)},
        "identifier": {"system": systems.QUERY_ANSWER, "value": query.number},
        "questionnaire": canonical(query.number, base_url),
        "status": "completed",
        "authored": stamp(query.answered or query.changed),
        "item": items,
    }
    if patient is not None:
        written["subject"] = {"identifier": identifier_json(patient)}
    if encounter is not None:
        written["encounter"] = {"identifier": encounter_identifier(query, encounter)}
    if query.answered_by:
        author = query.answered_by
        is_npi = len(author) == 10 and author.isdigit()
        written["author"] = {"identifier": npi_json(author) if is_npi else {"value": author}}
    return written
