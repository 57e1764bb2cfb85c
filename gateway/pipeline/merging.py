"""Merges and moves: which encounters a retired number leads to, and what becomes of each.

What is merged is not copied: the messages of both encounters become the messages of one, which is built again from
them, so that a later move of a visit back to its old account undoes it as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gateway.case import Case
from gateway.encounter.apply import apply
from gateway.encounter.change import Change, Content
from gateway.encounter.history import must_build
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.merge import Merge, MergeKind, Merges, merged_change
from gateway.encounter.model import Encounter
from gateway.encounter.renumbering import Numbered, current, same_number
from gateway.mappings.errors import MappingError
from gateway.pipeline.building import Builder, Told, made
from gateway.pipeline.resolution import ACCOUNT, VISIT

MOST_ENCOUNTERS = 500
"""A number that leads to more encounters is not a patient's or an account's: a person must look."""

_NAMES = {ACCOUNT: Numbered.ACCOUNT, VISIT: Numbered.VISIT}
_TYPES = {MergeKind.ACCOUNT: ACCOUNT, MergeKind.VISIT: VISIT}


class Cases(Protocol):
    """The part of the store that merges look encounters up in."""

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]: ...

    async def encounters_having(self, number: tuple[str, str, str, str], limit: int) -> list[str]: ...


@dataclass(slots=True)
class Merged:
    """What a message makes of the encounters that it concerns."""

    cases: dict[str, Case] = field(default_factory=dict)
    """As they stood."""
    encounters: dict[str, Encounter] = field(default_factory=dict)
    """As they become; none of them changed when it is empty."""
    contents: list[tuple[str, Content]] = field(default_factory=list)


class Merging:
    """One message of merges, worked out over the store as it stands. Nothing is written here."""

    def __init__(self, store: Cases, builder: Builder, merges: Merges, received: datetime) -> None:
        self._store = store
        self._builder = builder
        self._merges = merges
        self._received = received
        self._merged = Merged()

    async def work_out(self) -> Merged:
        """All pairs, in their order. MappingError, and nothing changes, when one of them cannot be."""
        for pair in self._merges.pairs:
            if same_number(pair.retired, pair.surviving):
                raise MappingError("merge-into-itself", pair.where, "a number cannot be merged into itself")
            match pair.kind:
                case MergeKind.PATIENT:
                    await self._patient(pair)
                case MergeKind.ACCOUNT | MergeKind.VISIT:
                    await self._number(pair, _TYPES[pair.kind])
                case MergeKind.MOVE_ACCOUNT:
                    for key in await self._keys(_subject(pair), ACCOUNT):
                        self._take(key, await self._changed(key))
                case MergeKind.MOVE_VISIT:
                    await self._move_visit(pair)
        return self._merged

    async def _patient(self, pair: Merge) -> None:
        retired, surviving = await self._keys(pair.retired), await self._keys(pair.surviving)
        self._refuse_reversed(pair, Numbered.PATIENT, {*retired, *surviving})
        for key in retired:
            if any(same_number(i, pair.retired) for i in self._encounter(key).patient.identifiers):
                self._take(key, await self._changed(key))

    async def _number(self, pair: Merge, type: str) -> None:
        names = _NAMES[type]
        retired, surviving = await self._keys(pair.retired, type), await self._keys(pair.surviving, type)
        self._refuse_reversed(pair, names, {*retired, *surviving})
        target = next((key for key in surviving if _is_keyed(key, pair.surviving)), None)
        for key in retired:
            encounter = self._encounter(key)
            if current(pair.retired, names, encounter.renumbered) == pair.surviving:
                continue
            if target in (None, key) or not _is_keyed(key, pair.retired):
                self._take(key, await self._changed(key))
            else:
                await self._join(key, str(target))

    async def _join(self, key: str, target: str) -> None:
        """All that was said of `key` is said of `target` from now on."""
        gone, stays = self._encounter(key), self._encounter(target)
        ids = [entry.message for entry in (*stays.history, *gone.history)]
        built = made(stays.key, [*await self._builder.told(ids), self._told()])
        self._take(target, built.encounter)
        self._merged.contents += [(target, content) for content in built.contents]
        self._take(key, gone.model_copy(update={"merged_into": target, "identifiers": ()}))

    async def _move_visit(self, pair: Merge) -> None:
        """A visit of an account: its messages go along, when encounters are the accounts."""
        subject = _subject(pair)
        for key in await self._keys(subject, VISIT):
            if _is_keyed(key, pair.surviving):
                continue
            if not _is_keyed(key, pair.retired):
                self._take(key, await self._changed(key))
                continue
            await self._split(key, subject, pair.surviving)

    async def _split(self, key: str, visit: Identifier, account: Identifier) -> None:
        encounter = self._encounter(key)
        told = await self._builder.told(entry.message for entry in encounter.history)
        moved = [each for each in told if _is_of(each, visit)]
        if not moved:
            raise MappingError("move-unknown", "PV1-19", "no message of the old account names the visit that moves")
        target = EncounterKey(encounter.key.facility, account.authority or "", account.value)
        await self._load([str(target)])
        standing = self._encounter_or_none(str(target))
        known = await self._builder.told(entry.message for entry in standing.history) if standing else []
        built = made(target, [*known, *moved, self._told()])
        self._take(str(target), built.encounter)
        self._merged.contents += [(str(target), content) for content in built.contents]
        rest = [each for each in told if each not in moved]
        self._take(key, made(encounter.key, [*rest, self._told()]).encounter)

    async def _changed(self, key: str) -> Encounter:
        """The encounter with its numbers as the message says."""
        encounter = self._encounter(key)
        change = merged_change(self._merges, encounter.key, encounter.identifiers)
        if any(entry.message == change.message for entry in encounter.history):
            return encounter
        if must_build(encounter, change, self._received):
            return (await self._builder.again(encounter, self._told())).encounter
        return apply(encounter, change, self._received)

    def _told(self) -> Told:
        return Told(self._merges, self._received)

    def _refuse_reversed(self, pair: Merge, names: Numbered, keys: Iterable[str]) -> None:
        for key in keys:
            for each in self._encounter(key).renumbered:
                merged = each.names is names and not each.moved
                if merged and same_number(each.retired, pair.surviving) and same_number(each.surviving, pair.retired):
                    text = "the surviving number was itself merged into the retired one before: the pair is reversed"
                    raise MappingError("merge-reversed", pair.where, text)

    async def _keys(self, number: Identifier, type: str | None = None) -> list[str]:
        """The encounters that `number` leads to, loaded; those that merges emptied are left out."""
        wanted = (self._merges.facility, type or number.type or "", number.authority or "", number.value)
        keys = await self._store.encounters_having(wanted, MOST_ENCOUNTERS + 1)
        if len(keys) > MOST_ENCOUNTERS:
            text = f"its number leads to more than {MOST_ENCOUNTERS} encounters: no message changes as many"
            raise MappingError("merge-too-wide", "MRG", text)
        await self._load(keys)
        return [key for key in keys if (found := self._encounter_or_none(key)) and not found.merged_into]

    async def _load(self, keys: Iterable[str]) -> None:
        wanted = [key for key in keys if key not in self._merged.cases]
        if wanted:
            self._merged.cases.update(await self._store.cases(wanted))

    def _encounter_or_none(self, key: str) -> Encounter | None:
        return self._merged.encounters.get(key) or self._merged.cases[key].encounter

    def _encounter(self, key: str) -> Encounter:
        encounter = self._encounter_or_none(key)
        if encounter is None:
            raise ValueError(f"a number leads to encounter {key}, which does not stand")
        return encounter

    def _take(self, key: str, encounter: Encounter) -> None:
        if encounter is not self._encounter_or_none(key):
            self._merged.encounters[key] = encounter


def _subject(pair: Merge) -> Identifier:
    if pair.subject is None:
        raise MappingError("move-unknown", pair.where, "the message does not say what it moves")
    return pair.subject


def _is_keyed(key: str, number: Identifier) -> bool:
    named = EncounterKey.parse(key)
    return (named.authority, named.number) == (number.authority or "", number.value)


def _is_of(told: Told, visit: Identifier) -> bool:
    read = told.read
    return isinstance(read, Change) and any(same_number(each, visit) for each in read.identifiers)
