"""Where a canonical value comes from: the messages that said it, the last of them first, and the place in each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from gateway.case import Case
from gateway.encounter.change import Change, Items
from gateway.encounter.history import in_order
from gateway.encounter.model import Encounter
from gateway.encounter.values import GROUPS, LISTS, fields_of, text_of
from gateway.message import Message
from gateway.pipeline.building import Builder, Reader, said_of

_PATH = re.compile(r"(?P<group>[a-z_]+)(?:\[(?P<item>[^\]]{1,200})\])?(?:\.(?P<field>[a-z_.]+))?")


class UnknownField(Exception):
    """The encounter has no such field. Says what there is."""


class Kept(Protocol):
    """The part of the store that explanations are read from."""

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]: ...

    async def message(self, id: int) -> Message | None: ...


@dataclass(frozen=True, slots=True)
class Saying:
    """A message that said a value, and where in it."""

    message: int
    feed: str
    type: str
    received: datetime
    place: str
    mapping: str
    """The version of the mapping by which the message was read when it was taken."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A canonical value, and who said it: the message that counts first, then those that it overruled."""

    path: str
    value: str | None
    said: tuple[Saying, ...]


class Explaining:
    """Explains the values of encounters."""

    def __init__(self, store: Kept, readers: Mapping[str, Reader]) -> None:
        self._store = store
        self._builder = Builder(store, readers)

    async def explain(self, key: str, field: str = "") -> list[Explained] | None:
        """The values at `field`, as `visit.discharged`, `charges[0]` or `charges[T1].code`; all when it is empty.

        None when there is no such encounter. UnknownField, and MappingError when a message of its history cannot be
        read any more.
        """
        encounter = (await self._store.cases([key]))[key].encounter
        if encounter is None:
            return None
        wanted = _wanted(encounter, field)
        sayings = await self._sayings(encounter)
        values = [(path, value) for path, value in _values(encounter) if value is not None or _of(path, sayings)]
        found = [
            Explained(_shown(encounter, path), text_of(value), _of(path, sayings))
            for path, value in values
            if _is_at(path, wanted)
        ]
        if not found:
            raise UnknownField(f"the encounter says nothing of {field}; `gateway explain {key}` lists what it says")
        return found

    async def _sayings(self, encounter: Encounter) -> dict[str, list[Saying]]:
        """Canonical path, items by their ids -> who said it, the last first."""
        told = await self._builder.told(entry.message for entry in encounter.history)
        mappings = {entry.message: entry.mapping for entry in encounter.history}
        found: dict[str, list[Saying]] = {}
        for change, _ in in_order(said_of(encounter.key, told)):
            message = await self._store.message(change.message)
            if message is None:
                continue
            for path, place in _said(change):
                saying = Saying(
                    message.id, message.feed, message.type, message.received, place, mappings.get(message.id, "")
                )
                found.setdefault(path, []).insert(0, saying)
        return found


def _said(change: Change) -> Iterator[tuple[str, str]]:
    """Each path that the message says, its items by their ids, with its place."""
    for path, place in change.origins().items():
        match = _PATH.fullmatch(path)
        if match is None or match["item"] is None:
            yield path, place
            continue
        items = getattr(change, match["group"], None)
        position = int(match["item"])
        if isinstance(items, Items) and position < len(items.items):
            yield f"{match['group']}[{items.items[position].id}].{match['field']}", place


def _of(path: str, sayings: Mapping[str, list[Saying]]) -> tuple[Saying, ...]:
    """Who said the value, or parts of it: a charge's providers stand under their roles."""
    found = [saying for part, said in sayings.items() if part == path or part.startswith(path + ".") for saying in said]
    return tuple(sorted(dict.fromkeys(found), key=found.index))


def _values(encounter: Encounter) -> Iterator[tuple[str, object]]:
    """Every value of the encounter that messages say, by its path; items by their ids."""
    for group in GROUPS:
        yield from fields_of(group, getattr(encounter, group))
    for provider in encounter.providers:
        yield f"providers.{provider.role}", provider
    for name in LISTS:
        for item in getattr(encounter, name):
            yield from fields_of(f"{name}[{item.id}]", item)


def _wanted(encounter: Encounter, field: str) -> str:
    """`field` with an item's id in place of its number."""
    match = _PATH.fullmatch(field) if field else None
    if field and match is None:
        raise UnknownField(f"{field[:80]!r} is not a field; write it as visit.discharged or charges[0].code")
    if match is None or match["item"] is None or not match["item"].isdecimal():
        return field
    items: Any = getattr(encounter, match["group"], ()) if match["group"] in LISTS else ()
    position = int(match["item"])
    if position >= len(items):
        return field
    rest = f".{match['field']}" if match["field"] else ""
    return f"{match['group']}[{items[position].id}]{rest}"


def _is_at(path: str, wanted: str) -> bool:
    return not wanted or path == wanted or path.startswith((wanted + ".", wanted + "["))


def _shown(encounter: Encounter, path: str) -> str:
    """The path with the item's number, as the encounter shows it."""
    match = _PATH.fullmatch(path)
    if match is None or match["item"] is None:
        return path
    ids = [item.id for item in getattr(encounter, match["group"])]
    return f"{match['group']}[{ids.index(match['item'])}].{match['field']}"
