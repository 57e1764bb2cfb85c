"""Queries that an earlier release wrote are found, and have the version in which they stood."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import asyncpg

from conformance.store_samples import NOON, Samples, answered, change, creation, small_case
from gateway.review.model import Query, QueryStatus
from gateway.store import schema
from gateway.store.instants import micros
from gateway.store.interface import Step
from gateway.store.queries import QuerySearch

BEFORE = 8
_INSERT = "INSERT INTO queries (id, number, encounter, provider, status, changed, body) VALUES "


def rows(*queries: Query) -> list[tuple[Any, ...]]:
    return [
        (
            q.id,
            q.number,
            q.encounter,
            q.draft.provider,
            q.status.value,
            micros(q.changed),
            q.model_dump_json(exclude_defaults=True).encode(),
        )
        for q in queries
    ]


async def an_earlier_release(url: str, *queries: Query) -> None:
    """A store as it was before versions were kept, with these queries."""
    before = [migration for migration in schema.MIGRATIONS if migration.number <= BEFORE]
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        db = apsw.Connection(str(path))
        db.execute(schema.VERSION_TABLE)
        for migration in before:
            for statement in migration.sqlite:
                db.execute(statement)
            db.execute(schema.WRITE_VERSION, (migration.number,))
        db.executemany(_INSERT + "(?, ?, ?, ?, ?, ?, ?)", rows(*queries))
        db.close()
        return
    connection = await asyncpg.connect(url)
    await connection.execute(schema.VERSION_TABLE)
    for migration in before:
        for statement in migration.postgres:
            await connection.execute(statement)
        await connection.execute(schema.WRITE_VERSION, migration.number)
    await connection.executemany(_INSERT + "($1, $2, $3, $4, $5, $6, $7)", rows(*queries))
    await connection.close()


async def test_what_an_earlier_release_wrote_is_found_and_has_its_newest_version(place: Any) -> None:
    samples = Samples()
    case = small_case(samples, "1")
    new = samples.query(case.key, number="Q-1")
    moved = samples.query(case.key, number="Q-2").model_copy(update={"version": 3, "status": QueryStatus.ACCEPTED})
    over = answered(samples.query(case.key, number="Q-3")).model_copy(
        update={"version": 2, "answered_by": "npi9", "asked_by": "user:b", "answered": NOON}
    )
    await an_earlier_release(place.url, new, moved, over)
    store = await place.open()
    assert [await store.query_versions(query.id) for query in (new, moved, over)] == [[new], [moved], [over]]
    assert await store.query_version(moved.id, 3) == moved
    assert await store.query_version(moved.id, 2) is None
    assert await store.queries(QuerySearch(asked_by=("user:cdi",))) == [new, moved]
    assert await store.queries(QuerySearch(answered_by=("npi9",))) == [over]


async def test_it_goes_on_from_there(place: Any) -> None:
    samples = Samples()
    case = small_case(samples, "1")
    before = samples.query(case.key).model_copy(update={"version": 4, "status": QueryStatus.ACCEPTED})
    await an_earlier_release(place.url, before)
    store = await place.open()
    await store.commit(creation(case))
    stands = (await store.cases([case.key]))[case.key]
    assert stands.queries == (before,)
    after = before.model_copy(
        update={"version": 5, "status": QueryStatus.IN_PROGRESS, "changed": NOON + timedelta(minutes=1)}
    )
    await store.commit(Step(cases=[change(stands, replace(stands, queries=(after,), version=2))]))
    assert await store.query_versions(before.id) == [after, before]
