"""Exports read back as what was written, and a spreadsheet runs nothing of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.events import Action, Event
from gateway.audit.export import COLUMNS, Placed, as_csv, as_ndjson, csv_line
from gateway.store.interface import StoredEvent


def placed(subject: str = "message/1", seq: int = 1, **changes: object) -> StoredEvent:
    moment = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    said: dict[str, object] = {"at": moment, "actor": "feed:adt", "action": Action.MESSAGE_RECEIVED, "subject": subject}
    event = Event(**(said | changes))  # type: ignore[arg-type]
    return StoredEvent(seq, event.digest(), event)


async def stream(*lines: StoredEvent) -> AsyncIterator[StoredEvent]:
    for line in lines:
        yield line


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


async def test_each_event_is_a_record_under_the_header() -> None:
    whole = placed(seq=7, encounter="MAIN|AN|1", message=5, detail={"b": 2, "a": 'say "x", y'})
    rows = cells("".join([text async for text in as_csv(stream(placed(), whole))]))
    assert rows[0] == list(COLUMNS)
    assert rows[1][:8] == ["1", "2026-03-01T08:00:00+00:00", "feed:adt", "message.received", "message/1", "", "", "{}"]
    assert rows[2][5:8] == ["MAIN|AN|1", "5", '{"a":"say \\"x\\", y","b":2}']
    assert rows[2][8] == whole.hash.hex()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_run_is_made_text(start: str) -> None:
    row = cells(csv_line(placed(f'{start}cmd|" /C calc"!A0', encounter=f"{start}1")))[0]
    assert row[4] == f'\'{start}cmd|" /C calc"!A0'
    assert row[5] == f"'{start}1"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_any_subject_is_one_cell_of_one_record(subject: str) -> None:
    rows = cells(csv_line(placed(subject)))
    assert len(rows) == 1
    assert len(rows[0]) == len(COLUMNS)
    assert rows[0][4].removeprefix("'") == subject.removeprefix("'")
    assert not rows[0][4].startswith(("=", "+", "-", "@", "\t", "\r"))


async def test_ndjson_is_a_resource_a_line() -> None:
    def to_resource(line: Placed) -> dict[str, object]:
        return {"resourceType": "AuditEvent", "id": str(line.seq), "note": "two\nlines"}

    lines = [line async for line in as_ndjson(stream(placed(seq=1), placed(seq=2)), to_resource)]
    assert [line.count(b"\n") for line in lines] == [1, 1]
    assert [json.loads(line)["id"] for line in lines] == ["1", "2"]
