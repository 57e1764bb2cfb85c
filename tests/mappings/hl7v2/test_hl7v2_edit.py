"""What is changed in a message is changed; every other byte stays, and no value becomes structure."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.mappings.hl7v2.delimiters import DELETE
from gateway.mappings.hl7v2.edit import Edit, EditError, Unwritable
from gateway.mappings.hl7v2.er7 import Er7Message

HEAD = b"MSH|^~\\&|EHR|HOSP|GW|GW|20260102||ADT^A01^ADT_A01|C1|P|2.5.1"
PAYLOAD = HEAD + b"\rPID|1||12^^^H&1~34||DOE^JANE|\rNTE|1\rNTE|2\rPV1|1|I\r"

SIGNS = st.permutations([*string.punctuation, "§", "¦"]).map("".join)
VALUES = st.text(st.characters(codec="utf-8"), max_size=30) | st.text('|^~\\&#"\r\n\tFSTREX0D.br\x0b\x1c', max_size=30)
ENDS = st.sampled_from(["\r", "\n", "\r\n"])
PLACES = st.builds(
    "{}-{}[{}].{}.{}".format,
    st.sampled_from(["PID", "PV1", "OBX[2]"]),
    st.integers(1, 8),
    *[st.integers(1, 3)] * 3,
)


def edited(payload: bytes, *changes: tuple[str, str | None]) -> bytes:
    edit = Edit(Er7Message.parse(payload))
    for path, value in changes:
        edit.set(path, value)
    return edit.encode()


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        ("PID-3", "99", b"|12^^^", b"|99^^^"),
        ("PID-3[2]", "9|9", b"~34|", b"~9\\F\\9|"),
        ("PID-3[2].4.2", "x", b"~34|", b"~34^^^&x|"),
        ("PID-3.4.2", None, b"H&1", b"H&"),
        ("PID-5.2", DELETE, b"^JANE", b'^""'),
        ("PID-5.2", '""', b"^JANE", b"^\\X2222\\"),
        ("PID-8", "F", b"^JANE|\r", b"^JANE|||F\r"),
        ("PID-9", None, b"PID", b"PID"),
        ("MSH-10", "C^2", b"|C1|", b"|C\\S\\2|"),
        ("NTE[2]-3", "a\rPV1|1", b"NTE|2\r", b"NTE|2||a\\X0D\\PV1\\F\\1\r"),
    ],
)
def test_a_value_is_put_in_its_place(path: str, value: str | None, before: bytes, after: bytes) -> None:
    assert edited(PAYLOAD, (path, value)) == PAYLOAD.replace(before, after, 1)


@pytest.mark.parametrize("path", ["MSH-1", "MSH-2", "MSH-18", "ZZZ-1", "NTE[3]-1"])
def test_what_cannot_be_set(path: str) -> None:
    with pytest.raises(EditError):
        edited(PAYLOAD, (path, "x"))


def test_segments_are_added_and_removed() -> None:
    edit = Edit(Er7Message.parse(PAYLOAD))
    edit.add("ZXT", 1, [("a|b", "c"), "d"], after="PID")
    edit.remove("NTE[1]")
    edit.add("ZYT", "é")
    assert edit.encode() == (
        HEAD + b"\rPID|1||12^^^H&1~34||DOE^JANE|\rZXT|1|a\\F\\b^c~d\rNTE|2\rPV1|1|I\rZYT|\xc3\xa9\r"
    )


def test_the_last_segment_may_have_no_end() -> None:
    edit = Edit(Er7Message.parse(HEAD + b"\nPID|1"))
    edit.add("ZXT", "1")
    edit.add("ZYT", "2", after="ZXT")
    assert edit.encode() == HEAD + b"\nPID|1\nZXT|1\nZYT|2"


def test_what_stands_around_the_segments_stays() -> None:
    payload = b"\xef\xbb\xbf\r\n " + HEAD + b"\r\npid |1||7\r\n\r\nOBX|1|TX|||one\ntwo\r\x1c\r"
    edit = Edit(Er7Message.parse(payload))
    edit.set("PID-3", "8")
    edit.add("ZXT", after="OBX")
    assert edit.encode() == payload.replace(b"|7", b"|8").replace(b"two\r", b"two\rZXT\r\n")


@pytest.mark.parametrize("name", ["MSH", "BHS", "FTS", "zxt", "ZX", "Z|T", "ZXT\r", ""])
def test_what_cannot_be_added(name: str) -> None:
    with pytest.raises(EditError):
        Edit(Er7Message.parse(PAYLOAD)).add(name)


@pytest.mark.parametrize("label", ["MSH", "ZZZ", "NTE[3]", "NTE[0]", "nte", ""])
def test_what_cannot_be_removed(label: str) -> None:
    with pytest.raises(EditError):
        Edit(Er7Message.parse(PAYLOAD)).remove(label)


def test_a_segment_that_would_fall_apart_is_left() -> None:
    payload = HEAD + b"\rOBX|1|TX|||one\ntwo\r"
    with pytest.raises(EditError, match="two"):
        edited(payload, ("OBX-6", "x"))
    assert edited(payload, ("OBX-1", "2")) == payload.replace(b"OBX|1", b"OBX|2")


@pytest.mark.parametrize(
    ("charset", "encoding", "there", "new"),
    [
        ("8859/1", "latin-1", "é", "ü"),
        ("8859/7", "iso8859-7", "α", "ω"),
        ("UNICODE UTF-8", "utf-8", "é", "山€"),
        ("WINDOWS-1252", "cp1252", "é", "€"),
        ("GB 18030-2000", "gb18030", "亅乗", "亄"),
        ("BIG-5", "big5", "功育", "許"),
        ("KS X 1001", "euc_kr", "가", "나"),
        ("SHIFT_JIS", "cp932", "ソ表", "予"),
        ("~ISO IR87", "iso2022_jp", "山田", "表"),
        ("UNICODE UTF-16", "utf-16-le", "é", "山𝄞"),
        ("UNICODE UTF-16", "utf-16-be", "é", "山"),
        ("UNICODE UTF-16", "utf-16", "é", "山"),
    ],
)
def test_the_messages_own_character_set_is_used(charset: str, encoding: str, there: str, new: str) -> None:
    text = f"MSH|^~\\&|E|F|G|H|2026||ADT^A01|1|P|2.5||||||{charset}\rPID|1||{there}^a|{there}\rPV1|1\r"
    payload = text.encode(encoding)
    changed = edited(payload, ("PID-3.2", new + "|"), ("PV1-3", there))
    written = text.replace("^a|", f"^{new}\\F\\|").replace("PV1|1", f"PV1|1||{there}")
    assert changed == written.encode(encoding)
    read = Er7Message.parse(changed)
    assert (read.get("PID-3"), read.get("PID-3.2"), read.get("PV1-3")) == (there, new + "|", there)


def test_a_character_that_the_set_lacks_is_refused() -> None:
    payload = HEAD + b"||||||8859/1\rPID|1\r"
    with pytest.raises(Unwritable, match="iso8859-1"):
        edited(payload, ("PID-5", "山"))
    assert edited(payload, ("PID-5", "é")).endswith(b"PID|1||||\xe9\r")


def test_bytes_that_no_character_set_gives_stay() -> None:
    payload = HEAD + b"||||||UNICODE UTF-8\rPID|1||7|D\x81\x00E\xe9|x\r"
    assert edited(payload, ("PID-3", "8"), ("PID-5", "y")) == payload.replace(b"|7|", b"|8|").replace(b"|x", b"|y")


@given(SIGNS, ENDS, PLACES, VALUES, st.booleans())
def test_no_value_forges_anything(signs: str, end: str, path: str, value: str, truncation: bool) -> None:
    separator, encoding = signs[0], signs[1 : 6 if truncation else 5]
    assume(separator.isascii())
    c, r, e, s = encoding[:4]
    text = (
        f"MSH{separator}{encoding}{separator}E{separator * 15}UNICODE UTF-8{end}"
        f"PID{separator}1{separator}{separator}a{c}b{s}c{r}d{end}PV1{end}OBX{separator}{e}F{e}{end}OBX{separator}x{end}"
    )
    payload = text.encode()
    before = Er7Message.parse(payload)
    assume(before.delimiters.encoding == encoding)
    edit = Edit(before)
    edit.set(path, value)
    after = Er7Message.parse(edit.encode())
    expected = "".join("\ufffd" if (x < " " and x not in "\t\n\r") or x == "\x7f" else x for x in value) or None
    assert after.get(path) == expected
    assert after.get(path) is not DELETE
    assert after.names == before.names
    own = after.segments()[["PID", "PV1", "OBX[2]"].index(path.split("-")[0]) + 1 + path.startswith("OBX")]
    number = int(path.split("-")[1].split("[")[0])
    for old, new in zip(before.segments(), after.segments(), strict=True):
        if new.label != own.label:
            assert old == new
        else:
            assert list(old.fields[1:number]) == list(new.fields[1 : min(number, len(old.fields))])
            assert list(old.fields[number + 1 :]) == list(new.fields[number + 1 :])
            assert len(new.fields) == max(len(old.fields), number + 1 if value else 0)


@given(st.binary(max_size=200), st.sampled_from(["PID-3", "ZZ1-2", "MSH-3"]))
def test_whatever_is_read_can_be_edited_back(tail: bytes, path: str) -> None:
    payload = b"MSH|^~\\&|E|F\rPID|1||7|" + tail
    try:
        edit = Edit(Er7Message.parse(payload))
    except EditError:
        return
    assert edit.encode() == payload


def test_every_shared_message_can_be_edited(shared_data: Path) -> None:
    for path in sorted((shared_data / "v2").rglob("*")):
        if path.suffix not in (".hl7", ".orig"):
            continue
        payload = path.read_bytes()
        message = Er7Message.parse(payload)
        edit = Edit(message)
        assert edit.encode() == payload
        edit.set("MSH-3", "EDITED|BY")
        edit.add("ZXT", "1")
        read = Er7Message.parse(edit.encode())
        assert read.get("MSH-3") == "EDITED|BY"
        assert read.names == [*message.names, "ZXT"]
        edit.remove("ZXT")
        edit.set("MSH-3", message.get("MSH-3"))
        same = Er7Message.parse(edit.encode())
        assert [s.fields[3:] for s in same.segments()] == [s.fields[3:] for s in message.segments()]
