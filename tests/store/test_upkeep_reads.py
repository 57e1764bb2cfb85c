"""What upkeep looks up goes by an index, however much there is."""

from __future__ import annotations

import pytest

from gateway.store import open_store, upkeep_reads
from gateway.store.sqlite import SqliteStore
from gateway.store.statements import Read

READS = [(n, r) for n, r in vars(upkeep_reads).items() if isinstance(r, Read) and not n.startswith("_")]


@pytest.mark.parametrize(("name", "read"), READS, ids=[name for name, _ in READS])
async def test_each_look_up_goes_by_an_index(name: str, read: Read) -> None:
    store = open_store("sqlite://")
    assert isinstance(store, SqliteStore)
    await store.open()
    db = store._writer
    assert db is not None
    marks = max((int(part[0]) for part in read.sqlite.split("?")[1:]), default=0)
    plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + read.sqlite, (None,) * marks)]
    walks = [step for step in plan if step.startswith("SCAN") and "SCAN m" not in step]
    assert walks == (["SCAN alerts USING INDEX sqlite_autoindex_alerts_1"] if name == "ALERTS" else []), plan
    sorts = [step for step in plan if "TEMP B-TREE" in step]
    assert not sorts, plan
    await store.close()
