"""Where a message's segments begin and end, however they came: any line end, blanks, names in small letters, values
that were broken by a line end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

SIGN = r"[!-/:-@\[-`{-~]"
"""What MSH-1 can be: an ASCII sign that is no letter, digit or blank."""
MARK = "\ufeff"
MARK_BYTES = "\xef\xbb\xbf"
"""A byte order mark in a text, and in UTF-8's bytes each taken for a character."""
_LONGEST_HEADER = 65_536
_LINE_END = re.compile(r"\r\n|\r|\n")
_BLANK = " \t\x0b\x0c\x1a\x1c"
_BLANK_LINES = f"{_BLANK}\r\n"
_BLANK_LINE = re.compile(rf"\n[{_BLANK}]*(?:\n|\Z)")
MAX_SEGMENTS = 100_000
"""Segments beyond these are not told from each other: a message of so many is read by nobody."""
_RUNNING = ("1", "FT|PR|DG|PV|IN|GT|NK|AL", "[0-9]{0,4}%s"), ("G", "DR|MR", "")
"""Segments that are told within a line which another begins: the last letter of their names, what stands before it, and
what must follow.
"""


class Head(NamedTuple):
    """Where MSH begins in a text, and MSH-1; `outside` when something other than blanks stands before it."""

    start: int
    separator: str
    outside: bool


class Span(NamedTuple):
    """One segment in a text: from `start` to before `end`, and then the line ends and blank lines up to `after`."""

    start: int
    end: int
    after: int
    name: str
    body: int
    """Where it goes on after its name."""


@lru_cache(maxsize=64)
def _header(mark: str) -> re.Pattern[str]:
    around = rf"(?:^|[\r\n\x0b\x1a\x1c])(?:[ \t\x0b\x1a\x1c]|{re.escape(mark)})*"
    return re.compile(rf"{around}(?:(MSH)[ \t]*({SIGN})|(MSH)[ \t]*(?=[\r\n]|\Z))", re.IGNORECASE)


def header(text: str, mark: str = MARK) -> Head | None:
    """Where the first MSH at the beginning of a line is, blanks and byte order marks aside; None when there is none in
    the first 64 KB. `mark` is the byte order mark as `text` would show it.
    """
    match = _header(mark).search(text, 0, _LONGEST_HEADER)
    if match is None:
        return None
    start = match.start(1) if match[1] else match.start(3)
    return Head(start, match[2] or "|", bool(text[:start].strip(f"{_BLANK}\r\n{mark}")))


@lru_cache(maxsize=64)
def _starts(separator: str) -> re.Pattern[str]:
    """A line end, and on the next line the name of a segment: one that a separator follows, or nothing."""
    mark = re.escape(separator)
    return re.compile(
        rf"[\r\n]([ \t]*(?:([A-Za-z][A-Za-z0-9]{{2}})[ \t]*(?={mark})|([A-Z][A-Z0-9]{{2}})[ \t]*(?=[\r\n]|\Z)))"
    )


def spans(text: str, head: Head) -> list[Span]:
    """The segments of `text` from `head` on. A line that begins no segment goes on with the value before it; so does
    all that comes after MAX_SEGMENTS segments.
    """
    body = head.start + 3
    while text[body : body + 1] in (" ", "\t"):
        body += 1
    begun = [(head.start, "MSH", body)]
    for match in islice(_starts(head.separator).finditer(text, head.start), MAX_SEGMENTS - 1):
        begun.append((match.start(1), (match[2] or match[3]).upper(), match.end()))
    found = []
    for (start, name, body), after in zip(begun, [*(each[0] for each in begun[1:]), len(text)], strict=True):
        said = start + len(text[start:after].rstrip(_BLANK_LINES))
        end = _LINE_END.search(text, max(said, start), after)
        found.append(Span(start, end.start() if end else after, after, name, body))
    return found


def repaired(text: str, head: Head) -> list[str]:
    """The segments of `text`, each from its name in capitals on; line ends within values are line feeds."""
    return [span.name + _joined(text[span.body : span.end]) for span in spans(text, head)]


def _joined(body: str) -> str:
    if "\r" in body:
        body = body.replace("\r\n", "\n").replace("\r", "\n")
    if "\n" in body and _BLANK_LINE.search(body):
        first, *lines = body.split("\n")
        return "\n".join((first, *(line for line in lines if line.strip(_BLANK))))
    return body


@lru_cache(maxsize=64)
def _running(separator: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Each begins with two fixed signs, which are found fast, and looks back at what stands before them."""
    mark = re.escape(separator)
    patterns = (
        rf"{last}{mark}(?<=[^\r\n](?:{names}){last}{mark})" + tail.replace("%s", mark) for last, names, tail in _RUNNING
    )
    first, second = (re.compile(pattern.encode()) for pattern in patterns)
    return first, second


def run_in(data: bytes, separator: str) -> bool:
    """Whether some line of `data` may hold a second segment."""
    first, second = _running(separator)
    return first.search(data) is not None or second.search(data) is not None


def running(line: str, separator: str) -> Iterator[str]:
    """The names of the segments that begin within the segment `line`."""
    data = line.encode("utf-8", "replace")
    for pattern in _running(separator):
        for match in pattern.finditer(data):
            yield data[match.start() - 2 : match.start() + 1].decode("ascii")
