"""The feeds' code tables while the gateway runs: what they say, what analysts add to them, which codes wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from pydantic import ValidationError

from gateway.audit.events import Action, Event
from gateway.clock import Clock
from gateway.logs import logger
from gateway.lookup import CHARGE_CODES, Lookup, UnmappedCode
from gateway.mappings.errors import MappingError
from gateway.mappings.hl7v2.dialect import ChargeCode, Dialect
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.store.interface import Conflict, Step, Store, StoreFault

log = logger("code_tables")

LONGEST = 80
AT_ONCE = 100
"""Encounters that are built again in one go."""
MOST_TRIED = 100_000
GATEWAY = "gateway"


class NoSuchEntry(Exception):
    """The feed, the table or the value is not one that there is. Says what there is."""


class Profiles(Protocol):
    """Who reads HL7 v2 by the feeds' profiles."""

    @property
    def profiles(self) -> Mapping[str, FeedProfile]:
        """By the feed's name, without what analysts added."""
        ...

    @property
    def in_force(self) -> Mapping[str, FeedProfile]:
        """By the feed's name, with what analysts added."""
        ...

    def add(self, lookups: Sequence[Lookup]) -> None:
        """Read by the profiles with these entries from now on, in place of those that were added before."""
        ...


class Rebuilding(Protocol):
    async def rebuild(self, key: str, actor: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a table. `source` is `dialect`, or who mapped it."""

    feed: str
    table: str
    code: str
    value: str
    source: str


class CodeTables:
    """What analysts do with code tables. What they map is in force at once, and what waited for it goes on."""

    def __init__(self, store: Store, reader: Profiles, rebuilding: Rebuilding, clock: Clock) -> None:
        self._store = store
        self._reader = reader
        self._rebuilding = rebuilding
        self._clock = clock
        self._tried: set[tuple[str, str]] = set()
        """Encounters built again by a version of a dialect: the same would only come to the same."""

    async def load(self) -> None:
        """Read by what stands in the store."""
        self._reader.add(await self._store.lookups())

    async def unmapped(self) -> list[UnmappedCode]:
        """The worklist: codes that no table has, those that most encounters wait for first."""
        return await self._store.unmapped()

    async def entries(self, feed: str, table: str | None = None, value: str | None = None) -> list[Entry]:
        """The tables of a feed; with a `value`, only the sender's codes that mean it. NoSuchEntry for the feed."""
        profile = self._profile(feed)
        added = {(e.table, e.code): e for e in await self._store.lookups() if e.feed == feed}
        found = [
            Entry(feed, name, code, said, "dialect")
            for name, code, said in _of_dialect(profile)
            if (name, code) not in added
        ]
        found += [Entry(feed, e.table, e.code, e.value or "", e.actor) for e in added.values()]
        return sorted(
            (e for e in found if table in (None, e.table) and (value is None or _means(e.value, value))),
            key=lambda e: (e.table, e.code),
        )

    async def set(self, feed: str, table: str, code: str, value: str | None, actor: str) -> int:
        """Map `code` to `value`, or take back what was mapped (None). How many encounters that waited went on at once;
        `go_on` sees to the others.

        NoSuchEntry when there is no such feed, table or value.
        """
        profile = self._profile(feed)
        if not code or len(code) > LONGEST or not code.isprintable():
            raise NoSuchEntry(f"a code has 1 to {LONGEST} printable characters")
        if value is not None:
            _check(profile.dialect, table, value)
        now = self._clock.now()
        lookup = Lookup(feed, table, code, value, actor, now)
        event = Event(
            now, actor, Action.LOOKUP_CHANGED, f"lookup/{feed}/{table}", detail={"code": code, "value": value}
        )
        await self._store.commit(Step(lookups=[lookup], events=[event]))
        await self.load()
        if value is None:
            return 0
        waiting = await self._store.waiting_for(feed, table, code, "", AT_ONCE)
        return sum([await self._one(key, actor) for key in waiting])

    async def go_on(self) -> None:
        """Build again what waits for codes that are mapped by now: here, or in a dialect that was taken over since."""
        left = AT_ONCE
        for line in await self._store.unmapped():
            profile = self._reader.in_force.get(line.feed)
            if profile is None or not _is_mapped(profile, line):
                continue
            for key in await self._store.waiting_for(line.feed, line.table, line.code, "", 10 * AT_ONCE):
                tried = (key, profile.dialect.version)
                if tried in self._tried:
                    continue
                if left == 0:
                    return
                left -= 1
                if len(self._tried) >= MOST_TRIED:
                    self._tried.clear()
                self._tried.add(tried)
                await self._one(key, GATEWAY)

    async def _one(self, key: str, actor: str) -> bool:
        """One encounter that waited. One that cannot be built keeps its hold, and is told in the log."""
        try:
            return await self._rebuilding.rebuild(key, actor)
        except StoreFault:
            raise
        except (Conflict, MappingError) as fault:
            log.warning("code_tables.still_waits", encounter=key, fault=type(fault).__name__)
            return False

    def _profile(self, feed: str) -> FeedProfile:
        profile = self._reader.profiles.get(feed)
        if profile is None:
            known = ", ".join(sorted(self._reader.profiles)) or "none"
            raise NoSuchEntry(f"there is no HL7 v2 feed of this name; there are: {known}")
        return profile


def _check(dialect: Dialect, table: str, value: str) -> None:
    """NoSuchEntry when the dialect has no such table, or the table no such value."""
    if table == CHARGE_CODES:
        try:
            ChargeCode.model_validate(orjson.loads(value))
        except (ValidationError, orjson.JSONDecodeError):
            raise NoSuchEntry(
                'a charge code is mapped to a JSON object, as {"code": "71046", "system": "cpt"}'
            ) from None
        return
    if table not in dialect.table_names:
        known = ", ".join(sorted({*dialect.table_names, CHARGE_CODES}))
        raise NoSuchEntry(f"the feed's dialect has no table of this name; it has: {known}")
    allowed = dialect.meanings(table)
    if allowed is not None and value not in allowed:
        raise NoSuchEntry(f"not a value of {table}; write one of: {', '.join(allowed)}")


def _is_mapped(profile: FeedProfile, line: UnmappedCode) -> bool:
    dialect, code = profile.dialect, line.code.upper()
    known = dialect.charge_codes if line.table == CHARGE_CODES else dialect.tables.get(line.table, {})
    return any(each.upper() == code for each in known)


def _of_dialect(profile: FeedProfile) -> Iterable[tuple[str, str, str]]:
    for name, table in profile.dialect.tables.items():
        for code, value in table.items():
            if value is not None:
                yield name, code, value
    for code, charge in profile.dialect.charge_codes.items():
        yield CHARGE_CODES, code, charge.model_dump_json(exclude_none=True)


def _means(value: str, wanted: str) -> bool:
    """Whether an entry's value is the one looked for: of a charge code, the code that it is billed as."""
    if value.startswith("{"):
        return str(orjson.loads(value).get("code", "")).upper() == wanted.upper()
    return value.casefold() == wanted.casefold()
