"""Several messages in one payload: where each begins and ends, and what is wrong with what stands around them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.hl7v2.batch import MAX_MESSAGES, split_batch
from gateway.mappings.hl7v2.er7 import Er7Message

A = b"MSH|^~\\&|EHR|HOSP|GW|GW|20260102||ADT^A01|A|P|2.5.1\rPID|1||1\r"
B = b"MSH|^~\\&|EHR|HOSP|GW|GW|20260102||ADT^A01|B|P|2.5.1\rPID|1||2\r"
FHS, BHS = b"FHS|^~\\&|X", b"BHS|^~\\&|X|||||||77"


def rules(payload: bytes) -> list[str]:
    return [problem.rule for problem in split_batch(payload).problems]


@pytest.mark.parametrize(
    "payload",
    [
        A,
        A[:-1],
        A.replace(b"\r", b"\r\n"),
        b"\xef\xbb\xbf" + A,
        b"\r\n\x0b " + A + b"\r\n",
        A.decode().encode("utf-16"),
        A.decode().encode("utf-16-be"),
        A + b"OBX|1|TX|||MSH|^~\\&|quoted\r",
        A + b"OBX|1|TX|||the last BTS|1\r",
    ],
)
def test_a_single_message_comes_back_as_it_is(payload: bytes) -> None:
    batch = split_batch(payload)
    assert batch.messages == (payload,)
    assert batch.sound
    assert not batch.envelope


def test_a_file_of_two_batches() -> None:
    payload = FHS + b"\r" + BHS + b"\r" + A + B + b"BTS|2\r" + BHS + b"\r" + A + b"BTS|1|done\rFTS|2\r"
    batch = split_batch(payload)
    assert batch.messages == (A, B, A)
    assert batch.headers == (FHS, BHS, BHS)
    assert batch.envelope
    assert batch.sound


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("between", [b"", b"\r\n", b"\x1c\r\x0b", b"\xef\xbb\xbf", b"\x1c\r\n\xef\xbb\xbf"])
def test_messages_that_follow_each_other(end: bytes, between: bytes) -> None:
    first, second = A.replace(b"\r", end), B.replace(b"\r", end)
    batch = split_batch(first + between + second)
    assert [message.rstrip() for message in batch.messages] == [first.rstrip(), second.rstrip()]
    assert [Er7Message.parse(message).get("MSH-10") for message in batch.messages] == ["A", "B"]
    assert batch.sound


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_messages_in_utf_16(encoding: str) -> None:
    first, second = A.decode().replace("HOSP", "Ω𝄞䵍"), B.decode()
    batch = split_batch((first + second + "BTS|2\r").encode(encoding))
    plain = "utf-16-le" if encoding == "utf-16" else encoding
    assert batch.messages == (first.encode(plain), second.encode(plain))
    assert [Er7Message.parse(message).get("MSH-10") for message in batch.messages] == ["A", "B"]


def test_a_message_that_runs_into_the_next_is_cut_there() -> None:
    assert split_batch(A[:-1] + B).messages == (A[:-1], B)


def test_each_message_keeps_its_own_delimiters() -> None:
    other = B.replace(b"|", b"*").replace(b"^", b"%")
    assert split_batch(A + other).messages == (A, other)


@pytest.mark.parametrize(
    ("payload", "rule", "where", "expected", "found"),
    [
        (BHS + b"\r" + A + B + b"BTS|3\r", "batch-count", "BTS[1]-1", 3, 2),
        (BHS + b"\r" + A + B + b"BTS|1|\r", "batch-count", "BTS[1]-1", 1, 2),
        (FHS + b"\r" + BHS + b"\r" + A + b"BTS|1\rFTS|2\r", "file-count", "FTS[1]-1", 2, 1),
        (FHS + b"\r" + A + B + b"FTS|2\r", "file-count", "FTS[1]-1", 2, 1),
        (BHS + b"\r" + A + b"BTS|one\r", "count-unreadable", "BTS[1]-1", None, None),
        (BHS + b"\r" + A, "missing-trailer", "BHS[1]", None, None),
        (FHS + b"\r" + BHS + b"\r" + A + b"BTS|1\r", "missing-trailer", "FHS[1]", None, None),
        (BHS + b"\r" + A + BHS + b"\r" + B + b"BTS|1\r", "missing-trailer", "BHS[1]", None, None),
        (A + b"BTS|1\r", "missing-header", "BTS[1]", None, None),
        (BHS + b"\r" + A + b"BTS|1\rFTS\r", "missing-header", "FTS[1]", None, None),
        (BHS + b"\rZZZ|1\r" + A + b"BTS|1\r", "outside", "BHS[1]", None, None),
        (b"hello\r" + A + B, "outside", "", None, None),
        (b"", "no-message", "", None, None),
        (b"PID|1\r", "no-message", "", None, None),
    ],
)
def test_what_is_wrong_is_told(payload: bytes, rule: str, where: str, expected: int | None, found: int | None) -> None:
    (problem,) = split_batch(payload).problems
    assert (problem.rule, problem.where, problem.expected, problem.found) == (rule, where, expected, found)
    if expected is not None:
        assert f"{expected} " in problem.text
        assert f"{found} came" in problem.text


@pytest.mark.parametrize(
    "payload",
    [
        BHS + b"\rBTS|0\r",
        BHS + b"\r" + A + b"BTS\r",
        BHS + b"\r" + A + b"BTS|\r",
        FHS + b"\r" + A + B + b"FTS|1",
        FHS + b"\n" + BHS + b"\n" + A.replace(b"\r", b"\n") + b"BTS|1\nFTS|1\n\x1a",
        b"BHS*^~\\&*X\r" + A + b"BTS*1\r",
    ],
)
def test_what_is_right_is_not_complained_of(payload: bytes) -> None:
    assert rules(payload) == []


def test_the_gateway_does_not_drown_in_messages() -> None:
    batch = split_batch(b"\rMSH|" * (MAX_MESSAGES + 1))
    assert batch.messages == ()
    assert [problem.rule for problem in batch.problems] == ["too-many"]


@given(st.lists(st.sampled_from([A, B, b"BTS|1\r", BHS + b"\r", b"FTS|9\r", FHS + b"\r", b"x\r", b"\x1c\r"])))
def test_nothing_of_a_message_is_lost(pieces: list[bytes]) -> None:
    payload = b"".join(pieces)
    batch = split_batch(payload)
    assert sum(message.count(b"PID|") for message in batch.messages) == payload.count(b"PID|")
    at = 0
    for message in batch.messages:
        at = payload.index(message, at) + len(message)


@given(st.binary(max_size=200))
def test_any_bytes_are_cut(payload: bytes) -> None:
    for message in split_batch(b"MSH|^~\\&|" + payload).messages:
        assert message in b"MSH|^~\\&|" + payload


@pytest.mark.parametrize("unit", [b"\rMSH|", b" ", b"\r \t", b"MSH|^~\\&|", b"\rBTS|1", b"\xef\xbb\xbf", b"\x1c\r"])
def test_a_hostile_payload_takes_time_in_proportion_to_its_size(unit: bytes) -> None:
    payload = A + unit * (1_000_000 // len(unit))
    started = time.process_time()
    split_batch(payload)
    assert time.process_time() - started < 2


def test_every_shared_message_is_found(shared_data: Path) -> None:
    """All but five of the files hold one message, without an envelope."""
    several = {}
    for path in sorted((shared_data / "v2").rglob("*")):
        if path.suffix in (".hl7", ".orig"):
            batch = split_batch(path.read_bytes())
            if len(batch.messages) != 1 or batch.envelope:
                counts = [(p.expected, p.found) for p in batch.problems if p.expected is not None]
                several[f"{path.parent.name}/{path.name}"] = (len(batch.messages), counts)
    assert several == {
        "cdc-reportstream/049.hl7": (1, [(25, 1)]),
        "cdc-reportstream/064.hl7": (1, []),
        "ms-fhir-converter/146.hl7": (2, [(1, 2)]),
        "ms-fhir-converter/146.orig": (2, [(1, 2)]),
        "simhospital/021.hl7": (2, []),
    }
