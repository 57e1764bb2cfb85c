"""Records that a mapping makes without a check hold what the strictest check would let through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.encounter.change import Change
from gateway.encounter.record import Record
from gateway.mappings.errors import MappingError
from gateway.mappings.hl7v2.dialect import Dialect
from gateway.mappings.hl7v2.er7 import Er7Error, Er7Message
from gateway.mappings.hl7v2.mapping import FeedProfile, map_message

GOLDEN = sorted((Path(__file__).parents[3] / "fixtures" / "dialects").glob("*/*.hl7"))


def records(value: object) -> Iterator[Record]:
    """The records in a value, the innermost first."""
    if isinstance(value, Record):
        for inner in vars(value).values():
            yield from records(inner)
        yield value
    elif isinstance(value, tuple):
        for inner in value:
            yield from records(inner)


def said(payload: bytes, dialect: Dialect) -> list[Record]:
    profile = FeedProfile("feed", "MAIN", ZoneInfo("America/New_York"), dialect)
    try:
        change = map_message(Er7Message.parse(payload), profile, 1)
    except (Er7Error, MappingError):
        return []
    if not isinstance(change, Change):
        return []
    lists = (change.coverages, change.diagnoses, change.procedures, change.charges, change.documents)
    parts = (change.identifiers, change.patient, change.guarantor, change.visit, change.providers, change.coding)
    return [*records(parts), *(one for items in lists if items is not None for one in records(items.items))]


def assert_sound(found: list[Record]) -> None:
    for record in found:
        assert list(vars(record)) == list(type(record).model_fields)
        assert type(record).model_validate(vars(record), strict=True) == record


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_of_each_dialects_messages(path: Path, dialects: dict[str, Dialect]) -> None:
    assert_sound(said(path.read_bytes(), dialects[path.parent.name]))


def test_of_real_messages(shared_data: Path, dialects: dict[str, Dialect]) -> None:
    seen = 0
    for path in sorted((shared_data / "v2").glob("*/*.hl7")):
        found = said(path.read_bytes(), dialects["base"])
        assert_sound(found)
        seen += len(found)
    assert seen > 2_000
