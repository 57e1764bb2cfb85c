"""The audit trail as people and systems read it: FHIR AuditEvents, one a line. And what the doors write into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.audit.events import Action, Event
from gateway.audit.export import as_ndjson
from gateway.case import Case
from gateway.clock import Clock
from gateway.mappings.fhir.audit import audit_event
from gateway.mappings.fhir.provenance import CHANGES, provenance
from gateway.store.interface import Step, Store, StoredEvent, StoreFault

REFUSALS_HELD = 1000
"""Different refusals that may wait for one commit; further ones are counted together."""
MAX_SOURCES = 500
"""Messages that the Provenance of a claim names."""
UNKNOWN_CALLER = "unknown"
"""The actor of a refusal when nobody was recognised. No client can be called so: a client's actor has a colon."""


def resource_of(stored: StoredEvent, patient: tuple[str, str] | None = None) -> dict[str, object]:
    """The event as a FHIR R4 AuditEvent. `patient` (authority, number): whose encounter it tells of."""
    event = stored.event
    return audit_event(
        seq=stored.seq,
        at=event.at,
        actor=event.actor,
        action=event.action,
        subject=event.subject,
        encounter=event.encounter,
        message=event.message,
        detail=event.detail,
        hash=stored.hash.hex(),
        content=event.content(),
        patient=patient,
    )


def provenance_of(stored: StoredEvent, sources: Sequence[int] = ()) -> dict[str, object]:
    """The event as a FHIR R4 Provenance. KeyError for one that tells of no transformation."""
    event = stored.event
    return provenance(
        seq=stored.seq,
        at=event.at,
        actor=event.actor,
        action=event.action,
        subject=event.subject,
        encounter=event.encounter,
        message=event.message,
        detail=event.detail,
        sources=sources,
    )


class Behind(Protocol):
    """What tells which messages stand behind an encounter."""

    async def messages_behind(self, encounter: str, last: int, actions: Sequence[str], limit: int) -> list[int]: ...


async def sources_of(store: Behind, stored: StoredEvent) -> list[int]:
    """The messages that a released claim's encounter was made of until then; for other events none."""
    event = stored.event
    if event.action is not Action.CLAIM_RELEASED or event.encounter is None:
        return []
    return await store.messages_behind(event.encounter, stored.seq, CHANGES, MAX_SOURCES)


def patient_of(case: Case) -> tuple[str, str] | None:
    """(authority, number) of the patient of a case: the medical record number where there is one."""
    numbers = case.encounter.patient.identifiers if case.encounter is not None else ()
    number = next((one for one in numbers if one.type == "MR"), numbers[0] if numbers else None)
    return (number.authority or "", number.value) if number is not None else None


class Trail:
    """Exports of the trail. That one was made is an event of its own."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def export(self, actor: str, *, encounter: str | None, since: datetime | None) -> AsyncIterator[bytes]:
        """Lines of NDJSON, each with its line end."""
        await self.told(actor, encounter=encounter, since=since)
        async for line in as_ndjson(self._store.events(encounter=encounter, since=since), resource_of):
            yield line

    async def told(self, actor: str, *, encounter: str | None, since: datetime | None) -> None:
        """Commit the event that says who exported what."""
        detail: dict[str, object] = {"since": since.isoformat()} if since else {}
        event = Event(self._clock.now(), actor, Action.AUDIT_EXPORTED, "audit/export", encounter, None, detail)
        await self._store.commit(Step(events=[event]))


class Readings:
    """What was read through the doors, told in the trail before it is shown."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def read(
        self, actor: str, action: Action, subject: str, detail: dict[str, object], encounter: str | None = None
    ) -> None:
        """Commit the event that says it. StoreFault when it cannot be told: then nothing may be shown."""
        event = Event(self._clock.now(), actor, action, subject, encounter, None, detail)
        await self._store.commit(Step(events=[event]))


@dataclass(frozen=True, slots=True)
class _Refusal:
    """One kind of refusal: `route` is the route's pattern, `caller` None when nobody was recognised."""

    status: int
    method: str
    route: str
    caller: str | None
    why: str = ""
    address: str = ""
    action: Action = Action.ACCESS_REFUSED

    def event(self, since: datetime, count: int) -> Event:
        actor = f"client:{self.caller}" if self.caller is not None else UNKNOWN_CALLER
        detail: dict[str, object] = {"status": self.status, "method": self.method, "count": count}
        detail |= {name: said for name, said in (("why", self.why), ("address", self.address)) if said}
        return Event(since, actor, self.action, f"route{self.route}", detail=detail)


_UNLISTED = _Refusal(0, "any", "/unlisted", None)


class Refusals:
    """Refusals of access on their way into the trail. They wait in memory, so that no request waits for a commit.

    Alike refusals between two commits are one event with their count: whoever tries a thousand tokens writes one line,
    not a thousand. Memory is bounded: what does not fit is counted as `route/unlisted`.
    """

    def __init__(self, store: Store, clock: Clock, held: int = REFUSALS_HELD) -> None:
        self._store = store
        self._clock = clock
        self._held = held
        self._waiting: dict[_Refusal, tuple[datetime, int]] = {}

    def refused(
        self, status: int, method: str, route: str, caller: str | None, why: str = "", *, address: str = ""
    ) -> None:
        """Take note; never blocks. `why`: a word from a closed set, where the status does not say it all; `address`:
        the other end of the connection.
        """
        self._count(_Refusal(status, method, route, caller, why, address), self._clock.now(), 1)

    def failed(self, status: int, method: str, route: str, caller: str | None) -> None:
        """Take note of a request that was let in and came to nothing, as a resource that is not taken, or not there."""
        self._count(_Refusal(status, method, route, caller, action=Action.REQUEST_FAILED), self._clock.now(), 1)

    async def commit(self) -> int:
        """Commit what waits as events, all together; how many. After a StoreFault, which is raised, it waits again."""
        taken, self._waiting = self._waiting, {}
        if not taken:
            return 0
        try:
            await self._store.commit(Step(events=[refusal.event(*said) for refusal, said in taken.items()]))
        except StoreFault:
            for refusal, (since, count) in taken.items():
                self._count(refusal, since, count)
            raise
        return len(taken)

    def _count(self, refusal: _Refusal, since: datetime, count: int) -> None:
        if refusal not in self._waiting and len(self._waiting) >= self._held:
            refusal = _UNLISTED
        began, before = self._waiting.get(refusal, (since, 0))
        self._waiting[refusal] = (min(began, since), before + count)
