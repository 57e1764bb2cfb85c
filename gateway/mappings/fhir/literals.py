"""References and moments as texts: what a literal reference names, and when a date begins."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_NAME = re.compile(r"(?:.*/)?([A-Z][A-Za-z]{2,40}/[A-Za-z0-9.-]{1,64})(?:/_history/[^/]*)?")
_DATED = re.compile(r"\d{4}(?:-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?)?)?")


def reference_token(text: str) -> str | None:
    """`Patient/5` of a literal reference, absolute or not, with a version or not; None for one that names no id."""
    match = _NAME.fullmatch(text)
    return match[1] if match is not None else None


def first_moment(text: str) -> str | None:
    """The moment at which a date, dateTime or instant begins, as dates are compared; None for what is none."""
    if not _DATED.fullmatch(text):
        return None
    try:
        if len(text) > len("2026-01-01"):
            return datetime.fromisoformat(text).astimezone(UTC).isoformat()[:19]
        moment = datetime.fromisoformat(text + "-01-01"[len(text) - 4 :])
    except (ValueError, OverflowError):
        return None
    return moment.isoformat()
