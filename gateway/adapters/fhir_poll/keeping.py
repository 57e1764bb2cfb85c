"""Keeps what a server gave, as if its EHR had written it here: each version once, under the feed's name as client."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from gateway.adapters.fhir_poll.pages import Resource, version_of
from gateway.clock import Clock
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import read, write
from gateway.message import Format, Message, Received
from gateway.store.interface import Conflict, ResourceVersion
from gateway.store.resources import Value

TOGETHER = 64
"""Resources that are looked up, and kept, at a time: those that wait at one moment share a commit."""
REMEMBERED = 20_000
TRIES = 5


class Intake(Protocol):
    """Keeps a message durably."""

    def new_id(self) -> int: ...

    def accept(
        self, received: Received, resource: ResourceVersion | None = None, message_id: int | None = None
    ) -> Awaitable[Message]: ...


class Resources(Protocol):
    """What was kept before: the store's part that is asked here."""

    async def resource(self, client: str, type: str, id: str, version: int | None = None) -> ResourceVersion | None: ...

    async def message(self, id: int) -> Message | None: ...


Values = Callable[[Resource], tuple[Value, ...]]
"""What a resource is found by."""


@dataclass(slots=True)
class Kept:
    """What became of resources."""

    kept: int = 0
    unchanged: int = 0
    too_large: int = 0


@dataclass(slots=True)
class _Planned:
    resource: Resource = field(repr=False)
    payload: bytes = field(repr=False)
    mark: tuple[str, bytes]
    version: int

    @property
    def name(self) -> str:
        return name_of(self.resource)


class Keeping:
    """Of one feed."""

    def __init__(
        self, feed: str, intake: Intake, store: Resources, clock: Clock, values: Values, max_resource: int
    ) -> None:
        self._feed = feed
        self._intake = intake
        self._store = store
        self._clock = clock
        self._values = values
        self._max = max_resource
        self._marks: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        """By reference: the newest version that is known to stand."""

    async def knows(self, reference: str) -> bool:
        """Whether some version of the resource is kept."""
        kind, _, id_ = reference.partition("/")
        return reference in self._marks or await self._store.resource(self._feed, kind, id_) is not None

    async def keep(self, resources: Sequence[Resource]) -> Kept:
        """Keep those that are new or have changed, in their order. Raises StoreFault: some may be kept by then, and are
        recognised when they come again.
        """
        told = Kept()
        for start in range(0, len(resources), TOGETHER):
            await self._keep(resources[start : start + TOGETHER], told)
        return told

    async def _keep(self, resources: Sequence[Resource], told: Kept) -> None:
        waiting = [_marked(resource) for resource in resources]
        for _ in range(TRIES):
            plans = await asyncio.gather(*(self._planned(*one, told) for one in waiting))
            chosen = [plan for plan in plans if plan is not None]
            accepting = [asyncio.ensure_future(_wait(self._accept(plan))) for plan in chosen]
            results = await asyncio.gather(*accepting, return_exceptions=True)
            waiting = []
            for plan, result in zip(chosen, results, strict=True):
                if isinstance(result, Conflict):  # another gateway was faster
                    waiting.append((plan.resource, plan.mark))
                elif isinstance(result, BaseException):
                    raise result
                else:
                    told.kept += 1
                    self._remember(plan.name, plan.mark)
            if not waiting:
                return
        raise Conflict("others keep changing what is polled")

    async def _planned(self, resource: Resource, mark: tuple[str, bytes], told: Kept) -> _Planned | None:
        name = name_of(resource)
        if self._marks.get(name) == mark:
            told.unchanged += 1
            return None
        payload = write(resource)
        if len(payload) > self._max:
            told.too_large += 1
            return None
        stands = await self._store.resource(self._feed, resource["resourceType"], resource["id"])
        if stands is not None and await self._stands(stands, resource):
            told.unchanged += 1
            self._remember(name, mark)
            return None
        return _Planned(resource, payload, mark, stands.version + 1 if stands is not None else 1)

    async def _stands(self, version: ResourceVersion, resource: Resource) -> bool:
        """Whether the version says the same. A server's new version that says nothing new is none."""
        message = await self._store.message(version.message)
        if message is None:
            return False
        if not message.payload:  # pruned: its version is all that is left to go by
            return version_of(resource) is not None and message.control == _control(resource, 0)
        try:
            return _without_meta(read(message.payload)) == _without_meta(resource)
        except MappingError:
            return False

    def _accept(self, plan: _Planned) -> Awaitable[Message]:
        resource, message_id = plan.resource, self._intake.new_id()
        received = Received(
            self._feed, Format.FHIR, f"PUT {plan.name}", _control(resource, plan.version), plan.payload, b""
        )
        version = ResourceVersion(
            resource["resourceType"],
            resource["id"],
            plan.version,
            self._feed,
            message_id,
            self._clock.now(),
            self._values(resource),
        )
        return self._intake.accept(received, version, message_id)

    def _remember(self, name: str, mark: tuple[str, bytes]) -> None:
        self._marks[name] = mark
        self._marks.move_to_end(name)
        if len(self._marks) > REMEMBERED:
            self._marks.popitem(last=False)


async def _wait(keeping: Awaitable[Message]) -> Message:
    return await keeping


def name_of(resource: Resource) -> str:
    """`Encounter/5`."""
    return f"{resource['resourceType']}/{resource['id']}"


def names(resources: Iterable[Resource]) -> set[str]:
    return {name_of(resource) for resource in resources}


def _control(resource: Resource, version: int) -> str:
    """The server's version; ours where it counts none. By it and its content a message is recognised when it comes
    again after a crash; a return to earlier content is a version of its own.
    """
    return f"{name_of(resource)}{version_of(resource) or f'#{version}'}"


def _marked(resource: Resource) -> tuple[Resource, tuple[str, bytes]]:
    content = orjson.dumps(_without_meta(resource), option=orjson.OPT_SORT_KEYS, default=str)
    return resource, (version_of(resource) or "", hashlib.sha256(content).digest())


def _without_meta(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name != "meta"}
