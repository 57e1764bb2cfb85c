"""The MLLP server: one protocol a connection, answers in the order of the messages, slow peers cut at their limit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from gateway.adapters.mllp.framing import Framer, FrameTooLong, NotMllp, frame
from gateway.logs import logger

log = logger("mllp")

WATCH_SECONDS = 1.0
IN_FLIGHT = 256
"""Messages of one connection that wait for their answer; beyond it the connection is read no more for a while."""
READ_BYTES = 32 * 1024
"""A connection's own buffer: a message of usual size is read at once, and nothing is allocated for it."""
LINGER_SECONDS = 2.0
"""How long what a refused peer still sends is read and thrown away, so that it can read why."""


class Receiver(Protocol):
    """What the server does with a message. Returns the acknowledgement, or raises; then the connection closes, and
    the sender, unanswered, sends again.
    """

    def receive(self, message: bytes) -> Awaitable[bytes]: ...

    def refuse(self, head: bytes, reason: str) -> bytes:
        """The negative acknowledgement for a message that is not taken at all."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds that a connection may use."""

    message: int
    idle: float
    frame: float
    connections: int


class _Connection(asyncio.BufferedProtocol):
    def __init__(self, server: MllpServer) -> None:
        self._server = server
        self._room = memoryview(bytearray(READ_BYTES))
        self._framer = Framer(server.limits.message)
        self._waiting: deque[asyncio.Task[bytes]] = deque()
        self._transport: asyncio.Transport
        self._paused = False
        self._closing = False
        self._refused = False
        self._ended = False
        self.heard = 0.0
        self.begun: float | None = None
        self._stuck: float | None = None
        """Since when the peer has not taken its answers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's servers give nothing else
        self._transport = transport
        self.heard = self._server.now()
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._server.closed(self)

    def eof_received(self) -> bool:
        """A half-closed sender still gets the answers that it waits for."""
        self._closing = self._ended = True
        return bool(self._waiting)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        if not self._closing:
            self._heard(bytes(self._room[:nbytes]))

    def _heard(self, data: bytes) -> None:
        self.heard = self._server.now()
        try:
            messages = self._framer.feed(data)
        except FrameTooLong as fault:
            self._take_all(fault.before)
            self._refuse(self._server.receiver.refuse(fault.head, str(fault)))
            return
        except NotMllp as fault:
            log.warning("mllp.not_mllp", feed=self._server.name)
            self._take_all(fault.before)
            self.close()
            return
        if not self._framer.begun:
            self.begun = None
        elif messages or self.begun is None:
            self.begun = self.heard
        self._take_all(messages)
        self._pace()

    def _take_all(self, messages: list[bytes]) -> None:
        for message in messages:
            task = asyncio.ensure_future(self._server.receiver.receive(message))
            self._waiting.append(task)
            task.add_done_callback(self._answer)

    def _answer(self, _: asyncio.Task[bytes]) -> None:
        """Write the answers that are ready, in the order of their messages."""
        while self._waiting and self._waiting[0].done():
            done = self._waiting.popleft()
            if done.cancelled() or done.exception() is not None:
                fault = "cancelled" if done.cancelled() else type(done.exception()).__name__
                log.error("mllp.unanswered", feed=self._server.name, fault=fault)
                self._closing = True
                self.abort()
                return
            if not self._transport.is_closing():
                self._transport.write(frame(done.result()))
        if self._closing and not self._waiting:
            self._finish()
        self._pace()

    def _finish(self) -> None:
        """End the connection. A refused peer that is still sending would lose its answer to a reset: what it sends
        is thrown away for a while first.
        """
        if self._refused and not self._ended and self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.abort)
        else:
            self._transport.close()

    def _refuse(self, answer: bytes) -> None:
        """Say no and close, once the messages before it are answered."""
        self._closing = self._refused = True
        self._framer = Framer(self._server.limits.message)
        refused: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        refused.set_result(answer)
        self._waiting.append(refused)  # type: ignore[arg-type]
        refused.add_done_callback(self._answer)  # type: ignore[arg-type]

    def pause_writing(self) -> None:
        self._stuck = self._server.now()
        self._pace()

    def resume_writing(self) -> None:
        self._stuck = None
        self._pace()

    def _pace(self) -> None:
        """Read only while the gateway keeps up and the peer takes its answers."""
        pause = self._server.congested or self._stuck is not None or len(self._waiting) >= IN_FLIGHT
        if pause is self._paused or self._transport.is_closing() or self._closing:
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self.heard = self._server.now()
            if self.begun is not None:
                self.begun = self.heard
            self._transport.resume_reading()

    def congestion(self) -> None:
        self._pace()

    def overdue(self, now: float) -> bool:
        """Whether the peer used up its time: idle, a frame that does not end, or answers that it does not take."""
        limits = self._server.limits
        if self._stuck is not None:
            return now - self._stuck > limits.frame
        if self._paused or self._waiting:
            return False
        if self.begun is not None and now - self.begun > limits.frame:
            return True
        return now - self.heard > limits.idle

    def close(self) -> None:
        """Close once the answers under way are written."""
        self._closing = True
        if not self._waiting:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class MllpServer:
    """Listens for one feed."""

    def __init__(self, name: str, receiver: Receiver, limits: Limits) -> None:
        self.name = name
        self.receiver = receiver
        self.limits = limits
        self.congested = False
        self.now: Callable[[], float] = lambda: 0.0
        self._connections: set[_Connection] = set()
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; the address in use (port 0 takes a free one). OSError when it cannot be had."""
        loop = asyncio.get_running_loop()
        self.now = loop.time
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=1024)
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

    def congestion(self, congested: bool) -> None:
        """Pause reading everywhere, or go on."""
        self.congested = congested
        for connection in tuple(self._connections):
            connection.congestion()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def opened(self, connection: _Connection) -> None:
        if len(self._connections) >= self.limits.connections:
            log.warning("mllp.too_many_connections", feed=self.name, count=len(self._connections))
            connection.abort()
            return
        self._connections.add(connection)
        connection.congestion()

    def closed(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def _cut_slow_peers(self) -> None:
        while True:
            await asyncio.sleep(min(WATCH_SECONDS, self.limits.frame / 4, self.limits.idle / 4))
            now = self.now()
            for connection in tuple(self._connections):
                if connection.overdue(now):
                    log.warning("mllp.slow_peer_cut", feed=self.name)
                    connection.abort()
