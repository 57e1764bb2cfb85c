"""A file as plain data, with the line of everything in it and the mistakes found in it so far."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.yamlfile.mistake import Mistake

Loc = tuple[str | int, ...]
"""Keys and positions from the top of the file down to a value."""

WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
"""A plain word: what the keys of most files are, and the names by which the items of lists are told apart."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the values of a file stand: enough to tell a mistake that shows only when the file is long read.

    All are equal: where a value stands is no part of what it says.
    """

    file: str = field(compare=False)
    lines: Mapping[Loc, int] = field(default_factory=dict, compare=False)
    names: Mapping[Loc, str] = field(default_factory=dict, compare=False)
    """The items of lists that have a name."""
    digest: str = field(default="", compare=False)
    """SHA-256 of the file's bytes as they were read, hexadecimal."""

    def mistake(self, loc: Loc, text: str, remedy: str, *, line: int | None = None) -> Mistake:
        """The mistake at `loc`; its line is that of the nearest part that the file has."""
        return Mistake(self.file, line or self.line(loc), self._key(loc), text, remedy)

    def line(self, loc: Loc) -> int | None:
        """The line of the nearest part of `loc` that the file has."""
        return next((self.lines[loc[:end]] for end in range(len(loc), 0, -1) if loc[:end] in self.lines), None)

    def _key(self, loc: Loc) -> str:
        """`feeds[epic-adt].listen`: an item by its name where it has one, or else by its position, the first 0."""
        text = ""
        for end, part in enumerate(loc, 1):
            if isinstance(part, int):
                text += f"[{self.names.get(loc[:end], part)}]"
            else:
                text += f".{part}" if text else part
        return text


class YamlFile:
    """What was read, and the mistakes found so far; later steps tell theirs here too."""

    def __init__(self, name: str | Path) -> None:
        self.name = str(name)
        self.data: dict[str, object] = {}
        self.readable = False
        """Whether the file as a whole could be read; if not, only that is told."""
        self.lines: dict[Loc, int] = {}
        self.digest = ""
        """SHA-256 of the bytes that were read, hexadecimal."""
        self._told: list[tuple[int | None, Loc, str, str]] = []
        self._spoilt: set[Loc] = set()
        """What could not be read: one mistake is told about it, not two."""

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """In the order of their lines."""
        if not self._told:
            return ()
        places = self.places
        found = [places.mistake(loc, text, remedy, line=line) for line, loc, text, remedy in self._told]
        return tuple(sorted(found, key=lambda mistake: mistake.line or 0))

    @property
    def places(self) -> Places:
        items = (loc for loc in self.lines if isinstance(loc[-1], int))
        names = {loc: name for loc in items if (name := _called(self.at(loc)))}
        return Places(self.name, self.lines, names, self.digest)

    def tell(self, loc: Loc, text: str, remedy: str, *, line: int | None = None) -> None:
        """Add a mistake about the value at `loc`, unless one was told about it that leaves nothing more to say."""
        if not any(loc[:end] in self._spoilt for end in range(1, len(loc) + 1)):
            self._told.append((line, loc, text, remedy))

    def spoil(self, loc: Loc, text: str, remedy: str) -> None:
        """Like `tell`, and nothing more will be told about the value."""
        self.tell(loc, text, remedy)
        self._spoilt.add(loc)

    def line(self, loc: Loc) -> int | None:
        """The line of the nearest part of `loc` that the file has."""
        return Places(self.name, self.lines).line(loc)

    def at(self, loc: Loc) -> object:
        """What stands at `loc`; None when nothing does."""
        here: object = self.data
        for part in loc:
            here = below(here, part)
        return here


def below(value: object, part: str | int) -> object:
    """What stands under a key or at a position; None when nothing does."""
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _called(item: object) -> str | None:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) and WORD.fullmatch(name) else None
