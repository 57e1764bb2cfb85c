"""What was acknowledged survives the power: proven on a file system that forgets what was not synced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from conformance.store_samples import Samples, creation, event, small_case
from gateway.store import sqlite_file, sqlite_log
from gateway.store.sqlite import SqliteStore


class Forgetful(apsw.VFS):
    """Remembers, for each file, what it held at its last sync."""

    def __init__(self) -> None:
        super().__init__("forgetful", "")
        self.synced: dict[str, bytes] = {}

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return ForgetfulFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.synced.pop(filename, None)


class ForgetfulFile(apsw.VFSFile):
    def __init__(self, vfs: Forgetful, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.vfs = vfs
        self.path = name if isinstance(name, str) or name is None else name.filename()

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        if self.path:
            self.vfs.synced[self.path] = Path(self.path).read_bytes()


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetful]:
    vfs = Forgetful()
    real = apsw.Connection

    def connection(name: str, flags: int, **more: Any) -> apsw.Connection:
        return real(name, flags, vfs="forgetful", **more)

    monkeypatch.setattr(sqlite_file.apsw, "Connection", connection)
    yield vfs
    vfs.unregister()


def power_fails(vfs: Forgetful, path: Path, into: Path) -> Path:
    """The files as the disk would hold them, in another directory."""
    into.mkdir()
    for name, held in vfs.synced.items():
        (into / Path(name).name).write_bytes(held)
    return into / path.name


async def test_what_was_acknowledged_survives_the_power(forgetful: Forgetful, tmp_path: Path) -> None:
    path, samples = tmp_path / "store" / "gateway.db", Samples()
    store = SqliteStore(path)
    await store.open()
    for number in range(12):
        message = samples.message(f"M{number}")
        await store.keep(message, event())
        await store.commit(creation(small_case(samples, str(number))))
        after = power_fails(forgetful, path, tmp_path / f"after{number}")
        survivor = SqliteStore(after)
        await survivor.open()
        assert (await survivor.pending(100))[-1] == message
        assert len(await survivor.worklist([], [], "", 100)) == number + 1
        await survivor.close()
    await store.close()


async def test_it_survives_while_the_log_is_made_longer(
    forgetful: Forgetful, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's file grows ahead of what is in it, and what it grew by is no part of the store."""
    monkeypatch.setattr(sqlite_log, "STEP_PAGES", 100)
    path, samples = tmp_path / "store" / "gateway.db", Samples()
    log = path.with_name("gateway.db-wal")
    store = SqliteStore(path)
    await store.open()
    ahead = False
    for number in range(40):
        message = samples.message(f"M{number}")
        await store.keep(message, event())
        assert store._checkpoints is not None
        ahead = ahead or log.stat().st_size > 1.5 * store._checkpoints._pages * sqlite_file.PAGE_BYTES
    assert ahead
    survivor = SqliteStore(power_fails(forgetful, path, tmp_path / "after"))
    await survivor.open()
    assert [each.control for each in await survivor.pending(100)] == [f"M{number}" for number in range(40)]
    assert survivor._writer is not None
    assert survivor._writer.execute("SELECT count(*) FROM payloads WHERE id < 0").get == 0
    assert survivor._writer.pragma("integrity_check") == "ok"
    await survivor.close()
    await store.close()


async def test_a_log_that_cannot_be_made_longer_costs_speed_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_log, "STEP_PAGES", 8)
    path, samples = tmp_path / "store" / "gateway.db", Samples()
    store = SqliteStore(path)
    await store.open()
    other = sqlite_file.connect(path, None)
    assert store._checkpoints is not None
    assert store._writer is not None
    store._writer.set_busy_timeout(20)
    lengthened: list[int] = []
    real = sqlite_log._lengthen

    def while_another_writes(db: apsw.Connection, size: int) -> None:
        lengthened.append(size)
        with other:
            other.execute("INSERT INTO payloads (id, payload, reply) VALUES (?, x'', x'')", (10**9 + len(lengthened),))
            real(db, size)

    monkeypatch.setattr(sqlite_log, "_lengthen", while_another_writes)
    for number in range(10):
        await store.keep(samples.message(f"M{number}"), event())
    assert lengthened
    assert len(await store.pending(100)) == 10
    other.close()
    await store.close()


async def test_a_lazy_log_would_lose_it(forgetful: Forgetful, tmp_path: Path) -> None:
    """The proof can fail: with `synchronous=NORMAL` the same disk holds nothing of it."""
    path, samples = tmp_path / "store" / "gateway.db", Samples()
    store = SqliteStore(path)
    await store.open()
    assert store._writer is not None
    store._writer.pragma("synchronous", "normal")
    for number in range(20):
        await store.keep(samples.message(f"M{number}"), event())
    survivor = SqliteStore(power_fails(forgetful, path, tmp_path / "after"))
    await survivor.open()
    assert await survivor.pending(100) == []
    await survivor.close()
    await store.close()
