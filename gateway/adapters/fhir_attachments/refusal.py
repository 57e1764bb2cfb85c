"""Why a content could not be fetched, and whether it is tried again."""

from __future__ import annotations

from enum import StrEnum


class Why(StrEnum):
    """The words that the document's record, the metrics and the log know."""

    NOT_LISTED = "host-not-listed"
    NOT_SECURE = "not-https"
    NOT_PUBLIC = "address-not-public"
    REDIRECTED = "redirected"
    NOT_ALLOWED = "not-allowed"
    NOT_THERE = "not-there"
    REFUSED = "refused"
    TOO_LARGE = "too-large"
    TYPE = "type-not-listed"
    DIFFERS = "not-what-the-document-says"
    NO_ANSWER = "no-answer"
    BUSY = "busy"
    NO_LONGER_CONFIGURED = "no-longer-configured"


AGAIN = frozenset({Why.NO_ANSWER, Why.BUSY, Why.NOT_THERE, Why.NOT_ALLOWED, Why.DIFFERS})
"""Tried again: it may come, or be whole, later; a right may be given. The others change only with the settings."""


class NotFetched(Exception):
    """Names no address and no patient."""

    def __init__(self, why: Why, retry_after: float | None = None) -> None:
        super().__init__(why.value)
        self.why = why
        self.retry_after = retry_after
        """Seconds that the server asked for."""
