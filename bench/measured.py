"""How the benchmarks start peers, take medians and show ratios."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside the peer that it is measured against, both from the same run."""

    name: str
    figure: str
    ratios: dict[str, float]
    """peer -> ours / theirs"""
    targets: dict[str, float]
    """peer -> the ratio that is wanted"""


def show(title: str, rows: Sequence[Row]) -> None:
    table = Table("what", "figure", "beside", "ratio", "wanted", title=title, title_justify="left")
    for row in rows:
        table.add_row(row.name, row.figure)
        for peer, ratio in row.ratios.items():
            wanted = row.targets.get(peer)
            met = "" if wanted is None else ("  met" if ratio >= wanted else "  MISSED")
            table.add_row("", "", peer, f"{ratio:.2f}", f"{wanted:g}{met}" if wanted is not None else "")
    Console(width=130).print(table)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@contextlib.contextmanager
def peer(*command: str) -> Iterator[int]:
    """A server in a process of its own, that prints its port; stopped at the end."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.strip(), f"{command[0]} did not start"
        port = int(line.split()[-1])
        reachable(port)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def reachable(port: int) -> None:
    """Wait until somebody listens there."""
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port}")


def load(port: int, connections: int, messages: int, first: int = 0) -> dict[str, float]:
    """Run the load in a process of its own; what it measured."""
    command = [sys.executable, "-m", "bench.load", "--port", str(port), "--connections", str(connections)]
    command += ["--messages", str(messages), "--first", str(first)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ))
    measured: dict[str, float] = json.loads(done.stdout)
    assert measured["refused"] == 0, measured
    assert measured["acknowledged"] == messages, measured
    return measured


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
