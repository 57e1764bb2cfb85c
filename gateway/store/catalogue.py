"""What a kept resource is found by, as rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from gateway.logs import logger
from gateway.mappings.fhir.search_values import Value, search_values
from gateway.store import writes
from gateway.store.interface import ResourceVersion
from gateway.store.records import Found, resource
from gateway.store.resources import REFERENCE
from gateway.store.texts import plain
from gateway.store.writes import Row, Write

log = logger("store")

AT_ONCE = 64
"""Resources that are catalogued in one commit: the loop stands still for some milliseconds."""
BYTES_AT_ONCE = 1024 * 1024
"""Of resources that are catalogued in one commit, unless one alone has more: documents are large."""


def entries(payload: bytes) -> tuple[Value, ...]:
    """`(name, token)` of the resource that `payload` is. Nothing for what is none: only its address finds it."""
    try:
        said = orjson.loads(payload)
    except ValueError:  # perhaps of a number beyond all bounds, which the door does not look at, and nobody searches by
        said = _without_numbers(payload)
    return search_values(said, payload) if isinstance(said, dict) else ()


def _without_numbers(payload: bytes) -> Any:
    try:
        return json.loads(payload, parse_int=_nothing, parse_float=_nothing)
    except ValueError:
        return None


def _nothing(_: str) -> None:
    return None


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
            values += _entered(resource(row), payload)
    batch: dict[Write, list[Row]] = {writes.CATALOGUED: [(row[4],) for row in found]}
    if values:
        batch[writes.RESOURCE_VALUES] = values
    return batch


def _entered(version: ResourceVersion, payload: bytes) -> list[Row]:
    """One that cannot be looked through is found by its address only, and the log tells: it must not keep all others
    from being found."""
    try:
        return value_rows(replace(version, values=None), payload)
    except Exception as fault:  # noqa: BLE001
        log.error("store.not_catalogued", message=version.message, fault=type(fault).__qualname__)  # noqa: TRY400
        return []
