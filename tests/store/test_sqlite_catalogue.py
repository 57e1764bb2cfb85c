"""On SQLite what a resource is found by is entered later: whatever fails or goes on meanwhile, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import orjson
import pytest

from conformance.store_resources import creating, saying
from conformance.store_samples import NOON, Samples, event
from gateway.message import Message
from gateway.store import catalogue
from gateway.store import sqlite as engine
from gateway.store.interface import Conflict, ResourceVersion, StoreFault
from gateway.store.packing import MARK
from gateway.store.resources import Condition, ResourceSearch
from gateway.store.sqlite import SqliteStore

ACTIVE = ResourceSearch("ehr", "Claim", conditions=(Condition("status", ("active",)),), limit=1000)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "gateway.db")
    await store.open()
    yield store
    await store.close()


async def active(store: SqliteStore) -> list[str]:
    return [version.id for version in await store.resources(ACTIVE)]


def other(samples: Samples, id: str) -> tuple[Message, ResourceVersion]:
    """The first version of `id`, as somebody else says it."""
    message = samples.message(control=f"other {id}", payload=orjson.dumps({"resourceType": "Claim"}))
    return message, ResourceVersion("Claim", id, 1, "ehr", message.id, NOON, None)


async def test_what_was_kept_beside_a_conflict_is_found(store: SqliteStore) -> None:
    samples = Samples()
    message, version = saying(samples, "1")
    await store.keep(message, event(), version)
    assert await active(store) == ["1"]
    beside, second = saying(samples, "2")
    conflicting, again = other(samples, "1")
    keeping = (store.keep(conflicting, event(), again), store.keep(beside, event(), second))
    results = await asyncio.gather(*keeping, return_exceptions=True)
    assert [type(result) for result in results] == [Conflict, Message]
    assert await active(store) == ["1", "2"]


@pytest.mark.parametrize("turns", range(6))
async def test_whoever_looks_and_leaves_takes_nothing_along(store: SqliteStore, turns: int) -> None:
    message, version = saying(Samples(), "1")
    await store.keep(message, event(), version)
    looking = asyncio.create_task(active(store))
    for _ in range(turns):
        await asyncio.sleep(0)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert await active(store) == ["1"]


async def test_a_commit_that_fails_is_made_again(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    message, version = saying(Samples(), "1")
    await store.keep(message, event(), version)

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as failing:
        failing.setattr(engine, "_commit", fails)
        with pytest.raises(ZeroDivisionError):
            await store.catalogue()
        store._writer.execute("ROLLBACK")  # type: ignore[union-attr]
    assert await active(store) == ["1"]


async def test_under_an_unbroken_load_a_search_ends(store: SqliteStore) -> None:
    samples = Samples()
    most = 4 * catalogue.AT_ONCE
    begun, ended = asyncio.Event(), asyncio.Event()

    async def load(sender: int) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            message, version = saying(samples, f"{sender}-{number}")
            await store.keep(message, event(), version)
            if number * len(senders) > most:
                begun.set()

    senders = [asyncio.create_task(load(sender)) for sender in range(2 * catalogue.AT_ONCE)]
    await begun.wait()
    try:
        async with asyncio.timeout(10):
            assert len(await active(store)) >= most
    finally:
        ended.set()
        await asyncio.gather(*senders)


async def test_one_that_cannot_be_looked_through_keeps_no_other_from_being_found(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = Samples()
    for id in ("1", "2", "3"):
        message, version = saying(samples, id)
        await store.keep(message, event(), version)
    entries = catalogue.entries

    def failing(payload: bytes) -> tuple[tuple[str, str], ...]:
        if b'"2"' in payload:
            raise RecursionError
        return entries(payload)

    monkeypatch.setattr(catalogue, "entries", failing)
    assert await active(store) == ["1", "3"]
    assert await store.resource("ehr", "Claim", "2") is not None


@pytest.mark.parametrize("more", [b"[" * 1000 + b"]" * 1000, b"1e999", b"1" * 5000])
async def test_what_the_door_does_not_look_at_hides_nothing(store: SqliteStore, more: bytes) -> None:
    """As deep as it takes them, and numbers beyond all bounds."""
    payload = b'{"resourceType":"Claim","status":"active","x":"\\u00e9","y":' + more + b"}"
    message = Samples().message(control="deep", payload=payload)
    await store.keep(message, event(), ResourceVersion("Claim", "1", 1, "ehr", message.id, NOON, None))
    assert await active(store) == ["1"]


async def test_large_resources_are_entered_few_at_once(store: SqliteStore) -> None:
    samples = Samples()
    for number in range(4):
        document = {"resourceType": "Claim", "status": "active", "text": "x" * (catalogue.BYTES_AT_ONCE // 3)}
        message = samples.message(control=str(number), payload=orjson.dumps(document))
        version = ResourceVersion("Claim", str(number), 1, "ehr", message.id, NOON, None)
        await store.keep(message, event(), version)
    writer = store._writer
    assert writer is not None
    assert len(engine._uncatalogued(writer)) == 3
    assert await active(store) == ["0", "1", "2", "3"]


async def test_a_damaged_value_leaves_no_transaction_open(store: SqliteStore, tmp_path: Path) -> None:
    samples = Samples()
    message, version = saying(samples, "1")
    await store.keep(message, event(), version)
    whole = message.payload
    with apsw.Connection(str(tmp_path / "gateway.db")) as db:
        db.execute("UPDATE payloads SET payload = ?", (MARK + b"damaged",))
    conflicting, again = other(samples, "1")
    unless = creating(samples, "2", Condition("patient", ("Patient/1",)))[1]
    both = (store.keep(conflicting, event(), again), store.commit(unless))
    results = await asyncio.gather(*both, return_exceptions=True)
    assert [type(result) for result in results] == [Conflict, StoreFault]
    message, version = saying(samples, "3")
    await store.keep(message, event(), version)
    with pytest.raises(StoreFault):
        await active(store)
    with apsw.Connection(str(tmp_path / "gateway.db")) as db:
        db.execute("UPDATE payloads SET payload = ? WHERE payload = ?", (whole, MARK + b"damaged"))
    assert await active(store) == ["1", "3"]
