"""Which values of a Change have no origin. All should have one, whatever the message and the dialect."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.encounter.change import Change
from gateway.encounter.record import Record

LISTS = ("coverages", "diagnoses", "procedures", "charges", "documents")
MADE_HERE = frozenset({"id", "source", "origin", "match", "content_type", "size"})
"""What the gateway itself notes with an item."""
_PLACE = r"[A-Z][A-Z0-9]{2}\[[1-9][0-9]*\]-[1-9][0-9]*(\[[1-9][0-9]*\](\.[1-9][0-9]*){0,2})?"
ORIGIN = re.compile(rf"(table [a-z_]+ via )?{_PLACE}(, {_PLACE.replace(r'-', '-', 1)})*|dialect\.[a-z_.]+")
"""`FT1[2]-19[1].1`, `table sex via PID[1]-8[1].1`, `dialect.fields.charges.start`."""


def unplaced(change: Change) -> list[str]:
    """The canonical paths of values that are set and have no origin."""
    places = change.origins()
    return [path for path in _said(change) if not any(p == path or p.startswith(f"{path}.") for p in places)]


def _said(change: Change) -> Iterator[str]:
    for group in ("patient", "guarantor", "visit", "coding"):
        yield from _fields(group, getattr(change, group))
    for provider in change.providers or ():
        yield f"providers.{provider.role}"
    for name in LISTS:
        items = getattr(change, name)
        for index, item in enumerate(items.items if items else ()):
            yield from _fields(f"{name}[{index}]", item)


def _fields(path: str, record: Record | None) -> Iterator[str]:
    for name in record.model_fields_set - MADE_HERE if record else ():
        if getattr(record, name) not in (None, ()):
            yield f"{path}.{name}"
