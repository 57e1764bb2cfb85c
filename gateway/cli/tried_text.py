"""A trial told on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import typer

from gateway.cli import tables
from gateway.review.model import Hold
from gateway.trial.files import Messages, Resources
from gateway.trial.tried import Fate, LeftOver, Tried

_LONGEST = 60
_FATES = {
    Fate.PROCESSED: "would be used",
    Fate.UNUSED: "would be kept, and not used",
    Fate.SET_ASIDE: "WOULD BE SET ASIDE",
    Fate.REFUSED: "WOULD BE REFUSED",
    Fate.REPEAT: "a repeat: would change nothing",
}


def show(read: Sequence[Messages | Resources], tried: Sequence[Tried], failed: int) -> None:
    """Message by message, and the sum of all."""
    for each in read:
        for problem in each.problems:
            typer.echo(f"{each.file}: {problem}")
    for one in tried:
        _show(one)
    counts = {fate: sum(one.fate is fate for one in tried) for fate in Fate}
    told = ", ".join(f"{count} {fate}" for fate, count in counts.items() if count) or "no message"
    typer.echo(f"{len(tried)} {'message' if len(tried) == 1 else 'messages'}: {told}; {failed} would fail")


def _show(one: Tried) -> None:
    answer = one.acknowledged
    said = "no answer" if answer is None else answer.code + (f" ({answer.text})" if answer.text else "")
    head = f"== {one.file} #{one.number}  {one.type}  {one.control}  {_FATES[one.fate]}, answered {said}"
    typer.echo(tables.printable(head))
    if one.reason:
        typer.echo(f"reason: {one.reason}")
    if one.numbers:
        typer.echo("numbers that it has: say in the dialect's fields.visit, or by the feed's key, which one counts")
        tables.show(("place", "number"), [(v.place, v.value or "") for v in one.numbers], whole={"place"})
    if one.segments:
        typer.echo("read: " + " ".join(f"{n}*{c}" if c > 1 else n for n, c in one.segments))
    if one.values:
        version = f"  (mapping {one.mapping})" if one.mapping else ""
        typer.echo(f"mapped: {len(one.values)} values{version}")
        rows = [(v.path, _short(v.value if v.value is not None else "(deleted)"), v.place) for v in one.values]
        tables.show(("field", "value", "place"), rows, whole={"field", "place"})
    if one.left_over:
        typer.echo("not used:")
        tables.show(("place", "value"), list(_left_over(one.left_over)), whole={"place"})
    for problem in one.problems:
        typer.echo(f"problem: {problem.rule} at {problem.where}: {problem.text}")
    _show_encounter(one)
    typer.echo()


def _left_over(left: Sequence[LeftOver]) -> Iterator[tuple[str, str]]:
    for each in left:
        if each.whole:
            yield each.segment, f"(the whole segment: {len(each.fields)} fields)"
        for number, value in zip(each.fields, each.values, strict=True):
            yield f"{each.segment}-{number}", _short(value)


def _show_encounter(one: Tried) -> None:
    tried = one.encounter
    if tried is None:
        return
    where = f", released to {tried.released}" if tried.released else ""
    typer.echo(f"encounter {tried.key}: {tried.stage}, {tried.total}{where}")
    for finding in tried.findings:
        typer.echo(f"  finding  {finding.severity}  {finding.rule} at {finding.where}: {finding.text}")
    for word, holds in (("opens", tried.opened), ("ends", tried.ended), ("stays", tried.standing)):
        for hold in holds:
            typer.echo(f"  hold {word}  {_hold(hold)}")


def _hold(hold: Hold) -> str:
    return f"{hold.kind}:{hold.rule}: {hold.text}" + (f" -> {hold.remedy}" if hold.remedy else "")


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}... ({len(value)} characters)"
