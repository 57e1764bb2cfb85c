"""A crowd of slow senders on MLLP, and honest ones beside them: what the crowd costs the honest.

Each slow sender begins a frame, sends half of a message, and then a byte now and then, for ever. Like the other peers,
it shares no code with the gateway.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from conformance.mllp_sender import MllpSender

PAUSE_SECONDS = 0.25
"""Between two bytes of a slow sender."""
_HEAD = b"\x0bMSH|^~\\&|SLOW|MAIN|GATEWAY|MAIN|20261103081500||ORU^R01|S1|P|2.5.1\rOBX|1|TX|||"


@dataclass(frozen=True, slots=True)
class Cost:
    """What was seen. Seconds, but for `grown`: bytes of memory that the gateway used more than before."""

    latencies: tuple[float, ...]
    cut_after: tuple[float, ...]
    uncut: int
    grown: int

    @property
    def p99(self) -> float:
        """Of the honest senders' acknowledgements."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


class _Slow(asyncio.Protocol):
    """One slow sender."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.began = 0.0
        self.ended: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.began = asyncio.get_running_loop().time()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = asyncio.get_running_loop().time()

    def write(self, data: bytes) -> None:
        if self.transport is not None and self.ended is None:
            self.transport.write(data)


@dataclass
class Crowd:
    """`slow` senders, each with `half` bytes of a message, and `honest` ones that send what `message` makes."""

    host: str
    port: int
    message: Callable[[int], bytes]
    process: int
    """The gateway's, whose memory is looked at."""
    slow: int = 1000
    honest: int = 8
    half: int = 16 * 1024
    latencies: list[float] = field(default_factory=list)
    highest: int = 0
    _over: bool = False

    async def measure(self, seconds: float) -> Cost:
        """Let them at the gateway until all slow ones are cut, `seconds` at most. NoAcknowledgement or
        WrongAcknowledgement when an honest one suffers.
        """
        _many_files(self.slow + self.honest + 100)
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            await self._send(0, loop.time() + 0.2)  # what a first message makes it load is not the crowd's cost
            self.latencies.clear()
            before = self.highest = resident(self.process)
            crowd = [await self._connect() for _ in range(self.slow)]
            end = loop.time() + seconds
            group.create_task(self._trickle(crowd, end))
            for number in range(self.honest):
                group.create_task(self._send(number + 1, end))
        ended = [one.ended - one.began for one in crowd if one.ended is not None]
        for one in crowd:
            if one.transport is not None:
                one.transport.abort()
        return Cost(tuple(self.latencies), tuple(ended), len(crowd) - len(ended), self.highest - before)

    async def _connect(self) -> _Slow:
        _, slow = await asyncio.get_running_loop().create_connection(_Slow, self.host, self.port)
        slow.write(_HEAD + b"x" * self.half)
        return slow

    async def _trickle(self, crowd: list[_Slow], end: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < end and any(one.ended is None for one in crowd):
            for number, one in enumerate(crowd):
                one.write(b"x")
                if number % 50 == 0:
                    await asyncio.sleep(PAUSE_SECONDS / max(1, len(crowd) // 50))
            self.highest = max(self.highest, resident(self.process))
        self._over = True

    async def _send(self, sender: int, end: float) -> None:
        loop = asyncio.get_running_loop()
        number = 0
        async with MllpSender(self.host, self.port, timeout=30) as connection:
            while loop.time() < end and not self._over:
                number += 1
                began = time.perf_counter()
                await connection.send(self.message(sender * 1_000_000 + number))
                self.latencies.append(time.perf_counter() - began)
                await asyncio.sleep(0.01)


def resident(process: int) -> int:
    """Bytes of memory that a process holds now (Linux)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(process)


def _many_files(count: int) -> None:
    """Let this process open so many sockets, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard) if hard > 0 else count, hard))
