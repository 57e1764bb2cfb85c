"""ICD-10-CM: which codes exist and which of them may be billed, on a given date.

A release is compiled once from a published list into a small file; several releases stand side by side, each for the
dates from its start until the next one's. 98,186 codes take 0.8 MB and a look-up under a microsecond.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from gateway.reference.icd10cm_files import (
    BILLABLE,
    FIRST_DAY,
    HEADER,
    SEVENTH,
    CodeSetFault,
    Release,
    number_of,
    packaged_lists,
    read_release,
    release_file,
    write_release,
)

__all__ = ["CodeSetFault", "CodeState", "CodeStatus", "Icd10Cm", "Release", "compile_icd10cm"]


class CodeState(StrEnum):
    UNKNOWN = "unknown"
    HEADER = "header"
    """A category or subcategory: more characters are needed before it may be billed."""
    BILLABLE = "billable"


@dataclass(frozen=True, slots=True)
class CodeStatus:
    """What a release says of a code. `release` is its label."""

    state: CodeState
    release: str
    in_force: bool
    """The release covers the date. If not, the oldest one was asked, or the date is before ICD-10-CM."""
    needs_seventh: bool = False
    """A header that lacks only its 7th character, with X placeholders before it where it is short."""
    before_icd10cm: bool = False
    """The date is before 1 October 2015, when ICD-9-CM was the code set (45 CFR 162.1002)."""


_REMEMBERED = 8_192
"""Look-ups kept: a day's encounters share most of their codes and dates."""
_STATES = {BILLABLE: CodeState.BILLABLE, HEADER: CodeState.HEADER, SEVENTH: CodeState.HEADER}


class Icd10Cm:
    """The loaded releases, oldest first."""

    __slots__ = ("_newest_first", "releases", "status")

    status: Callable[[str, date], CodeStatus]
    """What the release in force on a date says of a code (no dot, upper case): `status(code, on)`."""

    def __init__(self, releases: Iterable[Release]) -> None:
        self.releases = tuple(sorted(releases, key=lambda release: (release.starts, release.published)))
        if not self.releases:
            raise CodeSetFault("no ICD-10-CM release is loaded")
        self._newest_first = self.releases[::-1]
        self.status = lru_cache(maxsize=_REMEMBERED)(self._status)

    @classmethod
    def load(cls, directory: Path) -> Icd10Cm:
        """All releases in `directory`. Those that come with the installed packages are compiled there when absent."""
        directory.mkdir(parents=True, exist_ok=True)
        for listed in packaged_lists():
            target = release_file(directory, listed.published)
            if not target.exists():
                write_release(target, listed)
        return cls(read_release(path) for path in sorted(directory.glob(release_file(directory, "*").name)))

    def _status(self, code: str, on: date) -> CodeStatus:
        release, in_force = self._release_for(on)
        flag = _flag(release, code)
        return CodeStatus(
            state=_STATES[flag] if flag is not None else CodeState.UNKNOWN,
            release=release.label,
            in_force=in_force,
            needs_seventh=flag == SEVENTH,
            before_icd10cm=on < FIRST_DAY,
        )

    def _release_for(self, on: date) -> tuple[Release, bool]:
        for release in self._newest_first:
            if release.starts <= on:
                return release, True
        return self.releases[0], False


def _flag(release: Release, code: str) -> int | None:
    number = number_of(code)
    if number is None:
        return None
    entries = release.entries
    at = bisect_left(entries, number)
    if at < len(entries) and entries[at] >> 8 == number >> 8:
        return entries[at] & 0xFF
    return None


def compile_icd10cm(target: Path) -> Path:
    """Compiles the newest packaged release into the file `target`, whole or not at all. CodeSetFault without one."""
    lists = packaged_lists()
    if not lists:
        raise CodeSetFault("no ICD-10-CM list is installed; install the package simple-icd-10-cm")
    write_release(target, lists[-1])
    return target
