"""What characters a message's bytes are (MSH-18, table 0211), when the sender says so and when it does not."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from gateway.mappings.hl7v2.segments import MARK, MARK_BYTES, header

_PARTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)

CODECS: dict[str, str] = {
    "ASCII": "ascii",
    "US-ASCII": "ascii",
    "ISO IR6": "ascii",
    **{f"8859/{part}": f"iso8859-{part}" for part in _PARTS},
    **{f"ISO-8859-{part}": f"iso8859-{part}" for part in _PARTS},
    **{f"ISO8859-{part}": f"iso8859-{part}" for part in _PARTS},
    **{f"ISO 8859-{part}": f"iso8859-{part}" for part in _PARTS},
    "ISO IR100": "iso8859-1",
    "LATIN1": "iso8859-1",
    "WINDOWS-1252": "cp1252",
    "WINDOWS 1252": "cp1252",
    "WINDOWS1252": "cp1252",
    "CP1252": "cp1252",
    "CP-1252": "cp1252",
    "ANSI": "cp1252",
    "WINDOWS-1250": "cp1250",
    "WINDOWS-1251": "cp1251",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE_UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UTF-16": "utf-16",
    "ISO IR14": "iso2022_jp_ext",
    "ISO IR87": "iso2022_jp_ext",
    "ISO IR159": "iso2022_jp_ext",
    "JIS X 0202": "iso2022_jp_ext",
    "JAS2020": "iso2022_jp_ext",
    "SHIFT_JIS": "cp932",
    "SHIFT-JIS": "cp932",
    "EUC-JP": "euc_jp",
    "GB 18030-2000": "gb18030",
    "GB18030": "gb18030",
    "GBK": "gb18030",
    "GB2312": "gb18030",
    "KS X 1001": "cp949",
    "EUC-KR": "cp949",
    "BIG-5": "big5hkscs",
    "BIG5": "big5hkscs",
}
"""Table 0211 and what senders write instead of it, upper case. CNS 11643-1992 is not here: Python does not know it."""

NAMES = (
    "ASCII",
    *(f"8859/{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)),
    "UNICODE UTF-8",
    "UNICODE UTF-16",
    "WINDOWS-1252",
    "ISO IR14",
    "ISO IR87",
    "ISO IR159",
    "SHIFT_JIS",
    "GB 18030-2000",
    "KS X 1001",
    "BIG-5",
)
"""The names to write in a configuration; the others in CODECS are read too."""

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LITTLE = re.compile(rb"[\t-\x7e]\0[\t-\x7e]\0")
_BIG = re.compile(rb"\0[\t-\x7e]\0[\t-\x7e]")
_LONGEST_HEADER = 65_536
_C1 = re.compile("[\x80-\x9f]")
_SWITCHED = "iso2022_jp_ext"
"""Japanese sets, between which escape sequences switch."""
_UNMARKED = ("ascii", "utf-16")
"""Sets that bytes of 128 and more, without NULs, show not to be used, whatever the header says."""

_NOT_AS_SAID = "the bytes are not of the character set in MSH-18"
_NOT_AS_CONFIGURED = "the bytes are not of the feed's character set"
_UNKNOWN = "MSH-18 names no character set that is known"
_UNSAID = "no character set is named, and the bytes are not UTF-8"


class Decoded(NamedTuple):
    """`unreadable` counts the characters that no reading gives; they stand as U+FFFD in `text`."""

    text: str
    encoding: str
    unreadable: int = 0
    doubt: str = ""
    """Why `encoding` is not certain; empty when the sender or the feed's configuration says it, or nothing hangs on it.
    """

    @property
    def mark(self) -> str:
        """The byte order mark of UTF-8 or UTF-16, as it shows in `text`."""
        shown = self.encoding.startswith("utf") or self.encoding == "ascii"
        return MARK if shown else codecs.BOM_UTF8.decode(self.encoding, "replace")


def known(name: str) -> bool:
    """Whether a character set goes by this name, in table 0211 or in common use."""
    return name.strip().upper() in CODECS


def declared(payload: bytes) -> tuple[str, ...]:
    """The repetitions of MSH-18, upper case; empty when the header has none."""
    text = payload[:_LONGEST_HEADER].decode("latin-1")
    head = header(text, MARK_BYTES)
    if head is None:
        return ()
    line = re.split(r"[\r\n]", text[head.start : head.start + 4096], maxsplit=1)[0]
    fields = line.split(head.separator)
    if len(fields) < 18 or not fields[17].strip():
        return ()
    repetition = fields[1][1:2] or "~"
    return tuple(name.strip().upper() for name in fields[17].split(repetition))


def wide(payload: bytes) -> str:
    """The encoding of a payload in UTF-16, told by its mark or its NULs; empty for any other."""
    if payload[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16-le" if payload[0] == 0xFF else "utf-16-be"
    if _LITTLE.match(payload):
        return "utf-16-le"
    return "utf-16-be" if _BIG.match(payload) else ""


def writable(payload: bytes, default: str = "") -> str:
    """The codec that text put into `payload`, a message of ASCII so far, is written in."""
    named = [CODECS[name] for name in declared(payload) if name in CODECS]
    if _SWITCHED in named:
        return _SWITCHED
    said = named[0] if named else CODECS.get(default.strip().upper(), "utf-8")
    return "utf-8" if said == "utf-16" else said


def decode(payload: bytes, default: str = "") -> Decoded:
    """The text of `payload`, without the mark it may begin with: as its bytes show (UTF-16, a mark), else as MSH-18
    says, else as `default`, the feed's own character set by a name in CODECS, else as UTF-8.

    What does not decode so is read as UTF-8 if it is that; else as Windows 1252 where one of ASCII and UTF-8 was to be
    expected, and else with U+FFFD for what is not of the expected set. NULs become U+FFFD too.
    """
    if payload.isascii() and b"\0" not in payload and b"\x1b" not in payload:
        return Decoded(payload.decode("ascii"), "ascii")
    for mark, encoding in _MARKS:
        if payload.startswith(mark):
            return _marked(payload[len(mark) :], encoding)
    encoding = wide(payload)
    return _marked(payload, encoding) if encoding else _unmarked(payload, default)


def _marked(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, "replace")
    return _without_nul(text, encoding, text.count("\ufffd"))


def _unmarked(payload: bytes, default: str) -> Decoded:
    names = declared(payload)
    said = next((name for name in names if name), "")
    encoding = CODECS.get(said) if said else CODECS.get(default.strip().upper(), "utf-8")
    switched = b"\x1b" in payload and (encoding == _SWITCHED or _SWITCHED in (CODECS.get(name) for name in names))
    if switched and (decoded := _strict(payload, _SWITCHED)) is not None:
        return decoded
    if payload.isascii():
        doubt = _NOT_AS_SAID if switched else ""
        return _without_nul(payload.decode("ascii"), "ascii", 0)._replace(doubt=doubt)
    if encoding is None:
        return _read(payload, ("utf-8", "cp1252"), _UNKNOWN, _UNKNOWN)
    if encoding in _UNMARKED:
        return _read(payload, ("utf-8", "cp1252"), _NOT_AS_SAID, _NOT_AS_SAID)
    if encoding == "utf-8":
        doubt = _NOT_AS_SAID if said else _NOT_AS_CONFIGURED if default else _UNSAID
        return _read(payload, ("utf-8", "cp1252"), "", doubt)
    return _other(payload, encoding, _NOT_AS_SAID if said else _NOT_AS_CONFIGURED)


def _other(payload: bytes, encoding: str, doubt: str) -> Decoded:
    """The text in one of the many sets beside ASCII and Unicode."""
    if encoding == "iso8859-1" and _C1.search(payload.decode("latin-1")):
        return _read(payload, ("cp1252", "iso8859-1"), doubt, doubt)
    return _read(payload, (encoding, "utf-8"), "", doubt, last=encoding)


def _read(payload: bytes, encodings: tuple[str, str], first: str, second: str, last: str = "cp1252") -> Decoded:
    """The text in the one encoding or the other, with the doubt that each leaves; else with U+FFFD, in `last`."""
    for encoding, doubt in zip(encodings, (first, second), strict=True):
        decoded = _strict(payload, encoding)
        if decoded is not None:
            return decoded._replace(doubt=doubt)
    text = payload.decode(last, "replace")
    return _without_nul(text, last, text.count("\ufffd"))._replace(doubt=second)


def _strict(payload: bytes, encoding: str) -> Decoded | None:
    try:
        return _without_nul(payload.decode(encoding), encoding, 0)
    except UnicodeDecodeError:
        return None


def _without_nul(text: str, encoding: str, unreadable: int) -> Decoded:
    nul = text.count("\0")
    return Decoded(text.replace("\0", "\ufffd") if nul else text, encoding, unreadable + nul)
