"""A mistake in the configuration: where it is, what is wrong, what to do. Values of settings are never shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mistake:
    file: Path
    line: int | None
    """The first line is 1; None when the mistake is not in the file."""
    key: str
    """`feeds[epic-adt].listen`; empty when the mistake is about the file."""
    text: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        key = f"{self.key}: " if self.key else ""
        return f"{place}: {key}{self.text}\n    {self.remedy}"


class ConfigErrors(Exception):
    """All mistakes of one configuration, in the order of its lines."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.line or 0))
        count = len(self.mistakes)
        head = "1 mistake in the configuration" if count == 1 else f"{count} mistakes in the configuration"
        super().__init__("\n".join([head, *map(str, self.mistakes)]))
