"""`gateway serve` as a process of its own, its log in a file."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from gateway_world import environment, rewrite, until, write_configuration

from conformance.crash import free_port
from conformance.mllp_sender import MllpSender


@dataclass(slots=True)
class Served:
    """A gateway's process and where it listens."""

    directory: Path
    process: asyncio.subprocess.Process
    http: int
    mllp: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def sender(self) -> MllpSender:
        return MllpSender("127.0.0.1", self.mllp)

    def told(self, event: str) -> bool:
        """Whether the log has `event`. Fails on a line that is not JSON."""
        return any(orjson.loads(line)["event"] == event for line in self.log.splitlines() if line)

    async def started(self) -> None:
        async def ready() -> bool:
            assert self.process.returncode is None, self.log
            return self.told("gateway.started")

        await until(ready, "the gateway has not started", 60)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status after the signal."""
        self.process.send_signal(how)
        async with asyncio.timeout(30):
            return await self.process.wait()


async def launch(directory: Path, http: int, mllp: int, **more: str) -> Served:
    """Start the gateway whose configuration stands in `directory`; not yet ready. `more`: further environment."""
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--config", str(directory / "gateway.yaml")),
            stderr=log,
            env={**surroundings(), **more},
        )
    return Served(directory, process, http, mllp)


def surroundings() -> dict[str, str]:
    """The environment of a gateway: its tokens, and nothing of another's settings."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return ours | environment()


@asynccontextmanager
async def serving(directory: Path, feed: str = "", **settings: Any) -> AsyncIterator[Served]:
    """A gateway that is ready; ended at the end if it has not ended before. `feed`: more settings of its first feed."""
    http, mllp = free_port(), free_port()
    write_configuration(directory, http=http, mllp=mllp, **settings)
    rewrite(directory, "dialect: site,", f"dialect: site, {feed}")
    served = await launch(directory, http, mllp)
    try:
        await served.started()
        yield served
    finally:
        if served.process.returncode is None:
            await served.end(signal.SIGKILL)
