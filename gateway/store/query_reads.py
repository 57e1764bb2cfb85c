"""What a store answers about provider queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson

from gateway.encounter.identity import Identifier
from gateway.review.model import Query
from gateway.store import query_statements as asked
from gateway.store import records, statements
from gateway.store.instants import micros
from gateway.store.queries import QueryOrder, QuerySearch, QuerySubject
from gateway.store.query_statements import Asking, Way
from gateway.store.statements import Read
from gateway.store.texts import plain

_HIGHEST = 2**63 - 1
_LOWEST = -_HIGHEST
_DOWN = frozenset({QueryOrder.ASKED_DOWN, QueryOrder.CHANGED_DOWN})
_BROAD = frozenset({Way.ALL, Way.CHANGED, Way.STATUSES})
"""Ways that walk whole indexes when they are counted."""

Value = str | int | bytes | None | Sequence[str] | Sequence[int]


class QueryReads(ABC):
    """The part of a store's reading half that finds queries."""

    @abstractmethod
    async def _rows(self, read: Read, *values: Value) -> Sequence[records.Found]:
        """Run a short look-up."""

    @abstractmethod
    async def _scan(self, read: Read, *values: Value) -> Sequence[records.Found]:
        """Run a statement that reads a page of many rows."""

    @abstractmethod
    async def _walk(self, read: Read, *values: Value) -> Sequence[records.Found]:
        """Run a statement that looks at many rows, beside what else goes on."""

    async def query(self, id: int) -> Query | None:
        rows = await self._rows(statements.QUERY, id)
        return records.query(rows[0][0]) if rows else None

    async def queries(self, search: QuerySearch) -> list[Query]:
        found = await self._by_encounters(search)
        if found is None:
            return []
        page = asked.PAGES[_way_in(found), found.order]
        return [records.query(row[0]) for row in await self._scan(page.read, *_values(page, found))]

    async def count_queries(self, search: QuerySearch) -> int:
        found = await self._by_encounters(search)
        if found is None:
            return 0
        way = _way_in(found)
        count = asked.COUNTS[way]
        run = self._walk if way in _BROAD else self._scan
        return int((await run(count.read, *_values(count, found)))[0][0])

    async def query_versions(self, id: int) -> list[Query]:
        return [records.query(row[0]) for row in await self._scan(asked.VERSIONS, id)]

    async def query_version(self, id: int, version: int) -> Query | None:
        rows = await self._rows(asked.VERSION, id, version)
        return records.query(rows[0][0]) if rows else None

    async def query_subjects(self, keys: Iterable[str]) -> dict[str, QuerySubject]:
        rows = await self._scan(asked.SUBJECTS, list(dict.fromkeys(keys)))
        return {key: _subject(named, claim) for key, named, claim in rows}

    async def encounters_numbered(self, number: str) -> list[str]:
        return [row[0] for row in await self._numbered(asked.OF_VISIT, number)]

    # By what leads to encounters

    async def _by_encounters(self, search: QuerySearch) -> QuerySearch | None:
        """The same search with the encounters that its numbers lead to in their place; None when there are none."""
        if not (search.visits or search.patients or search.claims):
            return search
        ways = []
        if search.visits or search.encounters:
            ways.append({*search.encounters, *await self._leading(asked.OF_VISIT, search.visits)})
        if search.patients:
            ways.append(await self._leading(asked.OF_PATIENT, search.patients))
        if search.claims:
            rows = [row for claim in search.claims for row in await self._scan(asked.OF_CLAIM, plain(claim))]
            ways.append({row[0] for row in rows})
        keys = set.intersection(*ways)
        return replace(search, encounters=tuple(sorted(keys)), visits=(), patients=(), claims=()) if keys else None

    async def _leading(self, read: Read, numbers: Iterable[str]) -> set[str]:
        return {row[0] for number in numbers for row in await self._numbered(read, number)}

    async def _numbered(self, read: Read, number: str) -> Sequence[records.Found]:
        authority, bar, value = number.rpartition("|")
        return await self._scan(read, plain(value), plain(authority) if bar else None)


def _way_in(search: QuerySearch) -> Way:
    """The way that leaves the fewest queries to look at."""
    first = (
        (Way.IDS, search.ids),
        (Way.NUMBERS, search.numbers),
        (Way.ENCOUNTERS, search.encounters),
        (Way.ANSWERED_BY, search.answered_by),
        (Way.ASKED_BY, search.asked_by and search.owners),
    )
    narrow = next((way for way, given in first if given), None)
    if narrow is not None:
        return narrow
    if search.asked_by:
        return Way.ASKERS_STATUSES if search.statuses else Way.ASKERS
    if search.owners:
        return Way.OWNERS_STATUSES if search.statuses else Way.OWNERS
    if search.statuses:
        return Way.STATUSES
    spans = (search.changed_from, search.changed_before, search.changed_not)
    return Way.ALL if all(span is None for span in spans) else Way.CHANGED


def _values(asking: Asking, search: QuerySearch) -> list[Value]:
    down = search.order in _DOWN
    first = _HIGHEST if down else _LOWEST
    not_from, not_before = search.changed_not or (None, None)
    known: dict[str, Value] = {
        "ids": list(search.ids) or None,
        "numbers": _plain(search.numbers),
        "encounters": _plain(search.encounters),
        "owners": _plain(search.owners),
        "statuses": _plain(search.statuses),
        "asked_by": _plain(search.asked_by),
        "answered_by": _plain(search.answered_by),
        "changed_from": micros(search.changed_from) if search.changed_from else _LOWEST,
        "changed_before": micros(search.changed_before) if search.changed_before else _HIGHEST,
        "not_from": micros(not_from) if not_from else 0,
        "not_before": micros(not_before) if not_before else 0,
        "after": search.after if search.after or not down else _HIGHEST,
        "after_changed": micros(search.after_changed) if search.after_changed else first,
        "limit": search.limit,
    }
    return [known[name] for name in asking.takes]


def _plain(values: Sequence[str]) -> list[str] | None:
    return [plain(value) for value in values] or None


def _subject(named: str | None, claim: str | None) -> QuerySubject:
    if named is None:
        return QuerySubject(claim=claim)
    patient, account, visit = orjson.loads(named)
    return QuerySubject(
        tuple(Identifier(**number) for number in patient or ()), _number(account), _number(visit), claim
    )


def _number(written: dict[str, str] | None) -> Identifier | None:
    return Identifier(**written) if written else None
