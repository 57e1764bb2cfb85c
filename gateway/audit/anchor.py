"""The anchor file: each seal, a line of JSON, on other storage than the database. It shows what was cut off."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from gateway.audit.seals import Head

LINE_LIMIT = 4096
_FIELDS = frozenset({"id", "size", "last_seq", "root", "sealed", "key_id", "signature"})


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no seal."""

    line: int


def line(head: Head) -> bytes:
    """One line, its end included."""
    said = {
        "id": head.id,
        "size": head.size,
        "last_seq": head.last_seq,
        "root": head.root.hex(),
        "sealed": head.sealed.isoformat(),
        "key_id": head.key_id,
        "signature": head.signature.hex(),
    }
    return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)


def parse(text: bytes) -> Head | None:
    """The seal in a line, or None when it is none."""
    try:
        said = orjson.loads(text)
        if not isinstance(said, dict) or said.keys() != _FIELDS:
            return None
        moment = datetime.fromisoformat(said["sealed"])
        head = Head(
            id=said["id"],
            size=said["size"],
            last_seq=said["last_seq"],
            root=bytes.fromhex(said["root"]),
            sealed=moment,
            key_id=said["key_id"],
            signature=bytes.fromhex(said["signature"]),
        )
    except (ValueError, TypeError):
        return None
    whole = all(type(number) is int for number in (head.id, head.size, head.last_seq))
    return head if whole and isinstance(head.key_id, str) and moment.tzinfo is not None else None


def read(lines: Iterable[bytes]) -> Iterator[tuple[int, Head | Unreadable]]:
    """(line number, seal) of each line. A line that a crash cut short and the next one repeats whole is passed over;
    so is a last line without its end, which nobody has finished writing.
    """
    torn: tuple[int, bytes] | None = None
    for number, text in enumerate(lines, start=1):
        content = text.rstrip(b"\r\n")
        if torn is not None:
            if not content.startswith(torn[1]):
                yield torn[0], Unreadable(torn[0])
            torn = None
        if not content:
            continue
        head = parse(content)
        if head is not None:
            yield number, head
        else:
            torn = (number, content)
            if not text.endswith(b"\n"):
                return
    if torn is not None:
        yield torn[0], Unreadable(torn[0])


class AnchorFile:
    """The file on disk. It is only ever appended to, so it may lie on storage that allows nothing else."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, head: Head) -> None:
        """Durable when it returns. A line that a crash cut short is ended first, and stays."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self.path.exists()
        start = b"" if fresh or self._ended() else b"\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        with os.fdopen(handle, "wb") as file:
            file.write(start + line(head))
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            _sync_directory(self.path.parent)

    def last(self) -> Head | None:
        """The seal in the last whole line; None when there is none."""
        found = [head for _, head in read(self._end()) if isinstance(head, Head)]
        return found[-1] if found else None

    def lines(self) -> Iterator[bytes]:
        """Those that stand now, each at most `LINE_LIMIT` long. None when there is no file."""
        if not self.path.exists():
            return iter(())
        return self._lines(self.path.stat().st_size)

    def _lines(self, left: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while left > 0 and (text := file.readline(min(left, LINE_LIMIT))):
                left -= len(text)
                yield text

    def _end(self) -> list[bytes]:
        """The last few lines, whole."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            start = file.seek(max(length - 4 * LINE_LIMIT, 0))
            lines = file.read().splitlines(keepends=True)
        return lines[1:] if start else lines

    def _ended(self) -> bool:
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return True
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
