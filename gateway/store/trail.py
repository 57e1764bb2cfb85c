"""What is asked of the audit trail, and the exports of it that clients ordered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.store.interface import Seal, StoredEvent

SLACK = timedelta(minutes=10)
"""How far an event's moment may lie from those of its neighbours in the trail: what is further off, as by a clock that
was wrong, is not found by a moment. It is found by everything else, and stands in every export."""

LAST_PLACE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class EventSearch:
    """A page of the trail; empty fields do not restrict."""

    actions: tuple[str, ...] | None = None
    """None for any."""
    actors: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    messages: tuple[int, ...] = ()
    encounters: tuple[str, ...] | None = None
    """None for any."""
    since: datetime | None = None
    until: datetime | None = None
    """Told from `since` on and before `until`; aware."""
    after: int = 0
    before: int = LAST_PLACE
    """Places past `after` and below `before`."""
    newest_first: bool = True
    limit: int = 50
    scan: int = 50_000
    """How many places are looked at, at most, before the page ends with what it has."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in the order that was asked for. `next` is the place to go on from (as `before`, newest first, or as
    `after`); None when nothing is left. A page may be short, or empty, and have a `next`: more was not looked at.
    """

    items: tuple[StoredEvent, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class TrailExport:
    """An export that a client ordered: a part of the trail by place, which nothing changes any more."""

    id: int
    client: str
    requested: datetime
    expires: datetime
    request: str
    """The address of the order."""
    types: tuple[str, ...]
    """Of resources."""
    last: int
    """The highest place in the trail at the order: it is ready when a seal covers it."""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Events of an export's file: past `after` up to `last`, told from `since` on and before `until`."""

    after: int
    last: int
    since: datetime | None = None
    until: datetime | None = None
    actions: tuple[str, ...] | None = None


class TrailStore(Protocol):
    """The part of a store that the trail is read by. What it writes is part of a `Step`."""

    async def event(self, seq: int) -> StoredEvent | None: ...

    async def search_events(self, search: EventSearch) -> EventPage:
        """Looks at `search.scan` places at most; those of encounters are found by their index, all of them."""
        ...

    async def events_within(self, span: Span, limit: int) -> list[StoredEvent]:
        """The first events of the span, of `limit` places at most after its beginning; in the trail's order."""
        ...

    async def count_events(self, span: Span) -> int: ...

    async def place_of(self, moment: datetime) -> int:
        """The first place whose event was told at `moment` or after it, taking moments to grow with places."""
        ...

    async def messages_behind(self, encounter: str, last: int, actions: Sequence[str], limit: int) -> list[int]:
        """The messages that events up to place `last` name for changes of the encounter, oldest first."""
        ...

    async def encounters_of_claim(self, number: str) -> list[str]: ...

    async def seal_over(self, place: int) -> Seal | None:
        """The first seal that covers the place; None when it is not sealed yet."""
        ...

    async def trail_export(self, id: int) -> TrailExport | None: ...

    async def trail_exports(self, client: str) -> list[TrailExport]:
        """All that stand of the client, oldest first; at most 1,000."""
        ...
