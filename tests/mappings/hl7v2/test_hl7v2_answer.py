"""Reading the acknowledgements that receivers give: codes and places, never their words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.hl7v2.ack import AckCode, AckError, ErrorCode, acknowledge
from gateway.mappings.hl7v2.answer import Answer, AnswerError, read_answer
from gateway.mappings.hl7v2.header import route

HEAD = "MSH|^~\\&|B|H|G|M|20250306||ACK^P03^ACK|1|P|2.5.1"


def read(*segments: str, head: str = HEAD) -> Answer | None:
    return read_answer("\r".join((head, *segments, "")).encode())


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (("MSA|AA|C1-1",), Answer("AA", "C1-1")),
        (("MSA|ca|C1-1",), Answer("CA", "C1-1")),
        (("MSA|AE|C1-1|No such code",), Answer("AE", "C1-1", "No such code")),
        (
            ("MSA|AE|C1-1", "ERR||FT1^2^25|103^Not found^HL70357|E||||words"),
            Answer("AE", "C1-1", "", (AnswerError("103", "FT1[2]-25"),)),
        ),
        (
            ("MSA|AE|C1-1", "ERR||PID|101", "ERR|||Z9^Own^L"),
            Answer("AE", "C1-1", "", (AnswerError("101", "PID"), AnswerError("Z9"))),
        ),
        (
            ("MSA|AE|C1-1", "ERR|PID^1^5^101&Required field missing~FT1^2^7^103"),
            Answer("AE", "C1-1", "", (AnswerError("101", "PID[1]-5"), AnswerError("103", "FT1[2]-7"))),
        ),
        (("MSA|AE|C1-1||||207^Internal",), Answer("AE", "C1-1", "", (AnswerError("207"),))),
        (("MSA|AE|C1-1", "ERR||ANN SMITH^1|was not found"), Answer("AE", "C1-1")),
        (("MSA|AE",), Answer("AE", "")),
    ],
)
def test_an_acknowledgement_is_read(segments: tuple[str, ...], expected: Answer) -> None:
    assert read(*segments) == expected


@pytest.mark.parametrize("payload", [b"", b"HTTP/1.1 400", b"MSA|AA|1", HEAD.encode(), HEAD.encode() + b"\rMSA||1\r"])
def test_what_is_none_is_none(payload: bytes) -> None:
    assert read_answer(payload) is None


def test_at_most_ten_errors_are_told() -> None:
    found = read("MSA|AE|1", *(["ERR|||103"] * 50))
    assert found is not None
    assert len(found.errors) == 10


def test_an_error_s_words_are_the_table_s() -> None:
    assert str(AnswerError("103", "FT1[2]-25")) == "103 table value not found at FT1[2]-25"
    assert str(AnswerError("Z9")) == "Z9"


@given(payload=st.binary(max_size=300), tail=st.text(max_size=200))
def test_whatever_comes_is_read_or_is_none(payload: bytes, tail: str) -> None:
    read_answer(payload)
    read_answer(f"{HEAD}\rMSA|AE|1\rERR|{tail}".encode("utf-8", "replace"))


@pytest.mark.parametrize("version", ["2.3", "2.5.1"])
def test_our_own_refusals_are_understood(version: str) -> None:
    header = route(f"MSH|^~\\&|A|B|C|D|20250306||DFT^P03|C1-1|P|{version}\r".encode())
    error = AckError(ErrorCode.UNKNOWN_VALUE, "words", segment="FT1", field=25)
    answer = acknowledge(header, AckCode.ERROR, now=datetime(2025, 3, 6, tzinfo=UTC), ack_id="9", error=error)
    found = read_answer(answer)
    assert found is not None
    assert (found.code, found.control, [each.code for each in found.errors]) == ("AE", "C1-1", ["103"])
