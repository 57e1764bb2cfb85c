"""Documents: their kind and status, their text, and the files in them."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.encounter.apply import apply
from gateway.encounter.change import Change
from gateway.encounter.model import Document, DocumentKind, DocumentStatus
from gateway.mappings.hl7v2 import rtf
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.mapping import FeedProfile, MappingError, map_message

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Says

RTF = (
    r"{\rtf1\ansi\deff0{\fonttbl{\f0 Arial;}}{\*\generator X;}"
    r"\f0\fs24 Caf\'e9 \u8211?\b bold\b0\par line 2 \{x\}\tab end}"
)


def txa(kind: str = "DS", id: str = "D1", status: str = "AU", available: str = "AV", parent: str = "") -> str:
    return f"TXA|1|{kind}|TX|20260105||20260105103000||||||{id}|{parent}||||{status}||{available}"


def only(change: Change) -> Document:
    assert change.documents is not None
    (document,) = change.documents.items
    return document


def note(says: Says, *segments: str, type: str = "MDM^T02") -> Change:
    return says(*segments, type=type)


@pytest.mark.parametrize(
    ("code", "kind", "type"),
    [
        ("DS", DocumentKind.DISCHARGE_SUMMARY, "DS"),
        ("OP^Operative", DocumentKind.OPERATIVE_NOTE, "OP"),
        ("11506-3^^LN", DocumentKind.PROGRESS_NOTE, "11506-3"),
        ("LOCALTYPE", DocumentKind.OTHER, "LOCALTYPE"),
        ("", DocumentKind.OTHER, None),
    ],
)
def test_what_a_document_is_good_for(says: Says, code: str, kind: DocumentKind, type: str | None) -> None:
    change = note(says, txa(kind=code), "OBX|1|TX|||Text")
    assert (only(change).kind, only(change).type) == (kind, type)
    assert change.problems == ()


@pytest.mark.parametrize(
    ("status", "available", "expected"),
    [
        ("AU", "AV", DocumentStatus.FINAL),
        ("LA", "", DocumentStatus.FINAL),
        ("DI", "AV", DocumentStatus.PRELIMINARY),
        ("", "", DocumentStatus.PRELIMINARY),
        ("AU", "CA", DocumentStatus.CANCELLED),
        ("AU", "OB", DocumentStatus.CANCELLED),
    ],
)
def test_only_what_is_authenticated_is_final(says: Says, status: str, available: str, expected: DocumentStatus) -> None:
    assert only(note(says, txa(status=status, available=available))).status is expected


def test_a_document_that_is_only_announced(says: Says) -> None:
    change = note(says, txa())
    assert (only(change).id, only(change).digest, change.contents) == ("D1", None, ())
    assert only(change).written == datetime.fromisoformat("2026-01-05T10:30:00-06:00")


def test_text_keeps_its_lines_and_signs(says: Says) -> None:
    change = note(
        says, txa(), "OBX|1|TX|||one~two \\T\\ three", "OBX|2|FT|||a\\.br\\b ^ c & d", "OBX|3|ST|||", "OBX|4|RP|||x^y"
    )
    (content,) = change.contents
    assert content.body.decode() == "one\ntwo & three\na\nb ^ c & d"
    assert content.content_type == "text/plain"
    assert only(change).digest == content.digest == hashlib.sha256(content.body).hexdigest()
    assert only(change).size == len(content.body)


@pytest.mark.parametrize("written", [RTF, RTF.replace("\\", "\\E\\")])
def test_rtf_becomes_text(says: Says, written: str) -> None:
    change = note(says, txa(), f"OBX|1|FT|||{written}")
    assert change.contents[0].body.decode() == "Café –bold\nline 2 {x}\tend"


@given(st.text(alphabet="{}\\'*abuc019 -\n~\"", max_size=80))
def test_any_rtf_is_read_without_an_exception(text: str) -> None:
    assert isinstance(rtf.plain("{\\rtf1 " + text), str)


@pytest.mark.parametrize(
    ("ed", "content_type", "body"),
    [
        ("^AP^PDF^Base64^" + base64.b64encode(b"%PDF-1").decode(), "application/pdf", b"%PDF-1"),
        ("^^application/pdf^BASE64^" + base64.b64encode(b"%PDF-1").decode(), "application/pdf", b"%PDF-1"),
        ("^IM^JPEG^Hex^FFD8", "image/jpeg", b"\xff\xd8"),
        ("^TEXT^^A^plain \\T\\ simple", "text/plain", b"plain & simple"),
        ("^AP^WEIRD^Base64^AAAA", "application/octet-stream", b"\0\0\0"),
        (
            "^TX^RTF^Base64^" + base64.b64encode(RTF.encode()).decode(),
            "text/plain",
            "Café –bold\nline 2 {x}\tend".encode(),
        ),
        ("^AP^PDF^Base64^QU\\X0D0A\\JD", "application/pdf", b"ABC"),
    ],
)
def test_files_are_decoded(says: Says, ed: str, content_type: str, body: bytes) -> None:
    change = note(says, txa(), f"OBX|1|ED|||{ed}")
    (content,) = change.contents
    assert (content.content_type, content.body) == (content_type, body)
    assert (only(change).digest, only(change).content_type) == (content.digest, content_type)


@pytest.mark.parametrize(
    "ed", ["^AP^PDF^Base64^<Base64 encoded>", "^AP^PDF^Base64^", "^AP^PDF", "^AP^PDF^Hex^XY", "^AP^PDF^Odd^AA"]
)
def test_a_file_that_cannot_be_decoded_is_reported(says: Says, ed: str) -> None:
    change = note(says, txa(), f"OBX|1|ED|||{ed}")
    assert change.contents == ()
    assert [(p.rule, p.where) for p in change.problems] == [("attachment-unreadable", "OBX[1]-5")]


def test_a_replacement_names_what_it_replaces(says: Says) -> None:
    assert only(note(says, txa(id="D2", parent="D1"), type="MDM^T10")).replaces == "D1"
    assert only(note(says, txa(id="D2", parent="D1"), type="MDM^T06")).replaces is None


def test_a_document_without_a_number_is_named_by_its_bytes(says: Says) -> None:
    first, again = note(says, txa(id=""), "OBX|1|TX|||A"), note(says, txa(id=""), "OBX|1|TX|||A")
    other = note(says, txa(id=""), "OBX|1|TX|||B")
    assert only(first).id == only(again).id != only(other).id


def test_without_txa_there_is_no_document(base: FeedProfile) -> None:
    payload = b"MSH|^~\\&|E|F|G|H|20260101||MDM^T02|1|P|2.5\rPID|1|||||||||||||||||A1\rOBX|1|TX|||A\r"
    with pytest.raises(MappingError) as raised:
        map_message(Er7Message.parse(payload), base, 1)
    assert (raised.value.code, raised.value.where) == ("no-document", "TXA")


@pytest.mark.parametrize("event", [f"T{n:02}" for n in range(1, 12)])
def test_every_event_gives_its_document(says: Says, event: str) -> None:
    change = note(says, txa(), "OBX|1|TX|||Text", type=f"MDM^{event}")
    cancelled = DocumentStatus.CANCELLED if event == "T11" else DocumentStatus.FINAL
    assert (only(change).id, only(change).status, change.event) == ("D1", cancelled, event)


@pytest.mark.parametrize(
    ("event", "parent", "replaces", "appends"),
    [
        ("T02", "D0", None, None),
        ("T05", "D0", None, "D0"),
        ("T06", "D0", None, "D0"),
        ("T07", "D0", "D0", None),
        ("T08", "D1", None, None),
        ("T09", "D0", "D0", None),
        ("T10", "D0", "D0", None),
        ("T10", "", None, None),
        ("T06", "D1", None, None),
    ],
)
def test_what_the_parent_is_to_a_document(
    says: Says, event: str, parent: str, replaces: str | None, appends: str | None
) -> None:
    document = only(note(says, txa(parent=parent), type=f"MDM^{event}"))
    assert (document.replaces, document.appends) == (replaces, appends)


PDF = "OBX|2|ED|||^AP^PDF^Base64^" + base64.b64encode(b"%PDF-1").decode()


def test_a_notice_of_a_new_status_keeps_the_words(says: Says) -> None:
    first = apply(None, note(says, txa(status="DI"), "OBX|1|TX|||Text", PDF))
    second = apply(first, note(says, txa(status="AU"), type="MDM^T03"))
    assert [d.status for d in second.documents] == [DocumentStatus.FINAL, DocumentStatus.PRELIMINARY]
    assert [d.digest for d in second.documents] == [d.digest for d in first.documents]


def test_a_cancel_takes_the_document_and_its_files_back(says: Says) -> None:
    first = apply(None, note(says, txa(), "OBX|1|TX|||Text", PDF))
    other = apply(first, note(says, txa(id="D10"), "OBX|1|TX|||Text"))
    after = apply(other, note(says, txa(), type="MDM^T11"))
    assert [(d.id, d.status) for d in after.documents] == [
        ("D10", DocumentStatus.FINAL),
        ("D1", DocumentStatus.CANCELLED),
    ]
    assert after.documents[1].digest == first.documents[0].digest, "what was known is kept"


def test_content_that_is_sent_again_may_have_fewer_files(says: Says) -> None:
    first = apply(None, note(says, txa(), "OBX|1|TX|||Text", PDF))
    after = apply(first, note(says, txa(), "OBX|1|TX|||New text", type="MDM^T08"))
    assert [d.id for d in after.documents] == ["D1"]


@pytest.mark.parametrize("late", [False, True])
def test_a_replaced_document_no_longer_counts(says: Says, late: bool) -> None:
    old = note(says, txa(), "OBX|1|TX|||Text", PDF)
    new = note(says, txa(id="D2", parent="D1"), "OBX|1|TX|||Better", type="MDM^T10")
    after = apply(apply(None, new), old) if late else apply(apply(None, old), new)
    assert {d.id: d.status for d in after.documents} == {
        "D1": DocumentStatus.CANCELLED,
        "D1~1": DocumentStatus.CANCELLED,
        "D2": DocumentStatus.FINAL,
    }
