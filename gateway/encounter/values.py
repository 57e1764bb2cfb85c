"""The values of an encounter by their paths, as people read them: `visit.discharged`, `charges[T1].code`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gateway.encounter.record import Record

GROUPS = ("patient", "guarantor", "visit", "coding")
"""What an encounter has one of."""
LISTS = ("coverages", "diagnoses", "procedures", "charges", "documents")
"""What it has several of, each with an id. Providers have none: their role names them."""
_NOTED = frozenset({"source", "origin"})
"""What the gateway itself notes with an item."""


def fields_of(path: str, record: Record | None) -> Iterator[tuple[str, object]]:
    """The record's fields with their paths; None for one that holds nothing."""
    if record is None:
        return
    for name in type(record).model_fields:
        if name not in _NOTED:
            value = getattr(record, name)
            yield f"{path}.{name}", value if value != () else None


def text_of(value: object) -> str | None:
    """The value as text; None for none."""
    match value:
        case None:
            return None
        case Record():
            return value.as_json().decode()
        case datetime():
            return value.isoformat()
        case tuple():
            return ", ".join(text_of(each) or "" for each in value)
    return str(value)
