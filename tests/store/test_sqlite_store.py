"""What SQLite alone must do: a private, encrypted, durable file, looked up by index."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import apsw
import pytest

from conformance.store_resources import creating, saying
from conformance.store_samples import BYTES, Samples, creation, event, small_case
from gateway.message import Message, MessageState
from gateway.store import open_store, sqlite_log, statements, writes
from gateway.store.interface import Conflict, MessageOutcome, Step, StoreFault
from gateway.store.resources import Condition
from gateway.store.schema import LATEST, MIGRATIONS
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite_file import connect, refuse_unsafe
from gateway.store.statements import Read

KEY = "correct horse battery staple"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "gateway.db"


async def opened(path: Path | None, key: str | None = None) -> SqliteStore:
    store = SqliteStore(path, key)
    await store.open()
    return store


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def content(path: Path) -> bytes:
    return path.read_bytes()


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def test_the_file_is_its_owners_alone(path: Path) -> None:
    store = await opened(path)
    await store.keep(Samples().message(), event())
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await store.close()


async def test_what_was_not_catalogued_in_time_is_found_after_the_next_start(path: Path) -> None:
    store, samples = await opened(path), Samples()
    message, version = saying(samples, "1", patient=7)
    await store.keep(message, event(), version)
    await store.close()
    again = await opened(path)
    assert await again.referring("ehr", "Patient/7") == [version]
    await again.close()
    with apsw.Connection(str(path)) as db:
        assert db.execute("SELECT count(*) FROM uncatalogued").get == 0


async def test_what_waits_for_the_same_commit_counts(path: Path) -> None:
    store, samples = await opened(path), Samples()
    message, version = saying(samples, "1")
    kept = store.keep(message, event(), version)
    beside = store.commit(creating(samples, "2", Condition("patient", ("Patient/1",)))[1])
    results = await asyncio.gather(kept, beside, return_exceptions=True)
    assert [type(result) for result in results] == [Message, Conflict]
    await store.close()


async def test_an_encrypted_file_shows_nothing(path: Path) -> None:
    store = await opened(path, KEY)
    await store.keep(Samples().message(payload=b"PID|||DOE^JANE" * 900), event())
    log = content(log_of(path))
    await store.close()
    whole = content(path)
    assert not whole.startswith(b"SQLite format 3")
    for trace in (b"DOE^JANE", b"CREATE TABLE", b"message.received"):
        assert trace not in whole
        assert trace not in log


@pytest.mark.parametrize(("made_with", "opened_with"), [(KEY, "wrong"), (KEY, None), (None, KEY)])
async def test_a_wrong_key_is_refused(path: Path, made_with: str | None, opened_with: str | None) -> None:
    store = await opened(path, made_with)
    await store.keep(Samples().message(), event())
    await store.close()
    before = content(path)
    with pytest.raises(StoreFault, match="GATEWAY_STORE_KEY"):
        await opened(path, opened_with)
    assert content(path) == before
    again = await opened(path, made_with)
    assert await again.backlog() == 1
    await again.close()


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    await asyncio.to_thread(path.write_bytes, b"not a database" * 1_000)
    with pytest.raises(StoreFault, match="not a gateway's database"):
        await opened(path)


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.7.0"])
def test_a_library_with_the_log_reset_bug_is_refused(version: str) -> None:
    with pytest.raises(StoreFault, match=r"apsw-sqlite3mc"):
        refuse_unsafe(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "3.54.0.1", "4.0.0"])
def test_a_mended_library_is_taken(version: str) -> None:
    refuse_unsafe(version)


async def test_the_writer_commits_durably(path: Path) -> None:
    store = await opened(path)
    writer = connect(path, None)
    settings = {name: writer.pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys", "page_size")}
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "page_size": 4096}
    writer.close()
    await store.close()


async def test_a_newer_schema_is_refused(path: Path) -> None:
    store = await opened(path)
    await store.close()
    other = connect(path, None)
    other.execute("INSERT INTO schema_version (version) VALUES (?)", (LATEST + 1,))
    other.close()
    with pytest.raises(StoreFault, match="newer release"):
        await opened(path)


async def test_another_process_sees_and_writes(path: Path) -> None:
    """A command of the CLI works on the file while the gateway serves."""
    samples = Samples()
    gateway, command = await opened(path), await opened(path)
    message = samples.message()
    await gateway.keep(message, event())
    assert await command.pending(5) == [message]
    await command.commit(Step(outcomes=[MessageOutcome(message.id, MessageState.SET_ASIDE)]))
    assert await gateway.backlog() == 0
    await command.close()
    assert (await gateway.keep(samples.message("M2"), event())).control == "M2"
    await gateway.close()


async def test_a_locked_file_is_a_passing_fault(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.sqlite_file.BUSY_MS", 1)
    store, samples = await opened(path), Samples()
    other = connect(path, None)
    other.execute("BEGIN IMMEDIATE")
    message = samples.message()
    with pytest.raises(StoreFault, match="another process"):
        await store.keep(message, event())
    other.execute("COMMIT")
    other.close()
    assert await store.keep(message, event()) == message
    await store.close()


async def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreFault, match="not open"):
        await store.keep(Samples().message(), event())
    with pytest.raises(StoreFault, match="not open"):
        await store.backlog()
    await store.close()


async def test_closing_writes_what_waits(path: Path) -> None:
    store, samples = await opened(path), Samples()
    waiting = asyncio.ensure_future(store.keep(samples.message(), event()))
    await asyncio.sleep(0)
    await store.close()
    assert (await waiting).payload == BYTES
    again = await opened(path)
    assert await again.backlog() == 1
    await again.close()


async def test_who_gave_up_waiting_is_not_written(path: Path) -> None:
    store, samples = await opened(path), Samples()
    task = asyncio.ensure_future(store.keep(samples.message("given-up"), event()))
    task2 = asyncio.ensure_future(store.keep(samples.message("waits"), event()))
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.sleep(0)
    kept = await task2
    assert [m.control for m in await store.pending(5)][-1] == kept.control == "waits"
    await store.close()


async def test_deleted_events_leave_a_gap_at_the_end(path: Path) -> None:
    store = await opened(path)
    await store.commit(Step(events=[event(str(n)) for n in range(5)]))
    other = connect(path, None)
    other.execute("DELETE FROM events WHERE seq > 3")
    other.close()
    assert await store.highest_event() == 5
    assert [stored.seq async for stored in store.events()] == [1, 2, 3]
    await store.close()


async def test_the_log_does_not_grow_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that never pauses: beside the commits, and now and then in one, the log is emptied."""
    monkeypatch.setattr(sqlite_log, "STEP_PAGES", 20)
    monkeypatch.setattr(sqlite_log, "LONG_PAGES", 60)
    store, samples = await opened(path), Samples()
    for number in range(120):
        case = small_case(samples, str(number))
        await store.commit(creation(case))
    assert size(log_of(path)) < 200 * 8192
    assert size(path) > 10 * 8192
    await store.close()
    assert size(log_of(path)) == 0


def hot_reads() -> list[tuple[str, Read]]:
    slow = {"DRAW_COUNTS", "COUNTS", "HIGHEST_EVENT", "LAST_SEAL", "SUSPENSIONS"}
    return [
        (n, r) for n, r in vars(statements).items() if isinstance(r, Read) and not n.startswith("_") and n not in slow
    ]


@pytest.mark.parametrize(("name", "read"), hot_reads(), ids=[name for name, _ in hot_reads()])
async def test_each_look_up_goes_by_an_index(name: str, read: Read) -> None:
    """No statement of the daily work walks a table from end to end, or sorts one."""
    store = await opened(None)
    db = store._writer
    assert db is not None
    marks = read.sqlite.count("?") and max(int(part[0]) for part in read.sqlite.split("?")[1:])
    plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + read.sqlite, (None,) * marks)]
    walks = [step for step in plan if step.startswith("SCAN") and "json_each" not in step and "CONSTANT" not in step]
    assert not walks, plan
    if name.startswith(
        (
            "MESSAGES_PENDING",
            "MESSAGES_NEWEST",
            "MESSAGES_OF_STATE",
            "WORKLIST",
            "EVENTS",
            "UNSEALED",
            "SEALS",
            "LEAF",
            "DELIVERIES_DUE",
        )
    ):
        assert not [step for step in plan if "TEMP B-TREE" in step], plan
    await store.close()


async def test_each_write_finds_its_rows_by_an_index() -> None:
    store = await opened(None)
    db = store._writer
    assert db is not None
    for write in writes.IN_ORDER:
        marks = max(int(part.split(",")[0].split()[0]) for part in write.sqlite.split("?")[1:])
        plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + write.sqlite, (None,) * marks)]
        walks = [s for s in plan if s.startswith("SCAN") and "CONSTANT" not in s and "json_each" not in s]
        assert not walks, (write.name, plan)
    await store.close()


def test_migrations_are_numbered_in_order() -> None:
    assert [migration.number for migration in MIGRATIONS] == list(range(1, LATEST + 1))


def test_every_table_is_strict() -> None:
    tables = [s for m in MIGRATIONS for s in m.sqlite if s.startswith("CREATE TABLE")]
    assert len(tables) > 20
    assert all(statement.endswith("STRICT") for statement in tables)


async def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, file in (("sqlite:///var/a.db", "var/a.db"), (f"sqlite:///{tmp_path}/b%20c.db", "b c.db")):
        store = open_store(url)
        await store.open()
        await store.close()
        assert (tmp_path / file).is_file()
    for wrong in ("mysql://host/db", "gateway.db", "sqlite://host/path", ""):
        with pytest.raises(StoreFault, match="a store's address is"):
            open_store(wrong)
    with pytest.raises(StoreFault, match="unset GATEWAY_STORE_KEY"):
        open_store("postgresql://gateway@localhost/gateway", "key")


async def test_an_unusable_place_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreFault, match="cannot be made"):
        await opened(blocked / "store" / "gateway.db")


def test_apsw_is_the_encrypting_one() -> None:
    assert hasattr(apsw, "mc_version")
