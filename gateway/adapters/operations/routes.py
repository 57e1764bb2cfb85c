"""/health for load balancers and orchestrators, /metrics for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from gateway.access.roles import Permission
from gateway.adapters.http.exchange import Answer, Call
from gateway.adapters.http.routing import PUBLIC, Route
from gateway.delivery import LaneState
from gateway.upkeep.metrics import CONTENT_TYPE, Metrics

CHECK_SECONDS = 2.0
REFRESH_SECONDS = 5.0
"""Counting walks tables: however often /metrics is asked for, it is done at most this often."""


class Counted(Protocol):
    """The part of the store that is asked here."""

    async def backlog(self) -> int: ...

    async def counts(self) -> Mapping[str, Mapping[str, int]]: ...


class Lanes(Protocol):
    """The outbox, of which is asked how its destinations fare."""

    def states(self) -> tuple[LaneState, ...]: ...


class Operations:
    """The two addresses of operations."""

    def __init__(self, store: Counted, metrics: Metrics, lanes: Lanes | None = None) -> None:
        self._store = store
        self._lanes = lanes
        self._metrics = metrics
        self._refreshed = float("-inf")

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/health", PUBLIC, self.health, "Whether the gateway lives and its store answers"),
            Route(
                "GET", "/metrics", Permission.METRICS_READ, self.metrics, "Prometheus metrics", produces="text/plain"
            ),
        )

    async def health(self, call: Call) -> Answer:
        """200 `pass`, or `warn` while a destination is suspended; 503 `fail`. Without detail: the address is open to
        all, and `/api/destinations` tells which.
        """
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._store.backlog()
        except Exception:  # noqa: BLE001 - any fault of the store is the same answer
            return Answer(503, b'{"status":"fail"}', "application/health+json", {"Retry-After": "5"})
        stopped = self._lanes is not None and any(lane.state == "suspended" for lane in self._lanes.states())
        return Answer(200, b'{"status":"warn"}' if stopped else b'{"status":"pass"}', "application/health+json")

    async def metrics(self, call: Call) -> Answer:
        """All metrics; those that the store counts are a few seconds old at most."""
        if self._lanes is not None:
            self._metrics.show_destinations({lane.name: lane.state for lane in self._lanes.states()})
        now = asyncio.get_running_loop().time()
        if now - self._refreshed >= REFRESH_SECONDS:
            self._refreshed = now
            self._metrics.show(await self._store.counts(), await self._store.backlog())
        return Answer(200, self._metrics.exposition(), CONTENT_TYPE)
