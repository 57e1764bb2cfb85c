"""How long a provider's system waits for a search over 100,000 Tasks: over HTTP, on SQLite, the total included, beside
aiohttp answering with the same Bundle as a constant.

    python -m bench.task_search
    python -m bench.task_search --tasks 1000000 --rounds 50

Written past the desk: 250 providers, three queries an encounter, one in five still open. Each search is told in the
audit trail before it is answered, as always.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import SecretStr
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.measured import median
from conformance.store_samples import Samples, encounter
from gateway.access.roles import Role
from gateway.access.tokens import Callers
from gateway.adapters.fhir.tasks.tasks import Tasks
from gateway.adapters.http.scoped import guarded
from gateway.adapters.http.server import HttpServer
from gateway.clock import Ids, SystemClock, first_id
from gateway.config.addresses import Endpoint
from gateway.config.model import Client, Http
from gateway.desk.queries import QueryDesk
from gateway.desk.work import Work
from gateway.store import open_store, writes
from gateway.store.instants import micros
from gateway.store.rows import Batch
from gateway.store.writes import Row

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=60)
PROVIDERS = 250
AN_ENCOUNTER = 3
STATUSES = ("requested", "completed", "completed", "cancelled", "completed")
GROUP = 6_000
TOKEN = "token-of-the-benchmark-0123456789"  # noqa: S105 - of this run alone
WANTED_MS = 20.0
_MARK = "@NUMBER@"


def npi(number: int) -> str:
    return f"15{number % PROVIDERS:08}"


class Bodies:
    """Records as JSON, their numbers put in as text: a hundred thousand are not built one by one."""

    def __init__(self) -> None:
        samples = Samples()
        self._encounter = encounter(_MARK).to_json().decode()
        asked = samples.query("@KEY@", provider="@NPI@", number="Q@ID@")
        written = asked.model_copy(update={"id": 7_777_777, "asked": BEGAN, "changed": BEGAN})
        self._query = written.model_dump_json(exclude_defaults=True)
        assert "7777777" in self._query

    def encounter(self, number: int) -> bytes:
        return self._encounter.replace(_MARK, str(number)).encode()

    def query(self, id_: int, key: str, provider: str, status: str, changed: datetime) -> bytes:
        """A query without its answer, whatever its status: a search does not look."""
        body = self._query.replace("7777777", str(id_)).replace("Q@ID@", f"Q{id_}").replace("@KEY@", key)
        stamp = BEGAN.isoformat().replace("+00:00", "Z")
        body = body.replace("@NPI@", provider).replace(stamp, changed.isoformat().replace("+00:00", "Z"))
        return (body[:-1] + f',"status":"{status}"}}').encode()


def key(number: int) -> str:
    return f"MAIN:HOSP:{number // AN_ENCOUNTER}"


def id_of(number: int) -> int:
    return first_id(BEGAN + STEP * number) + number % 1000


def rows(bodies: Bodies, first: int, count: int) -> Batch:
    """Queries with their encounters and what leads to them, as rows."""
    visits = range(first // AN_ENCOUNTER, (first + count) // AN_ENCOUNTER)
    listed = ("held", "0", None, None, None, micros(BEGAN), None)
    queries: list[Row] = []
    for number in range(first, first + count):
        status, changed = STATUSES[number % len(STATUSES)], BEGAN + STEP * number
        body = bodies.query(id_of(number), key(number), npi(number), status, changed)
        row = (id_of(number), f"Q{id_of(number)}", key(number), npi(number), status, micros(changed), None, body)
        queries.append((*row, "user:cdi", None))
    return {
        writes.NEW_ENCOUNTERS: [(f"MAIN:HOSP:{visit}", 1, bodies.encounter(visit), "", *listed) for visit in visits],
        writes.IDENTIFIERS: [
            row
            for visit in visits
            for row in (
                (f"MR{visit}", "MR", "HOSP", "MAIN", f"MAIN:HOSP:{visit}"),
                (f"V{visit}", "VN", "HOSP", "MAIN", f"MAIN:HOSP:{visit}"),
            )
        ],
        writes.NEW_QUERIES: queries,
        writes.QUERY_VERSIONS: [(row[0], 1, row[7]) for row in queries],
    }


def searches(count: int) -> dict[str, str]:
    """What a provider's system asks."""
    middle = count // 2
    since = (BEGAN + STEP * (count * 9 // 10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "owner, status, _lastUpdated": f"owner={npi(0)}&status=requested&_lastUpdated=gt{since}",
        "owner, status": f"owner={npi(0)}&status=requested&_sort=_lastUpdated",
        "owner, not done": f"owner={npi(5)}&status:not=completed,cancelled&_sort=-_lastUpdated",
        "patient": f"patient=HOSP|MR{middle // AN_ENCOUNTER}",
        "patient, brought along": f"patient=MR{middle // AN_ENCOUNTER}&_include=Task:patient&_include=Task:encounter",
        "identifier": f"identifier=urn:x-coding-review-gateway:query|Q{id_of(middle)}",
        "_id": f"_id={id_of(middle)}",
        "encounter": f"encounter=HOSP|V{middle // AN_ENCOUNTER}",
        "requester, not done": "requester=user:cdi&status:not=completed,cancelled",
        "status alone": "status=requested",
        "since, all owners": f"_lastUpdated=gt{since}",
        "everything, newest first": "_sort=-_lastUpdated",
        "only the total": "status=completed&_summary=count",
    }


@asynccontextmanager
async def serving(store: Any) -> AsyncIterator[str]:
    """The Tasks' doors over the store; the address."""
    work = Work(store, None, SystemClock(), Ids())  # type: ignore[arg-type]
    callers = Callers([Client(name="inbox", roles=frozenset({Role.PROVIDER}), token=SecretStr(TOKEN))])
    http = Http(listen=Endpoint(host="127.0.0.1", port=0))
    server = HttpServer(guarded(Tasks(QueryDesk(work)).routes()), callers, http)
    host, port = await server.start()
    yield f"http://{host}:{port}/fhir/Task"
    await server.stop()


@asynccontextmanager
async def constant(bodies: dict[str, bytes]) -> AsyncIterator[str]:
    """The peer: aiohttp, each Bundle as bytes by its name."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=bodies[request.query["name"]], content_type="application/fhir+json")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def timed(session: aiohttp.ClientSession, url: str, rounds: int) -> tuple[list[float], bytes]:
    """Milliseconds of each request, one after the other, and the last answer."""
    taken, body = [], b""
    for _ in range(rounds + 1):
        began = time.perf_counter()
        async with session.get(url, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            body = await answer.read()
            assert answer.status == 200, body
        taken.append((time.perf_counter() - began) * 1e3)
    return taken[1:], body


async def measure(path: Path, count: int, rounds: int) -> None:
    store: Any = open_store(f"sqlite:///{path}")
    await store.open()
    bodies = Bodies()
    for first in track(range(0, count, GROUP), f"{count:,} Tasks", console=Console(stderr=True)):
        await store._put(rows(bodies, first, min(GROUP, count - first)))
    asked = searches(count)
    figures: dict[str, list[float]] = {}
    answers: dict[str, bytes] = {}
    async with aiohttp.ClientSession() as session:
        async with serving(store) as address:
            for name, query in asked.items():
                figures[name], answers[name] = await timed(session, f"{address}?{query}", rounds)
        async with constant(answers) as address:
            peers = {name: (await timed(session, f"{address}?name={name}", rounds))[0] for name in asked}
    await store.close()
    show(count, figures, peers, answers)


def show(count: int, figures: dict[str, list[float]], peers: dict[str, list[float]], answers: dict[str, bytes]) -> None:
    title = f"{count:,} Tasks; wanted under {WANTED_MS:g} ms at the median"
    table = Table("search", "total", "bytes", "median ms", "slowest ms", "constant ms", "times", title=title)
    for name, taken in figures.items():
        ours, theirs = median(taken), median(peers[name])
        total = answers[name].partition(b'"total":')[2].partition(b",")[0].rstrip(b"}").decode()
        met = "" if ours < WANTED_MS else "  MISSED"
        shown = (f"{ours:.1f}{met}", f"{max(taken):.1f}", f"{theirs:.2f}", f"{ours / theirs:.1f}")
        table.add_row(name, total, f"{len(answers[name]):,}", *shown)
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(Path(directory) / "tasks.db", asked.tasks // AN_ENCOUNTER * AN_ENCOUNTER, asked.rounds))


if __name__ == "__main__":
    main()
