"""The store on PostgreSQL, by asyncpg: for several gateways that share the work.

Rows of one table go in one statement (`unnest` of one array a column). What asks to be written in one turn of the loop
shares a transaction; up to four are on their way at one moment. When one item of a group conflicts, the group is rolled
back and written again with a savepoint around each item.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from gateway.audit.events import Event
from gateway.clock import Clock, SystemClock
from gateway.message import Message
from gateway.promise import Promise
from gateway.store import records, schema, statements, writes
from gateway.store.group import CLOSED, OWN_FAULTS, Group, Keep, Queue
from gateway.store.interface import Conflict, LeafBlock, ResourceVersion, Seal, Step, StoreFault
from gateway.store.postgres_faults import ERRORS, TOGETHER, fault, uncertain
from gateway.store.reads import Reads, Value
from gateway.store.rows import Batch, merged, seal_rows, step_rows
from gateway.store.statements import Read
from gateway.store.writes import Row, Write

IN_FLIGHT = 4
"""Transactions on their way at one moment: with one, the server waits for us; with many, groups get small."""

CONNECTIONS = 10

SETTINGS = {
    "application_name": "coding-review-gateway",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "jit": "off",
    # Every statement finds its rows by key. A plan made while a table was small must not walk it once it is large.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}
SECONDS = 70
"""How long to wait for any answer: longer than the server's own limit, which tells more."""

NOT_DURABLE = "the PostgreSQL server runs with {name} off and loses what was acknowledged: turn it on"

_MIGRATION_LOCK = "SELECT pg_advisory_xact_lock(7309464870093215)"
_SHOW_DURABLE = "SELECT current_setting('fsync'), current_setting('full_page_writes')"
_BEGIN = "BEGIN"
_COMMIT = "COMMIT"
_ROLLBACK = "ROLLBACK"
_SAVEPOINT = "SAVEPOINT one"
_ROLLBACK_TO = "ROLLBACK TO SAVEPOINT one"
_RELEASE = "RELEASE SAVEPOINT one"
_LOCK_EVENTS = "LOCK TABLE events IN SHARE MODE"

T = TypeVar("T")

Connection = Any
"""An asyncpg connection, or the pool's proxy of one: the driver is not typed."""


async def _no_reset(_: Connection) -> None:
    """Nothing that a session here sets outlives its transaction: a round trip less."""


class PostgresStore(Reads):
    """`Store` on the database that `dsn` names."""

    def __init__(self, dsn: str, clock: Clock | None = None) -> None:
        self._dsn = dsn
        self._clock = clock or SystemClock()
        self._pool: Any = None
        self._queue = Queue()
        self._scheduled = False
        self._flights: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=2,
                max_size=CONNECTIONS,
                reset=_no_reset,
                server_settings=SETTINGS,
                command_timeout=SECONDS,
                max_cached_statement_lifetime=0,
            )
            async with self._pool.acquire() as connection:
                await _refuse_forgetful(connection)
                await self._migrate(connection)
        except ERRORS as error:
            await self.close()
            raise fault(error) from None
        except (ValueError, StoreFault) as error:
            await self.close()
            raise StoreFault(str(error)) from None

    async def close(self) -> None:
        """Waits for what is being written, then closes. A closed store may be opened again."""
        while self._pool is not None and (self._queue or self._flights):
            self._dispatch()
            await asyncio.gather(*self._flights)
        self._queue.refuse()
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _migrate(self, connection: Connection) -> None:
        """One gateway at a time; the others find it done."""
        async with connection.transaction():
            await connection.execute(_MIGRATION_LOCK)
            await connection.execute(schema.VERSION_TABLE)
            for migration in schema.missing(await connection.fetchval(schema.READ_VERSION)):
                for statement in migration.postgres:
                    await connection.execute(statement)
                await connection.execute(schema.WRITE_VERSION, migration.number)

    # Writing

    async def commit(self, step: Step) -> None:
        rows = step_rows(step, self._clock.now())
        if rows:
            await self._put(rows)

    async def add_seal(self, seal: Seal, blocks: Sequence[LeafBlock]) -> None:
        await self._put(seal_rows(seal, blocks))

    async def catalogue(self) -> None:
        """What a resource is found by is written with it: it is a part of one statement, and other gateways look."""

    async def give_back(self, pages: int) -> int:
        """The server's own vacuum makes the space free for what comes next."""
        return 0

    async def _put(self, rows: Batch) -> None:
        done = self._queue.step(rows)
        self._schedule()
        await done

    def keep(self, message: Message, event: Event, resource: ResourceVersion | None = None) -> Promise[Message]:
        done = self._queue.keep(message, event, resource)
        self._schedule()
        return done

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Send off what waits, while there is room. What comes meanwhile gathers for the next transaction."""
        self._scheduled = False
        while self._queue and len(self._flights) < IN_FLIGHT:
            group = self._queue.take()
            for part in (Group(keeps=group.keeps), Group(steps=group.steps)):
                if part:
                    flight = asyncio.get_running_loop().create_task(self._fly(part))
                    self._flights.add(flight)
                    flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if self._queue:
            self._schedule()

    async def _fly(self, group: Group) -> None:
        """Write the group. Whatever happens, everyone who waits is told."""
        try:
            async with self._connection() as connection:
                await _write_group(connection, group)
        except Exception as error:  # noqa: BLE001  (each waiter raises it where it awaits)
            group.failed(fault(error) if isinstance(error, ERRORS) else error)
        except BaseException:
            group.failed(StoreFault("the store was stopped during a commit"))
            raise

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise StoreFault(CLOSED)
        async with self._pool.acquire(timeout=SECONDS) as connection:
            yield connection

    # Reading

    async def _rows(self, read: Read, *values: Value) -> Sequence[records.Found]:
        try:
            async with self._connection() as connection:
                found: Sequence[records.Found] = await connection.fetch(read.postgres, *values)
                return found
        except ERRORS as error:
            raise fault(error) from None

    async def _scan(self, read: Read, *values: Value) -> Sequence[records.Found]:
        return await self._rows(read, *values)

    async def _walk(self, read: Read, *values: Value) -> Sequence[records.Found]:
        return await self._rows(read, *values)

    async def unsealed(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """The share lock is given when no transaction that has written events is open, and no new one can begin to:
        every lower place is visible by then or was rolled back. It is held for one look-up.
        """
        try:
            async with self._connection() as connection, connection.transaction():
                await connection.execute(_LOCK_EVENTS)
                horizon = await connection.fetchval(statements.LAST_EVENT.postgres)
        except ERRORS as error:
            raise fault(error) from None
        rows = await self._rows(statements.UNSEALED, after, horizon, limit)
        return [(row[0], row[1]) for row in rows]


async def _refuse_forgetful(connection: Connection) -> None:
    for name, value in (await connection.fetchrow(_SHOW_DURABLE)).items():
        if value != "on":
            raise StoreFault(NOT_DURABLE.format(name=name))


async def _write_group(connection: Connection, group: Group) -> None:
    try:
        standing = await _write_together(connection, group)
    except (*ERRORS, *OWN_FAULTS) as error:
        failure = fault(error) if isinstance(error, ERRORS) else error
        if len(group) > 1 and (isinstance(error, TOGETHER) or isinstance(failure, OWN_FAULTS)):
            await _write_each(connection, group)
        else:
            group.failed(failure)
        return
    group.kept(standing)


async def _write_together(connection: Connection, group: Group) -> dict[int, Message]:
    """Commit the group. By the id of each repeat: the message that stands in its place."""
    if group.keeps and not any(keep.resource for keep in group.keeps):
        # One statement is its own transaction: it is sent, and committed, in one round trip.
        new = await _ending(_keep(connection, group.keeps))
        return await _ending(_standing(connection, group.keeps, new))
    await connection.execute(_BEGIN)
    try:
        standing = await _write(connection, group)
    except BaseException:
        await _roll_back(connection)
        raise
    await _ending(connection.execute(_COMMIT))
    return standing


async def _ending(work: Awaitable[T]) -> T:
    """Await what commits: a connection that is lost now leaves it open whether the commit stands."""
    try:
        return await work
    except ERRORS as error:
        unknown = uncertain(error)
        if unknown is not None:
            raise unknown from None
        raise


async def _roll_back(connection: Connection) -> None:
    if not connection.is_closed():
        await connection.execute(_ROLLBACK)


async def _write(connection: Connection, group: Group) -> dict[int, Message]:
    """The group's rows, inside a transaction."""
    standing = await _keep_versions(connection, group.keeps) if group.keeps else {}
    if group.steps:
        batch = merged([step.rows for step in group.steps])
        for write in writes.IN_ORDER:
            rows = batch.get(write)
            for part in _parts(write, rows):
                await _run(connection, write, part)
    return standing


def _parts(write: Write, rows: Sequence[Row] | None) -> Iterator[Sequence[Row]]:
    """What goes in one statement."""
    if rows and write.singly:
        yield from ([row] for row in rows)
    elif rows:
        yield rows


async def _run(connection: Connection, write: Write, rows: Sequence[Row]) -> None:
    """The tag of an answer ends with the number of rows: `UPDATE 64`."""
    tag: str = await connection.execute(write.postgres, *zip(*rows, strict=True))
    if write.guarded and int(tag.rsplit(" ", 1)[1]) != len(rows):
        raise Conflict(f"a row of {write.name} that the step was decided on has changed")


async def _keep(connection: Connection, keeps: Sequence[Keep]) -> set[int]:
    """The ids of the messages that are new."""
    rows = [(*keep.row, *keep.payload[1:], *keep.event) for keep in keeps]
    return {row[0] for row in await connection.fetch(writes.KEEP_POSTGRES, *zip(*rows, strict=True))}


async def _keep_versions(connection: Connection, keeps: Sequence[Keep]) -> dict[int, Message]:
    new = await _keep(connection, keeps)
    versions = [keep for keep in keeps if keep.resource is not None and keep.message.id in new]
    for write, rows in (
        (writes.RESOURCE_VALUES, [row for keep in versions for row in keep.values]),
        (writes.RESOURCES, [keep.resource for keep in versions if keep.resource is not None]),
        (writes.RESOURCES_SUPERSEDED, [keep.superseded for keep in versions if keep.superseded is not None]),
    ):
        if rows:
            await _run(connection, write, rows)
    return await _standing(connection, keeps, new)


async def _standing(connection: Connection, keeps: Sequence[Keep], new: set[int]) -> dict[int, Message]:
    """What was sent before, in this very group, by another gateway a moment ago, or long ago."""
    repeats = [keep for keep in keeps if keep.message.id not in new]
    if not repeats:
        return {}
    wanted = zip(*(keep.identity for keep in repeats), strict=True)
    rows = await connection.fetch(statements.MESSAGES_STANDING.postgres, *wanted)
    found = {(row["control"], row["feed"], row["digest"]): records.message(tuple(row)[:-1]) for row in rows}
    try:
        return {keep.message.id: found[keep.identity] for keep in repeats}
    except KeyError:
        raise Conflict("a message was left out, and none stands in its place") from None


async def _write_each(connection: Connection, group: Group) -> None:
    """Every item on its own, in one transaction: those at fault are told why, the others are committed together."""
    await connection.execute(_BEGIN)
    written: list[tuple[Group, dict[int, Message]]] = []
    try:
        for single in group.singles():
            await connection.execute(_SAVEPOINT)
            try:
                written.append((single, await _write(connection, single)))
            except (asyncpg.PostgresError, asyncpg.InterfaceError, *OWN_FAULTS) as error:
                await connection.execute(_ROLLBACK_TO)
                single.failed(fault(error) if isinstance(error, ERRORS) else error)
            await connection.execute(_RELEASE)
    except BaseException:
        await _roll_back(connection)
        raise
    await _ending(connection.execute(_COMMIT))
    for single, standing in written:
        single.kept(standing)
