"""Claims as X12 files in a directory that a clearinghouse collects: one interchange a file.

A file is written whole beside the directory's own files, made durable, and then renamed into place: a collector never
sees half of one. The file's name is the delivery's key, so a repeat is recognised, and a record of each file that was
put in place stays in `.gateway/placed` after the collector has taken the file itself: what was once delivered is never
written again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gateway.release.model import Outcome, Result

SUFFIX = ".837"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,79}")


class X12FileDestination:
    """A directory. Everything but `.gateway` in it is the collector's."""

    def __init__(self, name: str, directory: Path) -> None:
        self._name = name
        self._directory = directory
        self._spool = directory / ".gateway" / "spool"
        self._placed = directory / ".gateway" / "placed"
        self._busy: set[str] = set()
        """Keys that a thread is at work on. It may be so for longer than anyone waits: a disk can hang."""
        self._taking = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    async def send(self, key: str, payload: bytes, resend: bool) -> Outcome:
        """Put the file in place. Nothing happens when it was there before with the same bytes."""
        if not _KEY.fullmatch(key):
            return Outcome(result=Result.REJECTED, text="the delivery's key cannot be a file's name")
        return await asyncio.to_thread(self._alone, self._send, key, payload) or _busy()

    def resend_safe(self, first_attempt: datetime, now: datetime) -> bool:
        """Always: `send` recognises what it has placed."""
        return True

    async def inquire(self, key: str, payload: bytes) -> Outcome | None:
        """What the directory and the records say. UNKNOWN when they cannot be read."""
        if not _KEY.fullmatch(key):
            return None
        try:
            found = await asyncio.to_thread(self._alone, self._look, key, payload) or _busy()
        except OSError as fault:
            return Outcome(result=Result.UNKNOWN, text=f"the directory cannot be read: {_error(fault)}")
        return found

    def _alone(self, work: Callable[[str, bytes], Outcome], key: str, payload: bytes) -> Outcome | None:
        """What `work` says; None while an earlier attempt, which nobody waits for any more, may still place the file.

        Two at once could both find nothing, and place it again after the collector has taken the first.
        """
        with self._taking:
            if key in self._busy:
                return None
            self._busy.add(key)
        try:
            return work(key, payload)
        finally:
            self._busy.discard(key)

    def _look(self, key: str, payload: bytes) -> Outcome:
        return self._find(key, payload) or Outcome(result=Result.NOT_SENT, text="no such file was placed")

    def _send(self, key: str, payload: bytes) -> Outcome:
        try:
            found = self._find(key, payload)
            if found is not None:
                return found
            self._prepare(key, payload)
        except OSError as fault:
            return Outcome(result=Result.NOT_SENT, text=f"the file could not be written: {_error(fault)}")
        try:
            os.replace(self._spool / key, self._directory / (key + SUFFIX))
            _sync(self._directory)
            _sync(self._spool)
        except OSError as fault:
            return Outcome(result=Result.UNKNOWN, text=f"the file may not have been placed: {_error(fault)}")
        return _accepted(key)

    def _prepare(self, key: str, payload: bytes) -> None:
        """The spooled file, then the record of it, both durable. With a record and no spooled file, it was renamed."""
        for directory in (self._spool, self._placed):
            directory.mkdir(parents=True, exist_ok=True)
        _write(self._spool / key, payload)
        _write(self._placed / key, _digest(payload))

    def _find(self, key: str, payload: bytes) -> Outcome | None:
        """What became of the key's file; None when it is certain that it was never in place."""
        placed = _read(self._directory / (key + SUFFIX))
        if placed is not None:
            return _accepted(key) if placed == payload else _other()
        record = _read(self._placed / key)
        if record is None or (self._spool / key).exists():
            return None
        return _accepted(key) if record == _digest(payload) else _other()


def _accepted(key: str) -> Outcome:
    return Outcome(result=Result.ACCEPTED, text="the file is in place", reference=key + SUFFIX)


def _busy() -> Outcome:
    return Outcome(result=Result.UNKNOWN, text="an earlier attempt is still at work on the file")


def _other() -> Outcome:
    return Outcome(result=Result.REJECTED, text="another file was placed under this name")


def _error(fault: OSError) -> str:
    return os.strerror(fault.errno) if fault.errno else type(fault).__name__


def _digest(payload: bytes) -> bytes:
    return hashlib.sha256(payload).hexdigest().encode()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    """Write and make durable, the directory's entry too. Readable by the owner and the group only: claims are PHI."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
