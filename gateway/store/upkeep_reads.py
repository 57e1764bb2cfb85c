"""What a store answers to upkeep: each look-up is a statement and the way from its rows to records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from gateway.alert import Alert, AlertName, AlertState
from gateway.message import MessageState
from gateway.store.instants import instant, micros
from gateway.store.statements import Read, read
from gateway.store.upkeep import ConfigurationVersion, Pass, Prunable, Settled, VersionState

OLDEST_PENDING = read("SELECT received FROM messages WHERE state = 'received' ORDER BY id LIMIT 1")
# By id, not by feed: an index that begins with the feed would have to sort all that the feed ever sent.
HEARD_FROM = read("SELECT received FROM messages WHERE id > $2 AND feed || '' = $1 ORDER BY id DESC LIMIT 1")

_VERSION = "SELECT number, node, digest, state, actor, written"
CONFIGURATIONS = read(_VERSION, "FROM configurations WHERE number < $1 ORDER BY number DESC LIMIT $2")
CONFIGURATION = read(_VERSION, ", unpacked(body) FROM configurations WHERE number = $1")
CONFIGURATION_IN_FORCE = read(
    _VERSION,
    ", unpacked(body) FROM configurations WHERE node = $1 AND state = 'activated' ORDER BY number DESC LIMIT 1",
)

ALERTS = read("SELECT node, name, subject, state, since, said, told FROM alerts ORDER BY node, name, subject")
PASS = read("SELECT name, about, place, done, changed FROM passes WHERE name = $1")

_PRUNABLE = "SELECT m.id, m.state, m.reason, length(unpacked(p.payload))"
PRUNABLE = read(
    _PRUNABLE,
    "FROM (SELECT id, state, reason FROM messages AS w WHERE state = $1 AND encounter IS NULL AND id > $2 AND id < $3",
    "AND (state <> 'unused' OR NOT EXISTS",
    "(SELECT 1 FROM resources AS r WHERE r.message = w.id AND r.newest = 1))",
    "ORDER BY id LIMIT $4) AS m JOIN payloads AS p ON p.id = m.id ORDER BY m.id",
)
"""A patient or a coverage says nothing by itself, and stays for what refers to it: its newest version is not pruned."""
PRUNABLE_OF = read(
    _PRUNABLE, "FROM messages AS m JOIN payloads AS p ON p.id = m.id WHERE m.encounter = $1 ORDER BY m.id"
)
SETTLED = read(
    "SELECT key, version, changed FROM encounters",
    "WHERE stage || '' = 'accepted' AND (pruned IS NULL OR pruned <= changed) AND changed < $1",
    "AND changed >= $2 AND (changed > $2 OR key > $3) ORDER BY changed, key LIMIT $4",
)

_HIGHEST = 2**63 - 1

Found = Sequence[Any]
Value = str | int | bytes | None | Sequence[str] | Sequence[int]


class UpkeepReads(ABC):
    """The part of a store's reading half that upkeep works on."""

    @abstractmethod
    async def _rows(self, read: Read, *values: Value) -> Sequence[Found]:
        """Run a short look-up."""

    @abstractmethod
    async def _scan(self, read: Read, *values: Value) -> Sequence[Found]:
        """Run a statement that reads a page of many rows."""

    async def oldest_pending(self) -> datetime | None:
        rows = await self._rows(OLDEST_PENDING)
        return instant(rows[0][0]) if rows else None

    async def heard_from(self, feed: str, after: int) -> datetime | None:
        rows = await self._scan(HEARD_FROM, feed, after)
        return instant(rows[0][0]) if rows else None

    async def configurations(self, before: int | None = None, limit: int = 50) -> list[ConfigurationVersion]:
        rows = await self._scan(CONFIGURATIONS, _HIGHEST if before is None else before, limit)
        return [_version(row) for row in rows]

    async def configuration(self, number: int) -> ConfigurationVersion | None:
        rows = await self._rows(CONFIGURATION, number)
        return _version(rows[0]) if rows else None

    async def configuration_in_force(self, node: int) -> ConfigurationVersion | None:
        rows = await self._rows(CONFIGURATION_IN_FORCE, node)
        return _version(rows[0]) if rows else None

    async def alerts(self) -> list[Alert]:
        return [_alert(row) for row in await self._rows(ALERTS)]

    async def work_pass(self, name: str) -> Pass | None:
        rows = await self._rows(PASS, name)
        if not rows:
            return None
        name_, about, place, done, changed = rows[0]
        return Pass(name_, about, place, bool(done), instant(changed))

    async def prunable(self, state: MessageState, after: int, below: int, limit: int) -> list[Prunable]:
        return [_prunable(row) for row in await self._scan(PRUNABLE, state.value, after, below, limit)]

    async def prunable_of(self, encounter: str) -> list[Prunable]:
        return [_prunable(row) for row in await self._scan(PRUNABLE_OF, encounter)]

    async def settled(self, before: datetime, after: tuple[datetime, str] | None, limit: int) -> list[Settled]:
        changed, key = (micros(after[0]), after[1]) if after is not None else (0, "")
        rows = await self._scan(SETTLED, micros(before), changed, key, limit)
        return [Settled(row[0], row[1], instant(row[2])) for row in rows]


def _version(row: Found) -> ConfigurationVersion:
    number, node, digest, state, actor, written, *body = row
    files = orjson.loads(body[0]) if body else {}
    return ConfigurationVersion(number, node, digest, VersionState(state), actor, instant(written), files)


def _alert(row: Found) -> Alert:
    node, name, subject, state, since, said, told = row
    return Alert(node, AlertName(name), subject, AlertState(state), instant(since), said, bool(told))


def _prunable(row: Found) -> Prunable:
    id_, state, reason, size = row
    return Prunable(id_, MessageState(state), reason, size)
