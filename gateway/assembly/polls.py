"""The feeds that are polled: what each is put together of, and how they fare."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from gateway.adapters.fhir_client import server_at
from gateway.adapters.fhir_poll.cursors import Cursors
from gateway.adapters.fhir_poll.keeping import Intake, Keeping
from gateway.adapters.fhir_poll.poller import Counts, Failing, Poller
from gateway.adapters.fhir_poll.server import EhrServer, limits
from gateway.clock import Clock
from gateway.config.model import Feed
from gateway.config.polled import Poll
from gateway.intake.intake import Backlog
from gateway.store.interface import Store
from gateway.store.resources import Value

Values = Callable[[dict[str, Any]], tuple[Value, ...]]


class Polls:
    """Starts pollers. `pollers` are those at work, by their feeds' names."""

    def __init__(
        self,
        intake: Intake,
        store: Store,
        backlog: Backlog,
        clock: Clock,
        counts: Counts,
        client: httpx.AsyncClient,
        values: Values,
    ) -> None:
        self._intake = intake
        self._store = store
        self._backlog = backlog
        self._clock = clock
        self._counts = counts
        self._client = client
        self._values = values
        self.pollers: dict[str, Poller] = {}

    def start(self, feed: Feed, settings: Poll) -> Callable[[], Awaitable[None]]:
        """Poll for this feed from now on; what stops it."""
        poller = self.poller(feed, settings)
        self.pollers[feed.name] = poller
        self._backlog.listen(poller.congestion)
        poller.start()

        async def stop() -> None:
            self._backlog.forget(poller.congestion)
            if self.pollers.get(feed.name) is poller:  # else another took its place
                del self.pollers[feed.name]
            await poller.stop()

        return stop

    def poller(self, feed: Feed, settings: Poll) -> Poller:
        """One that has not begun."""
        keeping = Keeping(feed.name, self._intake, self._store, self._clock, self._values, feed.max_message)
        cursors = Cursors(feed.name, settings, self._store, self._clock)
        return Poller(feed.name, settings, self.server(settings), keeping, cursors, self._clock, self._counts)

    def server_of(self, feed: str) -> EhrServer | None:
        """The server of a feed that is polled now."""
        poller = self.pollers.get(feed)
        return poller.server if poller is not None else None

    def server(self, settings: Poll) -> EhrServer:
        """KeyFault when the key of `smart` cannot be used."""
        limited = limits(settings.timeout_seconds, settings.max_page)
        made = server_at(settings.url, self._client, limited, self._clock, smart=settings.smart, token=settings.token)
        return EhrServer(made)

    def failing(self) -> Mapping[str, Failing]:
        """The feeds whose polling fails, and why."""
        found = {name: poller.failing for name, poller in self.pollers.items()}
        return {name: failing for name, failing in found.items() if failing is not None}
