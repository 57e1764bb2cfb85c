"""The reader of ER7, the bar-and-caret form of HL7 v2: lossless, and lazy, for most of a message is never asked for.

message = Er7Message.parse(payload)
message.get("PID-3[1].1")        # data, unescaped; None when absent or empty; DELETE for an explicit ""
message.all("FT1[2]-19.1")       # one value for each repetition
message.segments("FT1")
message.encode() == payload      # always
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from gateway.encounter.problem import Problem
from gateway.mappings.hl7v2.charset import Decoded, decode
from gateway.mappings.hl7v2.delimiters import DELETE, declares, escape, read_delimiters, unescape
from gateway.mappings.hl7v2.header import Header, route
from gateway.mappings.hl7v2.path import Path, PathError
from gateway.mappings.hl7v2.segments import Head, header, repaired, run_in, running

__all__ = ["DELETE", "Er7Error", "Er7Message", "Header", "Path", "PathError", "Segment", "escape", "route", "unescape"]

_HEADERS = ("MSH", "FHS", "BHS")
_LONGEST_ENCODING = 16
_SIGNS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_MOST_PROBLEMS = 20
_USUAL = ("^~\\&", "^~\\&#")
_LARGE = 1024 * 1024
"""From this length on a text is not cut at every line end before it is known what the lines are."""


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

    __slots__ = (
        "_component",
        "_decoded",
        "_escape",
        "_fields",
        "_index",
        "_lines",
        "_outside",
        "_payload",
        "_repetition",
        "_subcomponent",
        "default",
        "delimiters",
    )

    def __init__(self, payload: bytes, decoded: Decoded, head: Head, default: str) -> None:
        separator = head.separator
        lines, index = _segments(decoded.text, head)
        self._payload = payload
        self._decoded = decoded
        self._outside = head.outside
        self._lines = lines
        self._index = index
        self._fields: list[list[str] | None] = [None] * len(lines)
        self.default = default
        """The feed's character set, by a name of table 0211; empty when it has none."""
        for name in _HEADERS:
            for position in index.get(name, ()):
                self._fields[position] = _header_fields(lines[position], separator)
        said = self.raw("MSH", 2)[:_LONGEST_ENCODING]
        self.delimiters = delimiters = read_delimiters(separator, said)
        self._component = delimiters.component
        self._repetition = delimiters.repetition
        self._escape = delimiters.escape
        self._subcomponent = delimiters.subcomponent

    @classmethod
    def parse(cls, payload: bytes, default: str = "") -> Er7Message:
        """The message in `payload`, its characters as `default` names them where MSH-18 does not.

        Er7Error when it has no MSH; anything else is read as well as it can be.
        """
        decoded = decode(payload, default)
        text = decoded.text
        if text.startswith("MSH") and text[3:4] in _SIGNS:
            return cls(payload, decoded, Head(0, text[3], False), default)
        head = header(text, decoded.mark)
        if head is None:
            raise Er7Error("there is no MSH segment at the beginning of a line")
        return cls(payload, decoded, head, default)

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
    def encoding(self) -> str:
        """The codec that the bytes were decoded with."""
        return self._decoded.encoding

    @property
    def unreadable(self) -> int:
        """Characters that no character set gave; they read as U+FFFD, and `encode` still gives their bytes."""
        return self._decoded.unreadable

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the message as a whole, before any of its values: characters, delimiters, segments that
        run into each other, text that belongs to no segment.
        """
        decoded, separator = self._decoded, self.delimiters.field
        said = self.raw("MSH", 2)
        odd = self._outside or decoded.doubt or decoded.unreadable or decoded.encoding.startswith("utf-16")
        if said in _USUAL and not odd and not run_in(self._payload, separator):
            return ()
        return (*self._of_characters(), *self._of_structure(said, separator))

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
        place = path if isinstance(path, Path) else Path.parse(path)
        segment, occurrence, field, repetition, component, subcomponent, leading = place.key
        try:
            position = self._index[segment][occurrence]
            raw = (self._fields[position] or self.fields(position))[field]
        except LookupError:
            return None
        if raw.isalnum():
            return raw if leading else None
        if not raw or place.verbatim:
            return raw or None
        mark = self._repetition
        if mark in raw:
            repetitions = raw.split(mark, repetition + 1)
            if repetition >= len(repetitions):
                return None
            raw = repetitions[repetition]
        elif repetition:
            return None
        return self._leaf(raw, component, subcomponent)

    def all(self, path: str | Path) -> tuple[str | None, ...]:
        """The value at `path` in every repetition of its field; the path's own repetition does not count."""
        place = path if isinstance(path, Path) else Path.parse(path)
        whole = self.raw(place.segment, place.field, place.occurrence)
        if not whole or place.verbatim:
            return (whole,) if whole else ()
        component, subcomponent = place.component - 1, place.subcomponent - 1
        return tuple(self._leaf(each, component, subcomponent) for each in whole.split(self._repetition))

    def _leaf(self, raw: str, component: int, subcomponent: int) -> str | None:
        """The value within one repetition; component and subcomponent count from 0."""
        mark = self._component
        if mark in raw:
            components = raw.split(mark, component + 1)
            if component >= len(components):
                return None
            raw = components[component]
        elif component:
            return None
        if raw.isalnum():
            return None if subcomponent else raw
        mark = self._subcomponent
        if mark in raw:
            subcomponents = raw.split(mark, subcomponent + 1)
            if subcomponent >= len(subcomponents):
                return None
            raw = subcomponents[subcomponent]
        elif subcomponent:
            return None
        if self._escape in raw:
            return unescape(raw, self.delimiters) or None
        return DELETE if raw == '""' else raw or None

    def _of_characters(self) -> Iterator[Problem]:
        _, encoding, unreadable, doubt = self._decoded
        if unreadable:
            text = f"{unreadable} characters cannot be read as {encoding}; they stand as U+FFFD"
            yield Problem("charset", "MSH-18", text)
        elif doubt:
            yield Problem("charset", "MSH-18", f"{doubt}; they were read as {encoding}: have the sender name it")

    def _of_structure(self, said: str, separator: str) -> Iterator[Problem]:
        if self._outside:
            yield Problem("outside", "MSH", "text before the first segment belongs to no segment")
        if not declares(said[:_LONGEST_ENCODING], separator):
            yield Problem("delimiters", "MSH-2", "the delimiters are not declared; the standard's own were taken")
        yield from islice(self._run_in(separator), _MOST_PROBLEMS)

    def _run_in(self, separator: str) -> Iterator[Problem]:
        for segment in self.segments():
            for name in running(separator.join(segment.fields), separator):
                text = f"a segment {name} runs into this one without a line end; have the sender end each with its own"
                yield Problem("segment-run-in", segment.label, text)


def _segments(text: str, head: Head) -> tuple[list[str], dict[str, list[int]]]:
    """The segments, each from its three-letter name on, and where those of each name stand."""
    if not head.start and "\n" not in text and len(text) < _LARGE:
        lines = text.split("\r")
        if not lines[-1]:
            lines.pop()
        index = _indexed(lines, 4)
        separator = head.separator
        for name in index:
            if not _begins(name, separator):
                break
        else:
            return lines, {name[:3]: positions for name, positions in index.items()}
    lines = repaired(text, head)
    return lines, _indexed(lines, 3)


@lru_cache(maxsize=1024)
def _begins(start: str, separator: str) -> bool:
    """Whether the four characters `start` begin a segment as they should: a name and a separator."""
    return len(start) == 4 and start[3] == separator and start[:3].isalnum() and start[:3].isupper()


def _indexed(lines: list[str], length: int) -> dict[str, list[int]]:
    """The first `length` characters of lines -> where such lines stand."""
    index: dict[str, list[int]] = {}
    for position, line in enumerate(lines):
        start = line[:length]
        if start in index:
            index[start].append(position)
        else:
            index[start] = [position]
    return index


def _header_fields(line: str, separator: str) -> list[str]:
    """The fields of MSH, FHS or BHS, whose first is the separator itself."""
    name, *fields = line.split(separator)
    return [name, separator, *fields]
