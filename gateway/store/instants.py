"""Instants at rest: whole microseconds since 1970-01-01T00:00:00Z, one integer in either engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(instant: datetime) -> int:
    """The stored form. ValueError for a datetime without a time zone: nothing is guessed about it."""
    if instant.tzinfo is None:
        raise ValueError("an instant that is stored must have a time zone")
    past = instant - _EPOCH
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds


def micros_or_none(instant: datetime | None) -> int | None:
    return None if instant is None else micros(instant)


def instant(stored: int) -> datetime:
    """The instant, in UTC, exactly as it was stored."""
    return _EPOCH + timedelta(microseconds=stored)
