"""Polls one EHR: looks at each type in turn, keeps what has changed, and only then moves the cursor.

So a crash loses nothing; what was kept before it is recognised. While too much waits to be processed nothing is asked
for. What fails is asked for again, ever later, or when the server said.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gateway.adapters.fhir_poll.capabilities import includes
from gateway.adapters.fhir_poll.cursors import Cursors
from gateway.adapters.fhir_poll.faults import LASTING, PollFault, Trouble
from gateway.adapters.fhir_poll.keeping import Keeping, Kept, names
from gateway.adapters.fhir_poll.pages import Page, Resource, page_of
from gateway.adapters.fhir_poll.searching import Search, parameters
from gateway.adapters.fhir_poll.server import Answered, EhrServer
from gateway.adapters.fhir_poll.supporting import Supporting
from gateway.clock import Clock
from gateway.config.polled import Poll, PolledType
from gateway.logs import logger
from gateway.store.interface import Conflict, StoreFault

log = logger("polling")

FIRST_SECONDS = 60.0
"""Before the first look: a gateway that restarts over and over does not burden the server."""
ON_SECONDS = 1.0
"""Before a look that goes on where the last one reached its limit."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0
STATEMENT_KEPT = timedelta(days=1)
_PASSING = frozenset({Trouble.AWAY, Trouble.BUSY, Trouble.FAILING})
"""What leaves a search where it is: the next look goes on with it."""
_SERVER_WIDE = frozenset({Trouble.AWAY, Trouble.BUSY})
"""What ends a look: the other types would fare no better."""


class Counts(Protocol):
    """The part of the metrics that is told here."""

    def polled(self, feed: str, outcome: str) -> None: ...

    def polled_resources(self, feed: str, outcome: str, count: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Failing:
    """What a feed's polling suffers from. No patient's data in it."""

    since: datetime
    text: str
    lasting: bool
    """Waiting does not mend it."""


class Poller:
    """Of one feed. `look` looks once at everything; `start` does so time and again."""

    def __init__(
        self,
        feed: str,
        settings: Poll,
        server: EhrServer,
        keeping: Keeping,
        cursors: Cursors,
        clock: Clock,
        counts: Counts,
        *,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.feed = feed
        self._settings = settings
        self.server = server
        self._keeping = keeping
        self._cursors = cursors
        self._clock = clock
        self._counts = counts
        self._jitter = jitter
        self._sleep = sleep
        self._types = [kind.value for kind in PolledType if kind in settings.types]
        self._supporting = Supporting(server, keeping, clock, self._types)
        self._searches: dict[str, Search] = {}
        self._plain: set[str] = set()
        """Types whose search takes nothing beyond what every server must."""
        self._count = dict.fromkeys(self._types, settings.count)
        self._statement: tuple[datetime, Resource] | None = None
        self._failures = 0
        self._failing: dict[str, Failing] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def failing(self) -> Failing | None:
        """What has been failing for the longest time, the lasting before all else."""
        found = sorted(self._failing.values(), key=lambda one: (not one.lasting, one.since))
        return found[0] if found else None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"poll-{self.feed}")

    async def stop(self) -> None:
        """Look no more. A page that is half kept is read again at the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.server.close()

    def congestion(self, congested: bool) -> None:
        """Ask for nothing, or go on."""
        if congested:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def _run(self) -> None:
        await self._sleep(min(FIRST_SECONDS, self._settings.every_seconds) * (0.5 + self._jitter() / 2))
        while True:
            try:
                wait = await self.look()
            except Exception:
                # One that nobody foresaw must not end the feed in silence.
                log.exception("polling.look_failed", feed=self.feed)
                self._fails("", "a fault of the gateway's own", lasting=True)
                wait = self._pause(None)
            await self._sleep(wait)

    async def look(self) -> float:
        """Look at every type once; the seconds until the next look."""
        left = read = stumbled = False
        for kind in self._types:
            try:
                left |= await self._look_at(kind)
            except PollFault as fault:
                stumbled |= fault.trouble is Trouble.FAILING
                if self._suffered(kind, fault):
                    return self._pause(fault.retry_after)
            except (StoreFault, Conflict) as fault:
                log.error("polling.not_kept", feed=self.feed, fault=type(fault).__name__)  # noqa: TRY400 - foreseen
                self._counts.polled(self.feed, "not-kept")
                self._searches.pop(kind, None)
                return self._pause(None)
            else:
                self._counts.polled(self.feed, "read")
                self._recovered(kind)
                read = True
        self._failing.pop("", None)
        if stumbled and not read:
            return self._pause(None)
        self._failures = 0
        return ON_SECONDS if left else self._settings.every_seconds * (0.9 + self._jitter() / 5)

    async def _look_at(self, kind: str) -> bool:
        """Read on in a type; whether there is more than one look reads."""
        search = self._searches.get(kind) or await self._begun(kind)
        restarted = False
        for _ in range(self._settings.pages if search is not None else 0):
            assert search is not None  # noqa: S101 - no pages without
            await self._flowing.wait()
            try:
                page = await self._page(search)
            except PollFault as fault:
                if search.next is None or fault.trouble is not Trouble.NOT_THERE or restarted:
                    raise
                # The server has forgotten its pages: begin again from where the cursor stands.
                restarted, search = True, self._search(kind, search.moved)
                continue
            await self._keep(page)
            before = search.moved
            search.kept(page)
            if search.moved != before or search.ended:
                # Never ahead of our own time, whatever a server says: what changes next would be missed.
                await self._cursors.move(kind, min(search.moved, max(self._clock.now(), before)))
            if search.ended:
                del self._searches[kind]
                return False
        return search is not None

    async def _begun(self, kind: str) -> Search | None:
        cursor = await self._cursors.begin(kind)
        if cursor is None:
            return None
        return self._search(kind, cursor)

    def _search(self, kind: str, cursor: datetime) -> Search:
        overlap = timedelta(seconds=self._settings.overlap_seconds)
        search = self._searches[kind] = Search(kind, cursor, cursor - overlap)
        return search

    async def _page(self, search: Search) -> Page:
        if search.next is not None:
            answered = await self.server.get(search.next)
        else:
            answered = await self._first(search)
        return page_of(answered.resource or {}, search.kind, self.server.base)

    async def _first(self, search: Search) -> Answered:
        kind, settings = search.kind, self._settings
        more = next((params for type_, params in settings.params.items() if type_.value == kind), {})
        while True:
            plain = kind in self._plain
            along = [] if plain else includes(await self._said(), kind)
            asked = parameters(search.since, self._count[kind], more, along, by_time=not plain)
            try:
                return await self.server.get(kind, asked)
            except PollFault as fault:
                if plain or fault.trouble is not Trouble.NOT_SEARCHABLE:
                    raise
                self._plain.add(kind)

    async def _said(self) -> Resource:
        """The server's CapabilityStatement; an empty one when it does not show it."""
        now = self._clock.now()
        if self._statement is None or now - self._statement[0] >= STATEMENT_KEPT:
            try:
                statement = (await self.server.get("metadata")).resource or {}
            except PollFault as fault:
                if fault.trouble is Trouble.BUSY:
                    raise
                if fault.trouble in _PASSING:
                    return {}  # not known yet
                statement = {}
            self._statement = (now, statement)
        return self._statement[1]

    async def _keep(self, page: Page) -> None:
        """What others refer to first: it stands when they are processed."""
        missing = self._supporting.missing
        along = await self._supporting.of(page)
        try:
            for resources in ([*page.included, *along], page.matches):
                self._tell(await self._keeping.keep(resources))
        except BaseException:
            self._supporting.forget(names(along))
            raise
        self._counts.polled_resources(self.feed, "passed-over", page.passed_over)
        self._counts.polled_resources(self.feed, "missing", self._supporting.missing - missing)

    def _tell(self, kept: Kept) -> None:
        self._counts.polled_resources(self.feed, "kept", kept.kept)
        self._counts.polled_resources(self.feed, "unchanged", kept.unchanged)
        self._counts.polled_resources(self.feed, "too-large", kept.too_large)
        if kept.too_large:
            log.warning("polling.too_large", feed=self.feed, count=kept.too_large)

    def _suffered(self, kind: str, fault: PollFault) -> bool:
        """Note the fault; whether the look ends with it."""
        self._counts.polled(self.feed, fault.trouble.value)
        wide = fault.trouble in _SERVER_WIDE
        if fault.trouble not in _PASSING:
            self._searches.pop(kind, None)
        if fault.trouble is Trouble.TOO_LARGE and self._count[kind] > 1:
            self._count[kind] //= 2
        subject = "" if wide else kind
        text = fault.text if wide else f"{kind}: {fault.text}"
        self._fails(subject, f"{fault.trouble.value}: {text}", lasting=fault.trouble in LASTING)
        return wide

    def _fails(self, subject: str, text: str, *, lasting: bool) -> None:
        before = self._failing.get(subject)
        since = before.since if before is not None else self._clock.now()
        self._failing[subject] = Failing(since, text, lasting)
        if before is None:
            log.warning("polling.failing", feed=self.feed, mistake=text)

    def _recovered(self, kind: str) -> None:
        if self._failing.pop(kind, None) is not None:
            log.info("polling.recovered", feed=self.feed, type=kind)

    def _pause(self, asked: float | None) -> float:
        """Doubled with each failure, and never shorter than the server asked for."""
        longest = min(FIRST_PAUSE * 2.0 ** min(self._failures, 20), LONGEST_PAUSE)
        self._failures += 1
        return max(longest * (0.5 + self._jitter() / 2), asked or 0.0)
