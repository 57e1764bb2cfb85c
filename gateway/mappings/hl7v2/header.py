"""MSH alone, read fast: what the acknowledging path needs. Never raises, whatever the bytes are."""

from __future__ import annotations

import re

from gateway.mappings.hl7v2.charset import wide
from gateway.mappings.hl7v2.segments import MARK, MARK_BYTES
from gateway.mappings.hl7v2.segments import header as find_header

_LONGEST = 256
_CONTROL = bytes([*range(32), 127])
_LONGEST_HEADER = 65_536
_LINE = re.compile(rb"[\r\n][ \t]*[A-Za-z][A-Za-z0-9]{2}[ \t]*([^\r\n])")
_SIGNS = frozenset(bytes((sign,)) for sign in b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class Header:
    """MSH of one message. `fields[n]` is MSH-n+1 after the separator, as bytes; `fields` is empty when there is no MSH.

    Control characters are left out, for they have no place in a header and could end an MLLP frame. Values are text of
    at most 256 characters.
    """

    __slots__ = ("encoding", "fields", "separator")

    def __init__(self, separator: bytes, fields: list[bytes], encoding: str = "") -> None:
        self.separator = separator
        self.fields = fields
        self.encoding = encoding
        """`utf-16-le` or `utf-16-be` when the message came so; the fields are then the same text in UTF-8."""

    @property
    def present(self) -> bool:
        """Whether the bytes begin with an MSH segment at all."""
        return bool(self.fields)

    def raw(self, number: int) -> bytes:
        """MSH-`number` (from 2), escapes and all; empty when absent."""
        return self.fields[number - 1] if number <= len(self.fields) else b""

    def _text(self, number: int) -> str:
        text = self.raw(number).decode("utf-8", "replace")
        return text[:_LONGEST]

    def _first(self, number: int) -> str:
        return self._text(number).partition(self.component)[0]

    @property
    def component(self) -> str:
        """The component separator, `^` when MSH-2 names none that could be one."""
        first = self.raw(2)[:1].decode("ascii", "replace")
        if first == "^":
            return first
        return first if first.strip() and not first.isalnum() and first != "\ufffd" else "^"

    @property
    def type(self) -> str:
        """MSH-9 message code and trigger event, as `DFT^P03`; the code alone when there is no trigger."""
        code, _, rest = self._text(9).partition(self.component)
        trigger = rest.partition(self.component)[0]
        return f"{code}^{trigger}" if trigger else code

    @property
    def control(self) -> str:
        """MSH-10."""
        return self._text(10)

    @property
    def version(self) -> str:
        """MSH-12.1."""
        return self._first(12)

    @property
    def sending_application(self) -> str:
        """MSH-3.1."""
        return self._first(3)

    @property
    def sending_facility(self) -> str:
        """MSH-4.1."""
        return self._first(4)

    @property
    def accept_acknowledgement(self) -> str:
        """MSH-15 (table 0155): AL, NE, ER, SU or empty."""
        return self._text(15)

    @property
    def application_acknowledgement(self) -> str:
        """MSH-16 (table 0155)."""
        return self._text(16)

    @property
    def enhanced(self) -> bool:
        """Whether the sender asks for a commit acknowledgement, in enhanced mode (chapter 2, 2.9.3)."""
        return self.raw(15) in (b"AL", b"ER", b"SU")


_NONE = Header(b"|", [])


def route(payload: bytes) -> Header:
    """The header of `payload`, in about two microseconds. One without an MSH has no fields.

    Whatever `Er7Message` reads has a header, and nothing else.
    """
    encoding = ""
    if payload[:3] != b"MSH" or payload[3:4] not in _SIGNS:
        payload, encoding = _unwrapped(payload)
        if len(payload) < 4:
            return Header(b"|", [payload], encoding) if payload else _NONE
    end = payload.find(b"\r")
    separator = payload[3:4]
    if end < 0 or payload[end + 4 : end + 5] != separator or payload.find(b"\n", 0, end) >= 0:
        end = _end(payload[:_LONGEST_HEADER], separator)
    return Header(separator, payload[:end].translate(None, _CONTROL).split(separator), encoding)


def _end(head: bytes, separator: bytes) -> int:
    """Where the first segment ends, whatever ends its lines; a line break inside a value ends nothing."""
    return next((match.start() for match in _LINE.finditer(head) if match[1] == separator), len(head))


def _unwrapped(payload: bytes) -> tuple[bytes, str]:
    """The first MSH on, whatever stands before it and however it is written, and how it came; only the name when it has
    no separator, nothing when there is none.
    """
    head = payload[:_LONGEST_HEADER]
    encoding = wide(head)
    text = head.decode(encoding or "latin-1", "replace").removeprefix("\ufeff")
    found = find_header(text, MARK if encoding else MARK_BYTES)
    if found is None:
        return b"", ""
    body = text[found.start + 3 :].lstrip(" \t")
    data = body.encode("utf-8" if encoding else "latin-1", "replace")
    return b"MSH" + data if body.startswith(found.separator) else b"MSH", encoding
