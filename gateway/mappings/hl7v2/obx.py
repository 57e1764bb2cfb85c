"""What a document's or a result's OBX segments hold (chapter 7, 7.4.2): text, and files in base64."""

from __future__ import annotations

import base64
import binascii
import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from gateway.encounter.change import Content
from gateway.mappings.hl7v2 import rtf
from gateway.mappings.hl7v2.delimiters import DELETE, unescape
from gateway.mappings.hl7v2.reading import Reading

CONTENT_TYPES: dict[str, str] = {
    "PDF": "application/pdf",
    "RTF": "application/rtf",
    "HTML": "text/html",
    "XML": "application/xml",
    "XHTML": "application/xhtml+xml",
    "JPEG": "image/jpeg",
    "JPG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "TIF": "image/tiff",
    "DICOM": "application/dicom",
    "PLAIN": "text/plain",
    "TEXT": "text/plain",
    "TXT": "text/plain",
}
"""ED.3, table 0291, and what senders write there; ED.2 where ED.3 is empty."""

_UNKNOWN = "application/octet-stream"
_TEXT = "text/plain"


class Attachment(NamedTuple):
    """A file that an OBX holds."""

    content: Content
    label: str


def content(body: bytes, content_type: str) -> Content:
    """The content with its digest."""
    return Content(hashlib.sha256(body).hexdigest(), content_type, body)


_NO_TEXT = frozenset({"ED", "RP", "HD", "EI"})
"""OBX-2: a file, and references to something kept elsewhere."""


def read_text(reading: Reading) -> Content | None:
    """The text of all OBX segments, one after the other; RTF becomes plain text. None when there is none."""
    parts = []
    for position in reading.message.positions("OBX"):
        fields = reading.message.fields(position)
        if len(fields) > 5 and fields[5] and fields[2] not in _NO_TEXT and fields[5] != DELETE:
            parts.append(unescape(fields[5].replace(reading.repetition, "\n"), reading.delimiters))
    text = "\n".join(parts)
    if rtf.is_rtf(text):
        text = rtf.plain(text)
    return plain_content(text)


def plain_content(text: str) -> Content | None:
    """Text as a document's content; None when it has no words."""
    return content(text.encode(), _TEXT) if text.strip() else None


def read_attachments(reading: Reading, positions: Sequence[int] | None = None) -> list[Attachment]:
    """The files in OBX segments of type ED, at `positions`, or all. One that cannot be decoded becomes a problem."""
    found = []
    every = reading.message.positions("OBX")
    for position in every if positions is None else positions:
        fields = reading.message.fields(position)
        if len(fields) > 5 and fields[2] == "ED" and fields[5]:
            attachment = _attachment(reading, fields[5], f"OBX[{bisect_left(every, position) + 1}]")
            if attachment is not None:
                found.append(attachment)
    return found


def _attachment(reading: Reading, raw: str, label: str) -> Attachment | None:
    components = raw.split(reading.component, 4)
    if len(components) < 5 or not components[4]:
        reading.problem("attachment-unreadable", f"{label}-5", "the attachment has no data (ED.5)")
        return None
    kind = (reading.said(components, 2) or reading.said(components, 1) or "").upper()
    content_type = CONTENT_TYPES.get(kind, kind.lower() if "/" in kind else _UNKNOWN)
    encoding = (reading.said(components, 3) or "").upper()
    body = _decoded(unescape(components[4], reading.delimiters), encoding)
    if body is None:
        reading.problem(
            "attachment-unreadable", f"{label}-5", "the attachment's data is not what its encoding (ED.4) says"
        )
        return None
    if body.lstrip()[:5] == b"{\\rtf":
        return Attachment(content(rtf.plain(body.decode("cp1252", "replace")).encode(), _TEXT), label)
    return Attachment(content(body, content_type), label)


def _decoded(data: str, encoding: str) -> bytes | None:
    """ED.4, table 0299; None when `data` is not so encoded."""
    compact = "".join(data.split())
    try:
        if encoding in ("BASE64", "B64", "BASE 64"):
            return base64.b64decode(compact, validate=True) or None
        if encoding in ("HEX", "HEXADECIMAL"):
            return bytes.fromhex(compact)
    except (binascii.Error, ValueError):
        return None
    return data.encode() if encoding in ("A", "") else None
