"""The reader of ER7, the bar-and-caret form of HL7 v2: lossless, and lazy, for most of a message is never asked for.

message = Er7Message.parse(payload)
message.get("PID-3[1].1")        # data, unescaped; None when absent or empty; DELETE for an explicit ""
message.all("FT1[2]-19.1")       # one value for each repetition
message.segments("FT1")
message.encode() == payload      # always
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.mappings.hl7v2.charset import Decoded, decode
from gateway.mappings.hl7v2.delimiters import DELETE, Delimiters, escape, read_delimiters, unescape
from gateway.mappings.hl7v2.header import Header, route
from gateway.mappings.hl7v2.path import Path, PathError

__all__ = ["DELETE", "Er7Error", "Er7Message", "Header", "Path", "PathError", "Segment", "escape", "route", "unescape"]

_BATCH = ("FHS", "BHS")
_HEADERS = frozenset({"MSH", *_BATCH})
_LONGEST_ENCODING = 16
_LINE_END = re.compile(r"\r\n|\r|\n")
_FIELD_END = re.compile(r"[\r\n]")
_LEADING = " \t\r\n\x0b\ufeff"


class Er7Error(ValueError):
    """The bytes are not a message: they have no MSH."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment. `fields[n]` is the raw text of field n, `fields[0]` the name; for MSH, `fields[1]` the separator."""

    name: str
    occurrence: int
    fields: Sequence[str]

    @property
    def label(self) -> str:
        """The segment's place, as `FT1[2]`."""
        return f"{self.name}[{self.occurrence}]"


class Er7Message:
    """One message. Segments are split into fields when they are first asked for, values are cut out when read."""

    __slots__ = ("_fields", "_index", "_lines", "_payload", "delimiters", "encoding", "unreadable")

    def __init__(
        self, payload: bytes, decoded: Decoded, delimiters: Delimiters, lines: list[str], index: dict[str, list[int]]
    ) -> None:
        self._payload = payload
        self._lines = lines
        self._fields: list[list[str] | None] = [None] * len(lines)
        self._index = index
        self.delimiters = delimiters
        self.encoding = decoded.encoding
        self.unreadable = decoded.unreadable
        """Characters that no character set gave; they read as U+FFFD, and `encode` still gives their bytes."""
        for name in _HEADERS:
            for position in index.get(name, ()):
                self._fields[position] = _header_fields(lines[position], delimiters.field)

    @classmethod
    def parse(cls, payload: bytes) -> Er7Message:
        """The message in `payload`. Er7Error when it has no MSH; anything else is read as well as it can be."""
        decoded = decode(payload)
        text = decoded.text
        if not text.startswith("MSH"):
            text = _from_header(text)
        separator = text[3:4]
        if separator in ("", "\r", "\n"):
            separator = "|"
        elif separator.isalnum() or separator.isspace():
            raise Er7Error("there is no MSH segment: MSH is not followed by a field separator")
        encoding = _FIELD_END.split(text[4 : 4 + _LONGEST_ENCODING].partition(separator)[0], maxsplit=1)[0]
        lines, index = _segments(text, separator)
        return cls(payload, decoded, read_delimiters(separator, encoding), lines, index)

    def __len__(self) -> int:
        """How many segments there are."""
        return len(self._lines)

    def encode(self) -> bytes:
        """The bytes that were parsed, every one."""
        return self._payload

    @property
    def header(self) -> Header:
        """MSH, as the acknowledging path reads it."""
        return route(self._payload)

    @property
    def names(self) -> list[str]:
        """The segments' names, in order."""
        return [line[:3] for line in self._lines]

    def positions(self, name: str) -> list[int]:
        """Where the segments called `name` stand, counted from 0 over all segments."""
        return self._index.get(name, [])

    def fields(self, position: int) -> list[str]:
        """The raw fields of the segment at `position`: `fields[n]` is field n. Not to be changed."""
        fields = self._fields[position]
        if fields is None:
            fields = self._fields[position] = self._lines[position].split(self.delimiters.field)
        return fields

    def first(self, name: str) -> list[str]:
        """The raw fields of the first segment called `name`; empty when there is none."""
        positions = self._index.get(name)
        return self.fields(positions[0]) if positions else []

    def segments(self, name: str | None = None) -> tuple[Segment, ...]:
        """The segments called `name`, or all, in order."""
        if name is not None:
            return tuple(Segment(name, n, self.fields(p)) for n, p in enumerate(self.positions(name), start=1))
        seen: dict[str, int] = {}
        found = []
        for position, each in enumerate(self.names):
            seen[each] = seen.get(each, 0) + 1
            found.append(Segment(each, seen[each], self.fields(position)))
        return tuple(found)

    def raw(self, segment: str, field: int, occurrence: int = 1) -> str:
        """A whole field as it came, repetitions and escapes included; empty when absent."""
        positions = self._index.get(segment, [])
        if occurrence > len(positions):
            return ""
        fields = self.fields(positions[occurrence - 1])
        return fields[field] if field < len(fields) else ""

    def get(self, path: str | Path) -> str | None:
        """The value at `path`, unescaped: None when absent or empty, `DELETE` when the sender wrote `""`."""
        place = Path.parse(path) if isinstance(path, str) else path
        whole = self.raw(place.segment, place.field, place.occurrence)
        if not whole:
            return None
        if _verbatim(place):
            return whole
        repetitions = whole.split(self.delimiters.repetition)
        if place.repetition > len(repetitions):
            return None
        return self._leaf(repetitions[place.repetition - 1], place)

    def all(self, path: str | Path) -> tuple[str | None, ...]:
        """The value at `path` in every repetition of its field; the path's own repetition does not count."""
        place = Path.parse(path) if isinstance(path, str) else path
        whole = self.raw(place.segment, place.field, place.occurrence)
        if not whole or _verbatim(place):
            return (whole,) if whole else ()
        return tuple(self._leaf(repetition, place) for repetition in whole.split(self.delimiters.repetition))

    def _leaf(self, repetition: str, place: Path) -> str | None:
        components = repetition.split(self.delimiters.component)
        if place.component > len(components):
            return None
        subcomponents = components[place.component - 1].split(self.delimiters.subcomponent)
        if place.subcomponent > len(subcomponents):
            return None
        text = subcomponents[place.subcomponent - 1]
        if text == '""':
            return DELETE
        return unescape(text, self.delimiters) or None


def _verbatim(place: Path) -> bool:
    """MSH-1 and MSH-2 hold the delimiters themselves."""
    return place.segment == "MSH" and place.field <= 2


def _from_header(text: str) -> str:
    """The text from its MSH on: after a byte order mark, white space, or a batch's header."""
    text = text.lstrip(_LEADING)
    if text.startswith(_BATCH):
        match = re.search(r"[\r\n]MSH", text)
        text = text[match.start() + 1 :] if match else ""
    if not text.startswith("MSH"):
        raise Er7Error("there is no MSH segment at the beginning")
    return text


@lru_cache(maxsize=64)
def _starts(separator: str) -> re.Pattern[str]:
    mark = re.escape(separator)
    return re.compile(rf"[ \t]*(?:([A-Za-z][A-Za-z0-9]{{2}})[ \t]*{mark}|([A-Z][A-Z0-9]{{2}})[ \t]*$)")


def _segments(text: str, separator: str) -> tuple[list[str], dict[str, list[int]]]:
    """The segments, each from its three-letter name on, and where those of each name stand."""
    if "\n" not in text:
        lines = text.split("\r")
        if not lines[-1]:
            lines.pop()
        index = _indexed(lines, 4)
        if all(_begins(name, separator) for name in index):
            return lines, {name[:3]: positions for name, positions in index.items()}
    lines = _repaired(_LINE_END.split(text), separator)
    return lines, _indexed(lines, 3)


def _begins(start: str, separator: str) -> bool:
    """Whether the four characters `start` begin a segment as they should: a name and a separator."""
    return len(start) == 4 and start[3] == separator and start[:3].isalnum() and start[:3].isupper()


def _indexed(lines: list[str], length: int) -> dict[str, list[int]]:
    """The first `length` characters of lines -> where such lines stand."""
    index: dict[str, list[int]] = {}
    for position, line in enumerate(lines):
        known = index.get(line[:length])
        if known is None:
            index[line[:length]] = [position]
        else:
            known.append(position)
    return index


def _header_fields(line: str, separator: str) -> list[str]:
    """The fields of MSH, FHS or BHS, whose first is the separator itself."""
    name, *fields = line.split(separator)
    return [name, separator, *fields]


def _repaired(raw: list[str], separator: str) -> list[str]:
    """Segments from lines as they came: a line that begins no segment goes on with the value before it."""
    segments: list[list[str]] = []
    start = _starts(separator)
    for line in raw:
        match = start.match(line)
        if match is not None:
            name = match[1] or match[2]
            segments.append([name.upper() + line[match.end(match.lastindex or 0) :].lstrip(" \t")])
        elif line.strip():
            segments[-1].append(line)
    return ["\n".join(lines) for lines in segments]
