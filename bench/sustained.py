"""What a gateway does whose senders are faster than its processing: it slows them at the socket, in bounded memory.

`python -m bench.sustained` serves the whole gateway as a process of its own and sends it messages over 16 connections
as fast as it acknowledges them. Once the high-water mark is reached, it acknowledges as fast as it processes.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measured import ROOT, Row, free_port, load, reachable, show
from gateway.store import open_store

HIGH_WATER = 2_000

_CONFIGURATION = """\
store: sqlite:///gateway.db
http: {{listen: "127.0.0.1:{http}"}}
feeds:
  - {{name: bench, listen: "mllp://127.0.0.1:{mllp}", dialect: epic}}
destinations:
  - {{name: clearinghouse, kind: x12-file, directory: out}}
review: {policy}
reference: {reference}
audit: {{key_file: audit.key, anchor: seals.ndjson}}
processing: {{high_water: {high_water}}}
"""


def _peak(pid: int) -> int:
    """The most memory that the process ever had resident, in bytes (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


async def _processed(path: Path) -> dict[str, int]:
    store = open_store(f"sqlite:///{path}")
    await store.open()
    try:
        while await store.backlog():  # noqa: ASYNC110 - another process works it off
            await asyncio.sleep(0.05)
        return dict((await store.counts())["messages"])
    finally:
        await store.close()


def run(messages: int, rounds: int = 3) -> list[Row]:
    with tempfile.TemporaryDirectory(dir=ROOT) as home:
        work = Path(home)
        mllp, http = free_port(), free_port()
        (work / "gateway.yaml").write_text(
            _CONFIGURATION.format(
                http=http,
                mllp=mllp,
                policy=ROOT / "bench" / "policy.yaml",
                reference=ROOT / "var" / "reference",
                high_water=HIGH_WATER,
            )
        )
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(work / "gateway.yaml")]
        with (work / "log").open("wb") as log:
            process = subprocess.Popen(command, stderr=log)
        try:
            return _rows(process, work, mllp, messages, rounds)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _rows(process: subprocess.Popen[bytes], work: Path, mllp: int, messages: int, rounds: int) -> list[Row]:
    reachable(mllp)
    rows, first_peak = [], 0
    for turn in range(rounds):
        start = time.perf_counter()
        measured = load(mllp, 16, messages, turn * messages)
        counts = asyncio.run(_processed(work / "gateway.db"))
        seconds = time.perf_counter() - start
        assert counts == {"processed": messages * (turn + 1)}, counts
        peak = _peak(process.pid)
        first_peak = first_peak or peak
        figure = (
            f"{messages / seconds:,.0f}/s processed; {measured['per_second']:,.0f}/s acknowledged, "
            f"p99 {measured['p99_ms']:.0f} ms; peak {peak / 1e6:,.0f} MB"
        )
        ratios = {"peak memory of round 1": peak / first_peak} if turn else {}
        rows.append(Row(f"round {turn + 1}: {messages:,} messages", figure, ratios, {}))
    return rows


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=20_000)
    show("Senders that outrun processing, 16 connections, SQLite FULL", run(arguments.parse_args().messages))
