"""The audit trail as AuditEvents, and what was made of what as Provenances: read and searched by compliance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from gateway.access.roles import Permission
from gateway.adapters.fhir.negotiation import negotiated
from gateway.adapters.fhir.outcomes import FHIR, outcome, resource, resource_id, strict, versioned
from gateway.adapters.fhir.trail.search import AUDIT_EVENT, PROVENANCE, Numbers, Reading, TrailSearch, trail_search
from gateway.adapters.http.exchange import Answer, Call, Fault, own_id
from gateway.adapters.http.routing import Handler, Route
from gateway.adapters.http.scoped import parameters
from gateway.case import Case
from gateway.clock import Clock
from gateway.mappings.fhir import provenance
from gateway.mappings.fhir.capability import searchset
from gateway.store.interface import StoredEvent, StoreFault
from gateway.store.trail import EventPage, EventSearch
from gateway.trail.trail import patient_of, provenance_of, resource_of, sources_of

AT_ONCE = 20
"""Cases read at once; between them the loop serves others."""
PAGES_COUNTED = 5
"""Of the largest size: beyond them a total is not worth its cost."""
MAX_FORM = 16 * 1024
FORM = "application/x-www-form-urlencoded"


class Events(Numbers, Protocol):
    """The store's part that is looked into here."""

    async def event(self, seq: int) -> StoredEvent | None: ...

    async def search_events(self, search: EventSearch) -> EventPage: ...

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]: ...

    async def messages_behind(self, encounter: str, last: int, actions: Sequence[str], limit: int) -> list[int]: ...


Shown = Callable[[Sequence[StoredEvent]], Awaitable[list[dict[str, Any]]]]


class TrailResources:
    """`AuditEvent` and `Provenance` below /fhir."""

    def __init__(self, events: Events, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        audited = self._routes_of("AuditEvent", AUDIT_EVENT, self._audit_events, None)
        made = self._routes_of("Provenance", PROVENANCE, self._provenances, provenance.ACTIONS)
        return tuple(negotiated(route) for route in (*audited, *made))

    def _routes_of(
        self, type_: str, readings: Mapping[str, Reading], shown: Shown, actions: tuple[str, ...] | None
    ) -> tuple[Route, ...]:
        async def find(call: Call) -> Answer:
            return await self._found(call, type_, readings, shown, actions)

        async def read(call: Call) -> Answer:
            return await self._read(call, shown, actions)

        one = f"/fhir/{type_}/{{id}}"
        return (
            _route("GET", f"/fhir/{type_}", find, f"Search for {type_}s"),
            _route("POST", f"/fhir/{type_}/_search", find, "The same search, its parameters in the body"),
            _route("GET", one, read, f"Read one {type_}"),
            _route("GET", one + "/_history/{version}", read, "Read its only version: nothing in the trail changes"),
        )

    async def _found(
        self,
        call: Call,
        type_: str,
        readings: Mapping[str, Reading],
        shown: Shown,
        actions: tuple[str, ...] | None,
    ) -> Answer:
        """A searchset, the newest first when nothing else was asked for."""
        base = f"{call.base}/fhir"
        address = f"{base}/{type_}"
        try:
            asked, now = parameters(call), self._clock.now()
            found = await trail_search(asked, readings, self._events, now, actions=actions, strict=strict(call))
            if found.only_counts:
                return resource(searchset([], base, found.link(address), total=await self._total(found)))
            page = await self._page(found)
            resources = await shown([one for one in page.items if found.counts(one)])
        except StoreFault:
            raise _unread() from None
        whole = found.counted and found.first and page.next is None
        bundle = searchset(
            resources,
            base,
            found.link(address),
            next_url=found.link(address, page.next) if page.next is not None else None,
            total=len(resources) if whole else None,
        )
        return resource(bundle)

    async def _total(self, found: TrailSearch) -> int | None:
        """How many events fit; None when a few pages do not hold them."""
        count, asked = 0, found.whole()
        for _ in range(PAGES_COUNTED):
            page = await self._page(asked)
            count += sum(map(asked.counts, page.items))
            if page.next is None:
                return count
            asked = asked.going_on(page.next)
        return None

    async def _page(self, found: TrailSearch) -> EventPage:
        if found.nothing:
            return EventPage((), None)
        if found.ids is None:
            return await self._events.search_events(found.search)
        read = [await self._events.event(id_) for id_ in found.ids]
        return EventPage(tuple(one for one in read if one is not None and found.holds(one)), None)

    async def _read(self, call: Call, shown: Shown, actions: tuple[str, ...] | None) -> Answer:
        seq = own_id(resource_id(call))
        try:
            stored = await self._events.event(seq) if seq is not None else None
            known = stored is not None and (actions is None or stored.event.action in actions)
            if stored is None or not known or call.params.get("version", "1") != "1":
                raise Fault(404, "There is no resource with this id")
            [found] = await shown([stored])
        except StoreFault:
            raise _unread() from None
        return resource(found, headers=versioned(1, stored.event.at))

    async def _audit_events(self, stored: Sequence[StoredEvent]) -> list[dict[str, Any]]:
        """With the patient's number, as the encounter has it by now: the trail itself names no patient."""
        keys = sorted({one.event.encounter for one in stored if one.event.encounter})
        numbers: dict[str, tuple[str, str] | None] = {}
        for start in range(0, len(keys), AT_ONCE):
            cases = await self._events.cases(keys[start : start + AT_ONCE])
            numbers |= {key: patient_of(case) for key, case in cases.items()}
            await asyncio.sleep(0)
        return [resource_of(one, numbers.get(one.event.encounter or "")) for one in stored]

    async def _provenances(self, stored: Sequence[StoredEvent]) -> list[dict[str, Any]]:
        return [provenance_of(one, await sources_of(self._events, one)) for one in stored]


def _route(method: str, path: str, handler: Handler, summary: str) -> Route:
    return Route(
        method,
        path,
        Permission.AUDIT_READ,
        handler,
        summary,
        max_body=MAX_FORM,
        accepts=(FORM,),
        produces=FHIR,
        faults=outcome,
    )


def _unread() -> Fault:
    return Fault(503, "The trail cannot be read now; try again", headers={"Retry-After": "5"})
