"""Places in a message, in the standard's own notation: `PID-3[1].1`, `FT1[2]-19[3].1.2`, `FT1-19`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as derived
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
    key: tuple[str, int, int, int, int, int, bool] = derived(init=False, repr=False, compare=False)
    """What reading takes at once: the numbers, counted from 0 (but the field's), and whether the path is of a field's
    first value.
    """
    verbatim: bool = derived(init=False, repr=False, compare=False)
    """Whether the place holds delimiters themselves: MSH-1 and MSH-2."""

    def __post_init__(self) -> None:
        within = (self.repetition - 1, self.component - 1, self.subcomponent - 1)
        key = (self.segment, self.occurrence - 1, self.field, *within, within == (0, 0, 0))
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "verbatim", self.segment == "MSH" and self.field <= 2)

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
