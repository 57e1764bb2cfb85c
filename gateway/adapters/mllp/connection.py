"""One outgoing connection: a message at a time, and its answer, or how the waiting for it ended.

Whatever happens that leaves an answer outstanding, the connection is of no use any more: a late answer must never be
taken for the next message's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import deque
from typing import cast

from gateway.adapters.mllp.framing import Broken, Framer, frame

KEEP_ALIVE: dict[str, int] = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds until a silent peer is probed, between probes, and how many probes; names that the platform lacks are passed
over. A peer that vanished is known within a minute, not when the next claim has been sent."""

_REFUSING_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE", "DECRYPT_ERROR")
"""Parts of the names of TLS alerts by which a peer ends the handshake on its side: it has decrypted nothing."""


class Ended(Exception):
    """The connection ended while an answer was awaited. `refused`: by a TLS alert, before anything could be read."""

    def __init__(self, *, refused: bool = False) -> None:
        super().__init__("the connection ended")
        self.refused = refused


class Unreadable(Exception):
    """What came back is not MLLP, or too long."""


class Connection(asyncio.Protocol):
    """Made by `asyncio`. `ask` and `answer`, then `abort` unless all is well."""

    def __init__(self, limit: int) -> None:
        self._framer = Framer(limit)
        self._frames: deque[bytes] = deque()
        self._asking = False
        self._spoiled = False
        self._proven = False
        """Whether the peer has ever answered here: from then on its handshake is known to be over."""
        self._fault: Exception | None = None
        self._news = asyncio.Event()
        self._transport: asyncio.Transport
        self.used = time.monotonic()
        """When the last answer came, by `time.monotonic`."""

    @property
    def usable(self) -> bool:
        """Whether a message may be sent: nothing is outstanding, and nothing came that nobody asked for."""
        return not (self._asking or self._spoiled or self._fault is not None or self._transport.is_closing())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a stream connection has no other
        _keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        try:
            self._frames += self._framer.feed(data)
        except Broken:
            self._fault = self._fault or Unreadable()
        if not self._asking:
            self._spoil()
        self._news.set()

    def eof_received(self) -> None:
        self._end(Ended())

    def connection_lost(self, exc: Exception | None) -> None:
        alert = (exc.reason or "") if isinstance(exc, ssl.SSLError) else ""
        self._end(Ended(refused=not self._proven and any(word in alert for word in _REFUSING_ALERTS)))

    def _end(self, fault: Ended) -> None:
        self._fault = self._fault or fault
        self._news.set()

    async def quiet(self, seconds: float) -> None:
        """Wait whether the peer ends the connection at once, as it does with a certificate that it does not take."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    def ask(self, message: bytes) -> None:
        """Begin to send. From here on nobody can say that nothing arrived."""
        self._asking = True
        self._transport.write(frame(message))

    async def answer(self) -> bytes:
        """The next frame. Raises Ended or Unreadable; the time limit is the caller's."""
        while not self._frames:
            if self._fault is not None:
                raise self._fault
            self._news.clear()
            await self._news.wait()
        return self._frames.popleft()

    def answered(self) -> None:
        """The answer was this message's, and the last that was asked for. Anything beyond it spoils the connection."""
        self._asking = False
        self._proven = True
        self.used = time.monotonic()
        self._spoil()

    def _spoil(self) -> None:
        """After something that nobody asked for, a late answer perhaps; a stray line end is nothing."""
        if self._frames or self._framer.begun or self._fault is not None:
            self._spoiled = True
            self.abort()

    def abort(self) -> None:
        """End it at once; what was not sent is thrown away."""
        self._transport.abort()

    def close(self) -> None:
        """End it in an orderly way."""
        self._transport.close()


def _keep_alive(sock: socket.socket | None) -> None:
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
