"""What the addresses of queries have in common: bodies in, Tasks and pages out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.access.roles import Permission
from gateway.adapters.fhir.outcomes import (
    ACCEPTS,
    FHIR,
    kept_outcome,
    malformed,
    outcome,
    preference,
    resource,
    unacceptable,
)
from gateway.adapters.fhir.ports import Queries, QuerySurroundings
from gateway.adapters.fhir.tasks.refusals import told_as_fault
from gateway.adapters.fhir.tasks.search import Searching, subset
from gateway.adapters.http.exchange import Answer, Call, Fault
from gateway.adapters.http.routing import Handler, Route
from gateway.encounter.change import Change
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.fhir import query_bundles
from gateway.mappings.fhir.mapping import map_resource
from gateway.mappings.fhir.query_bundles import Included
from gateway.mappings.fhir.questionnaire import questionnaire, questionnaire_response
from gateway.mappings.fhir.resource import read, screen, validate
from gateway.mappings.fhir.source import FhirSource, Numbers
from gateway.mappings.fhir.task import task_resource
from gateway.message import Format, Received
from gateway.review.asked import AskedQuery

MAX_BODY = 1024 * 1024
"""An answer is text: a mebibyte holds any."""
FORM = ("application/x-www-form-urlencoded",)
"""Of a search by POST."""

Rendering = Callable[[AskedQuery, Call], dict[str, Any]]

MANDATORY: Mapping[str, frozenset[str]] = {
    "Task": frozenset({"status", "intent", "for"}),
    "Questionnaire": frozenset({"status"}),
    "QuestionnaireResponse": frozenset({"status", "subject"}),
}
"""What is shown of each type whatever a client wants of it: what R4 demands, and whose it is."""


def route(
    method: str,
    path: str,
    permission: Permission,
    handler: Handler,
    summary: str,
    *,
    status: int = 200,
    accepts: tuple[str, ...] = ACCEPTS,
) -> Route:
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


def fhir(call: Call) -> str:
    """The base of the FHIR interface, as the client reached it."""
    return f"{call.base}/fhir"


def screened(body: bytes, kind: str) -> dict[str, Any]:
    """The resource of a body, validated whole: these are few, and answered at once. Fault 400 or 422."""
    try:
        found = read(body)
    except MappingError as error:
        raise malformed(error) from None
    return checked(found, kind)


def checked(body: dict[str, Any], kind: str) -> dict[str, Any]:
    """The same resource, when R4 has nothing against it. Fault 400 or 422."""
    if body.get("resourceType") != kind:
        raise Fault(400, f"Send a {kind} to this address", where="resourceType")
    refused = unacceptable(list(dict.fromkeys([*screen(body), *validate(body)])))
    if refused is not None:
        raise refused
    return body


# ---- out


def task(asked: AskedQuery, call: Call) -> dict[str, Any]:
    return task_resource(asked.query, asked.patient, _numbers(asked), fhir(call), asked.claim)


def response(asked: AskedQuery, call: Call) -> dict[str, Any]:
    """The answer of a query that has one."""
    return questionnaire_response(asked.query, fhir(call), asked.patient, _numbers(asked))


def form(asked: AskedQuery, call: Call) -> dict[str, Any]:
    return questionnaire(asked.query, fhir(call))


def _numbers(asked: AskedQuery) -> Numbers:
    return Numbers(account=asked.account, visit=asked.visit)


def preferred(call: Call, body: dict[str, Any], status: int, headers: dict[str, str]) -> Answer:
    """What was written, or as much of it as the client wants."""
    wanted = "representation" if call.method == "GET" else preference(call)
    if wanted == "minimal":
        return Answer(status, b"", "", headers)
    return resource(kept_outcome("done") if wanted == "OperationOutcome" else body, status, headers)


async def page(queries: Queries, call: Call, found: Searching, kind: str, render: Rendering) -> Answer:
    """A searchset with the total of all pages, and links to itself, its first page and the next one."""
    items: Sequence[AskedQuery] = ()
    total, more = 0 if found.counted else None, False
    if not found.nothing:
        with told_as_fault(kind):
            answered = await queries.find(found.search, call.who, counted=found.counted)
        items, total, more = answered.items, answered.total, answered.more
    address = f"{fhir(call)}/{kind}"
    links = [("self", found.link(address)), ("first", found.first(address))]
    if more and items:
        links.append(("next", found.next(address, items[-1].query)))
    matches = [_wanted(render(one, call), found, kind) for one in items]
    along = await _along(queries, found, items)
    return resource(query_bundles.page(matches, fhir(call), links, total, along))


def _wanted(rendered: dict[str, Any], found: Searching, kind: str) -> Mapping[str, Any]:
    return subset(rendered, found.elements, MANDATORY[kind]) if found.elements else rendered


# ---- what a search brings along


async def _along(queries: Queries, found: Searching, items: Sequence[AskedQuery]) -> list[Included]:
    readers = [_INCLUDED[name] for name in dict.fromkeys(found.includes)]
    if not readers or not items:
        return []
    with told_as_fault("_include"):
        around = await queries.surroundings({one.query.encounter for one in items})
    pairs = [(one, around.get(one.query.encounter)) for one in items]
    brought = [read(one, known) for read in readers for one, known in pairs]
    return [each for each in brought if each is not None]


def _patient(asked: AskedQuery, _around: QuerySurroundings | None) -> Included | None:
    return query_bundles.patient(asked.patient) if asked.patient is not None else None


def _owner(asked: AskedQuery, _around: QuerySurroundings | None) -> Included | None:
    return query_bundles.practitioner(asked.query.draft.provider)


def _encounter(asked: AskedQuery, around: QuerySurroundings | None) -> Included | None:
    return query_bundles.encounter(asked.query, around.encounter.visit, asked.patient) if around else None


def _claim(asked: AskedQuery, around: QuerySurroundings | None) -> Included | None:
    return query_bundles.claim(around.claim, asked.patient) if around and around.claim else None


_INCLUDED: Mapping[str, Callable[[AskedQuery, QuerySurroundings | None], Included | None]] = {
    "Task:patient": _patient,
    "Task:subject": _patient,
    "Task:owner": _owner,
    "Task:encounter": _encounter,
    "Task:focus": _claim,
}


# ---- what a provider says


def change_of(queries: Queries, asked: AskedQuery, body: dict[str, Any], call: Call) -> Change:
    """What a Task or QuestionnaireResponse says, in canonical terms. Fault 422."""
    query = asked.query
    source = FhirSource(feed=call.who.name, facility="", queries={query.number: query})
    try:
        change = map_resource(body, source, queries.new_id())
    except MappingError as error:
        raise malformed(error) from None
    if isinstance(change, Unused) or not change.answers:
        raise Fault(422, "This says nothing that ends or moves the query", code="business-rule", where=_type(body))
    return change


async def said(
    queries: Queries, asked: AskedQuery, change: Change, call: Call, payload: bytes, version: int | None = None
) -> AskedQuery:
    """The query after the provider's word; `payload` is the resource that is kept with it."""
    received = Received(
        feed=call.who.name,
        format=Format.FHIR,
        type=f"{call.method} {call.path.removeprefix('/fhir/')}",
        control=call.request_id,
        payload=payload,
        reply=b"",
    )
    with told_as_fault("Task.status" if version is not None else "QuestionnaireResponse.questionnaire"):
        return await queries.respond(asked.query.id, call.who, change, received, version)


def _type(body: dict[str, Any]) -> str:
    return str(body.get("resourceType"))
