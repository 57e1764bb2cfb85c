"""The way in for resources whose documents' contents are fetched: what is to be fetched stands before its document, so
that no crash comes between the two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.adapters.fhir_attachments.wanted import wanted
from gateway.clock import Clock
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import read
from gateway.message import Format, Message, Received
from gateway.store.fetches import Fetch
from gateway.store.interface import ResourceVersion, Step


class Intake(Protocol):
    """Keeps a message durably."""

    def new_id(self) -> int: ...

    def accept(
        self, received: Received, resource: ResourceVersion | None = None, message_id: int | None = None
    ) -> Awaitable[Message]: ...

    async def accept_together(self, kept: Sequence[tuple[int, Received, ResourceVersion | None]]) -> None: ...


class Commits(Protocol):
    async def commit(self, step: Step) -> None: ...


class FetchingIntake:
    """In front of another intake. `fetches` says of whom contents are fetched."""

    def __init__(self, intake: Intake, store: Commits, clock: Clock, fetches: Callable[[str], bool]) -> None:
        self._intake = intake
        self._store = store
        self._clock = clock
        self._fetches = fetches

    def new_id(self) -> int:
        return self._intake.new_id()

    def accept(
        self, received: Received, resource: ResourceVersion | None = None, message_id: int | None = None
    ) -> Awaitable[Message]:
        """As the intake behind it does, once the fetches stand."""
        found = self.fetches(received)
        if not found:
            return self._intake.accept(received, resource, message_id)
        return self._accept(found, received, resource, message_id)

    async def accept_together(self, kept: Sequence[tuple[int, Received, ResourceVersion | None]]) -> None:
        """As the intake behind it does, once the fetches stand. What is fetched for one that is then refused concerns
        nobody.
        """
        found = [fetch for _, received, _ in kept for fetch in self.fetches(received)]
        if found:
            await self._store.commit(Step(fetches=found))
        await self._intake.accept_together(kept)

    async def _accept(
        self, found: list[Fetch], received: Received, resource: ResourceVersion | None, message_id: int | None
    ) -> Message:
        await self._store.commit(Step(fetches=found))
        return await self._intake.accept(received, resource, message_id)

    def fetches(self, received: Received) -> list[Fetch]:
        """What is to be fetched for a resource: due at once."""
        document = received.format is Format.FHIR and " DocumentReference/" in received.type
        if not document or b'"url"' not in received.payload or not self._fetches(received.feed):
            return []
        try:
            resource = read(received.payload)
        except MappingError:
            return []  # it is set aside, with the reason
        now = self._clock.now()
        return [
            Fetch(received.feed, one.id, one.url, now, content_type=one.content_type, hash=one.hash, size=one.size)
            for one in wanted(resource)
        ]
