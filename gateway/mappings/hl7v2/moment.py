"""When what a message says happened, by its sender's word: EVN-2 (chapter 3, 3.4.1), else MSH-7 (chapter 2, 2.14.9)."""

from __future__ import annotations

from datetime import datetime

from gateway.mappings.hl7v2.delimiters import DELETE
from gateway.mappings.hl7v2.kinds import parse_instant
from gateway.mappings.hl7v2.reading import At, Reading, Unreadable

_PLACES = (("EVN", 2), ("MSH", 7))
_FIRST = At()
_TO_THE_HOUR = 10
"""Digits. A day alone puts nothing in order within it."""


def moment(reading: Reading) -> datetime | None:
    """The instant, in the feed's time zone where the message names no offset. None when no time of day is said; what is
    written in both places, or in the only one, and cannot be read is a problem.
    """
    said = unreadable = ""
    for segment, field in _PLACES:
        fields = reading.message.first(segment)
        raw = fields[field] if len(fields) > field else ""
        value = reading.leaf(raw, _FIRST) if raw else None
        if value is None or value is DELETE:
            continue
        said = f"{segment}-{field}"
        if not value[:_TO_THE_HOUR].isdecimal() or len(value) < _TO_THE_HOUR:
            unreadable = unreadable if value[:8].isdecimal() else said
            continue
        try:
            return parse_instant(reading, value)
        except Unreadable:
            unreadable = said
    if unreadable:
        reading.problem("moment-unreadable", unreadable, "the message does not say in a readable way when it happened")
    return None
