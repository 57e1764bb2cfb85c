"""What a kept resource is found by, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from gateway.mappings.fhir.search_values import Value, search_values
from gateway.store import writes
from gateway.store.interface import ResourceVersion
from gateway.store.records import Found, resource
from gateway.store.resources import REFERENCE
from gateway.store.texts import plain
from gateway.store.writes import Row, Write

AT_ONCE = 64
"""Resources that are catalogued in one commit: the loop stands still for some milliseconds."""


def entries(payload: bytes) -> tuple[Value, ...]:
    """`(name, token)` of the resource that `payload` is. Nothing for what is none: only its address finds it."""
    try:
        said = orjson.loads(payload)
    except ValueError:
        return ()
    return search_values(said, payload) if isinstance(said, dict) else ()


def value_rows(version: ResourceVersion, payload: bytes) -> list[Row]:
    """What the version is found by, whose bytes are `payload`. A reference that a search parameter gives has one row,
    under the parameter's name.
    """
    values = entries(payload) if version.values is None else version.values
    client, type_, message = plain(version.client), version.type, version.message
    named = {token for name, token in values if name != REFERENCE}
    return [
        (client, name, plain(token), type_, message)
        for name, token in values
        if name != REFERENCE or token not in named
    ]


def catalogued(found: Sequence[Found]) -> dict[Write, list[Row]]:
    """Versions as `UNCATALOGUED` gives them, entered. Of one that was superseded meanwhile nothing is found."""
    values: list[Row] = []
    for *row, payload, newest in found:
        if newest:
            values += value_rows(replace(resource(row), values=None), payload)
    batch: dict[Write, list[Row]] = {writes.CATALOGUED: [(row[4],) for row in found]}
    if values:
        batch[writes.RESOURCE_VALUES] = values
    return batch
