"""From the address in `gateway.yaml` to a store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.clock import Clock
from gateway.store.interface import Store, StoreFault
from gateway.store.postgres import PostgresStore
from gateway.store.sqlite import SqliteStore

_ADDRESSES = (
    "a store's address is sqlite:///relative/path.db, sqlite:////absolute/path.db or postgresql://user@host/database"
)
_KEY_IS_FOR_FILES = (
    "a store key is set, and encrypts SQLite files only: on PostgreSQL encrypt the server's disks and its backups, "
    "and unset GATEWAY_STORE_KEY"
)


def open_store(url: str, key: str | None = None, clock: Clock | None = None) -> Store:
    """The store at `url`; call its `open` next. `sqlite://` alone is a database in memory, for tests.

    StoreFault for an address that is none, and for a key that would protect nothing.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc:
        return SqliteStore(_file(parts.path), key or None, clock)
    if parts.scheme in ("postgresql", "postgres"):
        if key:
            raise StoreFault(_KEY_IS_FOR_FILES)
        return PostgresStore(url, clock)
    raise StoreFault(_ADDRESSES)


def _file(path: str) -> Path | None:
    """`/var/x.db`, after `sqlite://`, is relative; `//var/x.db` is absolute."""
    return Path(unquote(path[1:])) if path else None
