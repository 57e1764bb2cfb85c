"""Which contents of a DocumentReference did not come along, and what it says of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.config.smart import LONGEST_URL
from gateway.mappings.fhir.source import binary_id

MOST = 20
"""Contents of one document: they are the same in other formats."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One content behind an address."""

    url: str = field(repr=False)
    content_type: str | None = None
    hash: str | None = field(repr=False, default=None)
    """SHA-1, base64 (R4, Attachment.hash)."""
    size: int | None = None

    @property
    def id(self) -> str:
        """Of the Binary that will hold it."""
        return binary_id(self.url)


def wanted(resource: dict[str, Any]) -> list[Wanted]:
    """The contents of a DocumentReference that stand elsewhere; none of any other resource, or of one that is no more
    current.
    """
    if resource.get("resourceType") != "DocumentReference" or resource.get("status") != "current":
        return []
    found = {one.url: one for one in _addressed(resource)}
    return list(found.values())[:MOST]


def _addressed(resource: dict[str, Any]) -> Iterator[Wanted]:
    contents = resource.get("content")
    for content in contents if isinstance(contents, list) else ():
        attachment = content.get("attachment") if isinstance(content, dict) else None
        url = attachment.get("url") if isinstance(attachment, dict) else None
        if not isinstance(attachment, dict) or not isinstance(url, str) or attachment.get("data"):
            continue
        if 0 < len(url) <= LONGEST_URL and url.isprintable():
            size = attachment.get("size")
            counted = size if isinstance(size, int) and not isinstance(size, bool) else None
            yield Wanted(url, _text(attachment, "contentType"), _text(attachment, "hash"), counted)


def _text(attachment: dict[str, Any], name: str) -> str | None:
    value = attachment.get(name)
    return value if isinstance(value, str) and len(value) <= 256 else None
