"""What a store answers about code tables: what analysts mapped, and which codes wait to be mapped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from gateway.lookup import Lookup, UnmappedCode
from gateway.store.instants import instant
from gateway.store.statements import Read, read

MOST_CODES = 1_000

LOOKUPS = read(
    "SELECT feed, name, code, value, actor, changed FROM lookups WHERE value IS NOT NULL ORDER BY feed, name, code"
)
UNMAPPED = read(
    "SELECT feed, name, code, count(*), min(encounter) FROM unmapped GROUP BY feed, name, code",
    "ORDER BY count(*) DESC, feed, name, code LIMIT $1",
)
WAITING_FOR = read(
    "SELECT encounter FROM unmapped WHERE feed = $1 AND name = $2 AND code = $3 AND encounter > $4",
    "ORDER BY encounter LIMIT $5",
)

Value = str | int | bytes | None | Sequence[str] | Sequence[int]


class LookupReads(ABC):
    """The part of a store's reading half that code tables are kept by."""

    @abstractmethod
    async def _rows(self, read: Read, *values: Value) -> Sequence[Sequence[Any]]:
        """Run a short look-up."""

    @abstractmethod
    async def _scan(self, read: Read, *values: Value) -> Sequence[Sequence[Any]]:
        """Run a statement that reads a page of many rows."""

    async def lookups(self) -> list[Lookup]:
        rows = await self._scan(LOOKUPS)
        return [Lookup(row[0], row[1], row[2], row[3], row[4], instant(row[5])) for row in rows]

    async def unmapped(self) -> list[UnmappedCode]:
        return [UnmappedCode(*row) for row in await self._scan(UNMAPPED, MOST_CODES)]

    async def waiting_for(self, feed: str, table: str, code: str, after: str = "", limit: int = 500) -> list[str]:
        return [row[0] for row in await self._scan(WAITING_FOR, feed, table, code, after, limit)]
