"""Tables. On a terminal nothing is cut, and what people copy into the next command stands on one line. To a file or
another program go plain lines: a line of names, then a line a row, tabs between the cells.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NARROWER = ((2, 10), (1, 10), (1, 6))
"""The space between columns, and the width down to which a column may fold: the first of these that fits."""


def show(columns: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Collection[str]) -> None:
    """Print the rows. The columns in `whole` are never folded; the others are when the terminal is too narrow.

    Without rows `nothing found` is told, beside the output.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    if not Console().is_terminal:
        for line in (columns, *shown):
            typer.echo("\t".join(_on_one_line(cell) for cell in line))
    elif shown:
        _on_terminal(columns, shown, whole, Console().width)
    if not shown:
        typer.echo("nothing found", err=True)


def _on_one_line(cell: str) -> str:
    """Tabs are gone by then: they are not printable."""
    return "; ".join(cell.split("\n"))


def _on_terminal(columns: Sequence[str], shown: Sequence[Sequence[str]], whole: Collection[str], room: int) -> None:
    cells = dict(zip(columns, zip(columns, *shown, strict=True), strict=True))
    widths, gap = _fitted(cells, whole, room)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0))
    for name, width in zip(columns, widths, strict=True):
        table.add_column(name, width=width, overflow="fold")
    for row in shown:
        table.add_row(*map(Text, row))
    Console(width=max(room, sum(widths) + gap * len(widths))).print(table)


def printable(cell: str) -> str:
    """Without what would steer the terminal: some of it comes off the wire."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in cell)


def _fitted(cells: dict[str, tuple[str, ...]], whole: Collection[str], room: int) -> tuple[list[int], int]:
    """The columns' widths and the space between them. Wider than the terminal only if there is no other way."""
    natural = [_longest(column, "\n") for column in cells.values()]
    words = [_longest(column, None) for column in cells.values()]
    gap, least = _NARROWER[0][0], natural
    for gap, narrow in _NARROWER:
        folded = [max(min(word, narrow), _longest((name,), None)) for name, word in zip(cells, words, strict=True)]
        least = [width if name in whole else fold for name, width, fold in zip(cells, natural, folded, strict=True)]
        if sum(least) + gap * len(least) <= room:
            break
    return _narrowed(natural, least, room - gap * len(least)), gap


def _longest(column: Sequence[str], separator: str | None) -> int:
    return max((cell_len(part) for cell in column for part in cell.split(separator)), default=0)


def _narrowed(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widths with the widest made narrower, step by step, until they fit or nothing can give any more."""
    widths = list(natural)
    while sum(widths) > room:
        giving = [index for index, width in enumerate(widths) if width > least[index]]
        if not giving:
            break
        widths[max(giving, key=widths.__getitem__)] -= 1
    return widths
