"""The feeds' ways in: for each, by its transport, what listens, and behind it the same reception."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol

from gateway.adapters.directory.feed import DirectoryFeed
from gateway.adapters.directory.inbox import Inbox
from gateway.adapters.hl7_http import Door
from gateway.adapters.mllp.server import Cut, Limits, MllpServer
from gateway.assembly.listeners import Address, Listening
from gateway.assembly.polls import Polls
from gateway.callers.senders import Senders
from gateway.clock import Clock
from gateway.config.certificates import server_context
from gateway.config.message_types import MessageTypes
from gateway.config.model import Feed
from gateway.config.polled import Polled
from gateway.config.transport import ClientCertificates, Directory, OverHttp, Tls
from gateway.intake.intake import Backlog, Intake
from gateway.intake.reception import Acknowledged, Reception

UNAUTHENTICATED, FORBIDDEN = 401, 403


class Counts(Protocol):
    """The part of the metrics that is told here."""

    def cut(self, feed: str, why: str) -> None: ...


class Refusals(Protocol):
    """Refusals of access on their way into the audit trail."""

    def refused(self, status: int, method: str, route: str, caller: str | None) -> None: ...


class Feeds:
    """Starts listeners. `doors` are the feeds over HTTP; `receptions` those of all feeds, by name."""

    def __init__(
        self,
        intake: Intake,
        backlog: Backlog,
        clock: Clock,
        acknowledged: Acknowledged,
        metrics: Counts,
        refusals: Refusals,
        polls: Polls,
    ) -> None:
        self._intake = intake
        self._backlog = backlog
        self._clock = clock
        self._acknowledged = acknowledged
        self._metrics = metrics
        self._refusals = refusals
        self._polls = polls
        self._secured: dict[MllpServer, Tls] = {}
        self.doors: dict[str, Door] = {}
        self.receptions: dict[str, Reception] = {}

    async def listen(self, feed: Feed) -> Listening:
        """Start the listener of one feed. OSError when it cannot."""
        if feed.poll is not None:
            return _Started((feed.poll.url, 0), self._polls.start(feed, feed.poll))
        reception = self._reception(feed)
        self.receptions[feed.name] = reception
        match feed.listen:
            case OverHttp():
                return self._over_http(feed, reception)
            case Directory() as directory:
                return await self._from(directory, feed, reception)
            case Polled():  # with its `poll`, above
                raise ValueError("a feed that is polled says how")
            case address:
                return await self._over_mllp(feed, reception, address.host, address.port)

    def renewal(self, feeds: Iterable[Feed]) -> Callable[[], None]:
        """Reads the certificates of those feeds again whose settings stay as they are; what puts them in force, for
        connections from then on. CertificateFault when one cannot be used.
        """
        wanted = {feed.name: feed.tls for feed in feeds}
        contexts = {server: _context(tls) for server, tls in self._secured.items() if wanted.get(server.name) == tls}

        def renew() -> None:
            for server, context in contexts.items():
                server.tls = context

        return renew

    def _reception(self, feed: Feed) -> Reception:
        return Reception(
            feed.name,
            self._intake,
            self._clock,
            self._acknowledged,
            MessageTypes.of(feed.refuse, feed.only),
            Senders(feed.tls.clients if feed.tls is not None else ()),
            self._not_allowed,
            silence=feed.silence,
        )

    def _over_http(self, feed: Feed, reception: Reception) -> Listening:
        door = self.doors[feed.name] = Door(reception, feed.max_message)

        async def stop() -> None:
            if self.doors.get(feed.name) is door:  # else another took its place
                del self.doors[feed.name]

        return _Started(("http", 0), stop)

    async def _from(self, directory: Directory, feed: Feed, reception: Reception) -> Listening:
        inbox = Inbox(directory.path, feed.files.pattern, feed.files.max_file)
        files = DirectoryFeed(feed.name, inbox, reception, feed.files, feed.max_message, self._file_refused)
        await files.start()
        self._backlog.listen(files.congestion)

        async def stop() -> None:
            self._backlog.forget(files.congestion)
            await files.stop()

        return _Started((str(directory.path), 0), stop)

    async def _over_mllp(self, feed: Feed, reception: Reception, host: str, port: int) -> Listening:
        limits = Limits(
            message=feed.max_message,
            idle=feed.idle_seconds,
            frame=feed.frame_seconds,
            connections=feed.max_connections,
            per_address=feed.max_per_address,
            handshake=feed.tls.handshake_seconds if feed.tls is not None else 10.0,
        )
        context = _context(feed.tls) if feed.tls is not None else None
        server = MllpServer(feed.name, reception, limits, context, partial(self._cut, feed.name))
        address = await server.start(host, port)
        if feed.tls is not None:
            self._secured[server] = feed.tls
        self._backlog.listen(server.congestion)

        async def stop() -> None:
            self._secured.pop(server, None)
            self._backlog.forget(server.congestion)
            await server.stop()

        return _Started(address, stop)

    def _file_refused(self, feed: str) -> None:
        self._acknowledged(feed, "refused", 0.0)

    def _cut(self, feed: str, why: Cut) -> None:
        self._metrics.cut(feed, why.value)
        if why is Cut.CERTIFICATE:
            self._refusals.refused(UNAUTHENTICATED, "MLLP", f"/mllp/{feed}", None)

    def _not_allowed(self, feed: str, called: str | None) -> None:
        self._refusals.refused(FORBIDDEN, "MLLP", f"/mllp/{feed}", called)


class _Started:
    """A listener that has started."""

    def __init__(self, address: Address, stop: Callable[[], Awaitable[None]]) -> None:
        self.address = address
        self._stop = stop

    async def stop(self) -> None:
        await self._stop()


def _context(tls: Tls) -> ssl.SSLContext:
    required = tls.client_certificates is ClientCertificates.REQUIRED
    return server_context(tls.certificate, tls.key, tls.client_ca, required=required)
