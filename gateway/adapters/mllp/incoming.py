"""One incoming connection: frames in, answers out in the order of the messages."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, cast

from gateway.adapters.mllp.framing import Framer, FrameTooLong, NotMllp, frame
from gateway.adapters.mllp.server_tls import NO_GOOD_CERTIFICATE, TlsSession
from gateway.callers.senders import Certificate
from gateway.logs import logger
from gateway.promise import Promise

log = logger("mllp")

IN_FLIGHT = 256
"""Messages of one connection that wait for their answer; beyond it the connection is read no more for a while."""
LINGER_SECONDS = 2.0
"""How long what a refused peer still sends is read and thrown away, so that it can read why."""


class Receiver(Protocol):
    """What the server does with a message. Returns the answer (empty for none), or raises; then the connection closes,
    and the sender, unanswered, sends again.
    """

    def receive(self, message: bytes, /) -> Promise[bytes]: ...

    def refuse(self, head: bytes, reason: str) -> bytes:
        """The negative acknowledgement for a message that is not taken at all."""
        ...

    def behind(self, certificate: Certificate | None) -> Receiver:
        """The same, for a connection whose peer showed this certificate."""
        ...


class Cut(StrEnum):
    """Why a connection is ended by us."""

    TOO_MANY = "too-many"
    ADDRESS = "too-many-of-an-address"
    CERTIFICATE = "certificate"
    """The peer did not show the certificate that it must."""
    TLS = "tls"
    SLOW = "slow"
    UNFINISHED = "too-much-unfinished"
    NOT_MLLP = "not-mllp"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds that a connection may use."""

    message: int
    idle: float
    frame: float
    connections: int
    per_address: int | None = None
    """Connections of one remote address; as many as of all when None."""
    handshake: float = 10.0


class Server(Protocol):
    """What a connection asks of its server."""

    name: str
    receiver: Receiver
    limits: Limits
    congested: bool
    room: memoryview
    """Where what arrives is put before it is copied: one for all, for the loop fills it and hands it over in one go."""

    def now(self) -> float: ...

    def opened(self, connection: Connection) -> None: ...

    def closed(self, connection: Connection) -> None: ...

    def holds(self, more: int) -> None:
        """A connection holds so many more bytes of an unfinished frame, or fewer."""
        ...

    def cut(self, why: Cut, detail: str = "") -> None:
        """A connection is ended by us. `detail`: one of a few words."""
        ...


class Connection(asyncio.BufferedProtocol):
    """A sender's connection. With `tls`, everything but its bytes on the wire is as without."""

    def __init__(self, server: Server, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._receiver = server.receiver
        self._tls = TlsSession(tls) if tls is not None else None
        self._framer = Framer(server.limits.message)
        self._waiting: deque[Promise[bytes]] = deque()
        self._transport: asyncio.Transport
        self._paused = False
        self._closing = False
        self._refused = False
        self._ended = False
        self.address = ""
        """The peer's."""
        self.held = 0
        """Bytes of a frame that has not ended."""
        self.heard = 0.0
        self.begun: float | None = None
        self._shaking: float | None = None
        """Since when the handshake is under way."""
        self._stuck: float | None = None
        """Since when the peer has not taken its answers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a stream's server gives nothing else
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        self.heard = self._server.now()
        self._shaking = self.heard if self._tls is not None else None
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._keep_count(0)
        self._server.closed(self)

    def eof_received(self) -> bool:
        """A half-closed sender still gets the answers that it waits for."""
        self._closing = self._ended = True
        return bool(self._waiting)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._server.room

    def buffer_updated(self, nbytes: int) -> None:
        if self._closing:
            return
        data = bytes(self._server.room[:nbytes])
        if self._tls is not None:
            data = self._opened(data, self._tls)
            if self._tls.ended:
                self._last(data)
                return
        if data:
            self._heard(data)

    def _last(self, data: bytes) -> None:
        """The peer ends its side of the session, perhaps with messages before."""
        if data:
            self._heard(data)
        self._ended = True
        self.close()

    def _opened(self, data: bytes, tls: TlsSession) -> bytes:
        """What the peer said within TLS; nothing when the session breaks, which ends the connection."""
        try:
            plain = tls.receive(data)
        except ssl.SSLError as fault:
            why = Cut.CERTIFICATE if fault.reason in NO_GOOD_CERTIFICATE else Cut.TLS
            self._server.cut(why, str(fault.reason))
            self._closing = True
            self._transport.write(tls.outgoing())
            self._transport.close()
            return b""
        if sealed := tls.outgoing():
            self._transport.write(sealed)
        if self._shaking is not None and tls.ready:
            self._shaking = None
            self._receiver = self._server.receiver.behind(tls.certificate)
        return plain

    def _heard(self, data: bytes) -> None:
        self.heard = self._server.now()
        try:
            messages = self._framer.feed(data)
        except FrameTooLong as fault:
            self._take_all(fault.before)
            self._refuse(self._receiver.refuse(fault.head, str(fault)))
            return
        except NotMllp as fault:
            self._server.cut(Cut.NOT_MLLP)
            self._take_all(fault.before)
            self.close()
            return
        if not self._framer.begun:
            self.begun = None
        elif messages or self.begun is None:
            self.begun = self.heard
        if self.held or self.begun is not None:
            self._keep_count(self._framer.held)
        if self._framer.given_up:
            self._framer.given_up = 0
            log.warning("mllp.frame_begun_anew", feed=self._server.name)
        self._take_all(messages)
        self._pace()

    def _keep_count(self, held: int) -> None:
        more, self.held = held - self.held, held
        if more:
            self._server.holds(more)

    def _take_all(self, messages: list[bytes]) -> None:
        for message in messages:
            answering = self._receiver.receive(message)
            self._waiting.append(answering)
            answering.add_done_callback(self._answer)

    def _answer(self, _: Promise[bytes]) -> None:
        """Write the answers that are ready, in the order of their messages."""
        while self._waiting and self._waiting[0].done():
            done = self._waiting.popleft()
            if done.cancelled() or done.exception() is not None:
                fault = "cancelled" if done.cancelled() else type(done.exception()).__name__
                log.error("mllp.unanswered", feed=self._server.name, fault=fault)
                self._closing = True
                self.abort()
                return
            answer = done.result()
            if answer and not self._transport.is_closing():
                self._transport.write(frame(answer) if self._tls is None else self._tls.seal(frame(answer)))
        if self._closing and not self._waiting:
            self._finish()
        self._pace()

    def _finish(self) -> None:
        """End the connection. A refused peer that is still sending would lose its answer to a reset: what it sends
        is thrown away for a while first.
        """
        if self._tls is not None and not self._transport.is_closing():
            self._transport.write(self._tls.farewell())
        if self._refused and not self._ended and self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.abort)
        else:
            self._transport.close()

    def _refuse(self, answer: bytes) -> None:
        """Say no and close, once the messages before it are answered."""
        self._closing = self._refused = True
        self._framer = Framer(self._server.limits.message)
        self._keep_count(0)
        refused: Promise[bytes] = Promise()
        refused.set_result(answer)
        self._waiting.append(refused)
        refused.add_done_callback(self._answer)

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
            if self._shaking is not None:
                self._shaking = self.heard
            self._transport.resume_reading()

    def congestion(self) -> None:
        self._pace()

    def overdue(self, now: float) -> bool:
        """Whether the peer used up its time: a handshake or a frame that does not end, answers that it does not take,
        or nothing at all.
        """
        limits = self._server.limits
        if self._stuck is not None:
            return now - self._stuck > limits.frame
        if self._paused or self._waiting:
            return False
        if self._shaking is not None:
            return now - self._shaking > limits.handshake
        if self.begun is not None and now - self.begun > limits.frame:
            return True
        return now - self.heard > limits.idle

    def close(self) -> None:
        """Close once the answers under way are written."""
        self._closing = True
        if not self._waiting:
            self._finish()

    def abort(self) -> None:
        self._transport.abort()
