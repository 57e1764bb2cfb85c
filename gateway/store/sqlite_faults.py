"""SQLite's errors in the words of the interface. No text of the database's leaves: it may name values."""

from __future__ import annotations

import apsw

from gateway.store.interface import Conflict, StoreFault, UncertainCommit, Unstorable

_CHANGED = frozenset(
    {
        apsw.SQLITE_CONSTRAINT_UNIQUE,
        apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
        apsw.SQLITE_CONSTRAINT_ROWID,
        apsw.SQLITE_CONSTRAINT_FOREIGNKEY,
    }
)

_REMEDIES: dict[type[apsw.Error], str] = {
    apsw.BusyError: "another process holds the store's file for writing: stop it, or try again",
    apsw.LockedError: "another connection holds the store's file: try again",
    apsw.FullError: "the disk under the store is full: make room",
    apsw.IOError: "the disk under the store fails: see the system's log",
    apsw.CorruptError: "the store's file is damaged: stop, keep a copy, and restore the latest backup",
    apsw.NotADBError: "the store's file is not readable with this key",
    apsw.ReadOnlyError: "the store's file may not be written: see its permissions",
    apsw.CantOpenError: "the store's file cannot be opened: see its permissions and those of its directory",
}


def fault(error: apsw.Error) -> Exception:
    """What `error` means for a step of which nothing was committed."""
    if isinstance(error, apsw.ConstraintError):
        if getattr(error, "extendedresult", 0) in _CHANGED:
            return Conflict("a row that the step writes stands already, or one that it needs does not")
        return Unstorable("a value does not have the type or range of its column")
    if isinstance(error, apsw.TooBigError):
        return Unstorable("a value is larger than the database can hold")
    return StoreFault(_REMEDIES.get(type(error), f"the store failed: {type(error).__name__}"))


def fault_of_commit(error: apsw.Error) -> Exception:
    """What `error` means when COMMIT itself raised it: after an I/O error the log may hold the commit whole."""
    if isinstance(error, apsw.IOError):
        return UncertainCommit(_REMEDIES[apsw.IOError])
    return fault(error)
