"""The reader: paths, delimiters, line ends, character sets, and that nothing is ever lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.hl7v2.er7 import DELETE, Er7Error, Er7Message, PathError, route
from gateway.mappings.hl7v2.er7 import Path as Er7Path

HEAD = b"MSH|^~\\&|EHR|HOSP|GW|GW|20260102||ADT^A01^ADT_A01|C1|P|2.5.1"
PID = b"PID|1||123^^^HOSP&1.2.3&ISO^MR~9\\T\\8||DOE^JANE^||19700101"


def parse(*segments: bytes, end: bytes = b"\r") -> Er7Message:
    return Er7Message.parse(end.join(segments) + end)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("MSH-1", "|"),
        ("MSH-2", "^~\\&"),
        ("MSH-3", "EHR"),
        ("MSH-9", "ADT"),
        ("MSH-9.2", "A01"),
        ("PID-3", "123"),
        ("PID-3[1].1", "123"),
        ("PID-3[1].4", "HOSP"),
        ("PID-3[1].4.2", "1.2.3"),
        ("PID-3[2].1", "9&8"),
        ("PID-3[3].1", None),
        ("PID-3.9", None),
        ("PID-3.4.9", None),
        ("PID-5.3", None),
        ("PID-99", None),
        ("PID[2]-3", None),
        ("ZZZ-1", None),
    ],
)
def test_paths_are_read_in_the_standards_notation(path: str, value: str | None) -> None:
    assert parse(HEAD, PID).get(path) == value


def test_all_gives_a_value_for_each_repetition() -> None:
    message = parse(HEAD, b"FT1|1", b"FT1|2||||||||||||||||||A1^x~~B2^y")
    assert message.all("FT1[2]-19") == ("A1", None, "B2")
    assert message.all("FT1[1]-19") == ()
    assert message.all("FT1[2]-19.2") == ("x", None, "y")


@pytest.mark.parametrize("text", ["", "PID", "PID-0", "PID-3[0]", "pid-3", "PID-3.1.1.1", "PID_3", "PID-3]", "PID-3 "])
def test_what_is_not_a_path_says_so(text: str) -> None:
    with pytest.raises(PathError, match="SEG-field"):
        Er7Path.parse(text)


def test_a_path_is_compiled_once() -> None:
    assert Er7Path.parse("PID-3[2].1") is Er7Path.parse("PID-3[2].1")
    assert Er7Path.parse("FT1[2]-19[3].1.2").within == "19[3].1.2"


def test_an_explicit_delete_is_not_an_empty_field() -> None:
    message = parse(HEAD, b'PV1|""||a^""^c')
    assert message.get("PV1-1") is DELETE
    assert message.get("PV1-2") is None
    assert message.get("PV1-3.2") is DELETE
    assert parse(HEAD, b"PV1|\\X2222\\").get("PV1-1") is not DELETE


def test_segments_keep_their_order_and_number() -> None:
    message = parse(HEAD, b"FT1|1", b"PR1|1", b"FT1|2")
    assert [s.label for s in message.segments()] == ["MSH[1]", "FT1[1]", "PR1[1]", "FT1[2]"]
    assert [s.fields[1] for s in message.segments("FT1")] == ["1", "2"]
    assert message.names == ["MSH", "FT1", "PR1", "FT1"]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_any_line_end_ends_a_segment(end: bytes) -> None:
    message = parse(HEAD, PID, b"PV1|1|I", end=end)
    assert message.names == ["MSH", "PID", "PV1"]
    assert message.get("PV1-2") == "I"


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        (HEAD + b"\rPID |1||7\r", ["MSH", "PID"]),
        (HEAD + b"\rpid|1||7\r", ["MSH", "PID"]),
        (HEAD + b"\r\rPID|1||7\r\r\r", ["MSH", "PID"]),
        (HEAD, ["MSH"]),
        (b"\n\r " + HEAD + b"\rPID|1||7", ["MSH", "PID"]),
        (b"FHS|^~\\&|X\rBHS|^~\\&|X\r" + HEAD + b"\rPID|1||7\r", ["MSH", "PID"]),
        (b"\xef\xbb\xbf" + HEAD + b"\rPID|1||7\r", ["MSH", "PID"]),
        (b"\x0b" + HEAD + b"\rPID|1||7\r\x1c\r", ["MSH", "PID"]),
        (b"\r\n\xef\xbb\xbf" + HEAD + b"\r\nPID|1||7\n\r", ["MSH", "PID"]),
        (HEAD.replace(b"MSH", b"msh ") + b"\r pid|1||7\r", ["MSH", "PID"]),
        (b"POST /hl7 HTTP/1.1\r\n\r\n" + HEAD + b"\rPID|1||7\r", ["MSH", "PID"]),
        (HEAD + b"\rPID|1||7\nPV1|1\r\nOBX|1\rZZ1", ["MSH", "PID", "PV1", "OBX", "ZZ1"]),
        (b"\r\n" + HEAD + b"\rPID|1||7", ["MSH", "PID"]),
        (("\r\n" + HEAD.decode() + "\rPID|1||7\r").encode("utf-16-le"), ["MSH", "PID"]),
        ((HEAD.decode() + "\rPID|1||7\r").encode("utf-16"), ["MSH", "PID"]),
        ((HEAD.decode() + "\rPID|1||7\r").encode("utf-16-be"), ["MSH", "PID"]),
    ],
)
def test_ways_that_segments_come(payload: bytes, names: list[str]) -> None:
    message = Er7Message.parse(payload)
    assert message.names == names
    assert message.encode() == payload
    if "PID" in names:
        assert message.get("PID-3") == "7"


def test_a_line_break_inside_a_value_belongs_to_it() -> None:
    message = Er7Message.parse(HEAD + b"\rOBX|1|TX|||first\nsecond line\rOBX|2|TX|||third\r")
    assert message.names == ["MSH", "OBX", "OBX"]
    assert message.get("OBX-5") == "first\nsecond line"
    assert message.get("OBX[2]-5") == "third"


@pytest.mark.parametrize(
    ("declared", "read"),
    [
        ("^~\\&", "^~\\&"),
        ("^~\\&#", "^~\\&#"),
        ("^~\\\\&", "^~\\&"),
        ("^~&", "^~\\&"),
        ("", "^~\\&"),
        ("^", "^~\\&"),
        ("@~\\&", "@~\\&"),
        ("$%*!", "$%*!"),
        ("$", "$~\\&"),
        ("abcd", "^~\\&"),
    ],
)
def test_delimiters_are_the_senders_where_it_names_them(declared: str, read: str) -> None:
    component, repetition = read[0], read[1]
    text = f"MSH|{declared}|EHR\rPID|1||A{component}B{repetition}C{component}D\r"
    message = Er7Message.parse(text.encode())
    assert message.delimiters.encoding == read
    assert message.get("PID-3[1].2") == "B"
    assert message.get("PID-3[2].1") == "C"


def test_another_field_separator() -> None:
    message = Er7Message.parse(b"MSH*^~\\&*EHR\rPID*1**7^8\r")
    assert message.get("MSH-1") == "*"
    assert message.get("PID-3.2") == "8"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"PID|1",
        b"hello",
        b"MSHELLO",
        b"MSH\x00|",
        b"xMSH|^~\\&",
        b"PID|MSH|^~\\&",
        b"\x00\xff\xfe",
        b"FHS|^~\\&|X\rBTS|1\r",
        b" ",
    ],
)
def test_without_msh_there_is_no_message(payload: bytes) -> None:
    with pytest.raises(Er7Error, match="MSH"):
        Er7Message.parse(payload)


def test_a_segment_that_runs_into_another_is_told() -> None:
    payload = HEAD + b"\rPID|1||7||DOE^JANEPV1|1|I\rFT1|1|T1|PR1|2||99213\rDG1|1||J18.9DRG|470^A\r"
    message = Er7Message.parse(payload)
    assert message.names == ["MSH", "PID", "FT1", "DG1"]
    problems = message.problems
    assert [(p.rule, p.where) for p in problems] == [("segment-run-in", f"{name}[1]") for name in ("PID", "FT1", "DG1")]
    assert ["PV1" in problems[0].text, "PR1" in problems[1].text, "DRG" in problems[2].text] == [True] * 3
    assert "JANE" not in problems[0].text


@pytest.mark.parametrize(
    "tail",
    [
        b"PID|1||7\r PV1|1\r\nFT1 |1|x\n",
        b"OBX|1|TX|||see DG1 and PV1\rERR|PID^1^3|FT1\r",
        b"OBX|1|TX|||one\nPV1 two\r",
        b"pv1|1|\r\rDG1|1|\r",
    ],
)
def test_what_is_well_is_not_complained_of(tail: bytes) -> None:
    assert Er7Message.parse(HEAD + b"\r" + tail).problems == ()


def test_segments_that_run_in_are_told_in_utf_16_too() -> None:
    text = HEAD.decode() + "\rPID|1||7||DOE^JANEPV1|1|I\r"
    assert [p.rule for p in Er7Message.parse(text.encode("utf-16")).problems] == ["segment-run-in"]


def test_a_line_after_a_name_alone_belongs_to_it() -> None:
    message = Er7Message.parse(HEAD + b"\rZZ1\nabc def\r\n \nPID|1\r")
    assert message.names == ["MSH", "ZZ1", "PID"]
    assert message.segments("ZZ1")[0].fields == ["ZZ1\nabc def"]


@pytest.mark.parametrize(
    ("payload", "rule", "where"),
    [
        (b"lost line\r" + HEAD + b"\r", "outside", "MSH"),
        (b"MSH||EHR\r", "delimiters", "MSH-2"),
        (b"MSH|abcd|EHR\r", "delimiters", "MSH-2"),
    ],
)
def test_what_is_odd_about_a_whole_message_is_told(payload: bytes, rule: str, where: str) -> None:
    assert [(p.rule, p.where) for p in Er7Message.parse(payload).problems] == [(rule, where)]


def test_every_shared_message_comes_back_byte_for_byte(shared_data: Path) -> None:
    files = [path for path in sorted((shared_data / "v2").rglob("*")) if path.suffix in (".hl7", ".orig")]
    assert len([path for path in files if path.suffix == ".hl7"]) == 593
    for path in files:
        payload = path.read_bytes()
        message = Er7Message.parse(payload)
        assert message.encode() == payload
        assert message.names[0] == "MSH"
        for segment in message.segments():
            assert segment.fields[0] == segment.name


def test_line_ends_of_shared_files_do_not_matter(shared_data: Path) -> None:
    for original in sorted((shared_data / "v2").rglob("*.orig")):
        clean = Er7Message.parse(original.with_suffix(".hl7").read_bytes())
        assert Er7Message.parse(original.read_bytes()).get("MSH-10") == clean.get("MSH-10"), original.name


@given(st.binary(max_size=300))
def test_any_bytes_after_msh_are_read_and_kept(tail: bytes) -> None:
    payload = b"MSH|^~\\&|" + tail
    message = Er7Message.parse(payload)
    assert message.encode() == payload
    assert len(message.problems) < 100
    for segment in message.segments():
        for number in range(1, len(segment.fields)):
            value = message.get(f"{segment.name}-{number}") if segment.name.isalnum() else None
            assert value is None or not any("\ud800" <= c <= "\udfff" or c == "\0" for c in value)


@pytest.mark.parametrize(
    "tail",
    [
        b"x\n" * 1_000_000,
        b"\r" * 2_000_000,
        b"\n" * 2_000_000,
        b"AAA|\r" * 400_000,
        b"|" * 400_000,
        b"1|1|" * 400_000,
        b"DRG|" * 400_000,
        b"\\X41" * 80_000,
        b" " * 400_000 + b"\nZ",
        b"\r \t" * 400_000,
        b"\rMSH|" * 400_000,
    ],
)
def test_a_hostile_message_takes_time_in_proportion_to_its_size(tail: bytes) -> None:
    payload = HEAD + b"\rOBX|1|TX|||" + tail
    started = time.process_time()
    message = Er7Message.parse(payload)
    message.get("OBX-5")
    assert len(message.problems) < 100
    assert message.header.control == "C1"
    assert time.process_time() - started < 2


@given(
    st.lists(
        st.sampled_from([b"MSH", b"msh", b"|", b"\r", b"\n", b" ", b"\x0b", b"\xef\xbb\xbf", b"^~\\&", b"x", b"\0"])
    )
)
def test_what_is_read_has_a_header_and_nothing_else(pieces: list[bytes]) -> None:
    payload = b"".join(pieces)
    try:
        message = Er7Message.parse(payload)
    except Er7Error:
        assert not route(payload).present
        return
    header = route(payload)
    assert header.present
    assert header.separator.decode() == message.delimiters.field
