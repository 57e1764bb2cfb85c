"""The versions of what clients have written (R4, history): of one resource, and of all of a type."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from gateway.access.roles import Permission
from gateway.adapters.fhir.kept.resource import Accepted, content
from gateway.adapters.fhir.kept.search import DEFAULT_COUNT, MAX_COUNT
from gateway.adapters.fhir.outcomes import FHIR, outcome, resource, resource_id
from gateway.adapters.fhir.ports import Resources
from gateway.adapters.http.exchange import Answer, Call, Fault, own_id
from gateway.adapters.http.routing import Route
from gateway.mappings.fhir.capability import KEPT, history_bundle
from gateway.message import Message
from gateway.store.instants import instant, micros
from gateway.store.interface import ResourceVersion
from gateway.store.resources import HistorySearch

_PLACE = re.compile(r"(\d{1,19})\.(\d{1,9})\.([A-Za-z0-9.-]{1,64})")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?")


@dataclass(frozen=True, slots=True)
class _Asked:
    search: HistorySearch
    address: str
    used: tuple[tuple[str, str], ...] = ()

    def link(self, last: ResourceVersion | None = None) -> str:
        """Its own address, or that of the page behind `last`."""
        pairs = [pair for pair in self.used if pair[0] != "_before" or last is None]
        if last is not None:
            pairs.append(("_before", f"{micros(last.written)}.{last.version}.{last.id}"))
        return f"{self.address}?{urlencode(pairs)}" if pairs else self.address


class KeptHistory:
    """The histories of every kept type."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def routes(self) -> tuple[Route, ...]:
        return tuple(route for type_ in KEPT for route in self._routes(type_))

    def _routes(self, type_: str) -> tuple[Route, ...]:
        async def of_one(call: Call) -> Answer:
            return await self.of_one(type_, call)

        async def of_type(call: Call) -> Answer:
            return await self.of_type(type_, call)

        def route(path: str, handler: Callable[[Call], Awaitable[Answer]], summary: str) -> Route:
            address = f"/fhir/{type_}{path}"
            return Route("GET", address, Permission.SUBMIT, handler, summary, produces=FHIR, faults=outcome)

        return (
            route("/{id}/_history", of_one, f"The versions of a {type_} that the client wrote"),
            route("/_history", of_type, f"The versions of all that the client wrote as {type_}"),
        )

    async def of_one(self, type_: str, call: Call) -> Answer:
        """A history Bundle, the newest version first, with its total when `_since` leaves none out."""
        id_ = resource_id(call)
        stands = await self._resources.resource(call.who.name, type_, id_)
        if stands is None:
            raise Fault(404, f"There is no {type_} with this id that this client wrote", where=f"{type_}.id")
        asked = _asked(call, type_, id_)
        return await self._page(asked, call, stands.version if asked.search.since is None else None)

    async def of_type(self, type_: str, call: Call) -> Answer:
        return await self._page(_asked(call, type_, None), call, None)

    async def _page(self, asked: _Asked, call: Call, total: int | None) -> Answer:
        limit = asked.search.limit
        versions = await self._resources.resource_history(replace(asked.search, limit=limit + 1))
        page = versions[:limit]
        messages = await self._resources.whole_messages([version.message for version in page])
        entries = [_entry(version, messages.get(version.message), call.base) for version in page]
        following = asked.link(page[-1]) if len(versions) > limit else None
        return resource(history_bundle(entries, asked.link(), next_url=following, total=total))


def _entry(version: ResourceVersion, message: Message | None, base: str) -> dict[str, Any]:
    """One whose content is no longer kept says only that it was."""
    accepted = Accepted.standing(version)
    method = message.type.partition(" ")[0] if message is not None else "PUT"
    entry: dict[str, Any] = {
        "fullUrl": f"{base}/fhir/{accepted.name}",
        "request": {"method": method, "url": version.type if method == "POST" else accepted.name},
        "response": {"status": "201 Created" if version.version == 1 else "200 OK", **accepted.told()},
    }
    body = content(version, message)
    return entry | {"resource": body} if body is not None else entry


def _asked(call: Call, type_: str, id_: str | None) -> _Asked:
    """`_count`, `_since` and the place of a further page. Fault 400."""
    search = HistorySearch(call.who.name, type_, id_, limit=DEFAULT_COUNT)
    used = []
    for name, value in call.query.items():
        if name == "_count":
            count = own_id(value)
            if not count:
                raise Fault(400, "_count takes a number, 1 or more", where="_count")
            search = replace(search, limit=min(count, MAX_COUNT))
        elif name == "_since":
            search = replace(search, since=_moment(value))
        elif name == "_before":
            search = replace(search, before=_place(value))
        else:
            continue
        used.append((name, value))
    address = f"{call.base}/fhir/{type_}{f'/{id_}' if id_ is not None else ''}/_history"
    return _Asked(search, address, tuple(used))


def _moment(value: str) -> datetime:
    text = value.replace(" ", "+")
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Fault(400, "_since takes a date, or a time with its zone", where="_since") from None


def _place(value: str) -> tuple[datetime, str, int]:
    match = _PLACE.fullmatch(value)
    moment = own_id(match[1]) if match is not None else None
    try:
        if match is not None and moment is not None:
            return instant(moment), match[3], int(match[2])
    except OverflowError:
        pass
    raise Fault(400, "Follow the next link as it was given", where="_before")
