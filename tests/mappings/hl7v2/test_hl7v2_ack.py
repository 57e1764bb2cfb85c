"""Acknowledgements, and the header that they answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.hl7v2.ack import AckCode, AckError, ErrorCode, acknowledge
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.header import Header, route

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MSH = b"MSH|^~\\&|EHR^1.2^ISO|HOSP|GW|BILL|20260102||DFT^P03^DFT_P03|C-1|T|2.5.1\r"
ERROR = AckError(ErrorCode.UNKNOWN_KEY, "no account\rMSA|AA", "PID", 18)


def answer(payload: bytes, code: AckCode = AckCode.ACCEPT, error: AckError | None = None) -> bytes:
    return acknowledge(route(payload), code, now=NOW, ack_id="77", error=error)


def test_an_accepted_message() -> None:
    assert answer(MSH) == (
        b"MSH|^~\\&|GW|BILL|EHR^1.2^ISO|HOSP|20260102030405+0000||ACK^P03^ACK|77|T|2.5.1\rMSA|AA|C-1\r"
    )


def test_an_error_from_version_2_5_on_stands_in_err() -> None:
    err = answer(MSH, AckCode.ERROR, ERROR).split(b"\r")[2]
    assert err == b"ERR||PID^1^18|204^Unknown key identifier^HL70357|E||||no account\\X0D\\MSA\\F\\AA"


def test_an_older_error_stands_in_msa_and_err_1() -> None:
    lines = answer(MSH.replace(b"2.5.1", b"2.3"), AckCode.REJECT, ERROR).split(b"\r")
    assert lines[0].endswith(b"|ACK^P03|77|T|2.3")
    assert lines[1] == b"MSA|AR|C-1|no account\\X0D\\MSA\\F\\AA"
    assert lines[2] == b"ERR|PID^^18^204&Unknown key identifier&HL70357"


@pytest.mark.parametrize(("accept", "code"), [(b"AL", b"CA"), (b"ER", b"CA"), (b"NE", b"AA"), (b"", b"AA")])
def test_enhanced_mode_gets_the_commit_form(accept: bytes, code: bytes) -> None:
    payload = MSH.rstrip(b"\r") + b"|||" + accept + b"|NE\r"
    assert route(payload).accept_acknowledgement == accept.decode()
    assert answer(payload).split(b"\r")[1].startswith(b"MSA|" + code + b"|")


def test_the_senders_delimiters_and_bytes_come_back() -> None:
    reply = answer(b"MSH*@!/%*E\xe9*F*G*H***ADT@A01*ID\xff\xe9*P*2.4\r")
    assert reply == b"MSH*@!/%*G*H*E\xe9*F*20260102030405+0000**ACK@A01@ACK*77*P*2.4\rMSA*AA*ID\xff\xe9\r"


@pytest.mark.parametrize("encoding", [b"", b"^^^^", b"abcd", b"^~", b"\xff\xfe\xfd\xfc", b"^~\\\\&"])
def test_odd_delimiters_are_answered_in_the_standards(encoding: bytes) -> None:
    reply = answer(b"MSH|" + encoding + b"|E|F|G|H|||ADT^A01|C~1|P|2.5\r")
    message = Er7Message.parse(reply)
    assert message.delimiters.encoding == "^~\\&"
    assert message.get("MSA-1") == "AA"
    assert message.get("MSA-2") == "C~1"


def test_a_header_that_is_not_there_is_answered_all_the_same() -> None:
    reply = answer(b"not a message", AckCode.REJECT, AckError(ErrorCode.SEGMENT_SEQUENCE, "no MSH"))
    assert Er7Message.parse(reply).get("MSA-1") == "AR"
    assert Er7Message.parse(reply).get("ERR-8") == "no MSH"


def test_the_time_is_utc() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=5)))
    assert acknowledge(route(MSH), AckCode.ACCEPT, now=east, ack_id="77") == answer(MSH)


def test_the_header_says_what_the_acknowledging_path_needs() -> None:
    header = route(MSH)
    assert (header.type, header.control, header.version) == ("DFT^P03", "C-1", "2.5.1")
    assert (header.sending_application, header.sending_facility) == ("EHR", "HOSP")
    assert header.present
    assert route(b"\xef\xbb\xbf\r\n" + MSH).control == "C-1"
    assert route(MSH.decode().encode("utf-16")).control == "C-1"
    assert route(b"FHS|^~\\&|\rBHS|^~\\&|\r" + MSH).control == "C-1"
    assert route(b"MSH|^~\\&||||||||C-12").control == "C-12"
    assert route(b"MSH|^~\\&||||||||C-1\n2|P\nPID|1").control == "C-12"
    assert route(b"MSH|^~\\&||||||||C-1\r2|P\rPID|1\r").control == "C-12"
    assert route(MSH.replace(b"C-1", b"C\x1c\x0b1")).control == "C1"
    assert route(MSH.replace(b"DFT^P03^DFT_P03", b"ACK")).type == "ACK"


@given(st.binary(max_size=120) | st.binary(max_size=120).map(lambda tail: b"MSH|^~\\&" + tail))
def test_garbage_is_routed_and_answered_without_an_exception(payload: bytes) -> None:
    header = route(payload)
    assert isinstance(header, Header)
    values = (header.type, header.control, header.version, header.sending_application, header.sending_facility)
    assert all(len(value) <= 520 and "\0" not in value for value in values)
    reply = acknowledge(header, AckCode.ERROR, now=NOW, ack_id="1", error=ERROR)
    assert Er7Message.parse(reply).names[:2] == ["MSH", "MSA"]
    assert reply.count(b"\r") == 3
    assert b"\x0b" not in reply
    assert b"\x1c" not in reply


def test_every_shared_message_is_answered_under_its_own_control_id(shared_data: Path) -> None:
    for path in sorted((shared_data / "v2").rglob("*.hl7")):
        payload = path.read_bytes()
        sent = Er7Message.parse(payload)
        reply = Er7Message.parse(answer(payload))
        control = sent.raw("MSH", 10).replace("\n", "")
        assert reply.raw("MSA", 2) == control, path.name
        assert route(payload).control == control, path.name
