"""Reading a DFT^P03 of 39 segments and 2.9 KB, beside python-hl7 parsing the same message and no more.

All that is read, and the whole Change, come from `fixtures/hl7v2/dft_p03.hl7`. As in a running gateway, the texts that
come again with every message (codes, days, providers, quantities) have been read before; names and numbers have not.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import hl7

from bench.measured import ROOT, Row, show
from gateway.mappings.hl7v2.ack import AckCode, acknowledge
from gateway.mappings.hl7v2.dialect import load_dialects
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.header import route
from gateway.mappings.hl7v2.mapping import FeedProfile, map_message
from gateway.mappings.hl7v2.path import Path

PEER = "python-hl7 parse"


def _best(action: Callable[[], object], number: int) -> float:
    """Microseconds for one call: the least of 40 rounds, which a busy machine disturbs least."""
    return min(timeit.repeat(action, number=number, repeat=40)) / number * 1e6


def _paths(message: Er7Message, source: FeedProfile) -> list[Path]:
    """Where all values stand that the mapping takes from the message."""
    change = map_message(message, source, 1)
    return [Path.parse(place.replace("[1]-", "-", 1)) for place in change.origins().values()]  # type: ignore[union-attr]


def run() -> list[Row]:
    """What each way of reading costs, and how many times as fast as the peer it is."""
    payload = (ROOT / "fixtures" / "hl7v2" / "dft_p03.hl7").read_bytes()
    text = payload.decode()
    source = FeedProfile("epic", "MAIN", ZoneInfo("America/Chicago"), load_dialects()["epic"])
    paths = _paths(Er7Message.parse(payload), source)
    header, now = route(payload), datetime.now(UTC)

    def read_values() -> None:
        get = Er7Message.parse(payload).get
        for path in paths:
            get(path)

    peer = _best(lambda: hl7.parse(text), 3)
    rows = [
        ("route by MSH", _best(lambda: route(payload).type, 500), None),
        ("acknowledge", _best(lambda: acknowledge(header, AckCode.ACCEPT, now=now, ack_id="1"), 500), None),
        ("segments", _best(lambda: Er7Message.parse(payload), 100), None),
        (f"{len(paths)} values by path", _best(read_values, 20), 5.0),
        ("the whole Change", _best(lambda: map_message(Er7Message.parse(payload), source, 1), 20), 5.0),
    ]
    shown = [Row(PEER, f"{peer:.0f} us", {}, {})]
    for name, micros, wanted in rows:
        shown.append(Row(name, f"{micros:.1f} us", {PEER: peer / micros}, {PEER: wanted} if wanted else {}))
    return shown


def main() -> None:
    show("Reading a DFT^P03", run())


if __name__ == "__main__":
    main()
