"""Places in a message, in the standard's own notation: `PID-3[1].1`, `FT1[2]-19[3].1.2`, `FT1-19`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_NOTATION = re.compile(
    r"([A-Z][A-Z0-9]{2})(?:\[([1-9][0-9]{0,4})\])?"
    r"-([1-9][0-9]{0,2})(?:\[([1-9][0-9]{0,4})\])?(?:\.([1-9][0-9]{0,2})(?:\.([1-9][0-9]{0,2}))?)?"
)


class PathError(ValueError):
    """The text is not a path."""


@dataclass(frozen=True, slots=True)
class Path:
    """One place. All numbers count from 1; what is not written is the first.

    A path that ends at a field or component means the first component or subcomponent of it: a newer version may have
    split what used to be one value (chapter 2, 2.8.2).
    """

    segment: str
    occurrence: int
    field: int
    repetition: int = 1
    component: int = 1
    subcomponent: int = 1
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> Path:
        """The path that `text` writes. PathError when it writes none."""
        return _parsed(text)

    @property
    def within(self) -> str:
        """The place inside its segment, as written: `19[3].1.2`."""
        return self.text.partition("-")[2]

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Path:
    match = _NOTATION.fullmatch(text)
    if match is None:
        raise PathError("a path is written SEG-field, as PID-3[1].1 or FT1[2]-19[3].1.2, counted from 1")
    name, *numbers = match.groups()
    occurrence, field, repetition, component, subcomponent = (int(number or 1) for number in numbers)
    return Path(name, occurrence, field, repetition, component, subcomponent, text)
