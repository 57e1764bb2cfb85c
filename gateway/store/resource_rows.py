"""The resources that clients write, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import orjson

from gateway.store import writes
from gateway.store.catalogue import value_rows
from gateway.store.instants import micros
from gateway.store.interface import ResourceVersion, Step
from gateway.store.resources import MAX_UNLESS
from gateway.store.texts import plain
from gateway.store.writes import Row, SqlValue, Write


def resource_rows(step: Step) -> Iterator[tuple[Write, list[Row]]]:
    """All versions of a step. What each is found by is written with it: one of the same step may ask for it."""
    payloads = {message.id: message.payload for message in step.messages} if step.resources else {}
    conditional = [version for version in step.resources if version.unless]
    yield writes.RESOURCES_LOCKED, [_lock_row(version) for version in conditional]
    yield (
        writes.RESOURCE_VALUES,
        [row for version in step.resources for row in value_rows(version, payloads.get(version.message, b""))],
    )
    yield writes.RESOURCES, [resource_row(version) for version in step.resources if not version.unless]
    yield writes.RESOURCES_UNLESS, [_unless_row(version) for version in conditional]
    yield writes.RESOURCES_SUPERSEDED, [superseded_row(version) for version in step.resources if version.version > 1]


def resource_row(version: ResourceVersion) -> Row:
    client, written = plain(version.client), micros(version.written)
    return (client, version.type, plain(version.id), version.version, version.message, written, 1)


def superseded_row(version: ResourceVersion) -> Row:
    """The version before."""
    return (plain(version.client), version.type, plain(version.id), version.version - 1, 0)


def _unless_row(version: ResourceVersion) -> Row:
    places: list[SqlValue] = []
    for condition in version.unless:
        places += [condition.name, orjson.dumps([plain(token) for token in condition.tokens]).decode()]
    if len(version.unless) > MAX_UNLESS:
        raise ValueError("more conditions than a conditional create has places for")
    return (*resource_row(version), *places, *[None] * 2 * (MAX_UNLESS - len(version.unless)))


def _lock_row(version: ResourceVersion) -> Row:
    """A number for the client and type."""
    digest = sha256(orjson.dumps([plain(version.client), version.type])).digest()
    return (int.from_bytes(digest[:8], "big", signed=True),)
