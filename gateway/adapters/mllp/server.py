"""The MLLP server of one feed: who may connect, how many, how slow, how much of unfinished frames is held."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from gateway.adapters.mllp.incoming import Connection, Cut, Limits, Receiver
from gateway.logs import logger

__all__ = ["Cut", "Limits", "MllpServer", "Receiver"]

log = logger("mllp")

WATCH_SECONDS = 1.0
READ_BYTES = 32 * 1024
"""A message of usual size is read at once."""
HELD_BYTES = 64 * 1024 * 1024
"""Unfinished frames of all connections together; beyond it the connection that holds the most is cut."""
KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""A peer that vanished is noticed after two minutes, long before it has been idle for too long."""


_EVENTS = {
    Cut.TOO_MANY: "mllp.too_many_connections",
    Cut.ADDRESS: "mllp.too_many_of_an_address",
    Cut.CERTIFICATE: "mllp.certificate_refused",
    Cut.TLS: "mllp.tls_failed",
    Cut.SLOW: "mllp.slow_peers_cut",
    Cut.UNFINISHED: "mllp.too_much_unfinished",
    Cut.NOT_MLLP: "mllp.not_mllp",
}


def _uncounted(why: Cut) -> None:
    return None


class MllpServer:
    """Listens for one feed; with TLS when there is a context for it.

    `on_cut` is told of each connection that the server ends, and why. The log tells their number, every second: whoever
    connects a thousand times writes a line, not a thousand.
    """

    def __init__(
        self,
        name: str,
        receiver: Receiver,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
        on_cut: Callable[[Cut], None] = _uncounted,
    ) -> None:
        self.name = name
        self.receiver = receiver
        self.limits = limits
        self.tls = tls
        """For connections from now on."""
        self._on_cut = on_cut
        self._cuts: Counter[tuple[Cut, str]] = Counter()
        self.congested = False
        self.now: Callable[[], float] = lambda: 0.0
        self.room = memoryview(bytearray(READ_BYTES))
        self._connections: set[Connection] = set()
        self._addresses: Counter[str] = Counter()
        self.held = 0
        """Bytes of unfinished frames, of all connections."""
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; the address in use (port 0 takes a free one). OSError when it cannot be had."""
        loop = asyncio.get_running_loop()
        self.now = loop.time
        self._server = await loop.create_server(lambda: Connection(self, self.tls), host, port, backlog=1024)
        for listening in self._server.sockets:
            _keep_alive(listening)
        self._watch = asyncio.create_task(self._cut_slow_peers())
        bound = self._server.sockets[0].getsockname()
        return bound[0], bound[1]

    async def stop(self, grace: float = 5.0) -> None:
        """Take no more, answer what was received, close."""
        if self._watch is not None:
            self._watch.cancel()
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close()
        if self._connections:
            self._empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace)
        for connection in tuple(self._connections):
            connection.abort()
        self._tell()

    def congestion(self, congested: bool) -> None:
        """Pause reading everywhere, or go on."""
        self.congested = congested
        for connection in tuple(self._connections):
            connection.congestion()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def opened(self, connection: Connection) -> None:
        """Count it, or send it away."""
        most = self.limits.per_address or self.limits.connections
        network = _network(connection.address)
        if len(self._connections) >= self.limits.connections:
            self.cut(Cut.TOO_MANY)
            connection.abort()
        elif self._addresses[network] >= most:
            self.cut(Cut.ADDRESS)
            connection.abort()
        else:
            self._connections.add(connection)
            self._addresses[network] += 1
            # uvloop begins to read when this has returned, and would undo a pause.
            asyncio.get_running_loop().call_soon(connection.congestion)

    def closed(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            network = _network(connection.address)
            self._addresses[network] -= 1
            if not self._addresses[network]:
                del self._addresses[network]
        if not self._connections:
            self._empty.set()

    def cut(self, why: Cut, detail: str = "") -> None:
        """A connection is ended, or about to be."""
        self._cuts[why, detail] += 1
        self._on_cut(why)

    def holds(self, more: int) -> None:
        """Keep what all connections hold of unfinished frames within bounds."""
        self.held += more
        if more > 0 and self.held > max(HELD_BYTES, 2 * self.limits.message):
            largest = max(self._connections, key=lambda connection: connection.held, default=None)
            if largest is not None and largest.held:
                self.cut(Cut.UNFINISHED)
                largest.abort()

    async def _cut_slow_peers(self) -> None:
        limits = self.limits
        while True:
            await asyncio.sleep(min(WATCH_SECONDS, limits.frame / 4, limits.idle / 4, limits.handshake / 4))
            now = self.now()
            for connection in tuple(self._connections):
                if connection.overdue(now):
                    self.cut(Cut.SLOW)
                    connection.abort()
            self._tell()

    def _tell(self) -> None:
        cuts, self._cuts = self._cuts, Counter()
        for (why, detail), count in cuts.items():
            log.warning(_EVENTS[why], feed=self.name, count=count, fault=detail or None)


def _keep_alive(listening: socket.socket) -> None:
    """Accepted sockets have it from the one that listens."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE:
        if hasattr(socket, name):  # named otherwise, or not to be had, beyond Linux
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _network(host: str) -> str:
    """What counts as one address: of IPv6 the network of 64 bits, for a single peer has all of its addresses."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))
