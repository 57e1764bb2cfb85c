"""The store on SQLite, by apsw: one writing connection, commits in groups.

A commit runs on the event loop, not in a thread: measured, that keeps more messages a second, because the thread's
wake-ups cost more than the fsync that they hide. The price: a disk that stalls stops the loop for as long.

All that asks to be written in one turn of the loop is written in one transaction, with one fsync (`synchronous=FULL`
in a write-ahead log: what was acknowledged survives the power). When one item of a group conflicts, the group is
rolled back and written again with a savepoint around each item, so that only the one at fault fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import apsw
import orjson

from gateway.audit.events import Event
from gateway.clock import Clock, SystemClock
from gateway.message import Message
from gateway.promise import Promise
from gateway.store import records, schema, statements, writes
from gateway.store.catalogue import AT_ONCE, BYTES_AT_ONCE, catalogued
from gateway.store.group import CLOSED, OWN_FAULTS, Group, Keep, Queue
from gateway.store.interface import Conflict, LeafBlock, ResourceVersion, Seal, Step, StoreFault
from gateway.store.packing import packed
from gateway.store.reads import Reads, Value
from gateway.store.resource_statements import LAST_UNCATALOGUED, UNCATALOGUED
from gateway.store.rows import Batch, merged, seal_rows, step_rows
from gateway.store.sqlite_faults import fault, fault_of_commit
from gateway.store.sqlite_file import SMALL_CACHE_KIB, connect, create_private, refuse_unsafe
from gateway.store.sqlite_log import Checkpoints
from gateway.store.statements import Read
from gateway.store.writes import Row, SqlValue, Write

PATIENCE_TURNS = 32
"""Turns of the loop, of some 20 us each, that a commit waits at most while more and more arrives."""

_BEGIN = "BEGIN IMMEDIATE"
_COMMIT = "COMMIT"
_ROLLBACK = "ROLLBACK"
_SAVEPOINT = "SAVEPOINT one"
_ROLLBACK_TO = "ROLLBACK TO one"
_RELEASE = "RELEASE one"

_PAYLOAD = -2
"""The place of its bytes among what `UNCATALOGUED` gives of a resource."""


class SqliteStore(Reads):
    """`Store` on one file; `path` None keeps it in memory, for tests. `key` encrypts the file."""

    def __init__(self, path: Path | None, key: str | None = None, clock: Clock | None = None) -> None:
        self._path = path
        self._key = key
        self._clock = clock or SystemClock()
        self._writer: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
        self._counter: apsw.Connection | None = None
        self._checkpoints: Checkpoints | None = None
        self._counting = asyncio.Lock()
        self._cataloguing = asyncio.Lock()
        self._behind = True
        """Whether something may be kept that is not catalogued."""
        self._queue = Queue(catalogued_later=True)
        self._scheduled = False
        self._gathered = 0
        self._turns = 0

    @property
    def path(self) -> Path | None:
        """The file; None in memory."""
        return self._path

    async def open(self) -> None:
        refuse_unsafe(apsw.sqlite_lib_version())
        if self._path is not None:
            create_private(self._path)
        self._writer = connect(self._path, self._key)
        self._behind = True
        try:
            self._migrate(self._writer)
            if self._path is None:
                self._reader = self._counter = self._writer
            else:
                self._reader = connect(self._path, self._key, read_only=True)
                self._counter = connect(self._path, self._key, read_only=True)
                self._checkpoints = Checkpoints(self._writer, connect(self._path, self._key, cache_kib=SMALL_CACHE_KIB))
        except StoreFault:
            await self.close()
            raise

    async def close(self) -> None:
        """Writes what still waits, then closes. A closed store may be opened again."""
        while self._queue and self._writer is not None:
            self._flush()
        self._queue.refuse()
        if self._checkpoints is not None:
            await self._checkpoints.close()
            self._checkpoints = None
        async with self._counting:
            for connection in (self._counter, self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._writer = self._reader = self._counter = None

    def _migrate(self, db: apsw.Connection) -> None:
        try:
            db.execute(_BEGIN)
            db.execute(schema.VERSION_TABLE)
            found = int(db.execute(schema.READ_VERSION).get)
            for migration in schema.missing(found):
                for statement in migration.sqlite:
                    db.execute(statement)
                db.execute(schema.WRITE_VERSION, (migration.number,))
            db.execute(_COMMIT)
        except ValueError as error:
            db.execute(_ROLLBACK)
            raise StoreFault(str(error)) from None
        except apsw.Error as error:
            _roll_back(db)
            raise fault(error) from error

    # Writing

    async def commit(self, step: Step) -> None:
        rows = step_rows(step, self._clock.now())
        if rows:
            await self._put(rows)

    async def add_seal(self, seal: Seal, blocks: Sequence[LeafBlock]) -> None:
        await self._put(seal_rows(seal, blocks))

    async def give_back(self, pages: int) -> int:
        """A file that was made by a release before this one keeps its free pages, and uses them again."""
        db = self._open_writer()
        try:
            before = int(db.pragma("freelist_count"))
            db.pragma("incremental_vacuum", pages)
            return before - int(db.pragma("freelist_count"))
        except apsw.Error as error:
            raise fault(error) from None

    async def catalogue(self) -> None:
        """Measured: what a resource is found by costs as much as all else that keeps it. So it waits until somebody
        looks, or the pipeline has the time."""
        if not self._behind and not self._cataloguing.locked():
            return
        async with self._cataloguing:
            if self._behind:
                self._behind = False  # Whoever keeps more meanwhile says so again, and is not waited for.
                try:
                    await self._catch_up()
                except BaseException:  # a fault, or whoever waits for it is cancelled: it is to be done again
                    self._behind = True
                    raise

    async def _catch_up(self) -> None:
        """As far as is kept now: under an unbroken load there is always more."""
        for (last,) in _fetch(self._writer, LAST_UNCATALOGUED, (1,)):
            while found := _uncatalogued(self._open_writer(), last):
                await self._put(catalogued(found))

    async def _put(self, rows: Batch) -> None:
        done = self._queue.step(rows)
        self._schedule()
        await done

    def keep(self, message: Message, event: Event, resource: ResourceVersion | None = None) -> Promise[Message]:
        done = self._queue.keep(message, event, resource)
        if not self._scheduled:
            self._schedule()
        return done

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._gathered = 0
            self._turns = 0
            asyncio.get_running_loop().call_soon(self._gather)

    def _gather(self) -> None:
        """Flush as soon as a turn of the loop has brought nothing more: many senders then share one fsync.

        Measured with 16 senders: a third more messages a second than flushing at once.
        """
        waiting = len(self._queue)
        if waiting > self._gathered and self._turns < PATIENCE_TURNS:
            self._gathered = waiting
            self._turns += 1
            asyncio.get_running_loop().call_soon(self._gather)
        else:
            self._flush()

    def _flush(self) -> None:
        """Write what waits. Whatever happens, everyone who waits is told."""
        self._scheduled = False
        group = self._queue.take()
        if self._queue:
            self._schedule()
        if not group:
            return
        try:
            self._write_group(group)
        except Exception as error:  # noqa: BLE001  (each waiter raises it where it awaits)
            group.failed(error)
        if self._checkpoints is not None:
            self._checkpoints.look()

    def _write_group(self, group: Group) -> None:
        db = self._open_writer()
        self._behind = self._behind or any(keep.uncatalogued for keep in group.keeps)
        _begin(db)
        try:
            standing = _write(db, group)
        except (apsw.Error, *OWN_FAULTS) as error:
            _roll_back(db)
            failure = fault(error) if isinstance(error, apsw.Error) else error
            if len(group) == 1 or not isinstance(failure, OWN_FAULTS):
                group.failed(failure)
            else:
                _write_each(db, group)
            return
        except BaseException:
            _roll_back(db)
            raise
        _commit(db)
        group.kept(standing)

    def _open_writer(self) -> apsw.Connection:
        if self._writer is None:
            raise StoreFault(CLOSED)
        return self._writer

    # Reading

    async def _rows(self, read: Read, *values: Value) -> Sequence[records.Found]:
        return _fetch(self._writer, read, values)

    async def _scan(self, read: Read, *values: Value) -> Sequence[records.Found]:
        return _fetch(self._reader, read, values)

    async def _walk(self, read: Read, *values: Value) -> Sequence[records.Found]:
        """In a thread: it walks whole indexes, and there is little of it to turn into objects."""
        async with self._counting:
            if self._path is None:
                return _fetch(self._counter, read, values)
            return await asyncio.to_thread(_fetch, self._counter, read, values)

    async def unsealed(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """There is one writer, and it commits before anything else runs: nothing can precede what is read."""
        rows = await self._scan(statements.UNSEALED, after, 2**63 - 1, limit)
        return [(row[0], row[1]) for row in rows]


def _begin(db: apsw.Connection) -> None:
    try:
        db.execute(_BEGIN)
    except apsw.Error as error:
        raise fault(error) from None


def _commit(db: apsw.Connection) -> None:
    try:
        db.execute(_COMMIT)
    except apsw.Error as error:
        _roll_back(db)
        raise fault_of_commit(error) from None


def _roll_back(db: apsw.Connection) -> None:
    """After a full disk or an I/O error SQLite has rolled back by itself."""
    if db.in_transaction:
        db.execute(_ROLLBACK)


def _write(db: apsw.Connection, group: Group) -> dict[int, Message]:
    """The group's rows, inside a transaction. By the id of each repeat: the message that stands in its place."""
    standing = _keep(db, group.keeps) if group.keeps else {}
    if group.steps:
        batch = merged([step.rows for step in group.steps])
        if writes.RESOURCES_UNLESS in batch:
            _catalogue(db)
        for write in writes.IN_ORDER:
            rows = batch.get(write)
            if rows:
                _run(db, write, rows)
    return standing


def _run(db: apsw.Connection, write: Write, rows: Sequence[Row]) -> None:
    before = db.total_changes()
    for place in write.packed:
        rows = [(*row[:place], _packed(row[place]), *row[place + 1 :]) for row in rows]
    db.executemany(write.sqlite, rows)
    if write.guarded and db.total_changes() - before != len(rows):
        raise Conflict(f"a row of {write.name} that the step was decided on has changed")


def _packed(value: SqlValue) -> SqlValue:
    return packed(value) if isinstance(value, bytes) else value


def _keep(db: apsw.Connection, keeps: Sequence[Keep]) -> dict[int, Message]:
    before = db.total_changes()
    db.executemany(writes.KEPT.sqlite, [keep.row for keep in keeps])
    repeats: Sequence[Keep] = ()
    if db.total_changes() - before != len(keeps):
        repeats, keeps = _apart(db, keeps)
    _run(db, writes.PAYLOADS, [keep.payload for keep in keeps])
    versions = [keep for keep in keeps if keep.resource is not None]
    if versions:
        _keep_versions(db, versions)
    _run(db, writes.EVENTS, [keep.event for keep in keeps])
    return {keep.message.id: _standing(db, keep) for keep in repeats}


def _catalogue(db: apsw.Connection) -> None:
    """All of it, within a transaction that depends on it."""
    while found := _uncatalogued(db):
        for write, rows in catalogued(found).items():
            _run(db, write, rows)


def _uncatalogued(db: apsw.Connection, last: int = 2**63 - 1) -> list[records.Found]:
    """The oldest of them, up to the message `last`: as many as are catalogued at once."""
    found: list[records.Found] = []
    size = 0
    cursor = db.cursor()
    try:
        for row in cursor.execute(UNCATALOGUED.sqlite, (AT_ONCE, last)):
            found.append(row)
            size += len(row[_PAYLOAD])
            if size > BYTES_AT_ONCE:
                break
    except apsw.Error as error:
        raise fault(error) from None
    finally:
        cursor.close()
    return found


def _keep_versions(db: apsw.Connection, keeps: Sequence[Keep]) -> None:
    values = [row for keep in keeps for row in keep.values]
    if values:
        _run(db, writes.RESOURCE_VALUES, values)
    later = [keep.uncatalogued for keep in keeps if keep.uncatalogued is not None]
    if later:
        _run(db, writes.UNCATALOGUED, later)
    _run(db, writes.RESOURCES, [keep.resource for keep in keeps if keep.resource is not None])
    superseded = [keep.superseded for keep in keeps if keep.superseded is not None]
    if superseded:
        _run(db, writes.RESOURCES_SUPERSEDED, superseded)


def _apart(db: apsw.Connection, keeps: Sequence[Keep]) -> tuple[list[Keep], list[Keep]]:
    """(repeats, which were left out; new ones)"""
    ids = orjson.dumps([keep.message.id for keep in keeps]).decode()
    taken = {row[0] for row in db.execute(statements.IDS_STANDING.sqlite, (ids,))}
    repeats = [keep for keep in keeps if keep.message.id not in taken]
    return repeats, [keep for keep in keeps if keep.message.id in taken]


def _standing(db: apsw.Connection, repeat: Keep) -> Message:
    """What was sent before, in this very group or long ago."""
    row = db.execute(statements.MESSAGES_STANDING.sqlite, repeat.identity).fetchone()
    if row is None:
        raise Conflict("a message was left out, and none stands in its place")
    return records.message(row[:-1])


def _write_each(db: apsw.Connection, group: Group) -> None:
    """Every item on its own, in one transaction: those at fault are told why, the others are committed together."""
    _begin(db)
    try:
        written = _write_apart(db, group)
    except BaseException:
        _roll_back(db)
        raise
    _commit(db)
    for single, standing in written:
        single.kept(standing)


def _write_apart(db: apsw.Connection, group: Group) -> list[tuple[Group, dict[int, Message]]]:
    """Those that could be written, each with its repeats; the others are told."""
    written: list[tuple[Group, dict[int, Message]]] = []
    for single in group.singles():
        db.execute(_SAVEPOINT)
        try:
            written.append((single, _write(db, single)))
        except (apsw.Error, *OWN_FAULTS) as error:
            if not db.in_transaction:
                raise fault(error) if isinstance(error, apsw.Error) else error from None
            db.execute(_ROLLBACK_TO)
            single.failed(fault(error) if isinstance(error, apsw.Error) else error)
        db.execute(_RELEASE)
    return written


def _fetch(db: apsw.Connection | None, read: Read, values: Sequence[Value]) -> list[records.Found]:
    if db is None:
        raise StoreFault(CLOSED)
    try:
        return list(db.execute(read.sqlite, tuple(map(_bindable, values))))
    except apsw.Error as error:
        raise fault(error) from None


def _bindable(value: Value) -> str | int | bytes | None:
    """A list as the JSON array that the statement looks into."""
    return orjson.dumps(value).decode() if isinstance(value, (list, tuple)) else value  # type: ignore[return-value]
