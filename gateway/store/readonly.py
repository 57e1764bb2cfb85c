"""A store that is only looked into, beside a gateway that runs or without one: it is neither made nor migrated."""

from __future__ import annotations

from pathlib import Path

import apsw
import asyncpg

from gateway.store import records, schema
from gateway.store.catalogue import entries
from gateway.store.interface import ResourceVersion, Store, StoreFault
from gateway.store.open import open_store
from gateway.store.postgres import CONNECTIONS, SECONDS, SETTINGS, PostgresStore
from gateway.store.postgres_faults import ERRORS
from gateway.store.postgres_faults import fault as postgres_fault
from gateway.store.resource_reads import MOST_REFERRING
from gateway.store.resource_statements import UNCATALOGUED
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite_faults import fault
from gateway.store.sqlite_file import connect, refuse_unsafe

OTHER = (
    "the store's schema is version {found}, and this release reads version {wanted}: start the gateway of this "
    "release once, or say --no-store"
)


def open_read_only(url: str, key: str | None = None) -> Store | None:
    """The store at `url`, to be read only; call its `open` next. None when there is no such file, or it is in memory.

    StoreFault for an address that is none.
    """
    store = open_store(url, key)
    if isinstance(store, SqliteStore):
        path = store.path
        return ReadOnlySqlite(path, key or None) if path is not None and path.exists() else None
    return ReadOnlyPostgres(url)


class ReadOnlySqlite(SqliteStore):
    """Its connections cannot write."""

    def __init__(self, path: Path, key: str | None) -> None:
        super().__init__(path, key)

    async def open(self) -> None:
        refuse_unsafe(apsw.sqlite_lib_version())
        # Where a gateway is at work there is a log beside the file. Without one, a reader would leave an empty log
        # behind, and of its own user.
        alone = self._path is None or not self._path.with_name(self._path.name + "-wal").exists()
        self._writer = connect(self._path, self._key, read_only=True, untouched=alone)
        try:
            self._reader = connect(self._path, self._key, read_only=True, untouched=alone)
            self._counter = connect(self._path, self._key, read_only=True, untouched=alone)
            _same(int(self._writer.execute(schema.READ_VERSION).get))
        except apsw.Error as error:
            await self.close()
            raise fault(error) from None
        except StoreFault:
            await self.close()
            raise

    async def catalogue(self) -> None:
        """The gateway does it."""

    async def referring(self, client: str, reference: str) -> list[ResourceVersion]:
        """With those that the gateway has not catalogued yet."""
        found = {version.message: version for version in await super().referring(client, reference)}
        for *row, payload, newest in await self._scan(UNCATALOGUED, MOST_REFERRING, 2**63 - 1):
            version = records.resource(row)
            if newest and version.client == client and any(token == reference for _, token in entries(payload)):
                found[version.message] = version
        return [found[message] for message in sorted(found)]


class ReadOnlyPostgres(PostgresStore):
    """Its sessions cannot write."""

    async def open(self) -> None:
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=CONNECTIONS,
                server_settings={**SETTINGS, "default_transaction_read_only": "on"},
                command_timeout=SECONDS,
            )
            async with self._pool.acquire() as connection:
                _same(await connection.fetchval(schema.READ_VERSION))
        except ERRORS as error:
            await self.close()
            raise postgres_fault(error) from None
        except (ValueError, StoreFault) as error:
            await self.close()
            raise StoreFault(str(error)) from None


def _same(found: int) -> None:
    if found != schema.LATEST:
        raise StoreFault(OTHER.format(found=found, wanted=schema.LATEST))
