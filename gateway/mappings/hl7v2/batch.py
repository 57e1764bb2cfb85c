"""Several messages in one payload: the batch protocol (chapter 2, 2.10.3), or messages that simply follow each other.

batch = split_batch(payload)
batch.messages      # each message, the very bytes that came: a slice of the payload
batch.envelope      # whether FHS, BHS, BTS or FTS stood around them
batch.problems      # counts that are not kept, trailers that are missing, what stood outside of messages
batch.sound         # whether there are no problems

A payload of one message and no envelope, as nearly all are, comes back as it is, whatever stands around the message.
A payload without any MSH has no messages and, unless it is an empty batch, the problem `no-message`. Nothing raises,
whatever the bytes are; work grows with the payload's size only.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from gateway.mappings.hl7v2.charset import wide
from gateway.mappings.hl7v2.header import route
from gateway.mappings.hl7v2.segments import MARK_BYTES, SIGN

MAX_MESSAGES = 100_000
"""A payload of more is not cut at all: it has no messages, and the problem `too-many`."""

_MARK = MARK_BYTES
_NAMES = rf"((?:(?i:MSH)|FHS|BHS)(?=[ \t]*{SIGN})|(?:BTS|FTS)(?![0-9A-Za-z]))"
_START = re.compile(rf"(?:^|[\r\n\x0b\x1a\x1c])(?:[ \t]|{_MARK})*{_NAMES}")
_WIDE_START = re.compile(rf"(?:^|[\r\n\x0b\x1a\x1c])[ \t]*{_NAMES}")
_HEAD = re.compile(r"MSH([^\w\s])([^\w\s]{1,5})\1", re.ASCII)
_LINE_END = re.compile(r"[\r\n\x0b\x1a\x1c]")
_AROUND = f" \t\r\n\x0b\x1a\x1c{_MARK}"
_NOT_OF_A_MESSAGE = re.compile(rf"[\x0b\x1a\x1c]|{_MARK}")
_MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class BatchProblem:
    """What is wrong with a payload as a whole. Holds no patient's data.

    `rule`: `batch-count` (BTS-1), `file-count` (FTS-1), `count-unreadable`, `missing-header`, `missing-trailer`,
    `outside` (text that belongs to no message), `no-message`, `too-many`. For a count that is not kept, `expected` is
    what the trailer says and `found` what came; else both are None.
    """

    rule: str
    where: str
    """The place in the payload: `BTS[2]-1`; empty for the whole."""
    text: str
    expected: int | None = None
    found: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What a payload holds. `headers` are its FHS and BHS segments in order, without their ends."""

    messages: tuple[bytes, ...]
    envelope: bool = False
    headers: tuple[bytes, ...] = ()
    problems: tuple[BatchProblem, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether every count is kept, every trailer there, and nothing stands outside of messages."""
        return not self.problems


def split_batch(payload: bytes) -> Batch:
    """The messages of `payload`, each from its MSH to its last segment's end, and what is wrong with their envelope.

    MLLP's own bytes between messages (VT, FS), byte order marks and blanks around them belong to none. Where a message
    runs into the next without a line end, it ends before an MSH that names the same delimiters.
    """
    if payload.startswith(b"MSH|") and payload.rfind(b"MSH") == 0 and not _ends_a_batch(payload):
        return Batch((payload,))
    source = _source(payload)
    cuts = _cuts(source)
    if not cuts and route(payload).present:
        return Batch((payload,))
    if len(cuts) > MAX_MESSAGES:
        text = f"the payload holds more than {MAX_MESSAGES} messages"
        return Batch((), problems=(BatchProblem("too-many", "", text),))
    ends = (*cuts, len(source.text))
    walk = _Walk(source, ends[0])
    for start, end in zip(cuts, ends[1:], strict=True):
        walk.piece(start, end)
    return walk.end()


def _ends_a_batch(payload: bytes) -> bool:
    tail = payload[-1024:]
    return b"BTS" in tail or b"FTS" in tail


class _Source(NamedTuple):
    """A payload as text of one character for each unit of `width` bytes, its text beginning at byte `first`."""

    payload: bytes
    text: str
    width: int = 1
    first: int = 0
    rest: bytes = b""
    """For UTF-16 the other byte of each unit: zero where the character is the one that stands in `text`."""

    def cut(self, start: int, end: int) -> bytes:
        """The bytes from character `start` to before character `end`."""
        last = len(self.payload) if end >= len(self.text) else self.first + self.width * end
        return self.payload[self.first + self.width * start : last]


def _source(payload: bytes) -> _Source:
    encoding = wide(payload)
    if not encoding:
        return _Source(payload, payload.decode("latin-1"))
    first = 2 if payload[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else 0
    low = encoding == "utf-16-be"
    last = len(payload) - len(payload) % 2
    text, rest = payload[first + low : last : 2], payload[first + 1 - low : last : 2]
    return _Source(payload, text.decode("latin-1"), 2, first, rest)


def _cuts(source: _Source) -> list[int]:
    """Where a message or a segment of the envelope begins, in order; the first MAX_MESSAGES + 1 of each kind."""
    text, rest = source.text, source.rest
    starts = _WIDE_START if source.width == 2 else _START
    found = {match.start(1) for match in islice(starts.finditer(text), MAX_MESSAGES + 1)}
    first = min((at for at in found if text.startswith("MSH", at)), default=len(text))
    head = _HEAD.match(text, first)
    if head is not None:
        found |= _run_in(text, head[0], head.end())
    return sorted(at for at in found if not any(rest[at : at + 4]))


def _run_in(text: str, head: str, since: int) -> set[int]:
    """Where a message begins within the last line of the one before. A field that holds a whole MSH begins none."""
    found: set[int] = set()
    at = text.find(head, since)
    while at >= 0 and len(found) <= MAX_MESSAGES:
        if text[at - 1] not in head[3:]:
            found.add(at)
        at = text.find(head, at + 4)
    return found


class _Walk:
    """What the pieces of a payload, from cut to cut, come to."""

    def __init__(self, source: _Source, begin: int) -> None:
        self._source = source
        self._messages: list[bytes] = []
        self._headers: list[bytes] = []
        self._problems: list[BatchProblem] = []
        self._seen: dict[str, int] = {}
        self._open: dict[str, int] = {}
        """Headers whose trailers are due, and what stood within them so far."""
        self._batches = 0
        self._since = 0
        """Where the messages of the present batch begin, headed or not."""
        self._loose = False
        self._outside(source.text[:begin], "")

    def piece(self, start: int, end: int) -> None:
        """One cut to the next: a message, or a segment of the envelope."""
        text = self._source.text
        name = text[start : start + 3].upper()
        self._seen[name] = self._seen.get(name, 0) + 1
        if name == "MSH":
            self._message(start, end)
            return
        line = _LINE_END.split(text[start : min(end, start + 4096)], maxsplit=1)[0]
        self._outside(text[start + len(line) : end], f"{name}[{self._seen[name]}]")
        _SEGMENTS[name](self, line, self._source.cut(start, start + len(line)))

    def end(self) -> Batch:
        """All of it."""
        self._no_trailer("BHS", "BTS")
        self._no_trailer("FHS", "FTS")
        envelope = bool(self._seen.keys() & _SEGMENTS.keys())
        if not self._messages and not envelope:
            text = "the payload holds no message: no MSH segment"
            return Batch((), problems=(BatchProblem("no-message", "", text),))
        messages = tuple(self._messages)
        if len(messages) == 1 and not envelope:
            messages = (self._source.payload,)
        return Batch(messages, envelope, tuple(self._headers), tuple(self._problems[:_MOST_PROBLEMS]))

    def _message(self, start: int, end: int) -> None:
        text = self._source.text
        if not self._loose and "BHS" not in self._open:
            self._loose, self._since = True, len(self._messages)
            self._batches += 1
        last = start + len(text[start:end].rstrip(_AROUND))
        framing = _NOT_OF_A_MESSAGE.search(text, last, end)
        self._messages.append(self._source.cut(start, framing.start() if framing else end))

    def _file_header(self, line: str, raw: bytes) -> None:
        self._no_trailer("BHS", "BTS")
        self._no_trailer("FHS", "FTS")
        self._headers.append(raw)
        self._open["FHS"] = self._seen["FHS"]
        self._batches, self._loose = 0, False

    def _batch_header(self, line: str, raw: bytes) -> None:
        self._no_trailer("BHS", "BTS")
        self._headers.append(raw)
        self._open["BHS"] = self._seen["BHS"]
        self._batches += 1
        self._since, self._loose = len(self._messages), False

    def _batch_trailer(self, line: str, raw: bytes) -> None:
        self._no_header("BHS", "BTS")
        self._count("batch-count", "BTS", line, len(self._messages) - self._since, "messages")
        self._since, self._loose = len(self._messages), False

    def _file_trailer(self, line: str, raw: bytes) -> None:
        self._no_trailer("BHS", "BTS")
        self._no_header("FHS", "FTS")
        self._count("file-count", "FTS", line, self._batches, "batches")
        self._batches, self._loose = 0, False

    def _no_trailer(self, header: str, trailer: str) -> None:
        number = self._open.pop(header, 0)
        if number:
            text = f"{header} is not closed by {trailer}: what followed may be missing; have it sent whole"
            self._problem("missing-trailer", f"{header}[{number}]", text)

    def _no_header(self, header: str, trailer: str) -> None:
        if not self._open.pop(header, 0):
            where = f"{trailer}[{self._seen[trailer]}]"
            self._problem("missing-header", where, f"{trailer} closes what no {header} opened")

    def _count(self, rule: str, name: str, line: str, found: int, what: str) -> None:
        """Compare what a trailer's first field says with what came; an empty one says nothing."""
        fields = line[4:].split(line[3:4], maxsplit=1) if len(line) > 4 else [""]
        said, where = fields[0].strip(), f"{name}[{self._seen[name]}]-1"
        if said and not (said.isascii() and said.isdecimal() and len(said) < 10):
            self._problem("count-unreadable", where, f"the count of {what} is not a number")
        elif said and int(said) != found:
            text = f"{said} {what} were announced, {found} came; have it sent again whole"
            self._problems.append(BatchProblem(rule, where, text, int(said), found))

    def _outside(self, text: str, where: str) -> None:
        if text.strip(_AROUND):
            after = f"after {where}" if where else "before the first segment"
            self._problem("outside", where, f"text {after} belongs to no message")

    def _problem(self, rule: str, where: str, text: str) -> None:
        self._problems.append(BatchProblem(rule, where, text))


_SEGMENTS = {
    "FHS": _Walk._file_header,
    "BHS": _Walk._batch_header,
    "BTS": _Walk._batch_trailer,
    "FTS": _Walk._file_trailer,
}
