"""A message that notes what is looked at reads as any other, and tells what nothing looked at."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.watched import WatchedMessage

PAYLOAD = (
    b'MSH|^~\\&|A|B|||2026||ADT^A01|7|P|2.5\rEVN|A01|2026\rPID|1||P1~P2||QUILL^MAY||""|F\rZXY|1|BED\rZXY|2|BED|X\r'
)


def watched() -> WatchedMessage:
    message = WatchedMessage.parse(PAYLOAD)
    message.watch()
    return message


def left(message: WatchedMessage) -> dict[str, tuple[int, ...]]:
    return {unread.segment.label: unread.fields for unread in message.unread()}


def test_nothing_looked_at_leaves_all_that_holds_data() -> None:
    assert left(watched()) == {"EVN[1]": (2,), "PID[1]": (3, 5, 8), "ZXY[1]": (2,), "ZXY[2]": (2, 3)}


def test_each_way_of_looking_counts() -> None:
    message = watched()
    assert message.get("PID-5.1") == "QUILL"
    assert message.all("PID-3") == ("P1", "P2")
    assert message.raw("EVN", 2) == "2026"
    assert message.first("PID")[8] == "F"
    assert message.segments("ZXY")[1].fields[2] == "BED"
    assert left(message) == {"ZXY[1]": (2,), "ZXY[2]": (3,)}
    assert [unread.whole for unread in message.unread()] == [True, False]
    assert list(message.first("ZXY"))[-1] == "BED"
    assert left(message) == {"ZXY[2]": (3,)}


def test_what_is_told_is_not_taken_for_looking() -> None:
    message = watched()
    assert list(message.unread()) == list(message.unread())


@given(st.binary(max_size=200))
def test_it_reads_as_any_other_message(rest: bytes) -> None:
    payload = PAYLOAD + rest
    plain, message = Er7Message.parse(payload), WatchedMessage.parse(payload)
    message.watch()
    assert message.names == plain.names
    assert [list(s.fields) for s in message.segments()] == [list(s.fields) for s in plain.segments()]
    assert message.encode() == payload
