"""Changes to a message that leave every other byte as it came.

edit = Edit(Er7Message.parse(payload))
edit.set("PID-3[2].1", "4711")
edit.add("ZXT", "1", ("a", "b"), after="PID[1]")
edit.remove("NTE[2]")
edit.encode()

The message's own delimiters, line ends and character set are used. No value can end its field or its segment, begin a
repetition, or read as an escape or a delete that was not meant.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.mappings.hl7v2.charset import writable
from gateway.mappings.hl7v2.delimiters import DELETE, escape
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.path import Path
from gateway.mappings.hl7v2.segments import MARK, MARK_BYTES, Head, header, spans
from gateway.mappings.hl7v2.units import Units, Unwritable
from gateway.mappings.hl7v2.writer import Field, segment

__all__ = ["Edit", "EditError", "Unwritable"]

_LABEL = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[([1-9][0-9]{0,4})\])?", re.ASCII)
_ENVELOPE = frozenset({"MSH", "FHS", "BHS", "BTS", "FTS"})
_FIXED = frozenset({("MSH", 1), ("MSH", 2), ("MSH", 18)})
_WITH_SEPARATOR = ("MSH", "FHS", "BHS")
"""Segments whose first field is the separator itself."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class EditError(ValueError):
    """The message has no such segment, or what was asked would make another message of it."""


@dataclass(slots=True)
class _Line:
    """A segment as units: what it says, and the line ends and blank lines after it."""

    name: str
    body: str
    after: str


class Edit:
    """A message being changed. The message itself stays as it is."""

    def __init__(self, message: Er7Message) -> None:
        payload = message.encode()
        mark = next((mark for mark in _MARKS if payload.startswith(mark)), b"")
        read = message.encoding
        self._units = Units(writable(payload, message.default) if read == "ascii" else read)
        self._delimiters = delimiters = message.delimiters
        levels = (delimiters.field, delimiters.repetition, delimiters.component, delimiters.subcomponent)
        self._levels = [self._units.encode(mark) for mark in levels]
        text = self._units.read(payload[len(mark) :])
        head = header(text, MARK if read.startswith("utf-16") else MARK_BYTES)
        if head is None:
            raise EditError("the message cannot be cut into segments in its character set")
        self._lines = [
            _Line(span.name, text[span.start : span.end], text[span.end : span.after]) for span in spans(text, head)
        ]
        if [line.name for line in self._lines] != message.names:
            raise EditError("the message's segments are not told in its character set as they were read")
        self._before = mark + self._units.write(text[: head.start])
        self._rest = payload[len(mark) + len(self._units.write(text)) :]
        ends = (_LINE_END.match(line.after) for line in self._lines)
        self._end = next((end[0] for end in ends if end), "\r")

    def encode(self) -> bytes:
        """The message as it is now."""
        text = "".join(line.body + line.after for line in self._lines)
        return self._before + self._units.write(text) + self._rest

    def set(self, path: str | Path, value: str | None) -> None:
        """Put `value` where `Er7Message.get(path)` reads it; None or an empty text empties the place.

        EditError when there is no such segment, or the place says how the message is to be read (MSH-1, MSH-2, MSH-18).
        Unwritable when the message's character set lacks a character of `value`.
        """
        place = path if isinstance(path, Path) else Path.parse(path)
        if (place.segment, place.field) in _FIXED:
            raise EditError(f"{place.segment}-{place.field} says how the message is read, and is not changed")
        line = self._lines[self._position(place.segment, place.occurrence)]
        field = place.field - 1 if place.segment in _WITH_SEPARATOR else place.field
        at = (field, place.repetition - 1, place.component - 1, place.subcomponent - 1)
        body = _put(line.body, self._levels, at, self._written(value))
        broken = "\r" in body or "\n" in body
        if broken and len(spans(body, Head(0, self._delimiters.field, False))) > 1:
            raise EditError("the segment is broken by line ends, and would become two")
        line.body = body

    def add(self, name: str, *fields: Field, after: str | None = None) -> None:
        """Put a segment after the one labelled `after`, as `PID` or `OBX[2]`; at the end when none is said."""
        if not _LABEL.fullmatch(name) or len(name) != 3 or name in _ENVELOPE:
            raise EditError("a segment that is added has a name of three capitals or digits, and begins no message")
        position = len(self._lines) - 1 if after is None else self._labelled(after)
        body = self._units.encode(segment(name, *fields, delimiters=self._delimiters))
        before = self._lines[position]
        own = _LINE_END.match(before.after)
        new = _Line(name, body, self._end + before.after[own.end() :] if own else "")
        before.after = own[0] if own else self._end
        self._lines.insert(position + 1, new)

    def remove(self, label: str) -> None:
        """Take the segment out that is labelled `label`, as `NTE` or `OBX[2]`."""
        position = self._labelled(label)
        if self._lines[position].name in _ENVELOPE:
            raise EditError("a message keeps its header")
        del self._lines[position]

    def _labelled(self, label: str) -> int:
        match = _LABEL.fullmatch(label)
        if match is None:
            raise EditError("a segment is named as PID or OBX[2], counted from 1")
        return self._position(match[1], int(match[2] or 1))

    def _position(self, name: str, occurrence: int) -> int:
        positions = [position for position, line in enumerate(self._lines) if line.name == name]
        if occurrence > len(positions):
            raise EditError(f"the message has no segment {name}[{occurrence}]")
        return positions[occurrence - 1]

    def _written(self, value: str | None) -> str:
        if value is DELETE:
            return self._units.encode(DELETE)
        return self._units.encode(escape(value, self._delimiters)) if value else ""


def _put(text: str, levels: Sequence[str], at: Sequence[int], value: str) -> str:
    """`text` with `value` at one place, each level of which is cut by its own separator. An empty value makes no place
    that is not there.
    """
    if not levels:
        return value
    parts = text.split(levels[0])
    if at[0] >= len(parts):
        if not value:
            return text
        parts += [""] * (at[0] + 1 - len(parts))
    parts[at[0]] = _put(parts[at[0]], levels[1:], at[1:], value)
    return levels[0].join(parts)
