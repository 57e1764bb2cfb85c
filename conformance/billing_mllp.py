"""A billing system to try deliveries against: it takes DFT messages over MLLP, on a real socket, and can misbehave.

    async with MllpBilling(script=[Misdeed.STORE_AND_HANG]) as peer:
        ...  # send to peer.port

Each message consumes one step of the script; with none left it behaves. `python -m conformance.billing_mllp` runs it
alone. It shares no code with the gateway, so that one cannot hide the other's mistakes.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

START = b"\x0b"
END = b"\x1c\r"
MAX_MESSAGE = 16 * 1024 * 1024


class Misdeed(StrEnum):
    """What the receiver does with one message."""

    TAKE = "take"
    REFUSE = "refuse"
    """AE with an error in ERR; nothing is stored."""
    REFUSE_OLD = "refuse-old"
    """AE as before version 2.5: the error in ERR-1, words in MSA-3; nothing is stored."""
    BUSY = "busy"
    """AR; nothing is stored."""
    NOT_FOR_US = "not-for-us"
    """AR with 203, a version that it does not take; nothing is stored."""
    INTERNAL = "internal"
    """AE with 207."""
    COMMIT_THEN_HANG = "commit-then-hang"
    """The message is stored, CA comes, and no more."""
    HANG = "hang"
    """Nothing is stored, and nothing is answered."""
    STORE_AND_HANG = "store-and-hang"
    LATE = "late"
    """Stored; the answer comes once `let_go` is called."""
    DROP = "drop"
    """The connection ends without an answer; nothing is stored."""
    STORE_AND_DROP = "store-and-drop"
    HALF_ANSWER = "half-answer"
    """Stored; the connection ends in the middle of the answer."""
    OTHER_ID = "other-id"
    """Stored; the answer is to another message: MSA-2 is not this one's MSH-10."""
    GARBAGE = "garbage"
    """Stored; a frame comes back that holds no message."""
    NO_MSA = "no-msa"
    HUGE = "huge"
    """Stored; the answer is larger than anybody needs."""
    TWICE = "twice"
    """Stored, and answered twice."""
    SLOW = "slow"
    """Stored; the answer comes a few bytes at a time."""


STORES = frozenset(Misdeed) - {
    Misdeed.REFUSE,
    Misdeed.REFUSE_OLD,
    Misdeed.BUSY,
    Misdeed.NOT_FOR_US,
    Misdeed.INTERNAL,
    Misdeed.HANG,
    Misdeed.DROP,
}
DROPS = frozenset({Misdeed.DROP, Misdeed.STORE_AND_DROP})
HANGS = frozenset({Misdeed.HANG, Misdeed.STORE_AND_HANG, Misdeed.COMMIT_THEN_HANG})

ERRORS: dict[Misdeed, tuple[str, str]] = {
    Misdeed.REFUSE: ("AE", "ERR||FT1^2^25|103^Table value not found^HL70357|E||||Zebediah Canary has no such code"),
    Misdeed.REFUSE_OLD: ("AE", "ERR|FT1^2^25^103&Table value not found&HL70357"),
    Misdeed.BUSY: ("AR", ""),
    Misdeed.NOT_FOR_US: ("AR", "ERR||MSH^1^12|203^Unsupported version id^HL70357|E"),
    Misdeed.INTERNAL: ("AE", "ERR|||207^Application internal error^HL70357|E"),
}
"""Misdeed -> MSA-1 and the ERR segment. Texts are such as real systems give: they quote the patient."""


@dataclass
class MllpBilling:
    """A receiver on a free port of loopback, started by `async with`.

    `deduplicates`: a message whose MSH-10 was stored before is answered with the bytes of the first answer, and stored
    no second time; another message under the same MSH-10 is refused (AE, 205). `enhanced`: CA before the verdict.
    """

    port: int = 0
    deduplicates: bool = True
    enhanced: bool = False
    tls: ssl.SSLContext | None = None
    script: Iterable[Misdeed] = ()
    messages: list[bytes] = field(default_factory=list)
    """Every message stored, in order."""
    received: list[bytes] = field(default_factory=list)
    """Every message that came, whatever became of it."""
    connections: int = 0

    def __post_init__(self) -> None:
        self._script = list(self.script)
        self._answered: dict[str, tuple[bytes, bytes]] = {}
        self._go = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def then(self, *misdeeds: Misdeed) -> None:
        """Add to the script."""
        self._script.extend(misdeeds)

    def let_go(self) -> None:
        """What hangs goes on."""
        self._go.set()

    async def __aenter__(self) -> MllpBilling:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls, limit=MAX_MESSAGE)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._go.set()
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()

    def drop_all(self) -> None:
        """End every connection, as a restart does."""
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                framed = await reader.readuntil(END)
                message = framed[framed.find(START) + 1 : -len(END)]
                if not await self._one(message, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return  # the sender has gone, or its certificate was not taken
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, message: bytes, writer: asyncio.StreamWriter) -> bool:
        """Take one message and answer; whether the connection goes on."""
        self.received.append(message)
        misdeed = self._script.pop(0) if self._script else Misdeed.TAKE
        if misdeed in STORES:
            answer = self._store(message)
        else:
            code, error = ERRORS.get(misdeed, ("AE", ""))
            answer = _answer(message, code, error)
        if misdeed in DROPS:
            return False
        if misdeed is Misdeed.COMMIT_THEN_HANG or (self.enhanced and misdeed not in HANGS):
            await _write(writer, frame(_answer(message, "CA")))
        if misdeed in HANGS:
            await self._go.wait()
            return False
        return await self._reply(misdeed, message, answer, writer)

    async def _reply(self, misdeed: Misdeed, message: bytes, answer: bytes, writer: asyncio.StreamWriter) -> bool:
        if misdeed is Misdeed.LATE:
            await self._go.wait()
        if misdeed is Misdeed.HALF_ANSWER:
            await _write(writer, frame(answer)[:20])
            return False
        if misdeed is Misdeed.SLOW:
            for at in range(0, len(frame(answer)), 7):
                await _write(writer, frame(answer)[at : at + 7])
                await asyncio.sleep(0)
            return True
        said = {
            Misdeed.OTHER_ID: _answer(message, "AA", control="SOMEBODY-ELSES"),
            Misdeed.GARBAGE: b"HTTP/1.1 400 Bad Request",
            Misdeed.NO_MSA: answer.partition(b"\rMSA")[0] + b"\r",
            Misdeed.HUGE: answer + b"NTE|1||" + b"x" * 200_000 + b"\r",
        }.get(misdeed, answer)
        await _write(writer, frame(said) * (2 if misdeed is Misdeed.TWICE else 1))
        return True

    def _store(self, message: bytes) -> bytes:
        control = control_id(message)
        known = self._answered.get(control) if self.deduplicates else None
        if known is not None:
            same = known[0] == message
            return known[1] if same else _answer(message, "AE", "ERR|||205^Duplicate key identifier^HL70357|E")
        self.messages.append(message)
        answer = _answer(message, "AA", number=len(self.messages))
        self._answered[control] = (message, answer)
        return answer


def frame(message: bytes) -> bytes:
    """`message` between the start block and the end block."""
    return START + message + END


def control_id(message: bytes) -> str:
    """MSH-10; empty when there is none."""
    fields = message.partition(b"\r")[0].split(b"|")
    return fields[9].decode() if len(fields) > 9 else ""


def _answer(message: bytes, code: str, error: str = "", *, control: str | None = None, number: int = 0) -> bytes:
    about = control_id(message) if control is None else control
    head = f"MSH|^~\\&|BILLING|HOSP|||20250306120000+0000||ACK^P03^ACK|B{number}|T|2.5.1"
    return "".join(f"{line}\r" for line in (head, f"MSA|{code}|{about}", error) if line).encode()


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _run(port: int, deduplicates: bool, enhanced: bool) -> None:
    async with MllpBilling(port=port, deduplicates=deduplicates, enhanced=enhanced) as peer:
        print(f"billing receiver at mllp://127.0.0.1:{peer.port}", flush=True)  # noqa: T201
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A billing receiver that stores the HL7 messages it is sent")
    parser.add_argument("--port", type=int, default=2580)
    parser.add_argument("--no-deduplication", action="store_true", help="store a repeated control id again")
    parser.add_argument("--enhanced", action="store_true", help="answer CA before the verdict")
    chosen = parser.parse_args()
    try:
        asyncio.run(_run(chosen.port, not chosen.no_deduplication, chosen.enhanced))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
