"""Provider queries as Tasks with their Questionnaires: found, read, updated and answered by the provider's system."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from multidict import MultiDict, MultiMapping

from gateway.access.roles import Permission
from gateway.adapters.fhir.outcomes import (
    ACCEPTS,
    FHIR,
    etag,
    expected_version,
    kept_outcome,
    malformed,
    outcome,
    preference,
    resource,
    resource_id,
    strict,
    unacceptable,
    versioned,
)
from gateway.adapters.fhir.ports import AskedQuery, Queries
from gateway.adapters.fhir.refusals import told_as_fault
from gateway.adapters.fhir.search import TaskSearch, task_search, visible
from gateway.adapters.http.exchange import Answer, Call, Fault, own_id
from gateway.adapters.http.routing import Handler, Route
from gateway.desk.refusals import Reason, Refusal
from gateway.encounter.change import Change
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.fhir.capability import searchset
from gateway.mappings.fhir.mapping import map_resource, query_numbers
from gateway.mappings.fhir.questionnaire import questionnaire, questionnaire_response
from gateway.mappings.fhir.resource import read, screen, validate
from gateway.mappings.fhir.source import FhirSource, Numbers
from gateway.mappings.fhir.task import read_task_update, task_resource
from gateway.message import Format, Received

MAX_BODY = 1024 * 1024
"""An answer is text: a mebibyte holds any."""

MAX_PARAMETERS = 50


class Tasks:
    """The addresses of the provider's side."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def routes(self) -> tuple[Route, ...]:
        reading, answering = Permission.QUERY_READ, Permission.QUERY_ANSWER
        return (
            _route("GET", "/fhir/Task", reading, self.find, "Search the queries addressed to the caller"),
            _route("POST", "/fhir/Task/_search", reading, self.find, "The same search, its parameters in the body"),
            _route("GET", "/fhir/Task/{id}", reading, self.task, "Read a query"),
            _route("PUT", "/fhir/Task/{id}", answering, self.update, "Accept, put off, reject or complete a query"),
            _route("GET", "/fhir/Questionnaire/{id}", reading, self.questionnaire, "Read a query's form"),
            _route("POST", "/fhir/QuestionnaireResponse", answering, self.respond, "Answer a query"),
            _route("GET", "/fhir/QuestionnaireResponse/{id}", reading, self.response, "Read a query's answer"),
        )

    async def find(self, call: Call) -> Answer:
        """A searchset, oldest query first, with a link to the next page when there may be one."""
        found = visible(task_search(_parameters(call), strict=strict(call)), call.who.npi)
        asked, more = await self._page(found, call)
        address = f"{_fhir(call)}/Task"
        bundle = searchset(
            [_resource(one, call) for one in asked],
            _fhir(call),
            found.link(address),
            next_url=found.link(address, after=asked[-1].query.id) if more else None,
            total=None if more or found.search.after else len(asked),
        )
        return resource(bundle)

    async def _page(self, found: TaskSearch, call: Call) -> tuple[list[AskedQuery], bool]:
        if found.nothing:
            return [], False
        if found.ids:
            return await self._by_ids(found, call), False
        asked = list(await self._queries.find(found.with_one_more(), call.who))
        limit = found.search.limit
        return asked[:limit], len(asked) > limit

    async def _by_ids(self, found: TaskSearch, call: Call) -> list[AskedQuery]:
        asked = []
        for id_ in found.ids:
            try:
                asked.append(await self._queries.get(id_, call.who))
            except Refusal as refusal:
                if refusal.reason is not Reason.UNKNOWN:
                    raise
        return [one for one in asked if found.holds(one.query)]

    async def task(self, call: Call) -> Answer:
        return _task(await self._get(call), call)

    async def update(self, call: Call) -> Answer:
        """The Task's new version. 428 without If-Match, 412 for a stale one, 409 for a move that its state forbids."""
        version = expected_version(call)
        if version is None:
            raise Fault(428, "Say by If-Match which version you update", where="If-Match")
        body = _screened(call, "Task")
        asked = await self._get(call)
        if body.get("id") != str(asked.query.id):
            raise Fault(400, "The resource's id must be the address's", where="Task.id")
        if asked.query.version != version:
            raise Fault(412, f"The Task has version {etag(asked.query.version)} by now", where="If-Match")
        if self._confirms(asked, body):
            return _task(asked, call)
        change = self._change(asked, body, call)
        return _task(await self._said(asked, change, call, version), call)

    async def respond(self, call: Call) -> Answer:
        """201: the query is answered, its Task completed."""
        body = _screened(call, "QuestionnaireResponse")
        try:
            numbers = query_numbers(body)
        except MappingError as error:
            raise malformed(error) from None
        if not numbers:
            raise Fault(422, "Name the Questionnaire that this answers", where="QuestionnaireResponse.questionnaire")
        with told_as_fault():
            asked = await self._queries.by_number(numbers[0], call.who)
        answered = await self._said(asked, self._change(asked, body, call), call)
        query = answered.query
        headers = versioned(1, query.answered or query.changed)
        headers["Location"] = f"{call.base}/fhir/QuestionnaireResponse/{query.id}"
        return _preferred(call, _response(answered, call), 201, headers)

    async def response(self, call: Call) -> Answer:
        asked = await self._get(call)
        if asked.query.answered is None:
            raise Fault(404, "The query has no answer yet")
        return resource(_response(asked, call), headers=versioned(1, asked.query.answered))

    async def questionnaire(self, call: Call) -> Answer:
        """A query's form never changes once it is asked: its version is always 1."""
        with told_as_fault():
            asked = await self._queries.by_number(resource_id(call), call.who)
        return resource(questionnaire(asked.query, _fhir(call)), headers=versioned(1, asked.query.asked))

    async def _get(self, call: Call) -> AskedQuery:
        id_ = own_id(resource_id(call))
        if id_ is None:
            raise Fault(404, "There is no resource with this id")
        with told_as_fault():
            return await self._queries.get(id_, call.who)

    @staticmethod
    def _confirms(asked: AskedQuery, body: dict[str, Any]) -> bool:
        """Whether the Task says completed, and refers to the answer that was given already by its own resource."""
        try:
            said = read_task_update(body, asked.query)
        except MappingError as error:
            raise malformed(error) from None
        if said.response is None:
            return False
        if asked.query.answered is None:
            raise Fault(422, "Give the QuestionnaireResponse first, or the answer in the output", where="Task.output")
        return True

    def _change(self, asked: AskedQuery, body: dict[str, Any], call: Call) -> Change:
        """What the provider says, in canonical terms. Fault 422."""
        query = asked.query
        source = FhirSource(feed=call.who.name, facility="", queries={query.number: query})
        try:
            change = map_resource(body, source, self._queries.new_id())
        except MappingError as error:
            raise malformed(error) from None
        if isinstance(change, Unused) or not change.answers:
            raise Fault(422, "This says nothing that ends or moves the query", code="business-rule")
        return change

    async def _said(self, asked: AskedQuery, change: Change, call: Call, version: int | None = None) -> AskedQuery:
        received = Received(
            feed=call.who.name,
            format=Format.FHIR,
            type=f"{call.method} {call.path.removeprefix('/fhir/')}",
            control=call.request_id,
            payload=call.body,
            reply=b"",
        )
        with told_as_fault():
            return await self._queries.respond(asked.query.id, call.who, change, received, version)


def _route(method: str, path: str, permission: Permission, handler: Handler, summary: str) -> Route:
    accepts = ("application/x-www-form-urlencoded",) if path.endswith("_search") else ACCEPTS
    status = 201 if path == "/fhir/QuestionnaireResponse" else 200
    return Route(
        method,
        path,
        permission,
        handler,
        summary,
        status=status,
        max_body=MAX_BODY,
        accepts=accepts,
        produces=FHIR,
        faults=outcome,
    )


def _parameters(call: Call) -> MultiMapping[str]:
    """The search parameters of the address, and with POST those of the body too (R4, search by POST)."""
    if not call.body:
        return call.query
    try:
        pairs = parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Fault(400, "The body is no form, or has too many fields", code="structure") from None
    return MultiDict([*call.query.items(), *pairs])


def _screened(call: Call, kind: str) -> dict[str, Any]:
    """The resource of the body, validated whole: these are few, and answered at once. Fault 400 or 422."""
    try:
        body = read(call.body)
    except MappingError as error:
        raise malformed(error) from None
    if body.get("resourceType") != kind:
        raise Fault(400, f"Send a {kind} to this address", where="resourceType")
    refused = unacceptable([*screen(body), *validate(body)])
    if refused is not None:
        raise refused
    return body


def _fhir(call: Call) -> str:
    return f"{call.base}/fhir"


def _resource(asked: AskedQuery, call: Call) -> dict[str, Any]:
    numbers = Numbers(account=asked.account, visit=asked.visit)
    return task_resource(asked.query, asked.patient, numbers, _fhir(call), asked.claim)


def _task(asked: AskedQuery, call: Call) -> Answer:
    query = asked.query
    return _preferred(call, _resource(asked, call), 200, versioned(query.version, max(query.changed, query.asked)))


def _response(asked: AskedQuery, call: Call) -> dict[str, Any]:
    return questionnaire_response(asked.query, _fhir(call))


def _preferred(call: Call, body: dict[str, Any], status: int, headers: dict[str, str]) -> Answer:
    """What was written, or as much of it as the client wants."""
    wanted = "representation" if call.method == "GET" else preference(call)
    if wanted == "minimal":
        return Answer(status, b"", "", headers)
    return resource(kept_outcome("done") if wanted == "OperationOutcome" else body, status, headers)
