"""What a store answers about kept resources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from gateway.message import Message
from gateway.store import records, statements
from gateway.store import resource_statements as asked
from gateway.store.instants import micros, micros_or_none
from gateway.store.interface import ResourceVersion
from gateway.store.resources import (
    MAX_CONDITIONS,
    MAX_EXCLUSIONS,
    Condition,
    HistorySearch,
    ResourceSearch,
)
from gateway.store.statements import Read
from gateway.store.texts import plain

MOST_REFERRING = 1_000

_HIGHEST = 2**63 - 1

Value = str | int | bytes | None | Sequence[str] | Sequence[int]


class ResourceReads(ABC):
    """The part of a store's reading half that finds resources."""

    @abstractmethod
    async def _rows(self, read: Read, *values: Value) -> Sequence[records.Found]:
        """Run a short look-up."""

    @abstractmethod
    async def _scan(self, read: Read, *values: Value) -> Sequence[records.Found]:
        """Run a statement that reads a page of many rows."""

    @abstractmethod
    async def catalogue(self) -> None:
        """Enter what is kept among what is found."""

    async def resource(self, client: str, type: str, id: str, version: int | None = None) -> ResourceVersion | None:
        if version is None:
            rows = await self._rows(asked.NEWEST, plain(client), plain(type), plain(id))
        else:
            rows = await self._rows(asked.VERSION, plain(client), plain(type), plain(id), version)
        return records.resource(rows[0]) if rows else None

    async def resources(self, search: ResourceSearch) -> list[ResourceVersion]:
        await self.catalogue()
        after = (None, None) if search.after is None else (micros(search.after[0]), plain(search.after[1]))
        page = asked.PAGES[search.order, search.narrow and bool(search.conditions)]
        return [records.resource(row) for row in await self._scan(page, *_values(search, search.limit), *after)]

    async def count_resources(self, search: ResourceSearch, most: int) -> int:
        await self.catalogue()
        count = asked.COUNTS[search.narrow and bool(search.conditions)]
        return int((await self._scan(count, *_values(search, most)))[0][0])

    async def resource_history(self, search: HistorySearch) -> list[ResourceVersion]:
        since = micros_or_none(search.since) or 0
        moment, id_, version = (
            (_moment(search.before), plain(search.before[1]), search.before[2])
            if (search.before is not None)
            else (_HIGHEST, "", 0)
        )
        of_type: tuple[Value, ...] = (plain(search.client), search.type)
        if search.id is not None:
            below = version if search.before is not None else _HIGHEST
            rows = await self._scan(asked.HISTORY_OF_ONE, *of_type, plain(search.id), below, since, search.limit)
        else:
            rows = await self._scan(asked.HISTORY_OF_TYPE, *of_type, since, moment, id_, version, search.limit)
        return [records.resource(row) for row in rows]

    async def referring(self, client: str, reference: str) -> list[ResourceVersion]:
        await self.catalogue()
        rows = await self._scan(asked.REFERRING, plain(client), plain(reference), MOST_REFERRING)
        return [records.resource(row) for row in reversed(rows)]

    async def whole_messages(self, ids: Sequence[int]) -> dict[int, Message]:
        if not ids:
            return {}
        found = (records.message(row) for row in await self._scan(statements.MESSAGES_WHOLE, list(ids)))
        return {message.id: message for message in found}


def _moment(before: tuple[datetime, str, int]) -> int:
    return micros(before[0])


def _values(search: ResourceSearch, limit: int) -> list[Value]:
    """In the order of `resource_statements`. ValueError for more conditions than they have places for."""
    span = search.range
    return [
        plain(search.client),
        search.type,
        limit,
        [plain(id_) for id_ in search.ids] or None,
        micros_or_none(search.changed_from),
        micros_or_none(search.changed_before),
        *_slots(search.conditions, MAX_CONDITIONS),
        *_slots(search.exclusions, MAX_EXCLUSIONS),
        *((None, None, None) if span is None else (span.name, plain(span.first), plain(span.end))),
    ]


def _slots(conditions: Sequence[Condition], places: int) -> list[Value]:
    if len(conditions) > places:
        raise ValueError("more conditions than a search has places for")
    slots: list[Value] = []
    for condition in conditions:
        slots += [condition.name, [plain(token) for token in condition.tokens]]
    return slots + [None] * 2 * (places - len(conditions))
