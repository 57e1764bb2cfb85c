"""How fast `POST /fhir/Claim` is acknowledged after a durable commit, beside the same service with fhir.resources in
the request's way, and beside bare aiohttp that answers 201 and stores nothing.

`python -m bench.fhir_claim` sends Claims of 6.7 KB over 32 connections to each in turn, several times, and shows the
medians. The gateway only acknowledges: whole validation is a part of processing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

from bench.measured import ROOT, Row, median, peer, show

CONNECTIONS = 32
WANTED = {"fhir.resources in the way": 5.0, "bare aiohttp": 0.25}
KINDS = {"gateway": 1.0, "fhir.resources in the way": 0.1, "bare aiohttp": 1.0, "bare aiohttp on uvloop": 1.0}
"""By name, how much of the load: the slow peer needs less of it to be measured."""
_SERVERS = {
    "gateway": "gateway",
    "fhir.resources in the way": "validating",
    "bare aiohttp": "bare",
    "bare aiohttp on uvloop": "bare-uvloop",
}


def _measured(name: str, claims: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=ROOT) as work:
        command = [sys.executable, "-m", "bench.peers.claim_server", _SERVERS[name], work]
        with peer(*command) as port:
            load = [sys.executable, "-m", "bench.claims", "--port", str(port), "--connections", str(CONNECTIONS)]
            done = subprocess.run(
                [*load, "--claims", str(claims)], cwd=ROOT, capture_output=True, text=True, check=True
            )
    measured: dict[str, float] = json.loads(done.stdout)
    assert measured["acknowledged"] == claims, measured
    return measured


def run(claims: int, rounds: int) -> list[Row]:
    speeds: dict[str, list[float]] = {name: [] for name in KINDS}
    slow: list[float] = []
    for _ in range(rounds):
        for name, share in KINDS.items():
            measured = _measured(name, int(claims * share))
            speeds[name].append(measured["per_second"])
            if name == "gateway":
                slow.append(measured["p99_ms"])
    ours = median(speeds["gateway"])
    ratios = {name: ours / median(speeds[name]) for name in KINDS if name != "gateway"}
    return [Row(f"{CONNECTIONS} connections", f"{ours:,.0f}/s, p99 {median(slow):.1f} ms", ratios, WANTED)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--claims", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    show("POST /fhir/Claim of 6.7 KB, one process, SQLite FULL", run(asked.claims, asked.rounds))
