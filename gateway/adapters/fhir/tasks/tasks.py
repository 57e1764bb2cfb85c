"""Provider queries as Tasks: asked, found, read with their versions, updated and patched by the provider's system."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from multidict import MultiDict

from gateway.access.roles import Permission
from gateway.adapters.fhir.kept.submission import unpatched
from gateway.adapters.fhir.outcomes import etag, expected_version, malformed, resource, resource_id, strict, versioned
from gateway.adapters.fhir.ports import Queries
from gateway.adapters.fhir.tasks.answers import Answers
from gateway.adapters.fhir.tasks.asking import patient_of, wanted_of
from gateway.adapters.fhir.tasks.history import HistoryPart
from gateway.adapters.fhir.tasks.refusals import told_as_fault
from gateway.adapters.fhir.tasks.rendering import (
    FORM,
    change_of,
    checked,
    fhir,
    page,
    preferred,
    route,
    said,
    screened,
    task,
)
from gateway.adapters.fhir.tasks.search import parameters
from gateway.adapters.fhir.tasks.search_parameters import TASK
from gateway.adapters.http.exchange import Answer, Call, Fault, own_id
from gateway.adapters.http.routing import Route
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import query_bundles
from gateway.mappings.fhir.patch import MEDIA_TYPE, patched
from gateway.mappings.fhir.resource import read, write
from gateway.mappings.fhir.task import read_task_update
from gateway.mappings.fhir.task_asked import read_asked
from gateway.review.asked import AskedQuery
from gateway.store.queries import QuerySearch

MOVING = frozenset({"status", "statusReason", "businessStatus", "output", "lastModified", "meta"})
"""What a provider's system says of a Task. All else was fixed when the query was asked."""

_UNLESS = "If-None-Exist"
_WORD = "patch"


class Tasks:
    """The addresses of queries, of their forms and answers."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._answers = Answers(queries)

    def routes(self) -> tuple[Route, ...]:
        reading, answering, asking = Permission.QUERY_READ, Permission.QUERY_ANSWER, Permission.QUERY_ASK
        all_, one = "/fhir/Task", "/fhir/Task/{id}"
        return (
            route("GET", all_, reading, self.find, "Search the queries addressed to the caller"),
            route("POST", all_ + "/_search", reading, self.find, "The same, by POST", accepts=FORM),
            route("POST", all_, asking, self.create, "Ask a provider, by a template or in words", status=201),
            route("GET", one, reading, self.read, "Read a query"),
            route("PUT", one, answering, self.update, "Accept, put off, reject or complete a query"),
            route("PATCH", one, answering, self.patch, "The same by JSON Patch", accepts=(MEDIA_TYPE,)),
            route("GET", one + "/_history", reading, self.history, "The versions of a query"),
            route("GET", one + "/_history/{version}", reading, self.version, "Read one version of a query"),
            *self._answers.routes(),
        )

    async def find(self, call: Call) -> Answer:
        """A searchset, the oldest query first where no other order is asked for."""
        found = TASK.read(parameters(call), strict=strict(call))
        return await page(self._queries, call, found, "Task", task)

    async def read(self, call: Call) -> Answer:
        return _task(await self._get(call), call)

    async def history(self, call: Call) -> Answer:
        """A history Bundle, the newest version first: `_since`, `_count`, and a link to what is left."""
        id_ = _id(call)
        part = HistoryPart.read(call.query)
        with told_as_fault("Task.id"):
            versions = await self._queries.versions(id_, call.who)
        found = [one for one in versions if part.holds(one.query)]
        shown = found[: part.count]
        address = f"{fhir(call)}/Task/{id_}/_history"
        links = [("self", part.link(address))]
        if len(found) > len(shown):
            links.append(("next", part.link(address, shown[-1].query.version)))
        resources = [task(version, call) for version in shown]
        total = len(versions) if part.since is None else None
        return resource(query_bundles.history(resources, fhir(call), links, total))

    async def version(self, call: Call) -> Answer:
        id_, number = _id(call), own_id(call.params["version"])
        if number is None:
            raise Fault(404, "There is no such version", where="Task.meta.versionId")
        with told_as_fault("Task.id"):
            asked = await self._queries.version(id_, number, call.who)
        return _task(asked, call)

    async def create(self, call: Call) -> Answer:
        """201: the query is asked. 200 when the same one, asked by the caller, is open or answered. 422 with every rule
        that it breaks. With If-None-Exist, 200 with the one that meets it, 412 when several do; where none does, what
        is answered is asked anew: the caller has said what must not stand.
        """
        body = screened(call.body, "Task")
        try:
            wanted = read_asked(body)
        except MappingError as error:
            raise malformed(error) from None
        stands, anew = await self._standing(call)
        if stands is not None:
            return _task(stands, call)
        key = wanted.encounter if wanted.keyed else await self._numbered(wanted.encounter)
        with told_as_fault("Task", unknown=422):
            asked, new = await self._queries.ask_once(key, call.who, wanted_of(wanted), patient_of(wanted), anew=anew)
        return _task(asked, call, 201 if new else 200)

    async def _standing(self, call: Call) -> tuple[AskedQuery | None, bool]:
        """The query that meets If-None-Exist (R4, conditional create); and whether some could have, and none does: then
        what stands was left out on purpose. By a number of the client's own none is met ever. Fault 400 or 412.
        """
        given = call.headers.get(_UNLESS)
        if given is None:
            return None, False
        pairs = parse_qsl(given.rpartition("?")[2], keep_blank_values=True)
        found = TASK.read(MultiDict(pairs), strict=True)
        if found.nothing:
            return None, False
        if found.search == QuerySearch(limit=found.search.limit):
            raise Fault(400, "Say by search parameters what must not exist", where=_UNLESS)
        with told_as_fault(_UNLESS):
            standing = await self._queries.find(replace(found.search, limit=2), call.who, counted=False)
        if len(standing.items) > 1:
            raise Fault(412, "Several Tasks meet If-None-Exist", code="multiple-matches", where=_UNLESS)
        return (standing.items[0], False) if standing.items else (None, True)

    async def _numbered(self, number: str) -> str:
        with told_as_fault("Task.encounter", unknown=422):
            return await self._queries.encounter_numbered(number)

    async def update(self, call: Call) -> Answer:
        """The Task's new version. 428 without If-Match, 412 for a stale one, 409 for a move that its state forbids."""
        version = _expected(call)
        body = screened(call.body, "Task")
        asked = await self._fresh(call, version)
        if body.get("id") != str(asked.query.id):
            raise Fault(400, "The resource's id must be the address's", where="Task.id")
        return await self._updated(asked, body, call, call.body, version)

    async def patch(self, call: Call) -> Answer:
        """As an update by the whole Task. What is kept is the Task as the patch leaves it."""
        version = _expected(call)
        operations = _operations(call.body)
        asked = await self._fresh(call, version)
        before = task(asked, call)
        try:
            body = patched(before, operations)
        except MappingError as error:
            raise unpatched(error) from None
        fixed = [name for name in {**before, **body} if name not in MOVING and before.get(name) != body.get(name)]
        if fixed:
            raise Fault(422, "This was fixed when the query was asked", code="business-rule", where=_place(fixed[0]))
        return await self._updated(asked, checked(body, "Task"), call, write(body), version)

    async def _updated(
        self, asked: AskedQuery, body: dict[str, Any], call: Call, payload: bytes, version: int
    ) -> Answer:
        if _confirms(asked, body):
            return _task(asked, call)
        change = change_of(self._queries, asked, body, call)
        return _task(await said(self._queries, asked, change, call, payload, version), call)

    async def _get(self, call: Call) -> AskedQuery:
        id_ = _id(call)
        with told_as_fault("Task.id"):
            return await self._queries.get(id_, call.who)

    async def _fresh(self, call: Call, version: int) -> AskedQuery:
        """The query, in the version that the client has seen. Fault 412."""
        asked = await self._get(call)
        if asked.query.version != version:
            raise Fault(412, f"The Task has version {etag(asked.query.version)} by now", where="If-Match")
        return asked


def _id(call: Call) -> int:
    id_ = own_id(resource_id(call))
    if id_ is None:
        raise Fault(404, "There is no resource with this id", where="Task.id")
    return id_


def _expected(call: Call) -> int:
    version = expected_version(call)
    if version is None:
        raise Fault(428, "Say by If-Match which version you update", where="If-Match")
    return version


def _operations(body: bytes) -> object:
    """The JSON array that a patch is, read as strictly as a resource. Fault 400."""
    ahead = b'{"%s":' % _WORD.encode()
    try:
        whole = read(ahead + body + b"}", ahead=len(ahead))
    except MappingError as error:
        raise malformed(error) from None
    if set(whole) != {_WORD}:
        raise Fault(400, "The body is not well-formed JSON", code="structure")
    return whole[_WORD]


def _confirms(asked: AskedQuery, body: dict[str, Any]) -> bool:
    """Whether the Task says completed, and refers to the answer that was given already by its own resource."""
    try:
        update = read_task_update(body, asked.query)
    except MappingError as error:
        raise malformed(error) from None
    if update.response is None:
        return False
    if asked.query.answered is None:
        raise Fault(422, "Give the QuestionnaireResponse first, or the answer in the output", where="Task.output")
    return True


def _place(name: str) -> str:
    """An element's place, if it is the name of one: a patch may hold anything."""
    return f"Task.{name}" if name.isascii() and name.isalpha() else "Task"


def _task(asked: AskedQuery, call: Call, status: int = 200) -> Answer:
    query = asked.query
    headers = versioned(query.version, max(query.changed, query.asked))
    if call.method == "POST":
        headers["Location"] = f"{fhir(call)}/Task/{query.id}/_history/{query.version}"
    return preferred(call, task(asked, call), status, headers)
