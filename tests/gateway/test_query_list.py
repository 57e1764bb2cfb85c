"""The worklist of provider queries: over HTTP and on the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio
from gateway_world import TOKENS, World, environment, running
from two_patients import MINE, OTHER, Furnished, furnish
from typer.testing import CliRunner

from gateway.access.roles import Role
from gateway.cli.commands import app
from gateway.desk.query_list import QueryFilters, listed
from gateway.review.model import Query, QueryDraft, QueryKind, QueryStatus
from gateway.store.queries import QuerySearch

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


async def asked(world: World) -> tuple[Furnished, Furnished]:
    return await furnish(world, MINE), await furnish(world, OTHER)


async def ids(world: World, role: Role = Role.CODER, **query: str) -> list[str]:
    answer = await world.http(role).get("/api/queries", params=query)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_queries_are_found_by_state_provider_and_encounter(world: World) -> None:
    mine, other = await asked(world)
    first, second = mine.query["id"], other.query["id"]
    assert await ids(world) == [first, second]
    assert await ids(world, state="open") == [first, second]
    assert await ids(world, provider=OTHER.visit.clinician.npi) == [second]
    assert await ids(world, encounter=mine.key, state="open") == [first]
    assert await ids(world, state="overdue") == []
    assert await ids(world, encounter="MAIN:MAIN:NONE") == []
    withdrawn = await world.http(Role.CDI).post(f"/api/queries/{first}/withdraw", json={"reason": "Not needed."})
    assert withdrawn.status_code == 200, withdrawn.text
    assert await ids(world, state="open") == [second]
    assert await ids(world, state="over") == [first]
    assert await ids(world, state="answered") == []
    wrong = await world.http(Role.CODER).get("/api/queries?state=lost")
    assert (wrong.status_code, wrong.json()["where"]) == (400, "state")


async def test_the_list_comes_page_by_page(world: World) -> None:
    mine, other = await asked(world)
    page = (await world.http(Role.CODER).get("/api/queries?limit=1")).json()
    assert (len(page["items"]), page["next"]) == (1, mine.query["id"])
    last = (await world.http(Role.CODER).get("/api/queries", params={"limit": 1, "after": page["next"]})).json()
    assert ([item["id"] for item in last["items"]], last["next"]) == ([other.query["id"]], None)


async def test_the_list_on_the_command_line(world: World) -> None:
    mine, _ = await asked(world)

    async def says(*words: str, role: Role = Role.CODER) -> Any:
        around = {**environment(), "GATEWAY_URL": world.url, "GATEWAY_TOKEN": TOKENS[role]}
        return await asyncio.to_thread(CliRunner().invoke, app, ["queries", "list", *words], env=around)

    found = await says("--provider", MINE.visit.clinician.npi)
    head, line = found.stdout.splitlines()
    assert head.split("\t")[:3] == ["id", "encounter", "provider"]
    assert line.split("\t")[:4] == [mine.query["id"], mine.key, MINE.visit.clinician.npi, "requested"]
    none = await says("--state", "overdue")
    assert (none.exit_code, none.stderr) == (0, "nothing found\n")
    refused = await says(role=Role.MONITOR)
    assert refused.exit_code == 1
    assert "the permission worklist.read, which the role coder or cdi or supervisor or compliance has" in refused.output


class Shelf:
    """Queries in memory: every other one is overdue, every tenth was answered."""

    def __init__(self, count: int) -> None:
        draft = QueryDraft(kind=QueryKind.OPEN, title="t", question="q", indicators=(), provider="1")
        self.queries_ = [
            Query(
                id=number, number=str(number), encounter="e", draft=draft, asked_by="x", asked=NOW, changed=NOW,
                status=QueryStatus.REQUESTED if number % 10 else QueryStatus.COMPLETED,
                due=NOW + timedelta(days=1 if number % 2 else -1),
            )
            for number in range(1, count + 1)
        ]  # fmt: skip

    async def queries(self, search: QuerySearch) -> list[Query]:
        fitting = [
            q for q in self.queries_ if q.id > search.after and q.status.value in (search.statuses or [q.status])
        ]
        return fitting[: search.limit]


async def test_overdue_queries_are_paged_without_gap_or_repeat() -> None:
    shelf, found = Shelf(2_000), list[int]()
    filters = QueryFilters(overdue=True, limit=70)
    while True:
        page = await listed(shelf, filters, NOW)
        found += [query.id for query in page.items]
        if page.next is None:
            break
        filters = replace(filters, after=page.next)
    assert found == [number for number in range(2, 2_001, 2) if number % 10]
    completed = QueryFilters(statuses=(QueryStatus.COMPLETED,), overdue=True)
    assert await listed(shelf, completed, NOW) == await listed(Shelf(0), QueryFilters(), NOW)
