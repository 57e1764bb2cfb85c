"""How fast one process takes messages the whole way: kept, read, mapped, applied, assessed, held or released, audited.

`python -m bench.pipeline` keeps DFT messages in a store and works through them, on SQLite and on PostgreSQL, beside
python-hl7's bare parse of the same messages in the same run. `--stored 1000000` measures again with that many
encounters stored.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

from bench.measured import ROOT, Row, median, show
from bench.messages import dft
from gateway import loop
from gateway.app import Gateway, tune_collector
from gateway.audit.events import Action, Event
from gateway.case import Case
from gateway.config.model import Config, Feed
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.store.interface import CaseChange, Step

ROUNDS = 3
WANTED = {"sqlite": 2500 / 700, "postgresql": 1250 / 700}


def parse_speed(count: int = 1_000) -> float:
    """Messages a second that python-hl7 parses, doing nothing else, in a process of its own."""
    command = [sys.executable, "-m", "bench.peers.python_hl7_parse", str(count)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@contextlib.asynccontextmanager
async def _gateway(store: str, work: Path) -> AsyncIterator[Gateway]:
    """The whole gateway but for its sockets' work: nobody is connected."""
    feed = Feed(name="bench", listen="mllp://127.0.0.1:0", dialect="epic")
    policy = ROOT / "bench" / "policy.yaml"
    config = Config.model_validate(
        {
            "store": store,
            "http": {"listen": "127.0.0.1:0"},
            "feeds": [feed],
            "review": policy,
            "reference": ROOT / "var" / "reference",
            "audit": {"key_file": work / "audit.key", "anchor": work / "seals.ndjson"},
            "destinations": [{"name": "clearinghouse", "kind": "x12-file", "directory": work / "out"}],
        }
    )
    gateway = Gateway(config)
    await gateway.start(processing=False)
    try:
        yield gateway
    finally:
        await gateway.stop()


async def _keep(gateway: Gateway, first: int, count: int) -> float:
    """Keep messages as the MLLP feed does, 64 at a time; messages a second."""
    receiver = gateway.feeds.receptions["bench"]
    start = time.perf_counter()
    for at in range(first, first + count, 64):
        await asyncio.gather(*(receiver.receive(dft(number)) for number in range(at, min(at + 64, first + count))))
    return count / (time.perf_counter() - start)


async def speed(store: str, work: Path, first: int, count: int) -> float:
    """Messages a second from the first unprocessed message to the last committed decision."""
    async with _gateway(store, work) as gateway:
        await _keep(gateway, first, count)
        tune_collector()
        start = time.perf_counter()
        done = 0
        while worked := await gateway.pipeline.work_once():
            done += worked
        seconds = time.perf_counter() - start
        assert done == count, (done, count)
        counts = await gateway.store.counts()
        assert counts["messages"].get("set-aside", 0) == 0, counts
        return count / seconds


async def fill(store: str, work: Path, count: int) -> None:
    """Store `count` encounters as the pipeline leaves them: with holds, numbers and events, each with its own key."""
    async with _gateway(store, work) as gateway:
        await _keep(gateway, 99_000_000, 1)
        await gateway.pipeline.work_once()
        (item,) = await gateway.store.worklist((), (), "MAIN:HAR:HB099", 1)
        pattern = (await gateway.store.cases([item.key]))[item.key]
        for at in range(0, count, 512):
            await gateway.store.commit(_filling(gateway, pattern, range(at, min(at + 512, count))))


def _filling(gateway: Gateway, pattern: Case, numbers: range) -> Step:
    """A step that stores an encounter like `pattern` for each number."""
    step = Step()
    encounter = pattern.encounter
    assert encounter is not None
    for number in numbers:
        key = EncounterKey("MAIN", "HAR", f"ZB{number * 7919 % 1_000_003:09d}{number}")
        identifiers = (Identifier(value=key.number, authority="HAR", type="AN"),)
        alike = encounter.model_copy(update={"key": key, "identifiers": identifiers})
        holds = tuple(h.model_copy(update={"id": gateway.ids.next(), "encounter": str(key)}) for h in pattern.holds)
        case = Case(str(key), 1, alike, holds)
        step.cases.append(CaseChange(Case(str(key)), case, "0" * 64, "waiting", total=Decimal("836.00")))
        for _ in range(4):
            step.events.append(
                Event(gateway.clock.now(), "gateway", Action.ENCOUNTER_CHANGED, f"encounter/{key}", str(key))
            )
    return step


def run(stored: int, count: int = 6_000) -> list[Row]:
    from conformance.postgres import private_server

    rows: list[Row] = []
    work = Path(tempfile.mkdtemp(dir=ROOT))
    try:
        sqlite = f"sqlite:///{work / 'gateway.db'}"
        ours: dict[str, list[float]] = {"sqlite": [], "postgresql": []}
        parse: list[float] = []
        homes = {name: work / name for name in ours}
        for home in homes.values():
            home.mkdir()
        with private_server() as dsn:
            for turn in range(ROUNDS):
                parse.append(parse_speed())
                for name, url in (("sqlite", sqlite), ("postgresql", dsn)):
                    ours[name].append(loop.run(speed(url, homes[name], turn * count, count)))
        bare = median(parse)
        rows = [
            Row(
                f"whole pipeline on {name}",
                f"{median(values):,.0f}/s ({bare:,.0f}/s)",
                {"python-hl7 bare parse": median(values) / bare},
                {"python-hl7 bare parse": WANTED[name]},
            )
            for name, values in ours.items()
        ]
        if stored:
            rows.append(_with_many_stored(sqlite, homes["sqlite"], stored, count, median(ours["sqlite"])))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return rows


def _with_many_stored(url: str, work: Path, stored: int, count: int, few: float) -> Row:
    loop.run(fill(url, work, stored))
    after = [loop.run(speed(url, work, 10_000_000 + turn * count, count)) for turn in range(ROUNDS)]
    return Row(
        f"on sqlite with {stored:,} encounters stored",
        f"{median(after):,.0f}/s",
        {"with few stored": median(after) / few},
        {"with few stored": 0.8},
    )


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--stored", type=int, default=0)
    show("Through the whole pipeline, DFT of 2.9 KB, one process", run(arguments.parse_args().stored))
