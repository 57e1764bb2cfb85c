"""Exports of the trail as rows, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from gateway.store import writes
from gateway.store.instants import instant, micros, micros_or_none
from gateway.store.trail import TrailExport
from gateway.store.writes import Row, Write

if TYPE_CHECKING:
    from gateway.store.interface import Step


def export_rows(step: Step) -> tuple[tuple[Write, list[Row]], ...]:
    """What a step writes and removes of exports."""
    return (
        (writes.TRAIL_EXPORTS_EXPIRED, [(micros(moment),) for moment in step.trail_exports_expired]),
        (writes.TRAIL_EXPORTS_ENDED, [(id_,) for id_ in step.trail_exports_ended]),
        (writes.TRAIL_EXPORTS, [export_row(export) for export in step.trail_exports]),
    )


def export_row(export: TrailExport) -> Row:
    body = {
        "request": export.request,
        "types": export.types,
        "since": micros_or_none(export.since),
        "until": micros_or_none(export.until),
    }
    moments = micros(export.requested), micros(export.expires)
    return (export.id, export.client, *moments, export.last, orjson.dumps(body))


def export_of(row: Sequence[Any]) -> TrailExport:
    """What `export_row` wrote."""
    id_, client, requested, expires, last, body = row
    said = orjson.loads(body)
    since, until = (None if said[name] is None else instant(said[name]) for name in ("since", "until"))
    types = tuple(said["types"])
    return TrailExport(
        id_, client, instant(requested), instant(expires), said["request"], types, last, since=since, until=until
    )
