"""What each dialect makes of its own messages, with the origin of every value, against the files in fixtures/dialects.

`GATEWAY_WRITE_GOLDEN=1 pytest tests/mappings/hl7v2/test_hl7v2_golden.py` writes them anew; read the difference then.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from gateway.encounter.apply import apply
from gateway.encounter.change import Change
from gateway.mappings.hl7v2.dialect import Dialect
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.mapping import FeedProfile, map_message
from tests.mappings.hl7v2.origins_checked import ORIGIN, unplaced

DIRECTORY = Path(__file__).parents[3] / "fixtures" / "dialects"
MESSAGES = sorted(DIRECTORY.glob("*/*.hl7"))


def mapped(path: Path, dialect: Dialect) -> Change:
    profile = FeedProfile(path.parent.name, "MAIN", ZoneInfo("America/New_York"), dialect)
    change = map_message(Er7Message.parse(path.read_bytes()), profile, 1)
    assert isinstance(change, Change)
    return change


def told(change: Change) -> dict[str, Any]:
    """The encounter after the message, where each value came from, and what could not be used."""
    encounter = orjson.loads(apply(None, change).to_json())
    for made in ("history", "problems"):
        encounter.pop(made)
    problems = [
        {name: value for name in ("rule", "where", "code", "table", "value") if (value := getattr(p, name)) is not None}
        for p in change.problems
    ]
    return {"encounter": encounter, "origins": dict(sorted(change.origins().items())), "problems": problems}


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden(path: Path, dialects: dict[str, Dialect]) -> None:
    change = mapped(path, dialects[path.parent.name])
    found, golden = told(change), path.with_suffix(".json")
    if os.environ.get("GATEWAY_WRITE_GOLDEN"):
        golden.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    assert found == orjson.loads(golden.read_bytes())
    assert unplaced(change) == []
    assert [place for place in found["origins"].values() if not ORIGIN.fullmatch(place)] == []


def test_every_dialect_has_golden_files(dialects: dict[str, Dialect]) -> None:
    assert {path.parent.name for path in MESSAGES} == dialects.keys()
