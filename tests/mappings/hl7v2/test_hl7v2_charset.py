"""Character sets: as the bytes show, as MSH-18 says, as the feed is configured; what is uncertain is told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.mappings.hl7v2.ack import AckCode, acknowledge
from gateway.mappings.hl7v2.charset import CODECS, NAMES, decode, known
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.header import route


def payload(charset: str, data: bytes) -> bytes:
    return b"MSH|^~\\&|E|F|G|H|20260102||ADT^A01|1|P|2.5||||||" + charset.encode() + b"\rPID|||||" + data + b"\r"


@pytest.mark.parametrize(
    ("charset", "data", "value"),
    [
        ("", "Zoë".encode(), "Zoë"),
        ("8859/1", "Zoë".encode("latin-1"), "Zoë"),
        ("8859/2", "Łódź".encode("iso8859-2"), "Łódź"),
        ("8859/5", "Анна".encode("iso8859-5"), "Анна"),
        ("8859/15", "€".encode("iso8859-15"), "€"),
        ("8859/9~ASCII", "ğ".encode("iso8859-9"), "ğ"),
        ("windows-1252", "“Zoë”".encode("cp1252"), "“Zoë”"),
        ("UNICODE UTF-8", "Zoë 山".encode(), "Zoë 山"),
        ("UTF-8", "Zoë".encode(), "Zoë"),
        ("~ISO IR87", "山田太郎".encode("iso2022_jp"), "山田太郎"),
        ("ISO IR14~ISO IR87~ISO IR159", "丂".encode("iso2022_jp_ext"), "丂"),
        ("ISO IR87", "山".encode("iso2022_jp"), "山"),
        ("GB 18030-2000", "王小明".encode("gb18030"), "王小明"),
        ("BIG-5", "許功蓋".encode("big5"), "許功蓋"),
        ("KS X 1001", "홍길동".encode("euc_kr"), "홍길동"),
        ("SHIFT_JIS", "ソ|".encode("cp932")[:2], "ソ"),
    ],
)
def test_what_is_declared_is_read(charset: str, data: bytes, value: str) -> None:
    message = Er7Message.parse(payload(charset, data))
    assert message.get("PID-5") == value
    assert message.problems == ()
    assert message.unreadable == 0
    assert message.encode() == payload(charset, data)


@pytest.mark.parametrize(
    ("charset", "data", "value", "encoding"),
    [
        ("ASCII", "Zoë".encode(), "Zoë", "utf-8"),
        ("ASCII", "Zoë".encode("cp1252"), "Zoë", "cp1252"),
        ("", "Zoë".encode("cp1252"), "Zoë", "cp1252"),
        ("UNICODE UTF-8", "Zoë".encode("latin-1"), "Zoë", "cp1252"),
        ("UNICODE UTF-16", "Zoë".encode(), "Zoë", "utf-8"),
        ("8859/1", "“Zoë”".encode("cp1252"), "“Zoë”", "cp1252"),
        ("8859/7", "Zoë\N{GREEK SMALL LETTER OMEGA}".encode() + b"\xd2", "", "iso8859-7"),
        ("KS X 1001", "山".encode(), "山", "utf-8"),
        ("CNS 11643-1992", "Zoë".encode(), "Zoë", "utf-8"),
        ("DOE^JANE", "Zoë".encode(), "Zoë", "utf-8"),
    ],
)
def test_what_is_not_as_declared_is_read_and_told(charset: str, data: bytes, value: str, encoding: str) -> None:
    message = Er7Message.parse(payload(charset, data))
    assert message.encoding == encoding
    assert [(p.rule, p.where) for p in message.problems] == [("charset", "MSH-18")]
    assert "DOE" not in message.problems[0].text
    assert message.encode() == payload(charset, data)
    if value:
        assert message.get("PID-5") == value


@pytest.mark.parametrize(
    ("charset", "data", "value"),
    [("", b"Zo\x81", "Zo\ufffd"), ("", b"Zo\x00x", "Zo\ufffdx"), ("BIG-5", b"\xb3\\Z\xff", "許Z\ufffd")],
)
def test_what_no_set_gives_is_kept_and_counted(charset: str, data: bytes, value: str) -> None:
    message = Er7Message.parse(payload(charset, data))
    assert message.get("PID-5") == value
    assert message.unreadable == 1
    assert [(p.rule, p.where) for p in message.problems] == [("charset", "MSH-18")]
    assert message.encode() == payload(charset, data)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("charset", ["", "ASCII", "8859/1", "UNICODE UTF-16"])
def test_marks_and_nuls_tell_more_than_the_header(encoding: str, charset: str) -> None:
    sent = payload(charset, "Zoë 𝄞".encode()).decode().encode(encoding)
    message = Er7Message.parse(sent)
    assert message.get("PID-5") == "Zoë 𝄞"
    assert message.problems == ()
    assert message.encode() == sent


def test_the_feeds_own_set_counts_where_the_message_names_none() -> None:
    latin = payload("", "Zoë Ω".encode("iso8859-7", "ignore"))
    assert Er7Message.parse(payload("", b"\xd9"), "8859/7").get("PID-5") == "Ω"
    assert Er7Message.parse(payload("", b"\xd9"), "8859/7").problems == ()
    assert Er7Message.parse(payload("8859/1", b"\xd9"), "8859/7").get("PID-5") == "Ù"
    assert Er7Message.parse(latin, "UNICODE UTF-8").encoding == "cp1252"
    assert "feed" in Er7Message.parse(payload("", b"\xd9"), "UNICODE UTF-8").problems[0].text


def test_a_feeds_set_is_named_as_in_the_table() -> None:
    assert known(" unicode utf-8")
    assert known("8859/15")
    assert not known("EBCDIC")
    assert not known("")
    assert set(NAMES) <= CODECS.keys()
    for name, codec in CODECS.items():
        assert "MSH|^~\\&".encode(codec).endswith(b"&") or codec == "utf-16", name


def test_plain_ascii_is_read_at_once() -> None:
    decoded = decode(payload("8859/7", b"DOE"))
    assert (decoded.encoding, decoded.unreadable, decoded.doubt) == ("ascii", 0, "")


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def answer(message: bytes) -> bytes:
    return acknowledge(route(message), AckCode.ACCEPT, now=NOW, ack_id="7")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_the_acknowledgement_comes_in_utf_16_too(encoding: str) -> None:
    sent = "MSH|^~\\&|É|F|G|H|20260102||ADT^A01|Ω1|P|2.5||||||UNICODE UTF-16\rPID|1\r".encode(encoding)
    reply = Er7Message.parse(answer(sent))
    assert reply.encoding.startswith("utf-16")
    assert (reply.get("MSH-5"), reply.get("MSH-18"), reply.get("MSA-2")) == ("É", "UNICODE UTF-16", "Ω1")
    assert len(reply.get("MSH-18") or "") == 14


def test_no_utf_16_ends_the_frame() -> None:
    sent = "MSH|^~\\&|\u0d1c|F|G|H|20260102||ADT^A01|\u0b1c|P|2.5\rPID|1\r".encode("utf-16-le")
    reply = answer(sent)
    assert b"\x1c" not in reply
    assert Er7Message.parse(reply).get("MSA-2") == "\u0b1c"


def test_the_acknowledgement_names_the_set_of_what_it_returns() -> None:
    sent = payload("8859/1", b"").replace(b"|E|", b"|\xc9|")
    reply = Er7Message.parse(answer(sent))
    assert (reply.get("MSH-5"), reply.get("MSH-18")) == ("É", "8859/1")
    assert Er7Message.parse(answer(payload("8859/1", b""))).get("MSH-18") is None
