"""How long a search over messages takes with a million or more of them stored, on SQLite and PostgreSQL.

    python -m bench.search --messages 1000000
    python -m bench.search --cost            # what the search's index costs when messages are kept

Small payloads, ten messages a visit, one in a hundred set aside; written past the pipeline, for they only stand there.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.measured import median
from conformance import postgres
from gateway.audit.events import Action, Event
from gateway.clock import first_id
from gateway.message import Format, Message, MessageState
from gateway.store import open_store, schema, writes
from gateway.store.interface import MessageSearch
from gateway.store.rows import Batch, message_row, payload_row

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=2)
FEEDS = ("ehr-adt", "ehr-dft", "encoder", "notes", "rare")
TYPES = ("ADT^A01", "ADT^A03", "ADT^A04", "ADT^A08", "DFT^P03", "BAR^P05", "MDM^T02", "ORU^R01")
GROUP = 5_000
ROUNDS = 5
WANTED_SECONDS = 1.0
KEPT = 20_000
FEW = 512


def message(number: int) -> Message:
    """The `number`th message; the rarest feed and type have one in 50,000."""
    rare = number % 50_000 == 7
    aside = number % 100 == 3
    visit = number // 10
    at = BEGAN + STEP * number
    return Message(
        id=first_id(at) + number % 1000,
        feed=FEEDS[-1] if rare else FEEDS[number % 4],
        format=Format.HL7V2,
        type="ADT^A40" if rare else TYPES[number % len(TYPES)],
        control=f"{number:08}",
        received=at,
        state=MessageState.SET_ASIDE if aside else MessageState.PROCESSED,
        payload=b"MSH|^~\\&|EHR|||||||%08d\rPID|1||P%07d||DOE%d^JANE\r" % (number, visit // 3, visit),
        reply=b"MSA|AA|%08d\r" % number,
        reason=f"no-encounter-number at PID-18: number {number % 7}" if aside else None,
        encounter=None if aside else f"MAIN:MAIN:A{visit}",
    )


def rows(first: int, count: int) -> Batch:
    """Messages with what leads to them, as rows."""
    found = [message(number) for number in range(first, first + count)]
    visits = {number // 10 for number in range(first, first + count)}
    return {
        writes.MESSAGES: [message_row(each) for each in found],
        writes.PAYLOADS: [payload_row(each) for each in found],
        writes.IDENTIFIERS: [
            row
            for visit in sorted(visits)
            for row in (
                (f"A{visit}", "AN", "MAIN", "MAIN", f"MAIN:MAIN:A{visit}"),
                (f"P{visit // 3:07}", "MR", "MAIN", "MAIN", f"MAIN:MAIN:A{visit}"),
            )
        ],
        writes.MESSAGE_NUMBERS: [(f"P{n // 30:07}", each.id) for n, each in enumerate(found, first) if n % 100 == 3],
    }


def searches(count: int) -> dict[str, MessageSearch]:
    """What an analyst types."""
    last = BEGAN + STEP * count
    middle = f"{count // 2:08}"
    aside = MessageState.SET_ASIDE
    return {
        "the newest": MessageSearch(),
        "a feed": MessageSearch(feed="encoder"),
        "a rare feed": MessageSearch(feed="rare"),
        "a type": MessageSearch(type="ADT^A08"),
        "a rare type": MessageSearch(type="ADT^A40"),
        "a family of a feed": MessageSearch(feed="ehr-adt", type="ADT"),
        "a type that never came": MessageSearch(type="ADT^A17"),
        "a control id": MessageSearch(control=middle),
        "a control id's beginning": MessageSearch(control=middle[:6]),
        "a control id that never came": MessageSearch(control="X"),
        "a patient's number": MessageSearch(number=f"P{count // 60:07}"),
        "an account": MessageSearch(number=f"MAIN|A{count // 20}"),
        "an encounter": MessageSearch(encounter=f"MAIN:MAIN:A{count // 20}"),
        "set aside": MessageSearch(state=aside),
        "set aside, a feed": MessageSearch(state=aside, feed="notes"),
        "set aside, a rule that never was": MessageSearch(state=aside, rule="ambiguous"),
        "a day in the middle": MessageSearch(
            since=BEGAN + STEP * (count // 2), until=BEGAN + STEP * (count // 2) + timedelta(days=1)
        ),
        "processed, a feed, an hour": MessageSearch(
            state=MessageState.PROCESSED, feed="ehr-dft", since=last - timedelta(hours=1)
        ),
        "a page far back": MessageSearch(feed="notes", before=first_id(BEGAN + STEP * (count // 10))),
        "text of a day": MessageSearch(text=f"doe{(count - 9_000) // 10}^", since=last - timedelta(days=1)),
        "text that is nowhere": MessageSearch(text="ROE^RICHARD", since=BEGAN),
    }


@contextmanager
def places(wanted: str) -> Iterator[dict[str, str]]:
    """Engine -> the address of an empty store."""
    with tempfile.TemporaryDirectory() as directory, postgres.server(Path(directory)) as dsn:
        found = {"SQLite": f"sqlite:///{directory}/search.db", "PostgreSQL": dsn}
        yield {name: url for name, url in found.items() if wanted in ("both", name.lower())}


async def fresh(name: str, url: str) -> str:
    return await postgres.fresh(url) if name == "PostgreSQL" else url


async def measure(name: str, url: str, count: int) -> None:
    store: Any = open_store(await fresh(name, url))
    await store.open()
    for first in track(range(0, count, GROUP), f"{name}: {count:,} messages", console=Console(stderr=True)):
        await store._put(rows(first, min(GROUP, count - first)))
    table = Table("search", "found", "to go on", "median ms", "slowest ms", title=f"{name}, {count:,} messages stored")
    slowest = 0.0
    for what, search in searches(count).items():
        taken = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            page = await store.search_messages(search)
            taken.append(time.perf_counter() - began)
        slowest = max(slowest, *taken)
        more = "" if page.next is None else "yes"
        table.add_row(what, str(len(page.items)), more, f"{median(taken) * 1e3:.1f}", f"{max(taken) * 1e3:.1f}")
    began = time.perf_counter()
    groups = await store.set_aside()
    table.add_row("quarantine", str(len(groups)), "", f"{(time.perf_counter() - began) * 1e3:.1f}", "")
    Console(width=110).print(table)
    verdict = "met" if slowest < WANTED_SECONDS else "MISSED"
    Console().print(f"slowest {slowest:.2f} s, wanted under {WANTED_SECONDS:g} s: {verdict}")
    await store.close()


async def keep(url: str, *, indexed: bool) -> float:
    """Messages a second that a store keeps, each with its event, with the search's indexes or without."""
    store: Any = open_store(url)
    await store.open()
    if not indexed:
        for name in ("messages_kind", "messages_attempts"):
            await _drop_index(store, name)
    order = list(range(KEPT))
    random.Random(7).shuffle(order)  # noqa: S311 - the same order each time
    kept = [message(number) for number in order]
    began = time.perf_counter()
    for first in range(0, KEPT, FEW):
        await asyncio.gather(
            *(
                store.keep(each, Event(each.received, "feed:x", Action.MESSAGE_RECEIVED, "message/1", message=each.id))
                for each in kept[first : first + FEW]
            )
        )
    taken = time.perf_counter() - began
    await store.close()
    return KEPT / taken


_DROP = {name: f"DROP INDEX {name}" for name in ("messages_kind", "messages_attempts")}


async def _drop_index(store: Any, name: str) -> None:
    if hasattr(store, "_writer"):
        store._writer.execute(_DROP[name])
        return
    async with store._connection() as connection:
        await connection.execute(_DROP[name])


async def cost(name: str, url: str) -> None:
    """With and without, in turns: what else the machine does meets both."""
    figures: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * ROUNDS):
        place = await fresh(name, url) if name == "PostgreSQL" else url.replace("search.db", f"cost-{turn}.db")
        figures[turn % 2 == 0].append(await keep(place, indexed=turn % 2 == 0))
    indexed, bare = median(figures[True]), median(figures[False])
    Console().print(
        f"{name}: {indexed:,.0f} messages a second kept, {bare:,.0f} without the index: {indexed / bare:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--engine", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--cost", action="store_true", help="measure keeping, with and without the index")
    asked = parser.parse_args()
    assert schema.LATEST >= 3
    with places(asked.engine) as found:
        for name, url in found.items():
            asyncio.run(cost(name, url) if asked.cost else measure(name, url, asked.messages))


if __name__ == "__main__":
    main()
