"""What clients have written, read back: by id, by version, by search (R4, RESTful API). Each sees its own alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from gateway.access.compartment import limits
from gateway.access.roles import Permission
from gateway.adapters.fhir.kept.resource import Accepted, content
from gateway.adapters.fhir.kept.search import MAX_PARAMETERS, Include, KeptSearch, kept_search
from gateway.adapters.fhir.outcomes import FHIR, etag, outcome, resource, resource_id, strict, versioned
from gateway.adapters.fhir.ports import Resources
from gateway.adapters.http.exchange import Answer, Call, Fault
from gateway.adapters.http.routing import Route
from gateway.adapters.http.scoped import parameters
from gateway.mappings.fhir.capability import KEPT, searchset
from gateway.mappings.fhir.search_values import search_values
from gateway.store.interface import ResourceVersion

MOST_COUNTED = 10_000
"""A search that finds more tells no total."""
MOST_INCLUDED = 200
FORM = "application/x-www-form-urlencoded"

Handler = Callable[[str, Call], Awaitable[Answer]]


class KeptReading:
    """The reading addresses of every kept type."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def routes(self) -> tuple[Route, ...]:
        return tuple(route for type_ in KEPT for route in self._routes(type_))

    def _routes(self, type_: str) -> tuple[Route, ...]:
        def route(method: str, path: str, handler: Handler, summary: str) -> Route:
            async def handle(call: Call) -> Answer:
                return await handler(type_, call)

            address = f"/fhir/{type_}{path}"
            return Route(
                method, address, Permission.SUBMIT, handle, summary, accepts=(FORM,), produces=FHIR, faults=outcome
            )

        return (
            route("GET", "/{id}", self.read, f"Read back a {type_} that the client wrote"),
            route("GET", "/{id}/_history/{version}", self.read, f"Read back one version of a {type_}"),
            route("GET", "", self.find, f"Search the client's {type_}s"),
            route("POST", "/_search", self.find, "The same search, its parameters in the body"),
        )

    async def read(self, type_: str, call: Call) -> Answer:
        """The newest or the named version as it was kept, with the id and version that the gateway gave it. 304 when
        If-None-Match names it, 410 when its content was pruned."""
        stands = await self._standing(type_, call)
        headers = versioned(stands.version, stands.written)
        if _is_known(call, stands):
            return Answer(304, b"", "", headers)
        return resource(await self._body(stands), headers=headers)

    async def _standing(self, type_: str, call: Call) -> ResourceVersion:
        """The version that the address names. Fault 404."""
        version = call.params.get("version")
        if version is not None and not (version.isascii() and version.isdecimal() and len(version) < 10):
            raise Fault(404, "There is no such version", where=f"{type_}.meta.versionId")
        number = int(version) if version else None
        stands = await self._resources.resource(call.who.name, type_, resource_id(call), number)
        if stands is None:
            raise Fault(404, f"There is no {type_} with this id that this client wrote", where=f"{type_}.id")
        return stands

    async def _body(self, stands: ResourceVersion) -> dict[str, Any]:
        body = content(stands, await self._resources.message(stands.message))
        if body is None:
            raise Fault(410, "The content of this resource is no longer kept", code="deleted")
        return body

    async def find(self, type_: str, call: Call) -> Answer:
        """A searchset with links and, where it can be told, the total."""
        return resource(await self.found(type_, call, parameters(call)))

    async def found(self, type_: str, call: Call, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """The page that `pairs` ask for."""
        asked = kept_search(call.who.name, type_, pairs, strict=strict(call))
        base, address = f"{call.base}/fhir", f"{call.base}/fhir/{type_}"
        total = await self._total(asked)
        if asked.nothing or asked.only_counts:
            return searchset([], base, asked.link(address), total=total)
        limit = asked.search.limit
        versions = await self._resources.resources(replace(asked.search, limit=limit + 1))
        page = versions[:limit]
        bodies = await self._bodies(page)
        after = (page[-1].written, page[-1].id) if len(versions) > limit else None
        return searchset(
            bodies,
            base,
            asked.link(address),
            next_url=asked.link(address, after) if after is not None else None,
            total=total,
            included=await self._included(asked, bodies, call),
        )

    async def _total(self, asked: KeptSearch) -> int | None:
        if asked.nothing:
            return 0
        if not (asked.counts or asked.only_counts):
            return None
        whole = replace(asked.search, after=None)
        count = await self._resources.count_resources(whole, MOST_COUNTED + 1)
        return count if count <= MOST_COUNTED else None

    async def _bodies(self, versions: Sequence[ResourceVersion]) -> list[dict[str, Any]]:
        """Without those whose content is no longer kept."""
        messages = await self._resources.whole_messages([version.message for version in versions])
        bodies = (content(version, messages.get(version.message)) for version in versions)
        return [body for body in bodies if body is not None]

    async def _included(self, asked: KeptSearch, bodies: Sequence[dict[str, Any]], call: Call) -> list[dict[str, Any]]:
        """What the matches refer to, as far as the same client has written it and may read it; each once."""
        names = dict.fromkeys(name for body in bodies for name in _pointing(asked.includes, body))
        matched = {f"{body['resourceType']}/{body['id']}" for body in bodies}
        limit = limits(call.caller)
        scopes = limit.scopes if limit is not None else None
        versions = []
        for name in names:
            kind, _, id_ = name.partition("/")
            if name in matched or kind not in KEPT or (scopes is not None and not scopes.allow(kind, "r")):
                continue
            version = await self._resources.resource(call.who.name, kind, id_)
            if version is not None:
                versions.append(version)
            if len(versions) == MOST_INCLUDED:
                break
        return await self._bodies(versions)

    async def asked(self, call: Call, url: str) -> dict[str, Any]:
        """What a GET entry of a Bundle asks for, as its response has it: a resource, and a version's headers. Fault."""
        path, _, query = url.partition("?")
        type_, *rest = path.split("/")
        if type_ not in KEPT:
            raise Fault(404, "There is nothing at this address", where="request.url")
        if not rest:
            return {"resource": await self.found(type_, call, _pairs(query))}
        if len(rest) not in (1, 3) or (len(rest) == 3 and rest[1] != "_history"):
            raise Fault(400, "A GET entry is a read, a vread or a search", code="not-supported", where="request.url")
        params = dict(zip(("id", "_history", "version"), rest, strict=False))
        stands = await self._standing(type_, replace(call, params=params))
        accepted = Accepted.standing(stands)
        return {"resource": await self._body(stands), **accepted.told()}


def _is_known(call: Call, stands: ResourceVersion) -> bool:
    given = call.headers.get("If-None-Match")
    known = [part.strip() for part in given.split(",")] if given is not None else []
    return "*" in known or etag(stands.version) in known


def _pointing(includes: Sequence[Include], body: dict[str, Any]) -> Iterator[str]:
    """The literal references that are to be brought along."""
    wanted = {include.parameter: include.target for include in includes}
    for name, token in search_values(body) if wanted else ():
        if name in wanted and wanted[name] in ("", token.partition("/")[0]):
            yield token


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Fault(400, "The url's search has too many fields", where="request.url") from None
