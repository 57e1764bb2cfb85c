"""Load for an MLLP server, run as a process of its own: prints one JSON line of what it measured.

`python -m bench.load --port 2575 --connections 16 --messages 20000`

Plain sockets and one selector: what the load itself costs is kept out of what is measured, as far as Python goes.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import time

from bench.messages import dft
from gateway.adapters.mllp.framing import frame

STALLED_SECONDS = 60.0


class Sender:
    """One connection. Sends its next message when the last one was acknowledged."""

    __slots__ = ("control", "got", "sent", "socket")

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""
        self.sent = 0.0
        self.control = b""


class Run:
    """Messages `first` to `first` + `messages`, over so many connections."""

    def __init__(self, host: str, port: int, connections: int, messages: int, first: int) -> None:
        self._frames = [(b"MSA|AA|C%010d" % number, frame(dft(number))) for number in range(first, first + messages)]
        self._next = 0
        self._senders = [Sender(host, port) for _ in range(connections)]
        self.latencies: list[float] = []
        self.refused = 0
        self.lost = 0

    def __call__(self) -> float:
        """Send everything; how many seconds it took."""
        selector = selectors.DefaultSelector()
        start = time.perf_counter()
        for sender in self._senders:
            selector.register(sender.socket, selectors.EVENT_READ, sender)
            self._send(sender)
        waiting = len(self._senders)
        while waiting:
            ready = selector.select(STALLED_SECONDS)
            if not ready:
                raise TimeoutError(f"nothing was answered for {STALLED_SECONDS} s")
            for key, _ in ready:
                if not self._heard(key.data):
                    selector.unregister(key.fileobj)
                    waiting -= 1
        return time.perf_counter() - start

    def _heard(self, sender: Sender) -> bool:
        """Take what came; False when the connection is done with."""
        data = sender.socket.recv(65_536)
        if not data:
            self.lost += 1
            return False
        sender.got += data
        if not sender.got.endswith(b"\x1c\r"):
            return True
        self.latencies.append(time.perf_counter() - sender.sent)
        self.refused += sender.control not in sender.got
        sender.got = b""
        return self._send(sender)

    def _send(self, sender: Sender) -> bool:
        if self._next == len(self._frames):
            sender.socket.close()
            return False
        sender.control, message = self._frames[self._next]
        self._next += 1
        sender.sent = time.perf_counter()
        sender.socket.sendall(message)
        return True


def measure(host: str, port: int, connections: int, messages: int, first: int) -> dict[str, float]:
    """Messages a second, and the percentiles of the time from sending to the acknowledgement, in milliseconds."""
    run = Run(host, port, connections, messages, first)
    seconds = run()
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
    print(json.dumps(measure(options.host, options.port, options.connections, options.messages, options.first)))


if __name__ == "__main__":
    main()
