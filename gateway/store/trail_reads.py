"""What a store answers about the audit trail. Events have one index, by encounter: whatever else is asked for is looked
for among a bounded number of places. An index more would cost on the way of every message.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.store import records
from gateway.store.instants import micros, micros_or_none
from gateway.store.interface import Seal, StoredEvent
from gateway.store.statements import Read, read
from gateway.store.texts import plain
from gateway.store.trail import SLACK, EventPage, EventSearch, Span, TrailExport
from gateway.store.trail_rows import export_of

WINDOW = 5_000
"""Places looked at in one statement. Between them the loop serves others."""

_EVENT = "SELECT seq, hash, at, actor, action, subject, encounter, message, detail FROM events"
_BETWEEN = "seq > $1 AND seq < $2"
_FITTING = (
    "AND ($4::bigint IS NULL OR at >= $4::bigint) AND ($5::bigint IS NULL OR at < $5::bigint) "
    "AND ($6::text[] IS NULL OR action = ANY($6::text[])) AND ($7::text[] IS NULL OR actor = ANY($7::text[])) "
    "AND ($8::text[] IS NULL OR subject = ANY($8::text[])) AND ($9::bigint[] IS NULL OR message = ANY($9::bigint[]))"
)
_OLDEST, _NEWEST = "ORDER BY seq LIMIT $3", "ORDER BY seq DESC LIMIT $3"
_THEIRS = "encounter = ANY($10::text[]) AND"

EVENT = read(_EVENT, "WHERE seq = $1")
OLDEST = read(_EVENT, "WHERE", _BETWEEN, _FITTING, _OLDEST)
NEWEST = read(_EVENT, "WHERE", _BETWEEN, _FITTING, _NEWEST)
OLDEST_OF = read(_EVENT, "WHERE", _THEIRS, _BETWEEN, _FITTING, _OLDEST)
NEWEST_OF = read(_EVENT, "WHERE", _THEIRS, _BETWEEN, _FITTING, _NEWEST)
NEXT_EVENT = read("SELECT seq, at FROM events WHERE seq >= $1 ORDER BY seq LIMIT 1")
LOWEST = read("SELECT seq, at FROM events ORDER BY seq LIMIT 1")
HIGHEST = read("SELECT seq, at FROM events ORDER BY seq DESC LIMIT 1")
COUNT = read(
    "SELECT count(*) FROM events WHERE seq > $1 AND seq <= $2",
    "AND ($3::bigint IS NULL OR at >= $3::bigint) AND ($4::bigint IS NULL OR at < $4::bigint)",
    "AND ($5::text[] IS NULL OR action = ANY($5::text[]))",
)
MESSAGES_BEHIND = read(
    "SELECT DISTINCT message FROM events WHERE encounter = $1 AND seq <= $2 AND message IS NOT NULL",
    "AND action = ANY($3::text[]) ORDER BY message LIMIT $4",
)
ENCOUNTERS_OF_CLAIM = read("SELECT encounter FROM claims WHERE number = $1 LIMIT 50")
SEAL_OVER = read(
    "SELECT id, size, last_seq, root, sealed, key_id, signature FROM seals WHERE last_seq >= $1",
    "ORDER BY last_seq LIMIT 1",
)
_EXPORT = "SELECT id, client, requested, expires, last, body FROM trail_exports"
EXPORT = read(_EXPORT, "WHERE id = $1")
EXPORTS = read(_EXPORT, "WHERE client = $1 ORDER BY id LIMIT 1000")

Found = Sequence[Any]
Value = str | int | bytes | None | Sequence[str] | Sequence[int]


class TrailReads(ABC):
    """The part of a store's reading half that the trail is looked into by."""

    @abstractmethod
    async def _rows(self, read: Read, *values: Value) -> Sequence[Found]:
        """Run a short look-up."""

    @abstractmethod
    async def _scan(self, read: Read, *values: Value) -> Sequence[Found]:
        """Run a statement that reads a page of many rows."""

    @abstractmethod
    async def _walk(self, read: Read, *values: Value) -> Sequence[Found]:
        """Run a statement that walks much and answers with a few rows."""

    async def event(self, seq: int) -> StoredEvent | None:
        rows = await self._rows(EVENT, seq)
        return records.event(rows[0]) if rows else None

    async def search_events(self, search: EventSearch) -> EventPage:
        search = await self._narrowed(search)
        if search.encounters is not None:
            way = NEWEST_OF if search.newest_first else OLDEST_OF
            theirs = [plain(key) for key in search.encounters]
            rows = list(await self._scan(way, *_asked(search, search.limit + 1), theirs)) if theirs else []
            return _page(rows, search, None)
        return await self._looked_through(search)

    async def _narrowed(self, search: EventSearch) -> EventSearch:
        """The same search, between places that moments lead to."""
        low, high = (await self._scan(LOWEST)), (await self._scan(HIGHEST))
        if not low:
            return replace(search, before=search.after + 1)
        after, before = max(search.after, low[0][0] - 1), min(search.before, high[0][0] + 1)
        if search.since is not None:
            after = max(after, await self._first_place(micros(search.since) - _micros_of_slack()) - 1)
        if search.until is not None:
            before = min(before, await self._first_place(micros(search.until) + _micros_of_slack()))
        return replace(search, after=after, before=before)

    async def place_of(self, moment: datetime) -> int:
        return await self._first_place(micros(moment))

    async def _first_place(self, at: int) -> int:
        """By bisection: some 25 look-ups by key for ten million events."""
        edge = await self._scan(HIGHEST)
        low, high = 1, (edge[0][0] if edge else 0) + 1
        while low < high:
            middle = (low + high) // 2
            rows = await self._scan(NEXT_EVENT, middle)
            if not rows or rows[0][1] >= at:
                high = middle
            else:
                low = rows[0][0] + 1
        return low

    async def _looked_through(self, search: EventSearch) -> EventPage:
        """Window after window, until the page is full, the places are through or enough were looked at."""
        rows: list[Found] = []
        after, before, left = search.after, search.before, search.scan
        while after + 1 < before and left > 0 and len(rows) <= search.limit:
            width = min(WINDOW, left)
            end = max(before - width - 1, after) if search.newest_first else min(after + width + 1, before)
            window = replace(search, after=end) if search.newest_first else replace(search, before=end)
            window = replace(window, before=before) if search.newest_first else replace(window, after=after)
            way = NEWEST if search.newest_first else OLDEST
            rows += await self._scan(way, *_asked(window, search.limit + 1 - len(rows)))
            left -= width
            if search.newest_first:
                before = end + 1
            else:
                after = end - 1
            await asyncio.sleep(0)
        reached = before if search.newest_first else after
        return _page(rows, search, reached if after + 1 < before else None)

    async def events_within(self, span: Span, limit: int) -> list[StoredEvent]:
        end = min(span.last, span.after + limit) + 1
        asked = EventSearch(
            actions=span.actions, since=span.since, until=span.until, after=span.after, before=end, newest_first=False
        )
        return [records.event(row) for row in await self._scan(OLDEST, *_asked(asked, limit))]

    async def count_events(self, span: Span) -> int:
        actions = list(span.actions) if span.actions is not None else None
        moments = micros_or_none(span.since), micros_or_none(span.until)
        rows = await self._walk(COUNT, span.after, span.last, *moments, actions)
        return int(rows[0][0])

    async def messages_behind(self, encounter: str, last: int, actions: Sequence[str], limit: int) -> list[int]:
        rows = await self._scan(MESSAGES_BEHIND, plain(encounter), last, list(actions), limit)
        return [row[0] for row in rows]

    async def encounters_of_claim(self, number: str) -> list[str]:
        return list(dict.fromkeys(row[0] for row in await self._rows(ENCOUNTERS_OF_CLAIM, plain(number))))

    async def seal_over(self, place: int) -> Seal | None:
        rows = await self._rows(SEAL_OVER, place)
        return records.seal(rows[0]) if rows else None

    async def trail_export(self, id: int) -> TrailExport | None:
        rows = await self._rows(EXPORT, id)
        return export_of(rows[0]) if rows else None

    async def trail_exports(self, client: str) -> list[TrailExport]:
        return [export_of(row) for row in await self._rows(EXPORTS, client)]


def _micros_of_slack() -> int:
    return int(SLACK.total_seconds()) * 1_000_000


def _asked(search: EventSearch, limit: int) -> tuple[Value, ...]:
    """The values of a page's statement, $1 to $9."""
    return (
        search.after,
        search.before,
        limit,
        micros_or_none(search.since),
        micros_or_none(search.until),
        list(search.actions) if search.actions is not None else None,
        [plain(actor) for actor in search.actors] or None,
        [plain(subject) for subject in search.subjects] or None,
        list(search.messages) or None,
    )


def _page(rows: Sequence[Found], search: EventSearch, reached: int | None) -> EventPage:
    """`reached`: where looking ended before it was through; None when it was."""
    items = tuple(records.event(row) for row in rows[: search.limit])
    if len(rows) > search.limit:
        return EventPage(items, items[-1].seq)
    return EventPage(items, reached)
