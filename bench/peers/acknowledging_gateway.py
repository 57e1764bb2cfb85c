"""The gateway's way in, alone: MLLP server, intake, SQLite with synchronous=FULL. Nothing is processed."""

from __future__ import annotations

import asyncio
import sys

from gateway.adapters.mllp.server import Limits, MllpServer
from gateway.app import tune_collector
from gateway.clock import Ids, SystemClock
from gateway.intake.intake import Backlog, Intake
from gateway.intake.reception import Reception
from gateway.logs import configure
from gateway.loop import run
from gateway.store.open import open_store
from gateway.upkeep.metrics import Metrics


async def main(path: str, frame_seconds: float = 60, connections: int = 1024) -> None:
    configure()  # as `gateway serve` does: standard output is for the port alone
    store = open_store(f"sqlite:///{path}", None)
    await store.open()
    clock = SystemClock()
    intake = Intake(store, Backlog(10_000_000), clock, Ids())
    limits = Limits(1 << 20, 60, frame_seconds, connections)
    server = MllpServer("bench", Reception("bench", intake, clock, Metrics().acknowledged), limits)
    _, port = await server.start("127.0.0.1", 0)
    tune_collector()  # as `gateway serve` does
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(main(sys.argv[1], *map(float, sys.argv[2:3]), *map(int, sys.argv[3:4])))
