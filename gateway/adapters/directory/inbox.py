"""A directory that a sender writes files into, as blocking calls: look, read, move away.

Below it stand `done` and `failed`. A file that is still there has not been dealt with; one that has is moved, so that
nothing need be remembered over a crash.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from heapq import nsmallest
from pathlib import Path

DONE, FAILED = "done", "failed"
REASON = ".reason"
UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".writing", ".crdownload", ".swp", "~")
"""Ends of names under which programs write what they rename later."""
AT_ONCE = 1000
"""Files of one look; the first by name."""
_LONGEST_NAME = 200
_OPENED = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unfit(Exception):
    """The file is not taken. `reason` holds nothing of what it says."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was seen: equal to a later look only if nothing has changed."""

    name: str
    inode: int
    size: int
    changed: int
    """Nanoseconds."""


class Inbox:
    """One directory. Every call may raise OSError."""

    def __init__(self, path: Path, pattern: str = "*", max_file: int = 64 * 1024 * 1024) -> None:
        self.path = path
        self._pattern = pattern
        self._max_file = max_file

    def prepare(self) -> None:
        """Make what is missing below. OSError when the gateway may not work here."""
        for below in (DONE, FAILED):
            place = self.path / below
            with suppress(FileExistsError):
                place.mkdir(mode=0o700)
            if place.is_symlink() or not place.is_dir():
                raise NotADirectoryError(f"{place} must be a directory of its own; move what stands there")
            if not os.access(place, os.W_OK | os.X_OK):
                raise PermissionError(f"{place} cannot be written to; let the gateway's user own it")
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(f"{self.path} must be readable and writable: files are moved out of it")

    def look(self) -> list[Found]:
        """The files that may be taken, by name. Directories, and files by the names of unfinished ones, are not."""
        with os.scandir(self.path) as entries:
            names = (entry.name for entry in entries if self._wanted(entry))
            first = nsmallest(AT_ONCE, names)
        return [found for name in first if (found := self._found(name)) is not None]

    def _wanted(self, entry: os.DirEntry[str]) -> bool:
        name = entry.name
        if name.startswith(".") or name.lower().endswith(UNFINISHED) or not fnmatchcase(name, self._pattern):
            return False
        return not entry.is_dir(follow_symlinks=False)

    def _found(self, name: str) -> Found | None:
        try:
            status = (self.path / name).lstat()
        except FileNotFoundError:
            return None
        return Found(name, status.st_ino, status.st_size, status.st_mtime_ns)

    def read(self, found: Found) -> bytes | None:
        """The content; None when the file has changed or gone. Raises Unfit for a link, a device, a file too large."""
        path = self.path / found.name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise Unfit("this is not a file of its own: links, pipes and devices are not read")
            descriptor = os.open(path, _OPENED)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if (status.st_ino, status.st_size, status.st_mtime_ns) != (found.inode, found.size, found.changed):
                return None
            if status.st_size > self._max_file:
                raise Unfit(f"the file has {status.st_size} bytes; {self._max_file} are the limit")
            content = file.read(self._max_file + 1)
            after = os.fstat(descriptor)
        return content if (after.st_size, after.st_mtime_ns) == (len(content), found.changed) else None

    def done(self, found: Found) -> None:
        """Move it to `done`."""
        self._move(found.name, self._free(DONE, found.name))

    def failed(self, found: Found, reason: str) -> None:
        """Move it to `failed`, with the reason in a file beside it."""
        place = self._free(FAILED, found.name)
        beside = place.with_name(place.name + REASON)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
            file.write(f"{reason}\n")
        self._move(found.name, place)

    def _free(self, below: str, name: str) -> Path:
        """A name that nothing has there: nothing that was moved before is overwritten."""
        short = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])
        number = 1
        place = self.path / below / short
        while os.path.lexists(place):
            number += 1
            place = self.path / below / f"{short}.{number}"
        return place

    def _move(self, name: str, place: Path) -> None:
        with suppress(FileNotFoundError):  # another gateway was first, or its sender took it back
            os.rename(self.path / name, place)
