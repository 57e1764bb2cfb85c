"""A sending system on MLLP: sends a message, waits for its acknowledgement, and can misbehave on request.

    async with MllpSender("127.0.0.1", 2575) as sender:
        acknowledgement = await sender.send(payload)
        assert acknowledgement.accepted

It shares no code with the gateway, so that one cannot hide the other's mistakes.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

START = b"\x0b"
END = b"\x1c\r"
MAX_REPLY = 1024 * 1024

_ACCEPTED = frozenset({"AA", "CA"})


class NoAcknowledgement(Exception):
    """The receiver closed the connection, or said nothing in time: the message may or may not have been taken."""


class WrongAcknowledgement(Exception):
    """What came back answers another message, or is no acknowledgement."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An ACK as received: MSA-1, MSA-2, MSA-3, and the ERR segments as they stand."""

    code: str
    control: str
    text: str
    errors: tuple[str, ...]
    body: bytes = field(repr=False)

    @property
    def accepted(self) -> bool:
        return self.code in _ACCEPTED

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """The acknowledgement in `body`, a message without its frame. WrongAcknowledgement when it has no MSA."""
        segments = [segment for segment in body.decode("utf-8", "replace").split("\r") if segment]
        separator = segments[0][3:4] if segments and segments[0].startswith("MSH") else "|"
        msa = next((segment.split(separator) for segment in segments if segment.startswith("MSA")), None)
        if msa is None or len(msa) < 3:
            raise WrongAcknowledgement("the reply has no MSA segment")
        errors = tuple(segment for segment in segments if segment.startswith("ERR"))
        return cls(msa[1], msa[2], msa[3] if len(msa) > 3 else "", errors, body)


def frame(payload: bytes) -> bytes:
    """`payload` between the start block and the end block."""
    return START + payload + END


def control_id(payload: bytes) -> str:
    """MSH-10 of `payload`; empty when it has none."""
    header = payload.split(b"\r", 1)[0]
    fields = header.split(header[3:4]) if len(header) > 3 else []
    return fields[9].decode("utf-8", "replace") if len(fields) > 9 else ""


def sender_tls(ca: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """TLS of a sender that trusts what comes from `ca`, and shows `certificate` when it is asked for one."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def asks_for_both(payload: bytes) -> bool:
    """Whether a message that is taken gets two answers: MSH-15 and MSH-16 both ask for one (AL, SU)."""
    header = payload.replace(b"\n", b"\r").lstrip(b"\xef\xbb\xbf\r \t").split(b"\r", 1)[0]
    fields = header.split(header[3:4]) if len(header) > 3 else []
    return {*fields[14:16]} <= {b"AL", b"SU"} and len(fields) > 15


class MllpSender:
    """One connection, opened by `async with` or `connect`. A time-out closes it, so that no late reply is misread."""

    def __init__(self, host: str, port: int, *, timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        self._address = (host, port)
        self._timeout = timeout
        self._tls = tls
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        async with asyncio.timeout(self._timeout):
            self._reader, self._writer = await asyncio.open_connection(*self._address, ssl=self._tls, limit=MAX_REPLY)

    async def close(self) -> None:
        writer, self._reader, self._writer = self._writer, None, None
        if writer is None:
            return
        writer.close()
        try:
            await writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            return  # the receiver closed first: what was wanted has happened

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, payload: bytes) -> Acknowledgement:
        """Send one message and wait for its own acknowledgement.

        Raises NoAcknowledgement on silence or a closed connection, WrongAcknowledgement when MSA-2 is not its MSH-10.
        """
        await self.write(frame(payload))
        acknowledgement = Acknowledgement.parse(await self.read())
        if acknowledgement.control != control_id(payload):
            await self.close()
            raise WrongAcknowledgement("MSA-2 of the reply is not MSH-10 of the message")
        return acknowledgement

    async def send_enhanced(self, payload: bytes) -> tuple[Acknowledgement, Acknowledgement | None]:
        """Send a message that asks for both answers (MSH-15 and MSH-16 say AL): what was said of the commit, and by the
        application, which says nothing of a message that was not taken. Raises as `send` does.
        """
        commit = await self.send(payload)
        if not commit.code.startswith("C"):
            raise WrongAcknowledgement("the first answer is not of the commit")
        if not commit.accepted:
            return commit, None
        application = Acknowledgement.parse(await self.read())
        if application.control != control_id(payload) or application.code.startswith("C"):
            await self.close()
            raise WrongAcknowledgement("the second answer is not the application's to this message")
        return commit, application

    async def write(self, raw: bytes) -> None:
        """Write bytes as they are: half a frame, several frames, no frame at all."""
        _, writer = self._streams()
        try:
            writer.write(raw)
            async with asyncio.timeout(self._timeout):
                await writer.drain()
        except (ConnectionError, TimeoutError) as error:
            await self.close()
            raise NoAcknowledgement("the receiver stopped reading") from error

    async def read(self) -> bytes:
        """The next reply, without its frame. NoAcknowledgement when the connection ends or nothing comes in time."""
        reader, _ = self._streams()
        try:
            async with asyncio.timeout(self._timeout):
                framed = await reader.readuntil(END)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            await self.close()
            raise NoAcknowledgement("the receiver closed the connection") from error
        except (TimeoutError, asyncio.LimitOverrunError) as error:
            await self.close()
            raise NoAcknowledgement(f"no whole reply within {self._timeout:g} s") from error
        if not framed.startswith(START):
            raise WrongAcknowledgement("the reply does not begin with a start block")
        return framed[len(START) : -len(END)]

    async def closed_by_receiver(self) -> bool:
        """Whether the receiver ends the connection, without another byte, within the time-out."""
        reader, _ = self._streams()
        try:
            async with asyncio.timeout(self._timeout):
                return await reader.read(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def _streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            raise NoAcknowledgement("the connection is closed")
        return self._reader, self._writer
