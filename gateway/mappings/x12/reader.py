"""A lossless reader of X12: interchanges, with the delimiters that each ISA declares, as segments.

Every byte is kept: the blanks and line ends that senders put between segments too. Nothing here knows a guide; for
tests, and for what comes back (TA1, 999, 277CA, 835).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.mappings.errors import MappingError
from gateway.mappings.x12.writer import Delimiters

MAX_BYTES = 64 * 1024 * 1024
_ISA_LENGTH = 106
_REPETITION_SINCE = "00402"
_BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True)
class ReadSegment:
    """A segment. `lead` is what stood before it: line ends, mostly."""

    elements: tuple[str, ...]
    lead: str = ""

    @property
    def id(self) -> str:
        return self.elements[0]

    def element(self, number: int) -> str:
        """Element `number`, from 1, as it stands; empty where there is none."""
        return self.elements[number] if number < len(self.elements) else ""


@dataclass(frozen=True, slots=True)
class Interchange:
    """From ISA to IEA, and what followed up to the next ISA (`tail`)."""

    delimiters: Delimiters
    segments: tuple[ReadSegment, ...]
    tail: str = ""

    def components(self, element: str) -> tuple[str, ...]:
        """The parts of a composite element."""
        return tuple(element.split(self.delimiters.component))

    def named(self, id: str) -> list[ReadSegment]:
        return [segment for segment in self.segments if segment.id == id]

    def to_bytes(self) -> bytes:
        """Exactly what was read."""
        marks = self.delimiters
        text = "".join(s.lead + marks.element.join(s.elements) + marks.segment for s in self.segments)
        return (text + self.tail).encode("latin-1")


def read(data: bytes, limit: int = MAX_BYTES) -> tuple[Interchange, ...]:
    """The interchanges in `data`. MappingError when it is none, is cut off, or has more than `limit` bytes."""
    if len(data) > limit:
        raise MappingError("too-long", "ISA", f"more than {limit} bytes")
    text = data.decode("latin-1")
    return tuple(_interchanges(text))


def _interchanges(text: str) -> Iterator[Interchange]:
    start = 0
    while start < len(text):
        found, start = _interchange(text, start)
        yield found
    if not text:
        raise MappingError("empty", "ISA", "no interchange")


def _interchange(text: str, start: int) -> tuple[Interchange, int]:
    marks = _delimiters(text, start + _blanks(text, start))
    segments: list[ReadSegment] = []
    while not segments or segments[-1].id != "IEA":
        end = text.find(marks.segment, start)
        if end < 0:
            raise MappingError("cut-off", f"segment {len(segments) + 1}", "the interchange ends without IEA")
        lead = _blanks(text, start)
        body = text[start + lead : end]
        segments.append(ReadSegment(tuple(body.split(marks.element)), text[start : start + lead]))
        start = end + 1
    following = text.find("ISA", start)
    end = len(text) if following < 0 else following
    if text[start:end].strip(_BLANKS):
        raise MappingError("trailing", "IEA", "something other than an interchange follows")
    return Interchange(marks, tuple(segments), text[start:end]), end


def _blanks(text: str, start: int) -> int:
    end = start
    while end < len(text) and text[end] in _BLANKS:
        end += 1
    return end - start


def _delimiters(text: str, start: int) -> Delimiters:
    """ISA is the one segment of fixed length: its marks stand at fixed places (X12.5)."""
    header = text[start : start + _ISA_LENGTH]
    if not header.startswith("ISA"):
        raise MappingError("no-isa", "ISA", "an interchange begins with ISA")
    element = header[3:4]
    fields = header.split(element)
    if len(header) < _ISA_LENGTH or len(fields) != 17 or header[103] != element:
        raise MappingError("isa-length", "ISA", "ISA must have sixteen elements in 106 characters")
    version, repetition = fields[12], fields[11]
    if version < _REPETITION_SINCE or repetition.isalnum():
        repetition = ""
    marks = Delimiters(element, repetition, header[104], header[105])
    if len({*marks.all}) < len(marks.all) or any(mark.isalnum() or mark == " " for mark in marks.all):
        raise MappingError("delimiters", "ISA", "the delimiters must be four different marks")
    return marks
