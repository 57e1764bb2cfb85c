"""Places for stores: memory, a file, an encrypted file, a schema of a real PostgreSQL server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conformance import postgres
from gateway.store import open_store
from gateway.store.interface import Store


@dataclass
class Opening:
    """Opens the same place again and again; closes all at the end."""

    url: str
    key: str | None = None
    opened: list[Store] = field(default_factory=list)

    async def open(self) -> Store:
        store = open_store(self.url, self.key)
        await store.open()
        self.opened.append(store)
        return store

    async def close(self) -> None:
        for store in self.opened:
            await store.close()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server's DSN; skipped where none can be had, never in CI."""
    try:
        with postgres.server(tmp_path_factory.mktemp("pg")) as dsn:
            yield dsn
    except postgres.Unavailable as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opening]:
    """An empty place on each engine."""
    if request.param == "postgres":
        async with schema(request.getfixturevalue("postgres_server")) as opening:
            yield opening
        return
    opening = Opening(f"sqlite:///{tmp_path}/store/gateway.db")
    yield opening
    await opening.close()


@pytest.fixture
async def encrypted_place(tmp_path: Path) -> AsyncIterator[Opening]:
    opening = Opening(f"sqlite:///{tmp_path}/store/gateway.db", "correct horse battery staple")
    yield opening
    await opening.close()


@asynccontextmanager
async def schema(server: str) -> AsyncIterator[Opening]:
    dsn = await postgres.fresh(server)
    opening = Opening(dsn)
    yield opening
    await opening.close()
    await postgres.drop(dsn)


@pytest.fixture
async def postgres_place(postgres_server: str) -> AsyncIterator[Opening]:
    async with schema(postgres_server) as opening:
        yield opening
