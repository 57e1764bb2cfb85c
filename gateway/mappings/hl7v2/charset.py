"""What characters a message's bytes are (MSH-18, table 0211), when the sender says so and when it does not."""

from __future__ import annotations

import codecs
from typing import NamedTuple

CODECS: dict[str, str] = {
    "": "utf-8",
    "ASCII": "ascii",
    "US-ASCII": "ascii",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-16": "utf-16",
    "UNICODE UTF-16": "utf-16",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
    "ISO-8859-1": "latin-1",
    "ISO8859-1": "latin-1",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
}
"""Table 0211 and what senders write instead of it. ISO 2022 switching is not read: such text stays as its escapes."""

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_WIDE = ((b"M\0S\0H\0", "utf-16-le"), (b"\0M\0S\0H", "utf-16-be"))


class Decoded(NamedTuple):
    """`unreadable` counts the characters that no reading gives; they stand as U+FFFD in `text`."""

    text: str
    encoding: str
    unreadable: int = 0


def declared(payload: bytes) -> str:
    """MSH-18, first repetition, upper case; empty when the header has none."""
    start = payload.find(b"MSH")
    if start < 0:
        return ""
    line = payload[start : start + 4096].replace(b"\n", b"\r").partition(b"\r")[0]
    fields = line.split(line[3:4]) if len(line) > 3 else []
    if len(fields) < 18:
        return ""
    repetition = fields[1][1:2] or b"~"
    return fields[17].partition(repetition)[0].decode("ascii", "replace").strip().upper()


def decode(payload: bytes) -> Decoded:
    """The text of `payload`: as declared, else as UTF-8, else as Windows 1252, which all but five bytes belong to."""
    if payload.isascii() and b"\0" not in payload:
        return Decoded(payload.decode("ascii"), "ascii")
    for mark, encoding in _MARKS:
        if payload.startswith(mark):
            return _decoded(payload[len(mark) :], (encoding,))
    for prefix, encoding in _WIDE:
        if payload.startswith(prefix):
            return _decoded(payload, (encoding,))
    named = CODECS.get(declared(payload), "utf-8")
    return _decoded(payload, (named, "utf-8") if named not in ("ascii", "utf-16") else ("utf-8",))


def _decoded(data: bytes, encodings: tuple[str, ...]) -> Decoded:
    for encoding in encodings:
        try:
            return _without_nul(data.decode(encoding), encoding, 0)
        except UnicodeDecodeError:
            continue
    last = "cp1252" if not encodings[0].startswith("utf-16") else encodings[0]
    text = data.decode(last, "replace")
    return _without_nul(text, last, text.count("\ufffd"))


def _without_nul(text: str, encoding: str, unreadable: int) -> Decoded:
    nul = text.count("\0")
    return Decoded(text.replace("\0", "\ufffd") if nul else text, encoding, unreadable + nul)
