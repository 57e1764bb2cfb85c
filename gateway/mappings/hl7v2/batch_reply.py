"""The answer to a batch (chapter 2, 2.10.3): a batch of the acknowledgements of its messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.mappings.hl7v2.charset import wide
from gateway.mappings.hl7v2.delimiters import STANDARD, escape
from gateway.mappings.hl7v2.reply import BETWEEN

_CONTROL = bytes([*range(32), 127])
_LONGEST = 200


def batch_reply(headers: Sequence[bytes], replies: Sequence[bytes], *, now: datetime, batch_id: str) -> bytes:
    """BHS, the answers, BTS with their number. `headers` are the batch's FHS and BHS segments: its names are swapped,
    and BHS-12 names the batch by its own id. `now` is aware. An answer in UTF-16 is written in UTF-8.
    """
    fields = _fields(headers[-1] if headers else b"")
    moment = f"{now.astimezone(UTC):%Y%m%d%H%M%S}+0000".encode()
    swapped = (fields[4], fields[5], fields[2], fields[3])
    head = (b"BHS", b"^~\\&", *swapped, moment, b"", b"", b"", batch_id.encode(), fields[10])
    answers = [answer for answer in (_narrow(one) for reply in replies for one in reply.split(BETWEEN)) if answer]
    return b"%b\r%bBTS|%d\r" % (b"|".join(head).rstrip(b"|"), b"".join(answers), len(answers))


def _fields(line: bytes) -> list[bytes]:
    """BHS or FHS, its fields from the first on; empty where they are not, and without what could break a line."""
    said = line.translate(None, _CONTROL)
    separator = said[3:4]
    fields = said.split(separator) if separator else []
    standard = separator == b"|" and fields[1:2] == [b"^~\\&"]
    values = [value if standard else _escaped(value) for value in (value[:_LONGEST] for value in fields)]
    return values + [b""] * (12 - len(values))


def _escaped(value: bytes) -> bytes:
    return escape(value.decode("latin-1"), STANDARD).encode("latin-1", "replace")


def _narrow(answer: bytes) -> bytes:
    encoding = wide(answer)
    return answer.decode(encoding, "replace").removeprefix("\ufeff").encode() if encoding else answer
