"""What can go wrong with a server that is asked, in the classes that what follows depends on."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """Why a server could not be read. Metrics and alerts know these words, and none of the server's."""

    AWAY = "away"
    """No answer: it may be better soon."""
    FAILING = "failing"
    """It answers with a fault of its own (5xx), to this request at least."""
    BUSY = "busy"
    """It asks to be left alone for a while (429, 503 with Retry-After)."""
    NOT_ALLOWED = "not-allowed"
    """401 or 403: a token or a right is wrong."""
    NOT_THERE = "not-there"
    """404 or 410."""
    NOT_SEARCHABLE = "not-searchable"
    """400 and its like: it does not take the search."""
    TOO_LARGE = "too-large"
    """The answer is beyond a limit."""
    NOT_FHIR = "not-fhir"
    """The answer is no resource, or another than was asked for."""
    ASTRAY = "astray"
    """A link that leads to another server, or round in a circle."""
    CAPPED = "capped"
    """It sends fewer than match, and names no way to the rest."""


LASTING = frozenset({Trouble.NOT_ALLOWED, Trouble.NOT_THERE, Trouble.NOT_SEARCHABLE, Trouble.TOO_LARGE, Trouble.CAPPED})
"""Of no use to ask again soon: somebody must change a setting or a right."""


class PollFault(Exception):
    """`text` names no patient: it is a status or a fault's type."""

    def __init__(self, trouble: Trouble, text: str, retry_after: float | None = None) -> None:
        super().__init__(f"{trouble}: {text}")
        self.trouble = trouble
        self.text = text
        self.retry_after = retry_after
        """Seconds that the server asked for."""
