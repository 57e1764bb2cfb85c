"""The anchor file survives what a crash does to it, and is only appended to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.audit.anchor import AnchorFile, Unreadable, line, parse, read
from gateway.audit.bookmark import Bookmark
from gateway.audit.merkle import EMPTY, leaf
from gateway.audit.seals import Head, State, extend


def head(id: int) -> Head:
    moment = datetime(2026, 3, 1, 8, 0, id, 5, tzinfo=UTC)
    return Head(id, id * 10, id * 11, bytes([id]) * 32, moment, "0123456789abcdef", bytes([id]) * 64)


def test_a_line_holds_the_whole_seal() -> None:
    assert parse(line(head(3))) == head(3)
    assert line(head(3)).count(b"\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        line(head(1)).replace(b'"id":1', b'"id":"1"'),
        line(head(1)).replace(b'"id":1', b'"id":true'),
        line(head(1)).replace(b'"root":"01', b'"root":"zz'),
        line(head(1)).replace(b"+00:00", b""),
        line(head(1)).replace(b'"id":1', b'"id":1,"more":1'),
        b"\xff\xfe",
    ],
)
def test_anything_else_is_no_seal(text: bytes) -> None:
    assert parse(text) is None


def test_seals_are_appended_and_the_last_is_found(tmp_path: Path) -> None:
    anchor = AnchorFile(tmp_path / "elsewhere" / "seals.ndjson")
    assert anchor.last() is None
    assert list(anchor.lines()) == []
    for number in range(1, 60):
        anchor.append(head(number))
    assert anchor.last() == head(59)
    assert [found for _, found in read(anchor.lines())] == [head(number) for number in range(1, 60)]


def test_lines_are_those_that_stood_when_they_were_asked_for(tmp_path: Path) -> None:
    anchor = AnchorFile(tmp_path / "seals.ndjson")
    anchor.append(head(1))
    lines = anchor.lines()
    anchor.append(head(2))
    assert [found for _, found in read(lines)] == [head(1)]


def test_a_line_cut_short_by_a_crash_is_passed_over_once_it_is_written_again(tmp_path: Path) -> None:
    anchor = AnchorFile(tmp_path / "seals.ndjson")
    anchor.append(head(1))
    with anchor.path.open("ab") as file:
        file.write(line(head(2))[:40])
    assert anchor.last() == head(1)
    assert [found for _, found in read(anchor.lines())] == [head(1)]
    anchor.append(head(2))
    assert list(read(anchor.lines())) == [(1, head(1)), (3, head(2))]


def test_a_broken_line_that_no_later_line_repeats_is_told() -> None:
    assert list(read([line(head(1)), b'{"id":2\n', line(head(3))])) == [(1, head(1)), (2, Unreadable(2)), (3, head(3))]
    assert list(read([b"nonsense\n"])) == [(1, Unreadable(1))]
    assert list(read([b"a\n", b"b\n"])) == [(1, Unreadable(1)), (2, Unreadable(2))]


def test_a_bookmark_is_read_back_or_not_at_all(tmp_path: Path) -> None:
    bookmark = Bookmark(tmp_path / "seals.ndjson")
    assert bookmark.read() is None
    state = extend(State(EMPTY), [(n, leaf(bytes([n]))) for n in range(1, 12)]).state
    bookmark.write(state)
    assert bookmark.read() == state
    for content in (b"", b"[]", b'{"size":3,"peaks":[],"tail":"","last_seq":3}', b'{"size":0,"peaks":[7]}'):
        bookmark.path.write_bytes(content)
        assert bookmark.read() is None
