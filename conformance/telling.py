"""How the day is told: chapters, tables, and expectations that are met in time or not.

On a terminal with colours and a moving line while something is awaited; elsewhere plain lines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table

PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the world showed: whether it is what was expected, and in a few words what it is."""

    met: bool
    what: str = ""


_MARKS = {
    (True, True): "[green]✓[/]",
    (True, False): "[bold red]✗[/]",
    (False, True): "ok    ",
    (False, False): "FAILED",
}

Probe = Callable[[], Awaitable[Seen]]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that had to happen, and whether it did."""

    chapter: str
    text: str
    seen: Seen
    seconds: float


class Teller:
    """Tells the story on a console and keeps count of what was expected of it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.expectations: list[Expectation] = []
        self._chapter = ""
        self._number = 0

    @property
    def unmet(self) -> list[Expectation]:
        return [expectation for expectation in self.expectations if not expectation.seen.met]

    def title(self, text: str, beneath: str) -> None:
        if self.console.is_terminal:
            self.console.print(Panel.fit(f"[bold]{escape(text)}[/]\n{escape(beneath)}", border_style="cyan"))
        else:
            self.console.print(f"{text}\n{beneath}", markup=False)

    def chapter(self, title: str, *paragraphs: str) -> None:
        self._number += 1
        self._chapter = f"{self._number}. {title}"
        self.console.print()
        if self.console.is_terminal:
            self.console.print(Rule(f"[bold cyan]{escape(self._chapter)}[/]", align="left", style="cyan"))
        else:
            self.console.print(self._chapter, markup=False, style=None)
        for paragraph in paragraphs:
            self.say(paragraph)

    def say(self, text: str) -> None:
        self.console.print(Padding(escape(text), (0, 0, 0, 2), expand=False), highlight=False)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
        table = Table(*columns, title=title, title_justify="left", header_style="bold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self.console.print(Padding(table, (0, 0, 0, 2), expand=False))

    async def expect(self, text: str, probe: Probe, *, seconds: float = 15.0) -> bool:
        """Look until `probe` is met or time is up; whether it was. A failure is told and kept, not raised."""
        began = time.monotonic()
        waiting = self.console.status(escape(text)) if self.console.is_terminal else nullcontext()
        with waiting:
            seen = await _look(probe, began + seconds)
        self.note(text, seen, time.monotonic() - began)
        return seen.met

    def note(self, text: str, seen: Seen, seconds: float = 0.0) -> None:
        """Keep an expectation whose outcome is known, and tell it."""
        self.expectations.append(Expectation(self._chapter, text, seen, seconds))
        mark = _MARKS[self.console.is_terminal, seen.met]
        detail = f": [dim]{escape(seen.what)}[/]" if seen.what else ""
        self.console.print(f"  {mark} {escape(text)}{detail}", highlight=False)


async def _look(probe: Probe, until: float) -> Seen:
    """What was seen when it was met, or last of all."""
    seen = Seen(False, "no answer in time")
    while True:
        try:
            async with asyncio.timeout(max(0.5, until - time.monotonic())):
                seen = await probe()
        except TimeoutError:
            return seen
        if seen.met or time.monotonic() >= until:
            return seen
        await asyncio.sleep(PAUSE)
