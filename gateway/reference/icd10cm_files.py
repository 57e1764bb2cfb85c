"""The compiled file of an ICD-10-CM release, and the published lists that it is compiled from.

A file is a line of JSON (format, label, published, starts, count, SHA-256) and one big-endian 64-bit number for each
code: seven bytes of the code, padded with zero bytes, and one byte of flag. The numbers stand in order.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import orjson

HEADER, BILLABLE, SEVENTH = 1, 2, 3
"""A code's flag."""
FIRST_DAY = date(2015, 10, 1)
"""ICD-10-CM is in force from here."""

_FORMAT = "icd10cm-1"
_PACKAGE = "simple_icd_10_cm"
_LIST = re.compile(r"code-list-([A-Z][a-z]+)-([0-9]{4})\.txt")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_CODE = re.compile(r"[A-Z][0-9A-Z]{2,6}")
_MAX_FILE = 64 * 1024 * 1024


class CodeSetFault(Exception):
    """A code set cannot be read or compiled: the text names the file and what to do."""


@dataclass(frozen=True, slots=True)
class Release:
    """A compiled release: in force from `starts` until the start of a newer one."""

    label: str
    published: str
    """Year and month, as `2026-04`."""
    starts: date
    entries: array[int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PublishedList:
    """A list of codes as published, before it is compiled. `lines` may hold chapters and blocks; they are left out."""

    label: str
    published: str
    starts: date
    path: Path

    def codes(self) -> Iterator[str]:
        """The codes, without dots."""
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                code = line.strip()
                if _CODE.fullmatch(code):
                    yield code


def number_of(code: str) -> int | None:
    """The code's place in the order of a compiled file, its flag zero; None for what cannot be a code."""
    if not (3 <= len(code) <= 7 and code.isascii() and code.isalnum()):
        return None
    return int.from_bytes(code.encode().ljust(8, b"\0"), "big")


def release_file(directory: Path, published: str) -> Path:
    """Where a release's compiled file stands."""
    return directory / f"icd10cm-{published}.codes"


def packaged_lists() -> tuple[PublishedList, ...]:
    """The lists that installed packages carry, oldest first; found without importing them."""
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    found = (
        _published(path) for folder in folders or () for path in sorted(Path(folder, "data").glob("code-list-*.txt"))
    )
    return tuple(sorted(found, key=lambda listed: listed.published))


def _published(path: Path) -> PublishedList:
    """A fiscal year begins on 1 October; a release of April carries the codes of the year that began before it."""
    match = _LIST.fullmatch(path.name)
    if match is None or match[1] not in _MONTHS:
        raise CodeSetFault(f"{path.name}: the list's name does not say month and year")
    month, year = _MONTHS.index(match[1]) + 1, int(match[2])
    fiscal = year + 1 if month >= 10 else year
    label = f"ICD-10-CM FY{fiscal} ({match[1]} {year})"
    return PublishedList(label, f"{year}-{month:02}", date(fiscal - 1, 10, 1), path)


def flagged(codes: Iterable[str]) -> array[int]:
    """The entries of a compiled file. The leaves are billable: a list carries each code whole, 7th character included.

    A code is a header when another begins with it. Where all of those have seven characters, only the 7th is missing.
    """
    below: dict[str, set[int]] = {}
    above: list[str] = []
    for code in sorted(set(codes)):
        while above and not code.startswith(above[-1]):
            above.pop()
        for header in above:
            below[header].add(len(code))
        above.append(code)
        below[code] = set()
    return array("Q", (_entry(code, lengths) for code, lengths in below.items()))


def _entry(code: str, below: set[int]) -> int:
    flag = BILLABLE if not below else SEVENTH if below == {7} else HEADER
    return int.from_bytes(code.encode().ljust(7, b"\0") + bytes((flag,)), "big")


def write_release(target: Path, listed: PublishedList) -> None:
    """Compiles a list into `target`: written beside it and renamed, so that no reader ever sees half a file."""
    entries = flagged(listed.codes())
    if not entries:
        raise CodeSetFault(f"{listed.path.name}: no ICD-10-CM code in it")
    if sys.byteorder == "little":
        entries.byteswap()
    body = entries.tobytes()
    head = {
        "format": _FORMAT,
        "label": listed.label,
        "published": listed.published,
        "starts": listed.starts.isoformat(),
        "count": len(entries),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    _replace(target, orjson.dumps(head) + b"\n" + body)


def _replace(target: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_release(path: Path) -> Release:
    """The release in a compiled file. CodeSetFault when the file is not whole."""
    if path.stat().st_size > _MAX_FILE:
        raise CodeSetFault(f"{path.name}: too large for a compiled code set; delete it")
    line, _, body = path.read_bytes().partition(b"\n")
    try:
        head = orjson.loads(line)
        whole = head["format"] == _FORMAT and head["sha256"] == hashlib.sha256(body).hexdigest()
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise CodeSetFault(f"{path.name}: not a compiled code set; delete it and start again") from error
    if not whole:
        raise CodeSetFault(f"{path.name}: damaged or of another version; delete it and start again")
    entries: array[int] = array("Q")
    entries.frombytes(body)
    if sys.byteorder == "little":
        entries.byteswap()
    return Release(head["label"], head["published"], date.fromisoformat(head["starts"]), entries)
