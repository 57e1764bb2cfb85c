"""What a store answers, for either engine: each look-up is a statement and the way from its rows to records."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime

from gateway.case import Case
from gateway.encounter.change import Content
from gateway.message import Message
from gateway.release.model import Delivery, DeliveryState, Suspension
from gateway.review.model import Query
from gateway.review.query_delivery import QueryDelivery
from gateway.store import records, statements
from gateway.store.access_reads import AccessReads
from gateway.store.fetches import FetchReads
from gateway.store.instants import micros
from gateway.store.interface import (
    LeafBlock,
    MessageQuery,
    Seal,
    StoredEvent,
    WorkItem,
)
from gateway.store.lookup_reads import LookupReads
from gateway.store.message_search import MessageSearching
from gateway.store.query_reads import QueryReads
from gateway.store.resource_reads import ResourceReads
from gateway.store.statements import Read
from gateway.store.texts import plain, plain_or_none
from gateway.store.trail_reads import TrailReads
from gateway.store.upkeep_reads import UpkeepReads

PAGE = 1_000
"""Events, seals or blocks read at once. Between pages the loop serves others."""

_NEWEST_ID = 2**63 - 1

Value = str | int | bytes | None | Sequence[str] | Sequence[int]


class Reads(MessageSearching, ResourceReads, QueryReads, LookupReads, UpkeepReads, AccessReads, FetchReads, TrailReads):
    """The reading half of `Store`. An engine says how a statement is run."""

    @abstractmethod
    async def _rows(self, read: Read, *values: Value) -> Sequence[records.Found]:
        """Run a short look-up."""

    @abstractmethod
    async def _scan(self, read: Read, *values: Value) -> Sequence[records.Found]:
        """Run a statement that reads a page of many rows."""

    async def _count(self, read: Read) -> Sequence[records.Found]:
        """Run a statement that walks whole indexes and answers with a few rows."""
        return await self._walk(read)

    async def _first(self, read: Read, *values: Value) -> records.Found | None:
        rows = await self._rows(read, *values)
        return rows[0] if rows else None

    # Messages

    async def pending(self, limit: int) -> list[Message]:
        """Unprocessed messages, oldest first. Several gateways read the same ones: the guard of the outcome decides
        who processed a message, the other's step is a `Conflict`.
        """
        return [records.message(row) for row in await self._rows(statements.MESSAGES_PENDING, limit)]

    async def backlog(self) -> int:
        row = await self._first(statements.BACKLOG)
        return int(row[0]) if row else 0

    async def message(self, id: int) -> Message | None:
        row = await self._first(statements.MESSAGE, id)
        return records.message(row) if row else None

    async def messages(self, query: MessageQuery) -> list[Message]:
        rows = await self._scan(
            _way_in(query),
            query.before if query.before is not None else _NEWEST_ID,
            query.limit,
            query.state.value if query.state else None,
            query.feed,
            plain_or_none(query.control),
            query.encounter,
        )
        return [records.message(row) for row in rows]

    async def controls_reused(self, ids: Sequence[int]) -> set[int]:
        return {row[0] for row in await self._rows(statements.CONTROLS_REUSED, ids)} if ids else set()

    # Encounters and what is decided about them

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]:
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return {}
        # The version comes first: what is committed between the statements raises it, and the guard tells.
        bodies = await self._rows(statements.CASE_BODIES, wanted)
        if not bodies:
            return {key: Case(key) for key in wanted}
        known = list({row[1] for row in bodies})
        draws = await self._rows(statements.CASE_DRAWS, known)
        deliveries = await self._rows(statements.CASE_DELIVERIES, known)
        return records.cases(wanted, bodies, draws, deliveries)

    async def encounters_by_number(
        self, numbers: Sequence[tuple[str, str, str, str]]
    ) -> dict[tuple[str, str, str, str], list[str]]:
        """A number that leads nowhere has an empty list."""
        found: dict[tuple[str, str, str, str], list[str]] = {number: [] for number in numbers}
        if not found:
            return found
        stored = {_plain_number(number): number for number in found}
        values = list({number[3] for number in stored})
        for facility, type_, authority, value, key in await self._rows(statements.ENCOUNTERS_BY_NUMBER, values):
            asked = stored.get((facility, type_, authority, value))
            if asked is not None:
                found[asked].append(key)
        return found

    async def encounters_having(self, number: tuple[str, str, str, str], limit: int) -> list[str]:
        facility, type_, authority, value = _plain_number(number)
        rows = await self._rows(statements.ENCOUNTERS_HAVING, value, type_, authority, facility, limit)
        return [row[0] for row in rows]

    async def due_encounters(self, now: datetime, limit: int) -> list[str]:
        return [row[0] for row in await self._rows(statements.ENCOUNTERS_DUE, micros(now), limit)]

    async def content(self, encounter: str, digest: str) -> Content | None:
        row = await self._first(statements.CONTENT, encounter, digest)
        return records.content(row) if row else None

    async def worklist(
        self, stages: Sequence[str], hold_kinds: Sequence[str], after: str, limit: int
    ) -> list[WorkItem]:
        """Encounters in any of `stages` with an open hold of any of `hold_kinds`, by key, past `after`; an empty
        list does not restrict.
        """
        kinds = list(hold_kinds)
        lines: list[records.Found] = []
        # One look-up a stage: each walks its own part of the index in the order of keys and stops at the limit.
        for stage in dict.fromkeys(stages):
            if kinds:
                lines += await self._scan(statements.WORKLIST_HELD_OF_STAGE, after, limit, stage, kinds)
            else:
                lines += await self._scan(statements.WORKLIST_OF_STAGE, after, limit, stage)
        if not stages and kinds:
            lines += await self._scan(statements.WORKLIST_HELD, after, limit, kinds)
        elif not stages:
            lines += await self._scan(statements.WORKLIST, after, limit)
        lines = sorted(lines, key=lambda line: str(line[0]))[:limit]
        return await self._with_holds(lines)

    async def _with_holds(self, lines: Sequence[records.Found]) -> list[WorkItem]:
        holds: dict[str, list[str]] = {line[0]: [] for line in lines}
        if holds:
            for key, kind, rule in await self._scan(statements.OPEN_HOLDS, list(holds)):
                holds[key].append(f"{kind}:{rule}")
        return [records.work_item(line, holds[line[0]]) for line in lines]

    async def queries_to_look_at(self, now: datetime, limit: int) -> list[Query]:
        return [records.query(row[0]) for row in await self._rows(statements.QUERIES_TO_LOOK_AT, micros(now), limit)]

    async def query_deliveries(self, ehr: str, now: datetime, limit: int) -> list[QueryDelivery]:
        """A busy EHR has its due ones first: what is over and not yet due waits for room."""
        rows = await self._rows(statements.QUERY_DELIVERIES_DUE, ehr, micros(now), limit)
        if len(rows) < limit:
            rows = [*rows, *await self._rows(statements.QUERY_DELIVERIES_OVER, ehr, micros(now), limit - len(rows))]
        return [QueryDelivery.model_validate_json(row[0]) for row in rows]

    async def query_delivery(self, query: int) -> QueryDelivery | None:
        row = await self._first(statements.QUERY_DELIVERY, query)
        return QueryDelivery.model_validate_json(row[0]) if row else None

    # Deliveries, samples, counters

    async def due_deliveries(self, destination: str, now: datetime, limit: int) -> list[Delivery]:
        rows = await self._rows(statements.DELIVERIES_DUE, destination, micros(now), limit)
        return [records.delivery(row) for row in rows]

    async def deliveries(self, states: Sequence[DeliveryState], limit: int = 1000) -> list[Delivery]:
        found: list[Delivery] = []
        for state in dict.fromkeys(states):
            rows = await self._rows(statements.DELIVERIES_OF_STATE, state.value, limit)
            found += [records.delivery(row) for row in rows]
        return sorted(found, key=lambda delivery: delivery.id)[:limit]

    async def suspensions(self) -> list[Suspension]:
        return [records.suspension(row) for row in await self._scan(statements.SUSPENSIONS)]

    async def draw_counts(self) -> dict[tuple[str, str], int]:
        """A unit's frames are numbered: `unit/0`, `unit/1`; their draws count together."""
        found: Counter[tuple[str, str]] = Counter()
        for sample, frame, number in await self._count(statements.DRAW_COUNTS):
            found[sample, frame.rpartition("/")[0] or frame] += number
        return dict(found)

    async def counts(self) -> Mapping[str, Mapping[str, int]]:
        found: dict[str, dict[str, int]] = {"messages": {}, "holds": {}, "deliveries": {}, "encounters": {}}
        for table, value, number in await self._count(statements.COUNTS):
            found[table][value] = number
        return found

    # The audit trail

    async def events(
        self, after: int = 0, *, encounter: str | None = None, since: datetime | None = None
    ) -> AsyncIterator[StoredEvent]:
        """Those that stood when the iteration began, in order."""
        start = micros(since) if since is not None else 0
        end = (await self._scan(statements.LAST_EVENT))[0][0]
        place = after
        while place < end:
            if encounter is not None:
                rows = await self._scan(statements.EVENTS_OF_ENCOUNTER, encounter, place, start, PAGE)
                place = rows[-1][0] if len(rows) == PAGE else end
            else:
                rows = await self._scan(statements.EVENTS_PAGE, place, place + PAGE, start)
                place += PAGE
            for row in rows:
                yield records.event(row)
            await asyncio.sleep(0)

    async def last_seal(self) -> Seal | None:
        row = await self._first(statements.LAST_SEAL)
        return records.seal(row) if row else None

    async def seals(self) -> AsyncIterator[Seal]:
        """Oldest first."""
        place = -1
        while rows := await self._scan(statements.SEALS_PAGE, place, PAGE):
            for row in rows:
                yield records.seal(row)
            place = rows[-1][0]

    async def leaf_blocks(self, first: int = 0) -> AsyncIterator[LeafBlock]:
        """From block `first` on, in order. A block may be large, so few are held at once."""
        place = first
        while rows := await self._scan(statements.LEAF_BLOCKS_PAGE, place, 4):
            for row in rows:
                yield records.leaf_block(row)
            place = rows[-1][0] + 1

    async def highest_event(self) -> int:
        """SQLite remembers the highest place it ever gave. PostgreSQL's sequence runs ahead after a crash or a
        roll-back and proves nothing: there it is the highest place that stands or was sealed.
        """
        row = await self._first(statements.HIGHEST_EVENT)
        return int(row[0]) if row else 0


def _way_in(query: MessageQuery) -> Read:
    """The form of the search that starts at the narrowest index."""
    if query.encounter is not None:
        return statements.MESSAGES_OF_ENCOUNTER
    if query.control is not None:
        return statements.MESSAGES_OF_CONTROL
    if query.state is not None:
        return statements.MESSAGES_OF_STATE
    return statements.MESSAGES_NEWEST


def _plain_number(number: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
    facility, type_, authority, value = number
    return (plain(facility), plain(type_), plain(authority), plain(value))
