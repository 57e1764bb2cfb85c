"""Building an encounter again from its kept messages: when one came late, took another back, or was taken again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.encounter.change import Change, Content
from gateway.encounter.history import Said, build
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.merge import Merges, merged_change
from gateway.encounter.model import Encounter
from gateway.mappings.errors import MappingError, Unused
from gateway.message import Message

AT_ONCE = 20
"""Messages read before the loop may turn."""
UNBUILT = "history"


class Reader(Protocol):
    """Reads and maps the messages of one format."""

    async def __call__(self, message: Message) -> Change | Merges | Unused:
        """What the message says. Raises MappingError when it cannot be used."""
        ...


class Messages(Protocol):
    """The part of the store that history is read from."""

    async def message(self, id: int) -> Message | None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """What one kept message says, and when it arrived."""

    read: Change | Merges
    received: datetime


@dataclass(frozen=True, slots=True)
class Built:
    """An encounter as all its messages make it, and the contents of the documents that they brought."""

    encounter: Encounter
    contents: tuple[Content, ...]


class Builder:
    """Reads messages again, by the mappings in force, and makes encounters of them."""

    def __init__(self, messages: Messages, readers: Mapping[str, Reader]) -> None:
        self._messages = messages
        self._readers = readers

    async def told(self, ids: Iterable[int]) -> list[Told]:
        """What the kept messages say by now. MappingError when one of them is gone or cannot be read any more."""
        found = []
        for count, id in enumerate(dict.fromkeys(ids), start=1):
            found.append(await self._again(id))
            if count % AT_ONCE == 0:
                await asyncio.sleep(0)
        return found

    async def _again(self, id: int) -> Told:
        message = await self._messages.message(id)
        if message is None or not message.payload:
            raise MappingError(
                UNBUILT, "", f"message {id} of the encounter's history was pruned; change the encounter by hand"
            )
        try:
            read = await self._readers[message.format](message)
        except MappingError as error:
            text = f"message {id} of the encounter's history cannot be read any more ({error}); mend the mapping"
            raise MappingError(UNBUILT, "", text) from error
        if isinstance(read, Unused):
            text = f"message {id} of the encounter's history is not used any more; mend the mapping"
            raise MappingError(UNBUILT, "", text)
        return Told(read, message.received)

    async def again(self, encounter: Encounter, *told: Told, without: Sequence[int] = ()) -> Built:
        """The encounter of its history and of what is told besides, `without` some of its messages."""
        known = await self.told(entry.message for entry in encounter.history if entry.message not in without)
        return made(encounter.key, (*known, *told))


def made(key: EncounterKey, told: Sequence[Told]) -> Built:
    """The encounter that these messages make."""
    said = said_of(key, told)
    contents = {c.digest: c for each in said for c in each.change.contents}
    return Built(build(key, said), tuple(contents.values()))


def said_of(key: EncounterKey, told: Sequence[Told]) -> list[Said]:
    """What each message says of the encounter of `key`; a message counts once."""
    numbers = tuple({i for each in told if isinstance(each.read, Change) for i in each.read.identifiers})
    found = {each.read.message: Said(_change(each.read, key, numbers), each.received) for each in told}
    return list(found.values())


def _change(read: Change | Merges, key: EncounterKey, numbers: Sequence[Identifier]) -> Change:
    return read if isinstance(read, Change) else merged_change(read, key, numbers)
