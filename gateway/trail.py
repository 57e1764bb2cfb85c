"""The audit trail as people and systems read it: FHIR AuditEvents, one a line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import orjson

from gateway.audit.events import Action, Event
from gateway.clock import Clock
from gateway.mappings.fhir.audit import audit_event
from gateway.store.interface import Step, Store, StoredEvent


def resource_of(stored: StoredEvent) -> dict[str, object]:
    """The event as a FHIR R4 AuditEvent."""
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
    )


class Trail:
    """Exports of the trail. That one was made is an event of its own."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def export(self, actor: str, *, encounter: str | None, since: datetime | None) -> AsyncIterator[bytes]:
        """Lines of NDJSON, each with its line end."""
        await self.told(actor, encounter=encounter, since=since)
        async for stored in self._store.events(encounter=encounter, since=since):
            yield orjson.dumps(resource_of(stored)) + b"\n"

    async def told(self, actor: str, *, encounter: str | None, since: datetime | None) -> None:
        """Commit the event that says who exported what."""
        detail: dict[str, object] = {"since": since.isoformat()} if since else {}
        event = Event(self._clock.now(), actor, Action.AUDIT_EXPORTED, "audit/export", encounter, None, detail)
        await self._store.commit(Step(events=[event]))
