"""A feed that polls an EHR on loopback, over a real store; a clock that only the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from conformance.ehr_server import START, EhrServer, serving
from gateway.adapters.fhir_poll.poller import Poller
from gateway.assembly.polls import Polls
from gateway.clock import Ids
from gateway.config.model import Feed
from gateway.intake.intake import Backlog, Intake
from gateway.message import Message
from gateway.store import open_store
from gateway.store.interface import MessageQuery, Store

FEED = "ehr"
ALL = ("Encounter", "DocumentReference", "Claim")
EVERY = 300.0


@dataclass
class Clock:
    moment: datetime = START + timedelta(hours=1)

    def now(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)


@dataclass
class Counts:
    polls: list[tuple[str, str]] = field(default_factory=list)
    resources: dict[str, int] = field(default_factory=dict)

    def polled(self, feed: str, outcome: str) -> None:
        self.polls.append((feed, outcome))

    def polled_resources(self, feed: str, outcome: str, count: int) -> None:
        self.resources[outcome] = self.resources.get(outcome, 0) + count


@dataclass
class Site:
    ehr: EhrServer
    store: Store
    client: httpx.AsyncClient
    clock: Clock = field(default_factory=Clock)
    counts: Counts = field(default_factory=Counts)
    backlog: Backlog = field(default_factory=lambda: Backlog(1000))
    slept: list[float] = field(default_factory=list)
    ids: Ids = field(default_factory=Ids)

    def poller(self, store: Store | None = None, **poll: Any) -> Poller:
        """A poller of its own, as after a start of the gateway. Types: Encounter, unless said."""
        settings = {"url": self.ehr.url, "types": ["Encounter"], "start": START, "every_seconds": EVERY, **poll}
        feed = Feed.model_validate({"name": FEED, "authority": "MAIN", "poll": settings})
        assert feed.poll is not None
        intake = Intake(self.store, self.backlog, self.clock, self.ids)
        stands = store or self.store
        made = Polls(intake, stands, self.backlog, self.clock, self.counts, self.client, lambda resource: ())
        poller = made.poller(feed, feed.poll)
        poller._sleep = poller.server._sleep = self._sleep
        poller._jitter = lambda: 1.0
        return poller

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def kept(self) -> list[Message]:
        found = reversed(await self.store.messages(MessageQuery(limit=1000)))
        return [whole for one in found if (whole := await self.store.message(one.id)) is not None]

    async def names(self) -> list[str]:
        return [message.type.removeprefix("PUT ") for message in await self.kept()]


@asynccontextmanager
async def polling_site() -> AsyncIterator[Site]:
    store = open_store("sqlite://")
    await store.open()
    async with serving() as ehr, httpx.AsyncClient(trust_env=False) as client:
        yield Site(ehr, store, client)
    await store.close()


def encounter(site: Site, id: str, seconds: float, version: str | None = "1", **more: Any) -> None:
    site.ehr.put("Encounter", id, seconds, version, status="finished", **more)
