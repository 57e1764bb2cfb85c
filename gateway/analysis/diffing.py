"""What a candidate mapping would change: kept messages read by it, beside today's. Nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from gateway.case import Case
from gateway.casework import Advanced, Casework, Sampler
from gateway.encounter.change import Change
from gateway.encounter.merge import Merges
from gateway.encounter.model import Encounter
from gateway.encounter.record import Record
from gateway.encounter.values import GROUPS, LISTS, fields_of, text_of
from gateway.mappings.errors import MappingError, Unused
from gateway.message import Message, MessageState
from gateway.pipeline.building import Builder, Reader
from gateway.review.model import HoldState
from gateway.rules import Rules
from gateway.store.interface import MessageSearch, Store

PAGE = 200
_PRIVATE = frozenset({"patient", "guarantor", "coverages"})
"""Groups that hold names, dates of birth, addresses: their values are not shown unless asked for."""
HIDDEN = "(not shown)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One value, by today's mapping and by the candidate; None where one of them has none."""

    path: str
    now: str | None
    then: str | None


@dataclass(frozen=True, slots=True)
class EncounterDiff:
    """An encounter that the candidate would change."""

    key: str
    values: tuple[Difference, ...]
    opened: tuple[str, ...]
    """Holds that would open, by their rules."""
    ended: tuple[str, ...]
    claim: tuple[Difference, ...]
    """What would be billed: lines, total."""


@dataclass(frozen=True, slots=True)
class MessageDiff:
    """A message that would fare otherwise."""

    message: int
    now: str
    then: str


class Diffing:
    """Compares two ways of reading over one store."""

    def __init__(
        self, store: Store, rules: Rules, now: Mapping[str, Reader], then: Mapping[str, Reader], today: datetime
    ) -> None:
        self._store = store
        self._readers = now, then
        self._builders = Builder(store, now), Builder(store, then)
        policy = rules.policy.model_copy(update={"samples": ()})
        self._casework = Casework(policy, rules.edit_context, rules.routes, Sampler({}), count(1).__next__)
        self._today = today

    async def messages(
        self, feed: str, since: datetime, seen: Callable[[Message], None] = lambda message: None
    ) -> AsyncIterator[MessageDiff]:
        """The feed's messages since then that would be used, passed over, set aside or addressed otherwise."""
        async for message in self.received(feed, since):
            kept = await self._store.message(message.id)
            seen(message)
            if kept is None or not kept.payload:
                continue
            now, then = [await _outcome(readers[kept.format], kept) for readers in self._readers]
            if now.what != then.what:
                yield MessageDiff(message.id, now.text, then.text)

    async def received(self, feed: str, since: datetime) -> AsyncIterator[Message]:
        """The feed's messages since then, newest first, without payloads and without those taken again since."""
        before: int | None = None
        while True:
            search = MessageSearch(feed=feed, since=since, before=before, limit=PAGE)
            page = await self._store.search_messages(search)
            for message in page.items:
                if message.state is not MessageState.REPLAYED:
                    yield message
            if page.next is None:
                return
            before = page.next

    async def encounter(self, key: str, *, show_values: bool = False) -> EncounterDiff | None:
        """What the candidate makes of the encounter of `key`; None when nothing changes. MappingError when a message
        of its history cannot be read by one of the two.
        """
        case = (await self._store.cases([key]))[key]
        if case.encounter is None or case.encounter.merged_into is not None:
            return None
        now, then = [(await builder.again(case.encounter)).encounter for builder in self._builders]
        values = tuple(_differences(now, then, show_values=show_values))
        if not values:
            return None
        before, after = self._advanced(case, now), self._advanced(case, then)
        opened, ended = _open_rules(after) - _open_rules(before), _open_rules(before) - _open_rules(after)
        claim = tuple(_claim(before, after))
        return EncounterDiff(key, values, tuple(sorted(opened)), tuple(sorted(ended)), claim)

    def _advanced(self, case: Case, encounter: Encounter) -> Advanced:
        """What would be decided of the encounter, people's decisions and holds of theirs included."""
        return self._casework.advance(case, encounter=encounter, now=self._today)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What becomes of a message: `what` tells one outcome from another, whatever words tell it."""

    what: tuple[str, ...]
    text: str


async def _outcome(reader: Reader, message: Message) -> _Outcome:
    try:
        read = await reader(message)
    except MappingError as error:
        return _Outcome(("set aside", error.code, error.where), f"set aside: {error}")
    match read:
        case Unused():
            return _Outcome(("not used",), f"not used: {read.reason}")
        case Merges():
            kinds = tuple(str(pair.kind) for pair in read.pairs)
            return _Outcome(("merge", *kinds), "a merge of " + ", ".join(kinds))
        case Change():
            return _Outcome(("encounter", str(read.key)), f"encounter {read.key}")


def _open_rules(advanced: Advanced) -> set[str]:
    return {
        f"{hold.rule} ({hold.subject})" if hold.subject else hold.rule
        for hold in advanced.change.after.holds
        if hold.state is HoldState.OPEN
    }


def _differences(now: Encounter, then: Encounter, *, show_values: bool) -> Iterator[Difference]:
    before, after = dict(_values(now)), dict(_values(then))
    for path in dict.fromkeys((*before, *after)):
        one, other = before.get(path), after.get(path)
        if one == other:
            continue
        if not show_values and path.partition(".")[0].partition("[")[0] in _PRIVATE:
            one, other = one and HIDDEN, other and HIDDEN
        yield Difference(path, one, other)


def _values(encounter: Encounter) -> Iterator[tuple[str, str]]:
    for group in GROUPS:
        yield from _told(group, getattr(encounter, group))
    for position, provider in enumerate(encounter.providers):
        yield from _told(f"providers[{provider.role}{position}]", provider)
    for name in LISTS:
        for item in getattr(encounter, name):
            yield from _told(f"{name}[{item.id}]", item)
    for problem in encounter.problems:
        yield f"problems[{problem.rule} {problem.where}]", problem.text


def _told(path: str, record: Record | None) -> Iterator[tuple[str, str]]:
    """What the record says: a mark that is not set says nothing."""
    for place, value in fields_of(path, record):
        text = text_of(value)
        if text is not None and value is not False:
            yield place, text


def _claim(before: Advanced, after: Advanced) -> Iterator[Difference]:
    now, then = before.change, after.change
    if now.fingerprint == then.fingerprint and now.total == then.total:
        return
    if now.total != then.total:
        yield Difference("total", str(now.total), str(then.total))
    if before.released is not None or after.released is not None:
        one = "released" if before.released is not None else "held"
        yield Difference("claim", one, "released" if after.released is not None else "held")
