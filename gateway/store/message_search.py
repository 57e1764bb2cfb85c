"""The search over messages: from the narrowest index, a page at a time, and never for longer than a second.

What a search looks at is bounded, whatever it asks for: what the index cannot narrow is looked at in pages of some
thousand messages, newest first, until enough is found or the bounds are reached. The answer says where to go on.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.clock import first_id
from gateway.message import Message, MessageState
from gateway.store import records
from gateway.store import search_statements as statements
from gateway.store.instants import instant, micros_or_none
from gateway.store.interface import AsideGroup, MessagePage, MessageSearch
from gateway.store.statements import Read
from gateway.store.texts import plain, plain_or_none

SECONDS = 0.6
"""When a search takes no further page. One more page and its messages fit into the rest of a second."""
PAGE = 2_000
PAGE_OF_TEXT = 250
"""Messages that one statement looks at: in their payloads, far fewer."""
MOST_IDS = 5_000
MOST_IDS_OF_TEXT = 500
"""Messages of one number, encounter or control id that are looked through at once."""
MOST_KINDS = 500
MOST_GROUPS = 5_000
SKEW = 3_600_000 << 22
"""In ids, an hour: an id is given a moment before its message is received, and this far apart the two may be."""

_NEWEST_ID = 2**63 - 1
_KIND = 7
_LAST = "\U0010ffff"
_RARE = frozenset({MessageState.RECEIVED, MessageState.SET_ASIDE, MessageState.UNUSED, MessageState.REPLAYED})

Value = str | int | bytes | None | Sequence[str] | Sequence[int]


class Way(NamedTuple):
    """An index to walk along. `values` name the place in it; `kind` and `ids` are what the page statement is told."""

    page: Read
    within: Read
    edge: Read | None
    values: tuple[str, ...] = ()
    feed: str | None = None
    kind: str | None = None
    ids: tuple[int, ...] | None = None
    narrows: bool = False
    """Nothing but the index and the time is asked for: whatever it gives is an answer."""


@dataclass(slots=True)
class _Allowance:
    """What a search may still look at."""

    messages: int
    ends: float

    def spend(self, messages: int) -> bool:
        """Whether there is anything left after so many."""
        self.messages -= messages
        return self.messages > 0 and time.perf_counter() < self.ends


class _Walked(NamedTuple):
    """What a walk found, and the lowest id down to which it looked; `whole` when nothing is left below."""

    found: list[Message]
    bottom: int
    whole: bool


class MessageSearching(ABC):
    """The part of a store that finds messages. An engine says how a statement is run."""

    @abstractmethod
    async def _walk(self, read: Read, *values: Value) -> Sequence[records.Found]:
        """Run a statement that looks at many rows, beside what else goes on."""

    async def search_messages(self, search: MessageSearch) -> MessagePage:
        """Newest first, without payloads; see `MessagePage.next` for how to go on."""
        search = _bounded(search)
        allowance = _Allowance(search.scan, time.perf_counter() + SECONDS)
        walks = [await self._along(way, search, allowance) for way in await self._ways(search)]
        return _joined(walks, search.limit)

    async def set_aside(self) -> list[AsideGroup]:
        """By feed and rule; a rule is the reason's beginning, up to its place or text."""
        groups: dict[tuple[str, str], AsideGroup] = {}
        for feed, reason, count, lowest, highest, oldest, newest in await self._walk(statements.ASIDE, MOST_GROUPS):
            rule = rule_of(reason)
            ids = (highest,) if lowest == highest else (highest, lowest)
            group = AsideGroup(feed, rule, reason or "", count, instant(oldest), instant(newest), ids)
            known = groups.get((feed, rule))
            groups[feed, rule] = group if known is None else _together(known, group)
        return sorted(groups.values(), key=lambda group: -group.count)

    async def attempts(self, message: int) -> list[int]:
        return [row[0] for row in await self._walk(statements.ATTEMPTS, message)]

    async def encounters_with(self, values: Sequence[str], authority: str | None = None) -> list[str]:
        wanted = list(dict.fromkeys(map(plain, values)))
        if not wanted:
            return []
        rows = await self._walk(statements.ENCOUNTERS_WITH, wanted, plain_or_none(authority))
        return [row[0] for row in rows]

    # The way in

    async def _ways(self, search: MessageSearch) -> list[Way]:
        """Where to look: at a few messages by their ids, else along the index that leaves the fewest."""
        ids = await self._ids(search)
        if ids is not None:
            return [Way(statements.PAGE_OF_IDS, statements.TEXT_OF_IDS, None, ids=ids)] if ids else []
        if search.state in _RARE:
            alone = not (search.feed or search.type or search.rule or search.control or search.text)
            return [
                Way(
                    statements.PAGE_OF_STATE,
                    statements.TEXT_OF_STATE,
                    statements.EDGE_OF_STATE,
                    (search.state.value,) if search.state else (),
                    search.feed,
                    narrows=alone,
                )
            ]
        if search.feed or search.type:
            return [_of_kind(feed, kind, search) for feed, kind in await self._kinds(search)]
        alone = not (search.state or search.rule or search.control or search.text)
        return [Way(statements.PAGE_OF_ALL, statements.TEXT_OF_ALL, statements.EDGE_OF_ALL, narrows=alone)]

    async def _ids(self, search: MessageSearch) -> tuple[int, ...] | None:
        """The ids of the few messages that can be meant; None when they are many, or anything may be meant."""
        (before, floor), most = _span(search), _most(search)
        if search.number is not None:
            authority, bar, value = search.number.rpartition("|")
            keys = await self.encounters_with([value], authority if bar else None)
            rows = await self._walk(statements.IDS_OF_NUMBER, keys, plain(value), before, floor, most)
            return tuple(row[0] for row in rows)
        if search.encounter is not None:
            rows = await self._walk(statements.IDS_OF_ENCOUNTER, plain(search.encounter), before, floor, most)
            return tuple(row[0] for row in rows)
        if search.control:
            control = plain(search.control)
            rows = await self._walk(statements.IDS_OF_CONTROL, control, control + _LAST, most)
            return tuple(row[0] for row in rows) if len(rows) < most else None
        return None

    async def _kinds(self, search: MessageSearch) -> list[tuple[str, str]]:
        wanted = (search.type or "")[:_KIND]
        return [
            (feed, kind)
            for feed, kind in await self._walk(statements.KINDS, MOST_KINDS)
            if search.feed in (None, feed) and kind.startswith(wanted)
        ]

    # Along it

    async def _along(self, way: Way, search: MessageSearch, allowance: _Allowance) -> _Walked:
        """The newest messages of a way that are meant, at most `search.limit`."""
        before, floor = _span(search)
        found: list[Message] = []
        size = PAGE_OF_TEXT if search.text is not None else PAGE
        while True:
            edge = await self._edge(way, before, floor, size)
            found += await self._page(way, search, before, edge, search.limit - len(found))
            if len(found) >= search.limit:
                return _Walked(found, found[-1].id, whole=False)
            if way.ids is not None and len(way.ids) == _most(search):
                return _Walked(found, way.ids[-1], whole=False)
            if edge <= floor:
                return _Walked(found, floor, whole=True)
            if not allowance.spend(size):
                return _Walked(found, edge, whole=False)
            before = edge

    async def _edge(self, way: Way, before: int, floor: int, size: int) -> int:
        """The id down to which the next page goes: `floor` when what is left can be looked at in one."""
        if way.edge is None or way.narrows:
            return floor
        rows = await self._walk(way.edge, before, floor, size, *way.values)
        return int(rows[0][0]) if rows else floor

    async def _page(self, way: Way, search: MessageSearch, before: int, floor: int, limit: int) -> list[Message]:
        values: tuple[Value, ...] = (
            before,
            floor,
            limit,
            search.state.value if search.state else None,
            way.feed if way.feed is not None else search.feed,
            way.kind,
            plain_or_none(search.type),
            plain_or_none(search.control),
            plain_or_none(search.encounter),
            micros_or_none(search.since),
            micros_or_none(search.until),
            plain_or_none(search.rule),
            way.ids,
        )
        if search.text is None:
            rows = await self._walk(way.page, *values)
        else:
            rows = await self._walk(way.within, *values, *_encoded(search.text))
        return [records.message(row) for row in rows]


def rule_of(reason: str | None) -> str:
    """`charge-unmapped at FT1[1]-7: the charge...` -> `charge-unmapped`."""
    return (reason or "").partition(":")[0].partition(" at ")[0].strip()


def _of_kind(feed: str, kind: str, search: MessageSearch) -> Way:
    whole = search.type is None or len(search.type) <= _KIND
    alone = whole and not (search.state or search.rule or search.control or search.text)
    return Way(
        statements.PAGE_OF_KIND,
        statements.TEXT_OF_KIND,
        statements.EDGE_OF_KIND,
        (feed, kind),
        feed,
        kind,
        narrows=alone,
    )


def _bounded(search: MessageSearch) -> MessageSearch:
    """Empty words restrict nothing."""
    return replace(search, type=search.type or None, control=search.control or None, text=search.text or None)


def _most(search: MessageSearch) -> int:
    return MOST_IDS if search.text is None else MOST_IDS_OF_TEXT


def _span(search: MessageSearch) -> tuple[int, int]:
    """(before, floor): the ids among which everything asked for stands."""
    before = search.before if search.before is not None else _NEWEST_ID
    if search.until is not None:
        before = min(before, first_id(search.until) + SKEW)
    return before, max(0, first_id(search.since) - SKEW) if search.since is not None else 0


def _encoded(text: str) -> tuple[bytes, bytes | None]:
    """The text in UTF-8, and in Latin-1 where that is something else."""
    first = text.encode("utf-8", "replace")
    try:
        second = text.encode("latin-1")
    except UnicodeEncodeError:
        return first, None
    return first, second if second != first else None


def _joined(walks: Sequence[_Walked], limit: int) -> MessagePage:
    """The newest of all. Below the highest place where a walk stopped, nothing is shown that another may precede."""
    bottom = max((walk.bottom for walk in walks if not walk.whole), default=None)
    found = sorted((message for walk in walks for message in walk.found), key=lambda message: -message.id)
    shown = [message for message in found if bottom is None or message.id >= bottom]
    if len(shown) > limit or (len(shown) == limit and bottom is not None):
        shown = shown[:limit]
        return MessagePage(tuple(shown), shown[-1].id)
    return MessagePage(tuple(shown), bottom)


def _together(one: AsideGroup, other: AsideGroup) -> AsideGroup:
    """Two reasons of one rule; the text stays that of the newer."""
    return replace(
        one,
        count=one.count + other.count,
        oldest=min(one.oldest, other.oldest),
        newest=max(one.newest, other.newest),
        examples=tuple(dict.fromkeys((*one.examples, *other.examples)))[:3],
    )
