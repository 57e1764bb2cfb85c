"""The gateway's way in, alone: MLLP server, intake, SQLite with synchronous=FULL. Nothing is processed."""

from __future__ import annotations

import asyncio
import sys

from gateway.adapters.mllp.feed import FeedReceiver
from gateway.adapters.mllp.server import Limits, MllpServer
from gateway.app import tune_collector
from gateway.clock import Ids, SystemClock
from gateway.intake import Backlog, Intake
from gateway.metrics import Metrics
from gateway.store.open import open_store


async def main(path: str) -> None:
    store = open_store(f"sqlite:///{path}", None)
    await store.open()
    clock = SystemClock()
    intake = Intake(store, Backlog(10_000_000), clock, Ids())
    server = MllpServer(
        "bench", FeedReceiver("bench", intake, clock, Metrics().acknowledged), Limits(1 << 20, 60, 60, 1024)
    )
    _, port = await server.start("127.0.0.1", 0)
    tune_collector()  # as `gateway serve` does
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
