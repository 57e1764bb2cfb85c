"""Expectations: met in time, or told with what was seen last; never raised."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from conformance.evening import read_interchange
from conformance.telling import Seen, Teller


def teller() -> tuple[Teller, io.StringIO]:
    out = io.StringIO()
    return Teller(Console(file=out, width=100)), out


async def test_an_expectation_is_looked_at_until_it_is_met() -> None:
    telling, out = teller()
    looks = iter([Seen(False, "not yet"), Seen(False, "not yet"), Seen(True, "there")])

    async def look() -> Seen:
        return next(looks)

    assert await telling.expect("it comes", look)
    assert telling.unmet == []
    assert "ok     it comes: there" in out.getvalue()


async def test_what_is_not_met_in_time_is_told_with_what_was_seen_last() -> None:
    telling, out = teller()
    telling.chapter("Something fails", "A paragraph.")

    async def look() -> Seen:
        return Seen(False, "it is held by [edit]")

    assert not await telling.expect("it leaves", look, seconds=0)
    (unmet,) = telling.unmet
    assert (unmet.chapter, unmet.text, unmet.seen.what) == ("1. Something fails", "it leaves", "it is held by [edit]")
    assert "FAILED it leaves: it is held by [edit]" in out.getvalue()


async def test_a_story_goes_on_after_a_failure() -> None:
    telling, _ = teller()
    telling.note("first", Seen(False, "no"))
    telling.note("second", Seen(True))
    assert [e.text for e in telling.expectations] == ["first", "second"]
    assert [e.text for e in telling.unmet] == ["first"]


def test_no_terminal_no_colours() -> None:
    telling, out = teller()
    telling.title("A day", "beneath")
    telling.table(("a", "b"), [("[x]", "y")])
    assert "\x1b" not in out.getvalue()
    assert "[x]" in out.getvalue()


def test_claims_are_read_by_the_delimiters_that_the_interchange_declares(tmp_path: Path) -> None:
    isa = "ISA+00+          +00+          +ZZ+SENDER         +ZZ+RECEIVER       +260105+0830+^+00501+000000001+0+T+:!"
    path = tmp_path / "one.837"
    path.write_text(f"{isa}\nGS+HC!\nCLM+C001+180.50+++11:B:1!\nCLM+C002+7+++11:B:1!\nIEA+1+000000001!\n")
    assert len(isa) == 106
    found = read_interchange(path)
    assert [(claim.number, claim.total) for claim in found] == [("C001", Decimal("180.50")), ("C002", Decimal(7))]
