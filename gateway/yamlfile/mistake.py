"""A mistake in a file: where it is, what is wrong, what to do. One form for every file that people write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    file: str
    """Its path, as it was given."""
    line: int | None
    """The first line is 1; None when the mistake is not at a place in the file."""
    key: str
    """`feeds[epic-adt].listen`; empty when the mistake is about the file."""
    text: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.key}: " if self.key else ""
        return f"{place}: {key}{self.text}\n    {self.remedy}"


class Mistakes(Exception):
    """Files that cannot be used: all that is wrong in them, file by file, in the order of their lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        head = "1 mistake in the configuration" if count == 1 else f"{count} mistakes in the configuration"
        super().__init__("\n".join([head, *map(str, self.mistakes)]))
