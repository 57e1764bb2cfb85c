"""Which answers a sender gets (MSH-15, MSH-16), to a message and to a batch."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.hl7v2.ack import AckCode, AckError, ErrorCode
from gateway.mappings.hl7v2.batch_reply import batch_reply
from gateway.mappings.hl7v2.header import route
from gateway.mappings.hl7v2.reply import BETWEEN, reply

NOW = datetime(2026, 11, 3, 8, 15, tzinfo=UTC)
ERROR = AckError(ErrorCode.INTERNAL, "not now")


def message(accept: str = "", application: str = "", control: str = "C1") -> bytes:
    return f"MSH|^~\\&|EPIC|MAIN|GW|HQ|20261103||ADT^A08|{control}|P|2.5.1|||{accept}|{application}\rPID|1\r".encode()


def codes(payload: bytes, code: AckCode, silence: bool = True) -> list[str]:
    error = None if code is AckCode.ACCEPT else ERROR
    said = reply(route(payload), code, now=NOW, ack_id="77", error=error, silence=silence)
    return [answer.split(b"\rMSA|")[1][:2].decode() for answer in said.split(BETWEEN) if answer]


@pytest.mark.parametrize(
    ("accept", "application", "taken", "not_taken"),
    [
        ("", "", ["AA"], ["AE"]),
        ("AL", "", ["CA"], ["CE"]),
        ("AL", "NE", ["CA"], ["CE"]),
        ("AL", "AL", ["CA", "AA"], ["CE"]),
        ("NE", "AL", ["AA"], ["AE"]),
        ("", "AL", ["AA"], ["AE"]),
        ("NE", "NE", [], []),
        ("NE", "", ["AA"], ["AE"]),
        ("", "NE", ["AA"], ["AE"]),
        ("ER", "NE", [], ["CE"]),
        ("ER", "ER", [], ["CE"]),
        ("NE", "ER", [], ["AE"]),
        ("SU", "NE", ["CA"], []),
        ("SU", "AL", ["CA", "AA"], ["AE"]),
        ("AL", "ER", ["CA"], ["CE"]),
        ("AL", "SU", ["CA", "AA"], ["CE"]),
        ("XX", "yes", ["AA"], ["AE"]),
        ("XX", "AL", ["AA"], ["AE"]),
    ],
)
def test_the_answers_are_those_that_the_sender_asks_for(
    accept: str, application: str, taken: list[str], not_taken: list[str]
) -> None:
    assert codes(message(accept, application), AckCode.ACCEPT) == taken
    assert codes(message(accept, application), AckCode.ERROR) == not_taken
    assert codes(message(accept, application), AckCode.ACCEPT, silence=False) == (taken or ["AA"])
    assert codes(message(accept, application), AckCode.ERROR, silence=False) == (not_taken or ["AE"])


def test_a_reject_is_told_in_the_form_that_is_asked_for() -> None:
    assert codes(message("AL", "AL"), AckCode.REJECT) == ["CR"]
    assert codes(message("NE", "AL"), AckCode.REJECT) == ["AR"]


def test_both_answers_name_the_message_and_have_ids_of_their_own() -> None:
    said = reply(route(message("AL", "AL")), AckCode.ACCEPT, now=NOW, ack_id="77").split(BETWEEN)
    assert [answer.split(b"|")[9] for answer in said] == [b"77", b"77A"]
    assert all(answer.endswith(b"|C1\r") for answer in said)


@given(st.text(max_size=4), st.text(max_size=4), st.sampled_from(AckCode))
def test_whatever_the_fields_hold_there_are_at_most_two_answers(accept: str, application: str, code: AckCode) -> None:
    assert len(codes(message(accept, application), code)) <= 2


HEADER = b"BHS|^~\\&|EPIC|MAIN|GW|HQ|20261103||name|comment|B17"


def test_a_batch_is_answered_by_a_batch_that_names_it() -> None:
    replies = [reply(route(message(control=c)), AckCode.ACCEPT, now=NOW, ack_id="7") for c in ("C1", "C2")]
    said = batch_reply([HEADER], replies, now=NOW, batch_id="88").split(b"\r")
    assert said[0] == b"BHS|^~\\&|GW|HQ|EPIC|MAIN|20261103081500+0000||||88|B17"
    assert [line for line in said if line.startswith(b"MSA")] == [b"MSA|AA|C1", b"MSA|AA|C2"]
    assert said[-2:] == [b"BTS|2", b""]


def test_a_batch_without_a_header_is_answered_too() -> None:
    assert batch_reply([], [], now=NOW, batch_id="88") == b"BHS|^~\\&|||||20261103081500+0000||||88\rBTS|0\r"


def test_answers_that_nobody_wants_are_not_counted_and_both_of_one_message_are() -> None:
    replies = [
        reply(route(message(*asked)), AckCode.ACCEPT, now=NOW, ack_id="7", silence=True)
        for asked in (("NE", "NE"), ("AL", "AL"))
    ]
    said = batch_reply([HEADER], replies, now=NOW, batch_id="88")
    assert said.endswith(b"BTS|2\r")
    assert b"\x1c" not in said
    assert said.count(b"\rMSA|") == 2


def test_an_answer_in_utf_16_is_written_as_the_rest_is() -> None:
    wide = b"\xff\xfe" + message().decode().encode("utf-16-le")
    said = batch_reply([HEADER], [reply(route(wide), AckCode.ACCEPT, now=NOW, ack_id="7")], now=NOW, batch_id="88")
    assert b"\0" not in said
    assert b"\rMSA|AA|C1\r" in said


@given(st.binary(max_size=80))
def test_no_header_of_a_batch_can_forge_a_line_or_end_a_frame(junk: bytes) -> None:
    said = batch_reply([b"BHS" + junk], [], now=NOW, batch_id="88")
    assert said.count(b"\r") == 2
    assert not any(byte < 32 and byte != 13 for byte in said)
    assert said.startswith(b"BHS|^~\\&|")
