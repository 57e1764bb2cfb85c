"""Load for an MLLP server, run as a process of its own: prints one JSON line of what it measured.

`python -m bench.load --port 2575 --connections 16 --messages 20000`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from bench.messages import dft
from gateway.adapters.mllp.framing import frame


class _Sender(asyncio.Protocol):
    """Sends its next message when the last one was acknowledged."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._got = b""
        self._sent = 0.0
        self._control = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._got.endswith(b"\x1c\r"):
            return
        self._run.latencies.append(time.perf_counter() - self._sent)
        if b"MSA|AA|" + self._control not in self._got:
            self._run.refused += 1
        self._got = b""
        self._next()

    def _next(self) -> None:
        number = self._run.take()
        if number is None:
            self._transport.close()
            return
        self._control = b"C%010d" % number
        self._sent = time.perf_counter()
        self._transport.write(self._run.frames[number - self._run.first])

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.ended(exc)


class Run:
    def __init__(self, first: int, messages: int, connections: int) -> None:
        self.first = first
        self.frames = [frame(dft(number)) for number in range(first, first + messages)]
        self.latencies: list[float] = []
        self.refused = 0
        self.lost = 0
        self._taken = 0
        self._open = connections
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self) -> int | None:
        if self._taken == len(self.frames):
            return None
        self._taken += 1
        return self.first + self._taken - 1

    def ended(self, exc: Exception | None) -> None:
        self.lost += exc is not None
        self._open -= 1
        if not self._open and not self.done.done():
            self.done.set_result(None)


async def measure(host: str, port: int, connections: int, messages: int, first: int) -> dict[str, float]:
    """Messages a second, and the percentiles of the time from sending to the acknowledgement, in milliseconds."""
    run = Run(first, messages, connections)
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Sender(run), host, port)
    await run.done
    seconds = time.perf_counter() - start
    ordered = sorted(run.latencies) or [0.0]
    return {
        "acknowledged": len(run.latencies),
        "refused": run.refused,
        "lost": run.lost,
        "per_second": len(run.latencies) / seconds,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--connections", type=int, default=16)
    arguments.add_argument("--messages", type=int, default=20_000)
    arguments.add_argument("--first", type=int, default=0)
    options = arguments.parse_args()
    measured = measure(options.host, options.port, options.connections, options.messages, options.first)
    print(json.dumps(asyncio.run(measured)))


if __name__ == "__main__":
    main()
