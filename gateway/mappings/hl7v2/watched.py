"""A message that notes which of its fields are looked at, so that one can see what nothing reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self, SupportsIndex, cast

from gateway.mappings.hl7v2.er7 import Er7Message, Segment

ALWAYS_USED = {
    "MSH": frozenset(range(1, 30)),
    "EVN": frozenset({1}),
    "FHS": frozenset(range(1, 12)),
    "BHS": frozenset(range(1, 12)),
}
"""Envelopes, which are the way in's and the acknowledgement's; EVN-1 says MSH-9.2 again."""

_SET_ID = 4
"""The first field of many segments only counts them: up to this many digits."""


class _Watching(list[str]):
    """The fields of a segment, and the numbers of those that somebody asked for."""

    __slots__ = ("seen",)

    def __init__(self, fields: list[str]) -> None:
        super().__init__(fields)
        self.seen: set[int] = set()

    def __getitem__(self, index: Any) -> Any:
        self.seen.update(range(*index.indices(len(self))) if isinstance(index, slice) else (_place(self, index),))
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[str]:
        self.seen.update(range(len(self)))
        return super().__iter__()


def _place(fields: list[str], index: SupportsIndex) -> int:
    number = index.__index__()
    return number if number >= 0 else number + len(fields)


class WatchedMessage(Er7Message):
    """Reads as any other message does."""

    __slots__ = ("_watching",)

    @classmethod
    def parse(cls, payload: bytes, default: str = "") -> Self:
        return cast("Self", super().parse(payload, default))

    def watch(self) -> None:
        """Note from now on what is looked at."""
        self._watching = [_Watching(self.fields(place)) for place in range(len(self))]
        self._fields = list(self._watching)

    def unread(self) -> Iterator[Unread]:
        """The fields that hold data and that nothing looked at since `watch`, in the message's order."""
        seen: dict[str, int] = {}
        for name, fields in zip(self.names, self._watching, strict=True):
            seen[name] = seen.get(name, 0) + 1
            segment = Segment(name, seen[name], list.copy(fields))
            left = [n for n in range(1, len(fields)) if n not in fields.seen and _says(segment, n)]
            if left:
                yield Unread(segment, tuple(left), whole=not fields.seen - {0})


@dataclass(frozen=True, slots=True)
class Unread:
    """A segment with fields that nothing looked at; `whole` when nothing looked at any of it."""

    segment: Segment
    fields: tuple[int, ...]
    whole: bool


def _says(segment: Segment, number: int) -> bool:
    value = segment.fields[number]
    if number in ALWAYS_USED.get(segment.name, ()):
        return False
    counts = number == 1 and value.isdecimal() and len(value) <= _SET_ID
    return bool(value.strip()) and value != '""' and not counts
