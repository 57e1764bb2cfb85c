"""Acknowledgements (chapter 2, 2.9), from a template: nothing is parsed but MSH."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from gateway.mappings.hl7v2.delimiters import STANDARD, Delimiters, escape, read_delimiters
from gateway.mappings.hl7v2.header import Header
from gateway.mappings.hl7v2.writer import segment

_OWN_VERSION = b"2.5.1"


class AckCode(StrEnum):
    """MSA-1 (table 0008) in original mode; a sender in enhanced mode gets the commit form of the same answer."""

    ACCEPT = "AA"
    ERROR = "AE"
    """The message can't be taken as it is."""
    REJECT = "AR"
    """It could not be taken now, or not here: the same message may be sent again."""


class ErrorCode(StrEnum):
    """ERR-3, table 0357."""

    SEGMENT_SEQUENCE = "100"
    REQUIRED_FIELD_MISSING = "101"
    DATA_TYPE = "102"
    UNKNOWN_VALUE = "103"
    VALUE_TOO_LONG = "104"
    UNSUPPORTED_TYPE = "200"
    UNSUPPORTED_EVENT = "201"
    UNSUPPORTED_PROCESSING = "202"
    UNSUPPORTED_VERSION = "203"
    UNKNOWN_KEY = "204"
    DUPLICATE_KEY = "205"
    RECORD_LOCKED = "206"
    INTERNAL = "207"


MEANINGS: dict[ErrorCode, str] = {
    ErrorCode.SEGMENT_SEQUENCE: "Segment sequence error",
    ErrorCode.REQUIRED_FIELD_MISSING: "Required field missing",
    ErrorCode.DATA_TYPE: "Data type error",
    ErrorCode.UNKNOWN_VALUE: "Table value not found",
    ErrorCode.VALUE_TOO_LONG: "Value too long",
    ErrorCode.UNSUPPORTED_TYPE: "Unsupported message type",
    ErrorCode.UNSUPPORTED_EVENT: "Unsupported event code",
    ErrorCode.UNSUPPORTED_PROCESSING: "Unsupported processing id",
    ErrorCode.UNSUPPORTED_VERSION: "Unsupported version id",
    ErrorCode.UNKNOWN_KEY: "Unknown key identifier",
    ErrorCode.DUPLICATE_KEY: "Duplicate key identifier",
    ErrorCode.RECORD_LOCKED: "Application record locked",
    ErrorCode.INTERNAL: "Application internal error",
}


@dataclass(frozen=True, slots=True)
class AckError:
    """Why a message is not taken. `text` is for the sender's operator: codes and numbers, no patient's data."""

    code: ErrorCode
    text: str
    segment: str | None = None
    """The segment it concerns, as `PID`; `field` its field."""
    field: int | None = None


_COMMIT = {AckCode.ACCEPT: b"CA", AckCode.ERROR: b"CE", AckCode.REJECT: b"CR"}
_ORIGINAL = {code: code.value.encode() for code in AckCode}


def acknowledge(
    header: Header,
    code: AckCode,
    *,
    now: datetime,
    ack_id: str,
    error: AckError | None = None,
    commit: bool | None = None,
) -> bytes:
    """The acknowledgement of the message that `header` begins: MSH, MSA and, with an error, ERR.

    `commit`: in the commit form (CA, CE, CR) or the application's (AA, AE, AR); as the sender asks when it is None.

    Applications and facilities are swapped, MSH-10 comes back byte for byte, and the sender's delimiters are used where
    they can be. From version 2.5 the error stands in ERR-3, 4 and 8; before, in MSA-3 and ERR-1. `now` is aware.
    """
    delimiters = _delimiters(header)
    f = delimiters.field.encode("latin-1")
    fields = _returned(header, delimiters)
    version = fields[11].partition(delimiters.component.encode("latin-1"))[0]
    known = version.startswith(b"2.")
    moment = now if now.tzinfo is UTC else now.astimezone(UTC)
    head = (
        b"MSH",
        delimiters.encoding.encode("latin-1"),
        fields[4],
        fields[5],
        fields[2],
        fields[3],
        _stamp(moment),
        b"",
        _type(fields[8], delimiters, structured=not known or version >= b"2.3.1"),
        escape(ack_id, delimiters).encode("latin-1", "replace"),
        fields[10] or b"P",
        fields[11] if known else _OWN_VERSION,
    )
    answer = (_COMMIT if (header.enhanced if commit is None else commit) else _ORIGINAL)[code]
    msa = (b"MSA", answer, fields[9])
    if error is None:
        return _sent(header, f, b"%b\r%b\r" % (f.join(head), f.join(msa)))
    modern = not known or version >= b"2.5"
    text = b"" if modern else escape(error.text, delimiters).encode("latin-1", "replace")
    err = _error(error, delimiters, modern=modern)
    written = b"%b\r%b\r%b\r" % (f.join(head), f.join((*msa, text) if text else msa), err.encode("latin-1", "replace"))
    return _sent(header, f, written)


def _stamp(moment: datetime) -> bytes:
    """An instant in UTC, to the second."""
    day = (moment.year, moment.month, moment.day)
    return b"%04d%02d%02d%02d%02d%02d+0000" % (*day, moment.hour, moment.minute, moment.second)


def _sent(header: Header, separator: bytes, reply: bytes) -> bytes:
    """`reply` in the sender's character set, named as the sender named it where more than ASCII is in it.

    In UTF-16 some characters hold the bytes that end an MLLP frame; with one of them the reply stays UTF-8.
    """
    if reply.isascii() and not header.encoding:
        return reply
    declared = header.raw(18)
    if declared and separator == header.separator:
        head, end, rest = reply.partition(b"\r")
        head += separator * (18 - head.count(separator) - 1) + declared
        reply = head + end + rest
    if not header.encoding:
        return reply
    wide = reply.decode("utf-8", "replace").encode(header.encoding)
    return reply if b"\x0b" in wide or b"\x1c" in wide else wide


def _delimiters(header: Header) -> Delimiters:
    """The sender's, when they are four different ASCII signs beside MSH-1; else the standard's."""
    encoding = header.raw(2)
    if encoding == b"^~\\&" and header.separator == b"|":
        return STANDARD
    usable = 4 <= len(encoding) <= 5 and encoding.isascii() and len({*encoding, *header.separator}) == len(encoding) + 1
    if not usable or any(sign <= 32 or chr(sign).isalnum() for sign in encoding):
        return STANDARD
    return read_delimiters(header.separator.decode("ascii"), encoding.decode("ascii"))


def _returned(header: Header, delimiters: Delimiters) -> list[bytes]:
    """MSH's fields, all twelve and more, in a form that `delimiters` leave whole."""
    fields = header.fields + [b""] * (12 - len(header.fields))
    if (
        header.separator.decode("latin-1") == delimiters.field
        and header.raw(2).decode("latin-1") == delimiters.encoding
    ):
        return fields
    return [escape(value.decode("latin-1"), delimiters).encode("latin-1", "replace") for value in fields[:12]]


def _type(received: bytes, delimiters: Delimiters, *, structured: bool) -> bytes:
    """MSH-9, as ACK^P03^ACK; before version 2.3.1 it had no third component."""
    component = delimiters.component.encode("latin-1")
    parts = received.split(component)
    trigger = parts[1] if len(parts) > 1 else b""
    if not trigger:
        return b"ACK"
    return component.join((b"ACK", trigger, b"ACK") if structured else (b"ACK", trigger))


def _error(error: AckError, delimiters: Delimiters, *, modern: bool) -> str:
    meaning = MEANINGS[error.code]
    if modern:
        location = (error.segment, "1", error.field) if error.segment else None
        coded = (error.code.value, meaning, "HL70357")
        return segment("ERR", None, location, coded, "E", None, None, None, error.text, delimiters=delimiters)
    coded_old = (error.code.value, meaning, "HL70357")
    return segment("ERR", (error.segment, None, error.field, coded_old), delimiters=delimiters)
