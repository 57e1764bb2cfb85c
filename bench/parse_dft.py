"""Reading a DFT^P03 of 39 segments and 2.9 KB, beside python-hl7, hl7apy and a bare `bytes.split` on the same message.

Read are all values that the DFT mapping takes from it, each by its path; a peer reads the same values by its own means.
The peers' parsing alone stands beside it. As in a running gateway, the texts that come again with every message (codes,
days, providers, quantities) have been mapped before; names and numbers have not. Measured is CPU time.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import hl7
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from bench.measured import ROOT, Row, show
from gateway.mappings.hl7v2.ack import AckCode, acknowledge
from gateway.mappings.hl7v2.batch import split_batch
from gateway.mappings.hl7v2.dialect import load_dialects
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.header import route
from gateway.mappings.hl7v2.mapping import FeedProfile, map_message
from gateway.mappings.hl7v2.path import Path

SPLIT = "bytes.split"
PYTHON_HL7, PYTHON_HL7_PARSE = "python-hl7, the same values", "python-hl7, parse only"
HL7APY, HL7APY_PARSE = "hl7apy, the same values", "hl7apy, parse only"


def _best(action: Callable[[], object], number: int, repeat: int = 40) -> float:
    """Microseconds of CPU for one call: the least of many rounds, which a busy machine disturbs least."""
    return min(timeit.repeat(action, number=number, repeat=repeat, timer=time.process_time)) / number * 1e6


def _paths(message: Er7Message, source: FeedProfile) -> list[Path]:
    """Where all values stand that the mapping takes from the message; of those by a table, what was looked up."""
    change = map_message(message, source, 1)
    places = (place.rpartition(" ")[2] for place in change.origins().values())  # type: ignore[union-attr]
    return [Path.parse(place.replace("[1]-", "-", 1)) for place in places if "-" in place]


def _ours(payload: bytes, paths: list[Path]) -> list[str | None]:
    get = Er7Message.parse(payload).get
    return [get(path) for path in paths]


def _python_hl7(text: str, paths: list[Path]) -> list[str]:
    message = hl7.parse(text)
    return [
        str(
            message.extract_field(
                path.segment, path.occurrence, path.field, path.repetition, path.component, path.subcomponent
            )
        )
        for path in paths
    ]


def _hl7apy(text: str, paths: list[Path]) -> list[str]:
    message: Any = _hl7apy_parsed(text)
    values = []
    for path in paths:
        name = path.segment.lower()
        segment = getattr(message, name)[path.occurrence - 1]
        field = getattr(segment, f"{name}_{path.field}")[path.repetition - 1]
        parts = {part.name.rpartition("_")[2]: part for part in field.children}
        own = parts.get(str(path.component))
        values.append(own.to_er7() if own is not None else "" if "1" in parts or "2" in parts else field.to_er7())
    return values


def _hl7apy_parsed(text: str) -> object:
    return parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)


def _split(payload: bytes) -> list[list[bytes]]:
    return [line.split(b"|") for line in payload.split(b"\r")]


def _peers(payload: bytes, paths: list[Path]) -> dict[str, float]:
    """What each peer takes, once it is sure that all read the same."""
    text = payload.decode()
    assert [value or "" for value in _ours(payload, paths)] == _python_hl7(text, paths) == _hl7apy(text, paths)
    return {
        PYTHON_HL7: _best(lambda: _python_hl7(text, paths), 1, 20),
        PYTHON_HL7_PARSE: _best(lambda: hl7.parse(text), 1, 20),
        HL7APY: _best(lambda: _hl7apy(text, paths), 1, 5),
        HL7APY_PARSE: _best(lambda: _hl7apy_parsed(text), 1, 5),
        SPLIT: _best(lambda: _split(payload), 200),
    }


def run() -> list[Row]:
    """What each way of reading costs, and how many times as fast as each peer it is."""
    payload = (ROOT / "fixtures" / "hl7v2" / "dft_p03.hl7").read_bytes()
    source = FeedProfile("epic", "MAIN", ZoneInfo("America/Chicago"), load_dialects()["epic"])
    paths = _paths(Er7Message.parse(payload), source)
    peers = _peers(payload, paths)
    header, now = route(payload), datetime.now(UTC)
    wanted = {PYTHON_HL7: 25.0, HL7APY: 700.0, SPLIT: 1 / 40}
    rows = [
        ("route by MSH", _best(lambda: route(payload).type, 500), {}),
        ("acknowledge", _best(lambda: acknowledge(header, AckCode.ACCEPT, now=now, ack_id="1"), 500), {}),
        ("one message or several", _best(lambda: split_batch(payload), 500), {}),
        ("segments", _best(lambda: Er7Message.parse(payload), 100), {}),
        ("what is odd about it", _best(lambda: Er7Message.parse(payload).problems, 100), {}),
        (f"{len(paths)} values by path", _best(lambda: _ours(payload, paths), 20), wanted),
        (
            "the whole Change",
            _best(lambda: map_message(Er7Message.parse(payload), source, 1), 20),
            {PYTHON_HL7_PARSE: 8.0},
        ),
    ]
    shown = [Row(name, f"{micros:.1f} us", {}, {}) for name, micros in peers.items()]
    for name, micros, targets in rows:
        beside = {peer: theirs / micros for peer, theirs in peers.items()} if targets else {}
        shown.append(Row(name, f"{micros:.1f} us", beside, dict(targets)))
    return shown


def main() -> None:
    show("Reading a DFT^P03", run())


if __name__ == "__main__":
    main()
