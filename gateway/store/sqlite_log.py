"""The write-ahead log's way into the database file, beside the commits rather than inside them.

SQLite by itself does this work in the commit that crosses a threshold, and whoever waits for it waits for two fsyncs
more and for pages from all over the file: measured, two thirds of a commit's time once the file is large. Here a
thread with its own connection does it. Under an unbroken load the log cannot start again from its beginning, as there
is always a newer page in it; when it has grown long, one commit finishes what little the thread has left.

The log's file is made longer ahead of the commits, with zeros. Measured: to make bytes durable that stand inside a file
takes half the time of bytes that also make it longer.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

import apsw
import structlog

from gateway.store.sqlite_file import PAGE_BYTES

log = structlog.get_logger(__name__)

STEP_PAGES = 250
"""Pages that the log grows by before the thread is sent for them: 1 MB. Measured: with steps of 4 MB the slowest of a
hundred acknowledgements takes twice as long.
"""

LONG_PAGES = 2_000
"""Pages at which a commit finishes the work, so that the log starts again: 8 MB, which the processor's cache holds."""

_BEGIN = "BEGIN IMMEDIATE"
_ROLLBACK = "ROLLBACK"


class Checkpoints:
    """Watches the log of `writer`, and empties it by `beside`, a connection of its own."""

    def __init__(self, writer: apsw.Connection, beside: apsw.Connection) -> None:
        self._writer = writer
        self._beside = beside
        self._pages = 0
        self._begun = 0
        self._room = 0
        """Pages that the log's file is long, as far as is known."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-log")
        self._running: Future[None] | None = None
        writer.set_wal_hook(self._committed)

    def _committed(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._pages:
            self._begun = 0
        self._pages = pages
        return apsw.SQLITE_OK

    def look(self) -> None:
        """After a commit: begin what is due. Returns at once, but once in every `LONG_PAGES`, and while the log's file
        is young.
        """
        if self._pages > max(self._room, STEP_PAGES) - STEP_PAGES // 2 and self._room <= LONG_PAGES:
            length = _lengthen(self._writer, STEP_PAGES * PAGE_BYTES)
            self._room = length // PAGE_BYTES or self._pages + STEP_PAGES
        if self._pages - self._begun < STEP_PAGES or (self._running is not None and not self._running.done()):
            return
        self._begun = self._pages
        if self._pages >= LONG_PAGES:
            _empty(self._writer)
        else:
            self._running = self._thread.submit(_empty, self._beside)

    async def close(self) -> None:
        """Waits for the thread."""
        self._writer.set_wal_hook(None)
        await asyncio.to_thread(self._thread.shutdown)
        self._beside.close()


def _empty(db: apsw.Connection) -> None:
    """As far as readers allow. What is committed is safe in the log: a fault here is tried again at the next step."""
    try:
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.BusyError:
        log.debug("store.checkpoint_deferred")  # a commit was being published at this very moment
    except apsw.Error as error:
        log.error("store.checkpoint_failed", fault=type(error).__name__)  # noqa: TRY400  (a trace tells nothing more)


def _lengthen(db: apsw.Connection, size: int) -> int:
    """Write `size` zeros after the end of the log's file; how long it is then, in bytes.

    Nobody else appends to it meanwhile, for the right to write is held; and SQLite takes zeros for the end of what it
    wrote, also after a crash. What does not work now costs speed only.
    """
    try:
        db.execute(_BEGIN)
        with open(db.filename_wal, "ab", buffering=0) as file:
            file.write(bytes(size))
            return file.tell()
    except (apsw.Error, OSError) as error:
        log.warning("store.log_not_lengthened", fault=type(error).__name__)
        return 0
    finally:
        if db.in_transaction:
            db.execute(_ROLLBACK)
