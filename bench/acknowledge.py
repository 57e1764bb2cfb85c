"""How fast one process acknowledges after a durable commit, beside servers that store nothing and a bare log.

`python -m bench.acknowledge` runs, three times in turn, the raw append-and-fdatasync log (the limit), the gateway on
SQLite with synchronous=FULL, simple-hl7 (Node) and python-hl7's server, with 16 and 64 connections, and shows medians.
The gateway here only acknowledges: processing is measured by `bench.pipeline`, both together by `bench.sustained`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measured import ROOT, Row, free_port, load, median, peer, show

ROUNDS = 3
WANTED = {"raw log": 1 / 3, "simple-hl7": 1.5, "python-hl7": 30.0}
MESSAGES = {"gateway": 30_000, "raw log": 30_000, "simple-hl7": 15_000, "python-hl7": 1_500}


def _node_peer() -> list[str] | None:
    """simple-hl7 as a command, installed on first use; None where there is no Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    home = ROOT / "bench" / "peers"
    if not (home / "node_modules").is_dir():
        subprocess.run([npm, "install", "--no-package-lock", "--ignore-scripts", "--silent"], cwd=home, check=True)
    return [node, str(home / "simple_hl7_server.cjs"), str(free_port())]


@contextmanager
def _server(name: str, work: Path) -> Iterator[int]:
    match name:
        case "gateway":
            command = [sys.executable, "-m", "bench.peers.acknowledging_gateway", str(work / "gateway.db")]
        case "raw log":
            command = [sys.executable, "-m", "bench.peers.raw_log", str(work / "raw.log")]
        case "python-hl7":
            command = [sys.executable, "-m", "bench.peers.python_hl7_server"]
        case _:
            command = _node_peer() or []
    with peer(*command) as port:
        yield port


def run() -> list[Row]:
    names = ["raw log", "gateway", "python-hl7"] + (["simple-hl7"] if _node_peer() else [])
    rows = []
    for connections in (1, 16, 64):
        speeds: dict[str, list[float]] = {name: [] for name in names}
        slow: list[float] = []
        for _ in range(ROUNDS):
            for name in names:
                with tempfile.TemporaryDirectory(dir=ROOT) as work, _server(name, Path(work)) as port:
                    measured = load(port, connections, MESSAGES[name] // (4 if connections == 1 else 1))
                speeds[name].append(measured["per_second"])
                if name == "gateway":
                    slow.append(measured["p99_ms"])
        ours = median(speeds["gateway"])
        ratios = {name: ours / median(speeds[name]) for name in names if name != "gateway"}
        figure = f"{ours:,.0f}/s, p99 {median(slow):.1f} ms"
        rows.append(Row(f"{connections} connections", figure, ratios, WANTED if connections > 1 else {}))
    return rows


if __name__ == "__main__":
    show("Acknowledged after a durable commit, DFT of 2.9 KB, one process, SQLite FULL", run())
