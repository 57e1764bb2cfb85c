"""Segments to bytes. Every value that comes from a claim is a `Value`: checked before it is written, never altered.

X12.6 has no escape character, so a delimiter inside a value cannot be sent; nor can a character outside the basic and
extended sets. Both are problems for a person, not something to strip.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from gateway.mappings.x12.problem import FormProblem, Unwritable


@dataclass(frozen=True, slots=True)
class Delimiters:
    """ISA's own: data element, repetition (ISA11), component (ISA16), segment terminator."""

    element: str = "*"
    repetition: str = "^"
    component: str = ":"
    segment: str = "~"

    @property
    def all(self) -> str:
        return self.element + self.repetition + self.component + self.segment


DELIMITERS = Delimiters()


class Value(NamedTuple):
    """A data element that the claim or the configuration gives. `what` names it for a person, in the form's words."""

    where: str
    what: str
    text: str | None
    longest: int
    shortest: int = 1
    required: bool = True

    @property
    def written(self) -> str:
        """The text as it is sent: without surrounding blanks, empty when there is none."""
        return (self.text or "").strip(" ")


Component = str | Value
Element = Component | tuple[Component, ...]


class Segment(NamedTuple):
    """A segment's id and its elements; a tuple is a composite."""

    id: str
    elements: tuple[Element, ...]


_EXTENDED = r"""A-Za-z0-9 !"&'()*+,\-./:;?=%~@\[\]_{}\\|<>#$^`"""
"""X12.6, basic and extended character sets, as 005010 allows them."""
_NOT_EXTENDED = re.compile(f"[^{_EXTENDED}]")


def problems(segments: Iterable[Segment], delimiters: Delimiters = DELIMITERS) -> tuple[FormProblem, ...]:
    """Every value that cannot be written, each place once."""
    plain = _plain(delimiters)
    suspect = (value for value in _values(segments) if not _sound(value, plain))
    return tuple(dict.fromkeys(problem for value in suspect for problem in _value_problems(value, delimiters)))


@cache
def _plain(delimiters: Delimiters) -> re.Pattern[str]:
    """A whole text of characters that may stand in a value."""
    marks = re.escape(delimiters.all)
    return re.compile(f"(?:(?![{marks}])[{_EXTENDED}])*")


def _sound(value: Value, plain: re.Pattern[str]) -> bool:
    """The common case, at once: nothing is wrong with the value."""
    text = value.written
    if not text:
        return not value.required
    return value.shortest <= len(text) <= value.longest and plain.fullmatch(text) is not None


def _values(segments: Iterable[Segment]) -> Iterator[Value]:
    for segment in segments:
        for element in segment.elements:
            if isinstance(element, Value):
                yield element
            elif isinstance(element, tuple):
                yield from (part for part in element if isinstance(part, Value))


def _value_problems(value: Value, delimiters: Delimiters) -> Iterator[FormProblem]:
    text = value.written
    if not text:
        if value.required:
            yield _problem("x12-missing", value, f"{value.what} is missing", "Have it sent by the system that knows it")
        return
    if any(mark in text for mark in delimiters.all):
        yield _problem(
            "x12-delimiter",
            value,
            f"{value.what} holds one of {' '.join(delimiters.all)}, which X12 uses as delimiters and cannot escape",
            "Correct the value where it was entered, without that character",
        )
    if _NOT_EXTENDED.search(text):
        yield _problem(
            "x12-character",
            value,
            f"{value.what} holds a character outside X12's basic and extended sets",
            "Correct the value where it was entered: unaccented letters, digits and plain punctuation",
        )
    if not value.shortest <= len(text) <= value.longest:
        yield _problem(
            "x12-length",
            value,
            f"{value.what} has {len(text)} characters; the form takes {value.shortest} to {value.longest}",
            "Correct or shorten the value where it was entered",
        )


def _problem(rule: str, value: Value, text: str, remedy: str) -> FormProblem:
    return FormProblem(rule, value.where, text[0].upper() + text[1:], remedy, subject=value.where)


def render(segments: Iterable[Segment], delimiters: Delimiters = DELIMITERS) -> bytes:
    """The segments' bytes. Unwritable when a value cannot stand: it is never stripped, never sent."""
    listed = tuple(segments)
    wrong = problems(listed, delimiters)
    if wrong:
        raise Unwritable(wrong)
    return "".join(_segment(segment, delimiters) for segment in listed).encode("ascii")


def _segment(segment: Segment, delimiters: Delimiters) -> str:
    elements = [_element(element, delimiters) for element in segment.elements]
    while elements and not elements[-1]:
        elements.pop()
    return delimiters.element.join([segment.id, *elements]) + delimiters.segment


def _element(element: Element, delimiters: Delimiters) -> str:
    if isinstance(element, str | Value):
        return _text(element)
    parts = [_text(part) for part in element]
    while parts and not parts[-1]:
        parts.pop()
    return delimiters.component.join(parts)


def _text(part: Component) -> str:
    return part.written if isinstance(part, Value) else part
