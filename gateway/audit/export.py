"""The trail for others: CSV for spreadsheets, NDJSON for systems. Lines are made one by one: length does not matter."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from typing import Protocol, TypeVar

import orjson

from gateway.audit.events import Event

COLUMNS = ("seq", "at", "actor", "action", "subject", "encounter", "message", "detail", "hash")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is run as a formula by spreadsheets."""


class Placed(Protocol):
    """An event with its place in the trail and its stored hash."""

    @property
    def seq(self) -> int: ...
    @property
    def hash(self) -> bytes: ...
    @property
    def event(self) -> Event: ...


PlacedT = TypeVar("PlacedT", bound=Placed)

ToResource = Callable[[PlacedT], Mapping[str, object]]
"""What makes an event a resource, as FHIR's AuditEvent."""


def csv_header() -> str:
    return _row(COLUMNS)


def csv_line(placed: Placed) -> str:
    """One record with its end (RFC 4180). Cells that a spreadsheet would run begin with `'`; the hash is in hex."""
    event = placed.event
    said = (
        str(placed.seq),
        event.at.isoformat(),
        event.actor,
        event.action.value,
        event.subject,
        event.encounter or "",
        "" if event.message is None else str(event.message),
        orjson.dumps(event.detail, option=orjson.OPT_SORT_KEYS).decode(),
        placed.hash.hex(),
    )
    return _row(said)


def ndjson_line(placed: PlacedT, to_resource: ToResource[PlacedT]) -> bytes:
    """One line of JSON with its end."""
    return orjson.dumps(to_resource(placed), option=orjson.OPT_APPEND_NEWLINE)


async def as_csv(events: AsyncIterable[Placed]) -> AsyncIterator[str]:
    """The header, then a record for each event."""
    yield csv_header()
    async for placed in events:
        yield csv_line(placed)


async def as_ndjson(events: AsyncIterable[PlacedT], to_resource: ToResource[PlacedT]) -> AsyncIterator[bytes]:
    """A line for each event."""
    async for placed in events:
        yield ndjson_line(placed, to_resource)


def _row(cells: tuple[str, ...]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow([_safe(cell) for cell in cells])
    return text.getvalue()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
