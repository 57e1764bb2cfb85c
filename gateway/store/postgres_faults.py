"""PostgreSQL's errors in the words of the interface, by class. No text of the server leaves: it names values."""

from __future__ import annotations

import asyncpg

from gateway.store.interface import Conflict, StoreFault, UncertainCommit, Unstorable

_CHANGED = (
    asyncpg.UniqueViolationError,
    asyncpg.ForeignKeyViolationError,
    asyncpg.ExclusionViolationError,
    asyncpg.CardinalityViolationError,
)
_WRONG = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)

TOGETHER = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Faults of a group's size or order: its items may pass one by one."""

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""The connection is gone, or its answer did not come."""

ERRORS = (asyncpg.PostgresError, *LOST)

_REMEDIES: tuple[tuple[type[Exception], str], ...] = (
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "the PostgreSQL server refuses the user: see its name and password",
    ),
    (asyncpg.InvalidCatalogNameError, "the PostgreSQL server has no such database: create it"),
    (asyncpg.InsufficientPrivilegeError, "the PostgreSQL user may not do this: grant it the database's public schema"),
    (asyncpg.DiskFullError, "the disk of the PostgreSQL server is full: make room"),
    (asyncpg.TooManyConnectionsError, "the PostgreSQL server takes no more connections: raise max_connections"),
    (asyncpg.LockNotAvailableError, "a lock was not given in time: see what else works on the database"),
    (asyncpg.QueryCanceledError, "the PostgreSQL server did not answer in time"),
    (OSError, "the PostgreSQL server cannot be reached: see its address, and whether it runs"),
)


def fault(error: Exception) -> Exception:
    """What `error` means for a step of which nothing was committed."""
    if isinstance(error, _CHANGED):
        return Conflict("a row that the step writes stands already, or one that it needs does not")
    if isinstance(error, _WRONG) or (isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)):
        return Unstorable("a value does not have the type or range of its column")
    for kind, remedy in _REMEDIES:
        if isinstance(error, kind):
            return StoreFault(remedy)
    return StoreFault(f"the PostgreSQL server failed: {type(error).__name__}")


def uncertain(error: Exception) -> UncertainCommit | None:
    """When `error` came while a transaction may have been ending: whether nobody knows if it stands."""
    if isinstance(error, LOST) and not isinstance(error, ValueError):
        return UncertainCommit("the connection to the PostgreSQL server was lost during a commit")
    return None
