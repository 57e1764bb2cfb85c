"""What is written can always be read back, and can never become structure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.hl7v2.delimiters import DELETE, STANDARD, Delimiters, read_delimiters, unescape
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.writer import escape, message, segment

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
SPECIAL = st.text(alphabet='|^~\\&#$@!\r\n\t"XFSTREPHNCM.br02448D12A é\x0b\x1c\x7f\x85', max_size=40)
OTHERS = st.sampled_from([STANDARD, read_delimiters("|", "^~\\&#"), read_delimiters("*", "@!/%")])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("\\X41\\\\X0D0A\\", "A\r\n"),
        ("\\XC3A9\\", "é"),
        ("\\XE9\\", "é"),
        ("one\\.br\\two\\.sp2\\three", "one\ntwo\n\nthree"),
        ("\\H\\bold\\N\\", "bold"),
        ("\\.in+4\\x\\.sk3\\y", "x   y"),
        ("C:\\dir\\E\\x", "C:\\dir\\x"),
        ("\\Zunknown\\", "\\Zunknown\\"),
        ("\\X4\\", "\\X4\\"),
        ("\\", "\\"),
        ("\\X00\\", "\ufffd"),
        ("\\C9999\\x", "\\C9999\\x"),
        ("a\\M2442\\;3ED\\C2842\\\\F\\é", "a山田|é"),
        ("\\M2442\\odd", "\\M2442\\odd"),
        ("\\E\\M2442\\E\\;3ED", "\\M2442\\;3ED"),
        ("\\P\\", "#"),
    ],
)
def test_escapes_are_read(written: str, read: str) -> None:
    assert unescape(written, STANDARD) == read


@given(TEXT | SPECIAL, OTHERS)
def test_what_is_written_is_read_back(value: str, delimiters: Delimiters) -> None:
    escaped = escape(value, delimiters)
    expected = "".join("\ufffd" if (c < " " and c not in "\t\n\r") or c == "\x7f" else c for c in value)
    assert unescape(escaped, delimiters) == expected


@given(st.lists(TEXT | SPECIAL, min_size=1, max_size=5), OTHERS)
def test_no_value_adds_a_segment_or_a_field(values: list[str], delimiters: Delimiters) -> None:
    written = message(
        segment("MSH", "EHR", delimiters=delimiters),
        segment("OBX", *values, "END", delimiters=delimiters),
    )
    read = Er7Message.parse(written)
    assert read.names == ["MSH", "OBX"]
    fields = read.segments("OBX")[0].fields
    assert len(fields) == len(values) + 2
    assert fields[-1] == "END"
    assert all(read.get(f"OBX-{n}") is not DELETE for n in range(1, len(values) + 1))


@given(SPECIAL)
def test_no_value_ends_an_mllp_frame(value: str) -> None:
    assert not {0x0B, 0x1C, 0x0D, 0x0A} & set(escape(value).encode())


def test_components_repetitions_and_deletes_are_written() -> None:
    written = segment("PID", 1, None, [("12^3", None, None, ("HOSP", "1.2"), "MR"), "4"], DELETE, ("DOE", "J&J"), None)
    assert written == 'PID|1||12\\S\\3^^^HOSP&1.2^MR~4|""|DOE^J\\T\\J'
    assert escape('""') != '""'
    assert segment("MSH", "EHR") == "MSH|^~\\&|EHR"


@pytest.mark.parametrize("name", ["", "PIDX", "P|D", "P\rD"])
def test_a_segments_name_is_checked(name: str) -> None:
    with pytest.raises(ValueError, match="three letters"):
        segment(name, "x")
