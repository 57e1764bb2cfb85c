"""The canonical values that a message says, each with its place in the message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.encounter.change import Change, Items
from gateway.encounter.merge import Merges
from gateway.encounter.record import Record

RECORDS = ("patient", "guarantor", "visit", "coding")
LISTS = ("coverages", "diagnoses", "procedures", "charges", "documents")
_OWN = frozenset({"id", "source", "origin"})
"""What the gateway itself gives an item."""


@dataclass(frozen=True, slots=True)
class Value:
    """A canonical value. `value` None: the message deletes it. `place`: `FT1[1]-25.1`; empty for what no place says."""

    path: str
    value: str | None
    place: str


def values(said: Change | Merges) -> tuple[Value, ...]:
    """All that the message says, in the order of the model."""
    return tuple(_merged(said) if isinstance(said, Merges) else _changed(said))


def _changed(change: Change) -> Iterator[Value]:
    origins = change.origins()
    for name in RECORDS:
        record = getattr(change, name)
        if record is not None:
            yield from _fields(name, record, origins, "")
    for number, provider in enumerate(change.providers or ()):
        yield from _fields(f"providers[{number}]", provider, origins, origins.get(f"providers.{provider.role}", ""))
    for name in LISTS:
        items: Items[Any] | None = getattr(change, name)
        for number, item in enumerate(items.items if items is not None else ()):
            segment = str(getattr(item, "origin", None) or "").partition(" ")[2]
            yield from _fields(f"{name}[{number}]", item, origins, segment)


def _fields(path: str, record: Record, origins: Mapping[str, str], otherwise: str) -> Iterator[Value]:
    said = record.model_dump(mode="json", exclude_unset=True)
    for name, value in said.items():
        if name not in _OWN and (value is not None or path in RECORDS):
            place = origins.get(f"{path}.{name}", otherwise)
            for inner, text in _leaves(f"{path}.{name}", value):
                yield Value(inner, text, origins.get(inner, place))


def _leaves(path: str, value: object) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if inner is not None:
                yield from _leaves(f"{path}.{name}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}[{number}]", inner)
    else:
        yield path, None if value is None else str(value)


def _merged(merges: Merges) -> Iterator[Value]:
    for number, pair in enumerate(merges.pairs):
        path = f"merges[{number}]"
        yield Value(f"{path}.kind", str(pair.kind), "MSH-9")
        yield Value(f"{path}.retired", pair.retired.value, pair.where)
        yield Value(f"{path}.surviving", pair.surviving.value, pair.survives_at)
        if pair.subject is not None:
            yield Value(f"{path}.subject", pair.subject.value, pair.subject_at)
