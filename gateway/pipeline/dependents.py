"""Who was read without a resource that has now come, or with what stood before it.

It is worked out anew from what is kept whenever a resource is processed: nothing of it is stored, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.drawing import ATTACHED, SUPPORTING, named_encounter
from gateway.mappings.fhir.resource import read
from gateway.message import Format, Message, MessageState
from gateway.pipeline.shelf import DEPTH
from gateway.store.interface import ResourceVersion
from gateway.store.resource_reads import MOST_REFERRING

MOST = 5_000
"""Resources that are looked at because of one."""
UNRESOLVED = "unresolved"
"""What the reason begins with of a message whose encounter could not be found."""
_FINDING = frozenset({"Account", "Encounter"})
"""Types by which an encounter is found. Whatever else comes, what waits for one of these waits on."""

LASTING = SUPPORTING - {"Account", "Binary", "Condition", "Procedure"}
"""Types that outlive a visit: when a patient moves, what was billed before is not billed anew."""

_MAIN = ("Encounter", "Claim", "DocumentReference")
_RESTS: Mapping[str, frozenset[str]] = {
    "Account": frozenset({"Encounter"}),
    "Binary": frozenset({"DocumentReference"}),
    "Condition": frozenset({"Encounter", "Claim"}),
    "Coverage": frozenset({"Account", "Claim"}),
    "Encounter": frozenset({"Claim", "DocumentReference"}),
    "Location": frozenset({"Encounter"}),
    "Organization": frozenset({"Claim", "Coverage", "DocumentReference", "Encounter", "PractitionerRole", "Procedure"}),
    "Patient": frozenset({"Account", "Claim", "Coverage", "Encounter"}),
    "Practitioner": frozenset({"Claim", "DocumentReference", "Encounter", "PractitionerRole", "Procedure"}),
    "PractitionerRole": frozenset({"Claim", "DocumentReference", "Encounter", "Procedure"}),
    "Procedure": frozenset({"Claim"}),
    "RelatedPerson": frozenset({"Account", "Coverage"}),
}
"""Type -> the types whose meaning rests on it: a document names its patient, and says the same whoever that is."""
MOST_LATER = 20
"""Versions behind a resource's own that are looked through for it."""
AT_ONCE = 20
"""Messages read together, documents with their contents among them."""


class Kept(Protocol):
    """The part of the store that dependents are found in."""

    async def resource(self, client: str, type: str, id: str, version: int | None = None) -> ResourceVersion | None: ...

    async def referring(self, client: str, reference: str) -> list[ResourceVersion]: ...

    async def whole_messages(self, ids: Sequence[int]) -> dict[int, Message]: ...

    async def attempts(self, message: int) -> list[int]: ...


@dataclass(slots=True)
class Dependents:
    """What is to be done because a resource has come."""

    encounters: dict[str, None] = field(default_factory=dict)
    """Keys of encounters that are built again."""
    unresolved: dict[int, Message] = field(default_factory=dict)
    """Messages that were set aside because their encounter could not be found: they are taken again."""
    lasting: bool = False
    """Whether encounters that were billed are left as they are."""
    more: bool = False
    """Whether there are more than were looked at."""

    def __bool__(self) -> bool:
        return bool(self.encounters or self.unresolved)


async def dependents(store: Kept, message: Message) -> Dependents:
    """Who depends on the resource that `message` brought, through other kept resources too.

    An Encounter concerns only those that could not find it: what it says of the visit it says itself.
    """
    name = message.type.rpartition(" ")[2]
    kind = name.partition("/")[0]
    if message.format is not Format.FHIR or kind not in (*SUPPORTING, "Encounter") or "/" not in name:
        return Dependents()
    if await (_stood(store, message, name) if kind == "Encounter" else _repeats(store, message, name)):
        return Dependents()
    found = await _Search(store, message.feed).run(name, _read(message) if kind in ATTACHED else None)
    if kind == "Encounter":
        found.encounters.clear()
    if kind not in _FINDING:
        found.unresolved.clear()
    found.unresolved.pop(message.id, None)
    found.lasting = kind in LASTING
    return found


async def _stood(store: Kept, message: Message, name: str) -> bool:
    """Whether the Encounter could be found before this message: then nobody waits for it."""
    newest = await store.resource(message.feed, *_parts(name))
    if message.type.startswith("POST ") or newest is None:
        return True
    if newest.version == 1:
        return False
    before = await store.resource(message.feed, *_parts(name), version=newest.version - 1)
    kept = await store.whole_messages([before.message]) if before is not None else {}
    return any(each.state is MessageState.PROCESSED and each.id != message.id for each in kept.values())


async def _repeats(store: Kept, message: Message, name: str) -> bool:
    """Whether the version before said the same and was dealt with: whoever depends on it was read with it. Senders
    write a Practitioner again with each of a thousand Claims.
    """
    if message.replay_of is not None or message.type.startswith("POST "):
        return False
    before = await _before(store, message, name)
    kept = await store.whole_messages([before.message]) if before is not None else {}
    for each in kept.values():
        said, said_before = _read(message), _read(each)
        same = said is not None and said_before is not None and _content(said) == _content(said_before)
        return same and each.state is MessageState.UNUSED
    return False


async def _before(store: Kept, message: Message, name: str) -> ResourceVersion | None:
    """The version before the one that `message` brought."""
    version = await store.resource(message.feed, *_parts(name))
    for _ in range(MOST_LATER):
        if version is None or version.version == 1:
            return None
        before = await store.resource(message.feed, *_parts(name), version=version.version - 1)
        if version.message == message.id:
            return before
        version = before
    return None


def _content(resource: Mapping[str, Any]) -> dict[str, Any]:
    """What it says, without what its server says of the version. A tag may say why a Binary has no content."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return {**{name: value for name, value in resource.items() if name != "meta"}, "meta": tags}


class _Search:
    """A walk from a resource to those that refer to it, and on from there."""

    def __init__(self, store: Kept, client: str) -> None:
        self._store = store
        self._client = client
        self._found = Dependents()
        self._seen: dict[str, None] = {}

    async def run(self, name: str, attached: dict[str, Any] | None) -> Dependents:
        level = [name]
        self._seen[name] = None
        if attached is not None:
            level += await self._named((attached,))
        for _ in range(DEPTH + 1):
            following: list[str] = []
            for each in level:
                following += await self._referring(each)
            if not following:
                break
            level = following
        return self._found

    async def _referring(self, name: str) -> list[str]:
        """The resources that refer to `name`, those that were not met before."""
        rests = _RESTS.get(name.partition("/")[0], frozenset())
        referring = await self._store.referring(self._client, name)
        self._found.more |= len(referring) >= MOST_REFERRING
        versions = [v for v in referring if v.type in rests and _name(v) not in self._seen]
        if len(self._seen) + len(versions) > MOST:
            self._found.more = True
            versions = versions[: max(0, MOST - len(self._seen))]
        self._seen.update(dict.fromkeys(map(_name, versions)))
        named: list[str] = []
        for start in range(0, len(versions), AT_ONCE):
            some = {v.message: v for v in versions[start : start + AT_ONCE] if v.type in (*_MAIN, *ATTACHED)}
            for id, message in (await self._store.whole_messages([*some])).items():
                if some[id].type in _MAIN:
                    await self._take(message)
                elif (attached := _read(message)) is not None:
                    named += await self._named((attached,))
        return [*(_name(v) for v in versions), *named]

    async def _named(self, attached: Iterable[dict[str, Any]]) -> list[str]:
        """The Encounters that Conditions and Procedures name, and belong to."""
        names = [name for each in attached if (name := named_encounter(each)) and name not in self._seen]
        for name in dict.fromkeys(names):
            self._seen[name] = None
            version = await self._store.resource(self._client, *_parts(name))
            kept = await self._store.whole_messages([version.message]) if version is not None else {}
            for message in kept.values():
                await self._take(message)
        return names

    async def _take(self, message: Message) -> None:
        message = await self._last_attempt(message)
        if message.state is MessageState.PROCESSED and message.encounter is not None:
            self._found.encounters[message.encounter] = None
        elif message.state is MessageState.SET_ASIDE and (message.reason or "").startswith(UNRESOLVED):
            self._found.unresolved[message.id] = message

    async def _last_attempt(self, message: Message) -> Message:
        """Each attempt that is taken again has one of its own."""
        while message.state is MessageState.REPLAYED and (attempts := await self._store.attempts(message.id)):
            later = (await self._store.whole_messages(attempts[-1:])).get(attempts[-1])
            if later is None:
                break
            message = later
        return message


def _name(version: ResourceVersion) -> str:
    return f"{version.type}/{version.id}"


def _parts(name: str) -> tuple[str, str]:
    kind, _, id = name.partition("/")
    return kind, id


def _read(message: Message) -> dict[str, Any] | None:
    """The resource of a kept message; None when it is gone or is none: it was set aside with the reason."""
    try:
        return read(message.payload) if message.payload else None
    except MappingError:
        return None
