"""Tables in narrow places: nothing is cut, and what is copied into the next command is on one line."""

from __future__ import annotations

import pytest

from gateway.cli import tables

KEY = "MAIN:MAIN:A7700258"
COLUMNS = ("encounter", "payer", "coder", "total", "holds")
LONG = "charge-points-to-absent-diagnosis: line 2 points to a diagnosis that the encounter does not have"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    return monkeypatch


def shown(capsys: pytest.CaptureFixture[str], *row: str, whole: set[str]) -> list[str]:
    """The lines below the head: on a terminal it has a line under it."""
    tables.show(COLUMNS, [row], whole=whole)
    lines = capsys.readouterr().out.splitlines()
    return lines[2:] if "\t" not in lines[0] else lines[1:]


@pytest.mark.usefixtures("terminal")
def test_on_eighty_columns_texts_fold_and_keys_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, KEY, "PAYER-00012", "rmendes", "12414.40", LONG, whole={"encounter", "total"})
    assert KEY in lines[0]
    assert "12414.40" in lines[0]
    assert max(map(len, lines)) <= 80
    width = lines[0].index("charge")
    told = "".join(line[width:].strip() for line in lines)
    assert told.replace(" ", "") == LONG.replace(" ", ""), "folded, not cut"


def test_a_key_wider_than_the_terminal_is_still_whole(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("COLUMNS", "40")
    key = "GENERAL-EAST:HOSPITAL-OF-THE-EAST:A7700258991122"
    assert key in shown(capsys, key, "BCBS", "rmendes", "414.40", LONG, whole={"encounter"})[0]


def test_what_goes_to_a_file_is_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = shown(capsys, KEY, "PAYER-00012", "rmendes", "12414.40", LONG, whole=set())
    assert line.split("\t") == [KEY, "PAYER-00012", "rmendes", "12414.40", LONG]


def test_what_goes_to_a_file_is_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(("key", "holds"), [(KEY, "one\ntwo"), ("a\tb", "")], whole=())
    mark = "\N{REPLACEMENT CHARACTER}"
    assert capsys.readouterr().out == f"key\tholds\n{KEY}\tone; two\na{mark}b\t\n"


def test_what_came_off_the_wire_neither_steers_the_terminal_nor_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = shown(capsys, "A\x1b[31m", "[red]B[/red]", "", "", "", whole=set())
    assert "\x1b" not in line
    assert "A\N{REPLACEMENT CHARACTER}[31m" in line
    assert "[red]B[/red]" in line


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(COLUMNS, [], whole=())
    told = capsys.readouterr()
    assert (told.out, told.err) == ("\t".join(COLUMNS) + "\n", "nothing found\n")


@pytest.mark.usefixtures("terminal")
def test_no_rows_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(COLUMNS, [], whole=())
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "nothing found\n")
