"""A SQLite file as the gateway needs it: created for its owner alone, encrypted when there is a key, and refused when
it cannot be used safely.
"""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from gateway.store.interface import StoreFault
from gateway.store.packing import unpacked

OLDEST_SAFE = (3, 51, 3)
"""The first release without the WAL-reset bug, by which two connections that write or checkpoint at one moment can
corrupt the file (sqlite.org, release 3.51.3).
"""

PAGE_BYTES = 4_096
"""A commit writes whole pages, the last of each table and index among them. Measured: with pages of 8,192 a quarter
more bytes go to the disk for each message, and a tenth more of the processor's time.
"""

CACHE_KIB = 16_384
"""Pages that a connection keeps. With more, acknowledgements cost more, because the processor's own cache holds none of
it; the operating system has the file in memory too.
"""

SMALL_CACHE_KIB = 512
"""For a connection that only copies pages."""

LOG_BYTES_KEPT = 64 * 1024 * 1024

BUSY_MS = 5_000
"""How long to wait for another process, as a command of the CLI, that is writing. The loop stands meanwhile."""

CACHED_STATEMENTS = 256

WRONG_KEY = (
    "the store's file cannot be read: it is encrypted with another key, or it is not a gateway's database. "
    "Set GATEWAY_STORE_KEY to the key it was made with (none, if it was made without), or name another file"
)
NO_ENCRYPTION = "a store key is set, but this apsw cannot encrypt: install apsw-sqlite3mc in the place of apsw"
UNSAFE = (
    "SQLite {found} can corrupt a file that two connections write to (fixed in 3.51.3): install apsw-sqlite3mc 3.54 "
    "or newer"
)


def refuse_unsafe(version: str) -> None:
    """StoreFault when the SQLite library in use has the WAL-reset bug. `version` as `3.51.3`."""
    if tuple(int(part) for part in version.split(".")[:3]) < OLDEST_SAFE:
        raise StoreFault(UNSAFE.format(found=version))


def create_private(path: Path) -> None:
    """Make the file, and the directory it stands in, for their owner only. What exists is left as it is."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise StoreFault(f"the store's file cannot be made: {error.strerror}") from error


def connect(
    path: Path | None, key: str | None, *, read_only: bool = False, untouched: bool = False, cache_kib: int = CACHE_KIB
) -> apsw.Connection:
    """An open connection with the key applied and proven; `None` opens a database in memory.

    `untouched` is for a file that nobody has open: nothing is made beside it, not even for a moment.
    """
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    if path is None:
        flags |= apsw.SQLITE_OPEN_CREATE
    if key is not None and not hasattr(apsw, "mc_version"):
        raise StoreFault(NO_ENCRYPTION)
    try:
        name = str(path) if path else ":memory:"
        if untouched and path is not None:
            name, flags = f"{path.absolute().as_uri()}?immutable=1", flags | apsw.SQLITE_OPEN_URI
        connection = apsw.Connection(name, flags, statementcachesize=CACHED_STATEMENTS)
    except apsw.Error as error:
        raise StoreFault("the store's file cannot be opened: see its permissions and those of its directory") from error
    try:
        connection.set_busy_timeout(BUSY_MS)
        if key is not None and path is not None:
            connection.pragma("key", key)
        connection.pragma("cache_size", -cache_kib)
        connection.pragma("foreign_keys", 1)
        connection.create_scalar_function("unpacked", _unpacked, 1, deterministic=True)  # type: ignore[arg-type]
        if not read_only:
            _write_durably(connection)
        connection.execute("SELECT count(*) FROM sqlite_schema").get  # noqa: B018  (reads the first page)
    except apsw.NotADBError as error:
        connection.close()
        raise StoreFault(WRONG_KEY) from error
    except apsw.Error as error:
        connection.close()
        raise StoreFault(f"the store's file cannot be used: {type(error).__name__}") from error
    return connection


def _unpacked(value: bytes | None) -> bytes | None:
    """`unpacked(body)` in a statement. What it raises comes out of the statement as it is."""
    return None if value is None else unpacked(value)


def _write_durably(connection: apsw.Connection) -> None:
    """Write-ahead log, an fsync in every commit. Free pages can be given back to the disk (`incremental_vacuum`)."""
    connection.pragma("page_size", PAGE_BYTES)
    connection.pragma("auto_vacuum", "incremental")
    mode = connection.pragma("journal_mode", "wal")
    if mode not in ("wal", "memory"):
        raise StoreFault("the store's file does not take a write-ahead log: put it on a local file system")
    connection.pragma("synchronous", "full")
    connection.pragma("journal_size_limit", LOG_BYTES_KEPT)
