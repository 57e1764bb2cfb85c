"""What polled resources refer to: had from the page where it came along, read from the server where not, and not again
for a while.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.adapters.fhir_poll.faults import PollFault, Trouble
from gateway.adapters.fhir_poll.keeping import Keeping, name_of, names
from gateway.adapters.fhir_poll.pages import Page, Resource, localised, referred
from gateway.adapters.fhir_poll.server import EhrServer
from gateway.clock import Clock

FRESH = timedelta(hours=1)
"""How long what was read is not asked for again; then only whether its version is another."""
DEPTH = 2
"""A Claim's Coverage refers to its Organization: what those refer to is not looked at."""
MOST_OF_ONE = 100
"""References of one resource that are followed."""
AT_ONCE = 4
PATIENCE = 3
"""After so many vain attempts, what refers to it is kept without it."""
REMEMBERED = 20_000
_TRANSIENT = frozenset({Trouble.AWAY, Trouble.BUSY, Trouble.FAILING})


@dataclass(frozen=True, slots=True)
class _Seen:
    at: datetime
    version: str | None


class Supporting:
    """Of one feed. `polled` are the types that are searched for: once they are kept, changes come by themselves."""

    def __init__(self, server: EhrServer, keeping: Keeping, clock: Clock, polled: Iterable[str]) -> None:
        self._server = server
        self._keeping = keeping
        self._clock = clock
        self._polled = frozenset(polled)
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._vain: dict[str, int] = {}
        self.missing = 0
        """How many could not be had so far."""

    async def of(self, page: Page) -> list[Resource]:
        """What the page's matches refer to and the page does not bring. Raises PollFault while the server is away."""
        known = names(page.matches) | names(page.included)
        found: list[Resource] = []
        level: list[Resource] = [*page.matches, *page.included]
        asked: set[str] = set()
        try:
            for _ in range(DEPTH):
                wanted = dict.fromkeys(name for one in level for name in referred(one)[:MOST_OF_ONE])
                asked |= wanted.keys()
                level = await self._read([name for name in wanted if name not in known])
                known |= wanted.keys()
                found += level
        except PollFault:
            self.forget(asked)
            raise
        return found

    def forget(self, references: Iterable[str]) -> None:
        """These were not kept after all: they are read again."""
        for reference in references:
            self._seen.pop(reference, None)

    async def _read(self, wanted: list[str]) -> list[Resource]:
        found: list[Resource] = []
        for start in range(0, len(wanted), AT_ONCE):
            together = wanted[start : start + AT_ONCE]
            results = await asyncio.gather(*map(self._one, together), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
                found += [result] if result is not None else []
        return found

    async def _one(self, reference: str) -> Resource | None:
        """The resource, where it is not known or has changed."""
        now, seen = self._clock.now(), self._seen.get(reference)
        if seen is not None and now - seen.at < FRESH:
            return None
        kind = reference.partition("/")[0]
        if kind in self._polled and await self._keeping.knows(reference):
            return None
        known = seen.version if seen is not None else None
        try:
            answered = await self._server.get(reference, known=known)
            resource = answered.resource
            if resource is not None and (resource["resourceType"] != kind or name_of_any(resource) != reference):
                raise PollFault(Trouble.NOT_FHIR, "another resource than was asked for")
        except PollFault as fault:
            self._failed(reference, fault)
            answered, resource = None, None
        self._vain.pop(reference, None)
        self._remember(reference, _Seen(now, answered.version if answered is not None else None))
        return localised(resource, self._server.base) if resource is not None else None

    def _failed(self, reference: str, fault: PollFault) -> None:
        """What is not there stops nothing; what may be there later does, for a while."""
        tried = self._vain.get(reference, 0) + 1
        if fault.trouble is Trouble.BUSY or (fault.trouble in _TRANSIENT and tried < PATIENCE):
            self._vain[reference] = tried
            raise fault
        self.missing += 1

    def _remember(self, reference: str, seen: _Seen) -> None:
        self._seen[reference] = seen
        self._seen.move_to_end(reference)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


def name_of_any(resource: Resource) -> str:
    """`Patient/5`; `Patient/` of what has no id."""
    return name_of({"id": "", **resource})
