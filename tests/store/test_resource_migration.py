"""A database of the release before: what clients wrote keeps its versions, each under its client."""

from __future__ import annotations

from pathlib import Path

import apsw

from gateway.store import open_store, schema
from gateway.store.resources import ResourceSearch
from gateway.store.sqlite_file import connect, create_private

BEFORE = 7


def old_database(path: Path) -> apsw.Connection:
    create_private(path)
    db = connect(path, None)
    db.execute(schema.VERSION_TABLE)
    for migration in schema.MIGRATIONS[:BEFORE]:
        for statement in migration.sqlite:
            db.execute(statement)
        db.execute(schema.WRITE_VERSION, (migration.number,))
    return db


async def test_versions_keep_their_clients(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    db = old_database(path)
    rows = [("Claim", "1", 1, "a", 11, 5), ("Claim", "1", 2, "a", 12, 6), ("Claim", "2", 1, "b", 13, 7)]
    insert = "INSERT INTO resources (type, id, version, client, message, written) VALUES (?, ?, ?, ?, ?, ?)"
    db.executemany(insert, rows)
    db.close()
    store = open_store(f"sqlite:///{path}")
    await store.open()
    newest, first = await store.resource("a", "Claim", "1"), await store.resource("a", "Claim", "1", 1)
    assert newest is not None
    assert first is not None
    assert (newest.version, newest.message, first.message) == (2, 12, 11)
    assert await store.resource("b", "Claim", "1") is None
    assert [v.id for v in await store.resources(ResourceSearch("a", "Claim"))] == ["1"]
    assert [v.id for v in await store.resources(ResourceSearch("b", "Claim"))] == ["2"]
    await store.close()
