"""Why the desk does not do what it was asked. Texts are for the person who asked; they hold no patient's data."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Reason(StrEnum):
    UNKNOWN = "unknown"
    """There is no such encounter, hold, query or delivery, or none that this person may see."""
    NOT_ALLOWED = "not-allowed"
    STALE = "stale"
    """It changed since the person saw it: look again, then decide."""
    IMPOSSIBLE = "impossible"
    """Its state does not allow it."""
    UNACCEPTABLE = "unacceptable"
    """What was given does not pass the checks; `details` says what to mend."""
    BUSY = "busy"
    """Others kept changing the encounter while this was decided."""


class Refusal(Exception):
    """The desk's no."""

    def __init__(self, reason: Reason, text: str, details: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.details = tuple(details)
