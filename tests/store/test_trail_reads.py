"""What is looked for in the trail goes by an index or by place, however long the trail is."""

from __future__ import annotations

import pytest

from gateway.store import open_store, trail_reads
from gateway.store.sqlite import SqliteStore
from gateway.store.statements import Read

READS = [(n, r) for n, r in vars(trail_reads).items() if isinstance(r, Read) and not n.startswith("_")]
BY_ENCOUNTERS = {"OLDEST_OF", "NEWEST_OF", "MESSAGES_BEHIND"}
"""What the index gives of several encounters is put in order: few rows each."""


@pytest.mark.parametrize(("name", "read"), READS, ids=[name for name, _ in READS])
async def test_each_look_up_goes_by_an_index(name: str, read: Read) -> None:
    store = open_store("sqlite://")
    assert isinstance(store, SqliteStore)
    await store.open()
    db = store._writer
    assert db is not None
    marks = max((int(part.split(")")[0].split(" ")[0].rstrip(",")) for part in read.sqlite.split("?")[1:]), default=0)
    plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + read.sqlite, (None,) * marks)]
    walks = [step for step in plan if step.startswith("SCAN") and "json_each" not in step and name[-4:] != "WEST"]
    assert walks == [] or name in ("LOWEST", "HIGHEST"), plan
    sorts = [step for step in plan if "TEMP B-TREE" in step]
    assert not sorts or name in BY_ENCOUNTERS, plan
    await store.close()
