"""What a store keeps of attachments that are fetched: from where, how often it was tried, when again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import orjson

from gateway.store.instants import instant, micros
from gateway.store.statements import Read, read


class FetchState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    """Nobody tries again until the document comes again."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """The content behind one address, for one client. What is said of it, by the document that came last."""

    client: str
    id: str
    """The id of the Binary that will hold it."""
    url: str = field(repr=False)
    due: datetime
    state: FetchState = FetchState.WAITING
    attempts: int = 0
    content_type: str | None = None
    hash: str | None = field(repr=False, default=None)
    """SHA-1, base64 (R4, Attachment.hash)."""
    size: int | None = None
    reason: str | None = None
    """Why the last attempt came to nothing; a word, without patients' data."""


DUE_FETCHES = read(
    "SELECT client, id, state, attempts, due, body FROM fetches WHERE state = 'waiting' AND due <= $1",
    "ORDER BY due LIMIT $2",
)
FETCH = read("SELECT client, id, state, attempts, due, body FROM fetches WHERE client = $1 AND id = $2")

Value = str | int | bytes | None | Sequence[str] | Sequence[int]


class FetchStore(Protocol):
    """The part of a store that attachments wait in. What it writes is part of a `Step`."""

    async def due_fetches(self, now: datetime, limit: int) -> list[Fetch]:
        """Those that wait and whose time has come, the longest due first."""
        ...

    async def fetch(self, client: str, id: str) -> Fetch | None: ...


class FetchReads(ABC):
    """The part of a store's reading half that answers of attachments."""

    @abstractmethod
    async def _rows(self, read: Read, *values: Value) -> Sequence[Sequence[Any]]:
        """Run a short look-up."""

    async def due_fetches(self, now: datetime, limit: int) -> list[Fetch]:
        return [_fetch(row) for row in await self._rows(DUE_FETCHES, micros(now), limit)]

    async def fetch(self, client: str, id: str) -> Fetch | None:
        rows = await self._rows(FETCH, client, id)
        return _fetch(rows[0]) if rows else None


def fetch_body(fetch: Fetch) -> bytes:
    """What is not a column of its own."""
    return orjson.dumps([fetch.url, fetch.content_type, fetch.hash, fetch.size, fetch.reason])


def _fetch(row: Sequence[Any]) -> Fetch:
    client, id_, state, attempts, due, body = row
    url, content_type, hash_, size, reason = orjson.loads(body)
    return Fetch(client, id_, url, instant(due), FetchState(state), attempts, content_type, hash_, size, reason)
