"""What a client has kept, gathered for a resource that refers to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from gateway.encounter.change import Content
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.document import absence, binary_content
from gateway.mappings.fhir.drawing import ATTACHED, followed
from gateway.mappings.fhir.literals import reference_token
from gateway.mappings.fhir.mapping import attachment_addresses
from gateway.mappings.fhir.resource import read, validate
from gateway.mappings.fhir.search_values import literal_references
from gateway.mappings.fhir.source import binary_id
from gateway.message import Message, MessageState
from gateway.store.interface import ResourceVersion

DEPTH = 3
"""How far references are followed: a Claim's Encounter, its Account."""
MOST = 200
"""Resources drawn into one."""
MOST_BYTES = 8 * 1024 * 1024
MOST_FORMER = 20
"""Earlier versions of a resource that are looked at."""

_VERSIONED = ("Claim", "Encounter")


class Kept(Protocol):
    """The part of the store that kept resources are read from."""

    async def resource(self, client: str, type: str, id: str, version: int | None = None) -> ResourceVersion | None: ...

    async def referring(self, client: str, reference: str) -> list[ResourceVersion]: ...

    async def message(self, id: int) -> Message | None: ...

    async def whole_messages(self, ids: Sequence[int]) -> dict[int, Message]: ...


class Shelf:
    """Reads what one client has kept."""

    def __init__(self, store: Kept, client: str) -> None:
        self._store = store
        self._client = client
        self.absent: dict[str, str] = {}
        """Of the addresses whose contents were asked for: why they could not be fetched."""

    async def reached(self, resource: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
        """What the resource `name` refers to, and what that refers to, by name: newest versions. To an Encounter belong
        the Conditions and Procedures that name it. MappingError `limit` when it is too much.
        """
        found: dict[str, dict[str, Any]] = {}
        level = await self._attached(name) if resource.get("resourceType") == "Encounter" else []
        wanted = [*followed(resource, main=True), *level]
        spent = 0
        for _ in range(DEPTH):
            wanted = [each for each in dict.fromkeys(wanted) if each not in found and each != name]
            if not wanted:
                break
            for each, (inner, size) in (await self._newest(wanted)).items():
                found[each] = inner
                spent += size
            if len(found) > MOST or spent > MOST_BYTES:
                raise MappingError("limit", name.partition("/")[0], "refers to too much that was written before")
            wanted = [name for each in wanted if each in found for name in followed(found[each], main=False)]
        return found

    async def _attached(self, name: str) -> list[str]:
        """In the order in which they were first written: one that is written again keeps its place."""
        versions = await self._store.referring(self._client, name)
        attached = [each for each in versions if each.type in ATTACHED][: MOST + 1]
        places = {f"{each.type}/{each.id}": await self._first_written(each) for each in attached}
        return sorted(places, key=places.__getitem__)

    async def _first_written(self, version: ResourceVersion) -> int:
        first = version
        if version.version > 1:
            first = await self._store.resource(self._client, version.type, version.id, 1) or version
        return first.message

    async def _newest(self, names: Sequence[str]) -> dict[str, tuple[dict[str, Any], int]]:
        """The kept resources by name, each with its size in bytes; those that are unknown are left out. Of one whose
        newest version was set aside, the last that was not.
        """
        if len(names) > MOST:
            raise MappingError("limit", "", f"more than {MOST} other resources are referred to")
        versions = {name: await self._version(name) for name in names}
        kept = await self._store.whole_messages([each.message for each in versions.values() if each is not None])
        found = {}
        for name, version in versions.items():
            if version is None:
                continue
            message = kept.get(version.message)
            resource = _usable(message)
            if resource is None and version.version > 1:
                message, resource = await self._earlier(version)
            if message is not None and resource is not None:
                found[name] = (resource, len(message.payload))
        return found

    async def _earlier(self, unfit: ResourceVersion) -> tuple[Message | None, dict[str, Any] | None]:
        for number in range(unfit.version - 1, max(0, unfit.version - MOST_FORMER), -1):
            version = await self._store.resource(self._client, unfit.type, unfit.id, number)
            kept = await self._store.whole_messages([version.message]) if version is not None else {}
            for message in kept.values():
                resource = _usable(message)
                if resource is not None:
                    return message, resource
        return None, None

    async def _version(self, name: str) -> ResourceVersion | None:
        kind, _, id = name.partition("/")
        return await self._store.resource(self._client, kind, id)

    async def contents(self, resource: dict[str, Any]) -> dict[str, Content]:
        """What stands behind the addresses of a document's attachments: kept as a Binary under its own name, or under
        the name that `binary_id` gives to an address elsewhere.
        """
        found: dict[str, Content] = {}
        for url in attachment_addresses(resource):
            token = reference_token(url)
            own = token if token is not None and token.startswith("Binary/") else None
            for name in dict.fromkeys((f"Binary/{binary_id(url)}", *((own,) if own else ()))):
                kept = (await self._newest([name])).get(name)
                content = binary_content(kept[0]) if kept is not None else None
                if content is not None:
                    found[url] = content
                    break
                why = absence(kept[0]) if kept is not None else None
                if why is not None:
                    self.absent[url] = why
        return found

    async def former(self, resource: dict[str, Any], message: Message) -> tuple[dict[str, Any], ...]:
        """What the resource takes the place of: its own versions before this message, and claims that it supersedes."""
        kind, _, id = message.type.rpartition(" ")[2].partition("/")
        if kind not in _VERSIONED or not id:
            return ()
        versions = [] if message.type.startswith("POST ") else await self._before(kind, id, message)
        for name in _superseded(resource):
            other = await self._version(name)
            if other is not None and name != f"{kind}/{id}":
                versions.append(other)
        kept = await self._store.whole_messages([each.message for each in versions])
        found = (_usable(kept.get(each.message)) for each in versions)
        return tuple(each for each in found if each is not None)

    async def _before(self, kind: str, id: str, message: Message) -> list[ResourceVersion]:
        newest = await self._store.resource(self._client, kind, id)
        if newest is None or newest.version == 1:
            return []
        first = await self._first_attempt(message)
        found = []
        for number in range(newest.version, max(0, newest.version - MOST_FORMER), -1):
            version = await self._store.resource(self._client, kind, id, number)
            if version is not None and version.message < first:
                found.append(version)
        return found

    async def _first_attempt(self, message: Message) -> int:
        """The id under which the message came first, whichever attempt at it this is."""
        while message.replay_of is not None:
            earlier = await self._store.message(message.replay_of)
            if earlier is None:
                return message.replay_of
            message = earlier
        return message.id


def _superseded(resource: Mapping[str, Any]) -> Iterable[str]:
    related = {"related": resource.get("related")} if resource.get("resourceType") == "Claim" else {}
    return [name for name in literal_references(related) if name.startswith("Claim/")]


def _usable(message: Message | None) -> dict[str, Any] | None:
    """The resource of a kept message; None when it is gone, or was found not to be as R4 defines it."""
    if message is None or not message.payload or message.state is MessageState.SET_ASIDE:
        return None
    try:
        resource = read(message.payload)
    except MappingError:
        return None  # Its own message is set aside with the reason.
    # What was taken again may have been found unfit by a later attempt.
    unsure = message.state in (MessageState.RECEIVED, MessageState.REPLAYED)
    return None if unsure and any(issue.refuses for issue in validate(resource)) else resource
