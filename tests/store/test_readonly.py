"""A store that is only looked into: everything can be read, nothing written, nothing made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import apsw
import pytest

from conformance.store_resources import saying
from conformance.store_samples import Samples, event
from gateway.store import schema
from gateway.store.interface import MessageSearch, Step, Store, StoreFault
from gateway.store.readonly import ReadOnlyPostgres, open_read_only
from gateway.store.sqlite import SqliteStore

KEY = "correct horse battery staple"


async def kept(store: Store) -> int:
    """The id of a message in the store."""
    await store.open()
    message = Samples().message()
    await store.keep(message, event())
    return message.id


async def refuses_to_write(store: Store, id: int) -> None:
    await store.open()
    found = await store.message(id)
    assert found is not None
    assert (await store.search_messages(MessageSearch())).items[0].id == id
    with pytest.raises(StoreFault):
        await store.commit(Step(events=[event()]))
    assert await store.highest_event() == 1
    await store.close()


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("at_work", [True, False])
async def test_a_file_is_read_and_left_as_it_was(tmp_path: Path, key: str | None, at_work: bool) -> None:
    path = tmp_path / "a b.db"
    writer = SqliteStore(path, key)
    id = await kept(writer)
    if not at_work:
        await writer.close()
    before = sorted(os.listdir(tmp_path)), path.read_bytes()
    store = open_read_only(f"sqlite:///{path}", key)
    assert store is not None
    await refuses_to_write(store, id)
    assert (sorted(os.listdir(tmp_path)), path.read_bytes()) == before
    await writer.close()


@pytest.mark.parametrize("looked", [True, False])
async def test_what_nobody_has_looked_for_yet_is_found(tmp_path: Path, looked: bool) -> None:
    writer, samples = SqliteStore(tmp_path / "gateway.db"), Samples()
    await writer.open()
    kept = {}
    for id, patient, version in (("1", 1, 1), ("2", 2, 1), ("3", 1, 1), ("1", 2, 2)):
        message, named = saying(samples, id, patient, version)
        await writer.keep(message, event(), named)
        kept[id, version] = named
    if looked:
        await writer.catalogue()
    store = open_read_only(f"sqlite:///{tmp_path}/gateway.db")
    assert store is not None
    await store.open()
    assert await store.referring("ehr", "Patient/1") == [kept["3", 1]]
    assert await store.referring("ehr", "Patient/2") == [kept["2", 1], kept["1", 2]]
    assert await store.referring("other", "Patient/1") == []
    await store.close()
    await writer.close()


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert open_read_only(f"sqlite:///{tmp_path}/none.db") is None
    assert open_read_only("sqlite://") is None
    assert list(tmp_path.iterdir()) == []


async def test_another_key_or_another_schema_is_told(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    writer = SqliteStore(path, KEY)
    await kept(writer)
    await writer.close()
    wrong = open_read_only(f"sqlite:///{path}", "another key")
    assert wrong is not None
    with pytest.raises(StoreFault, match="key"):
        await wrong.open()
    older = tmp_path / "older.db"
    await kept(plain := SqliteStore(older))
    await plain.close()
    with apsw.Connection(str(older)) as db:
        db.execute("DELETE FROM schema_version WHERE version = ?", (schema.LATEST,))
    store = open_read_only(f"sqlite:///{older}")
    assert store is not None
    with pytest.raises(StoreFault, match="--no-store"):
        await store.open()


async def test_a_session_of_postgresql_cannot_write(postgres_place: Any) -> None:
    id = await kept(await postgres_place.open())
    store = open_read_only(postgres_place.url)
    assert isinstance(store, ReadOnlyPostgres)
    await refuses_to_write(store, id)
