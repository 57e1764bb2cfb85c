"""The forms of queries and their answers: Questionnaire and QuestionnaireResponse."""

from __future__ import annotations

from datetime import datetime

from gateway.access.roles import Permission
from gateway.adapters.fhir.outcomes import malformed, resource, resource_id, strict, versioned
from gateway.adapters.fhir.ports import Queries
from gateway.adapters.fhir.tasks.refusals import told_as_fault
from gateway.adapters.fhir.tasks.rendering import (
    FORM,
    change_of,
    fhir,
    form,
    page,
    preferred,
    response,
    route,
    said,
    screened,
)
from gateway.adapters.fhir.tasks.search import parameters
from gateway.adapters.fhir.tasks.search_parameters import QUESTIONNAIRE, RESPONSE, answers_only
from gateway.adapters.http.exchange import Answer, Call, Fault, own_id
from gateway.adapters.http.routing import Route
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import query_bundles
from gateway.mappings.fhir.mapping import query_numbers
from gateway.review.asked import AskedQuery

ONLY = "1"
"""A form never changes once its query is asked, nor an answer once it is given: each has one version."""


_ID = "QuestionnaireResponse.id"


class Answers:
    """The addresses of forms and answers."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def routes(self) -> tuple[Route, ...]:
        reading, answering = Permission.QUERY_READ, Permission.QUERY_ANSWER
        forms, answers = "/fhir/Questionnaire", "/fhir/QuestionnaireResponse"
        version = "/{id}/_history/{version}"
        return (
            route("GET", forms, reading, self.find_forms, "Search the forms of queries"),
            route("POST", forms + "/_search", reading, self.find_forms, "The same, by POST", accepts=FORM),
            route("GET", forms + "/{id}", reading, self.form, "Read a query's form"),
            route("GET", forms + version, reading, self.form, "Read a query's form by its one version"),
            route("GET", answers, reading, self.find, "Search the answers of queries"),
            route("POST", answers + "/_search", reading, self.find, "The same, by POST", accepts=FORM),
            route("POST", answers, answering, self.respond, "Answer a query", status=201),
            route("GET", answers + "/{id}", reading, self.response, "Read a query's answer"),
            route("GET", answers + "/{id}/_history", reading, self.history, "The one version of a query's answer"),
            route("GET", answers + version, reading, self.response, "Read a query's answer by its one version"),
        )

    async def find_forms(self, call: Call) -> Answer:
        found = QUESTIONNAIRE.read(parameters(call), strict=strict(call))
        return await page(self._queries, call, found, "Questionnaire", form)

    async def find(self, call: Call) -> Answer:
        found = answers_only(RESPONSE.read(parameters(call), strict=strict(call)))
        return await page(self._queries, call, found, "QuestionnaireResponse", response)

    async def form(self, call: Call) -> Answer:
        _only_version(call)
        with told_as_fault("Questionnaire.id"):
            asked = await self._queries.by_number(resource_id(call), call.who)
        return resource(form(asked, call), headers=versioned(1, asked.query.asked))

    async def response(self, call: Call) -> Answer:
        _only_version(call)
        asked, answered = await self._answered(call)
        return resource(response(asked, call), headers=versioned(1, answered))

    async def history(self, call: Call) -> Answer:
        asked, _ = await self._answered(call)
        address = f"{fhir(call)}/QuestionnaireResponse/{asked.query.id}/_history"
        return resource(query_bundles.history([response(asked, call)], fhir(call), [("self", address)], 1))

    async def respond(self, call: Call) -> Answer:
        """201: the query is answered, its Task completed."""
        body = screened(call.body, "QuestionnaireResponse")
        try:
            numbers = query_numbers(body)
        except MappingError as error:
            raise malformed(error) from None
        if not numbers:
            raise Fault(422, "Name the Questionnaire that this answers", where="QuestionnaireResponse.questionnaire")
        with told_as_fault("QuestionnaireResponse.questionnaire"):
            asked = await self._queries.by_number(numbers[0], call.who)
        answered = await said(self._queries, asked, change_of(self._queries, asked, body, call), call, call.body)
        query = answered.query
        headers = versioned(1, query.answered or query.changed)
        headers["Location"] = f"{fhir(call)}/QuestionnaireResponse/{query.id}/_history/{ONLY}"
        return preferred(call, response(answered, call), 201, headers)

    async def _answered(self, call: Call) -> tuple[AskedQuery, datetime]:
        id_ = own_id(resource_id(call))
        if id_ is None:
            raise Fault(404, "There is no resource with this id", where=_ID)
        with told_as_fault(_ID):
            asked = await self._queries.get(id_, call.who)
        if asked.query.answered is None:
            raise Fault(404, "The query has no answer yet", where=_ID)
        return asked, asked.query.answered


def _only_version(call: Call) -> None:
    if call.params.get("version", ONLY) != ONLY:
        raise Fault(404, "There is no such version", where="Resource.meta.versionId")
