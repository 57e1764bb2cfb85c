"""How segments of one length are read: which of a plan's places they have, and what was read there before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from gateway.mappings.hl7v2.fields import TOGETHER
from gateway.mappings.hl7v2.steps import Found, Step

CONTEXTS, WIDTHS = 4, 128
"""How many kinds of delimiters and calendar, and how many lengths of segments, are kept."""

Values = dict[str, object]
Known = dict[str, Found]
"""Texts of one field that were read before, and what they say."""
KnownTogether = dict[tuple[str, ...], tuple[Values, int]]
"""Texts of several fields that were read before, what they say, and the bits of their places."""


class Row(NamedTuple):
    """A canonical field, and where it may stand, in order."""

    name: str
    steps: tuple[Step, ...]


class Live(NamedTuple):
    """A place of a row for segments of one length in one context, and what the texts read there before say."""

    name: str
    field: int
    """In the plan's own segment; -1 for a place that is elsewhere, or counts only under a condition."""
    later: bool
    """Another place of the same row comes before."""
    known: Known
    step: Step


class Together(NamedTuple):
    """Places in the plan's own segment whose texts come again together, and what they said then."""

    pick: Callable[[Sequence[str]], tuple[str, ...]]
    known: KnownTogether
    places: tuple[Live, ...]


class Layout(NamedTuple):
    """How segments of one length are read in one context: what comes together, and what is read by itself."""

    together: tuple[Together, ...]
    alone: tuple[Live, ...]


class Layouts:
    """The layouts of one plan, made when they are first needed. A context is the message's delimiters and the feed's
    calendar, on which the meaning of a text depends.
    """

    __slots__ = ("_known", "_made", "_rows", "_sets", "_texts", "get")

    def __init__(self, group: str, rows: tuple[Row, ...]) -> None:
        self._rows = rows
        self._sets = _sets(group, rows)
        self._known: dict[str, dict[Step, Known]] = {}
        self._texts: dict[str, tuple[KnownTogether, ...]] = {}
        self._made: dict[tuple[str, int], Layout] = {}
        self.get = self._made.get
        """The layout for a context and a number of fields, where it is made already."""

    def make(self, context: str, width: int) -> Layout:
        """The layout for segments of `width` fields. Those of the same length share what they remember."""
        if context not in self._known or len(self._made) >= WIDTHS:
            self._made.clear()
        if context not in self._known:
            if len(self._known) >= CONTEXTS:
                self._known.clear()
                self._texts.clear()
            self._known[context] = {step: {} for row in self._rows for step in row.steps}
            self._texts[context] = tuple({} for _ in self._sets)
        known = self._known[context]
        alone = {row.name: tuple(_cut(row, width, known)) for row in self._rows}
        together: list[Together] = []
        for names, texts in zip(self._sets, self._texts[context], strict=True):
            places = tuple(live for name in alone if name in names for live in alone[name])
            # Of any two lengths, one has all the fields of the other: as many texts are texts of the same fields.
            numbers = sorted({live.field for live in places})
            if len(numbers) > 1:
                together.append(Together(itemgetter(*numbers), texts, places))
                alone = {name: lives for name, lives in alone.items() if name not in names}
        layout = Layout(tuple(together), tuple(live for lives in alone.values() for live in lives))
        self._made[context, width] = layout
        return layout


def _sets(group: str, rows: tuple[Row, ...]) -> tuple[frozenset[str], ...]:
    """The sets of fields that are read and remembered together: of what stands in the plan's own segment alone."""
    plain = frozenset(
        row.name for row in rows if all(s.remembered and s.spot.segment is None and not s.when for s in row.steps)
    )
    return tuple(names & plain for names in TOGETHER.get(group, (plain,)))


def _cut(row: Row, width: int, known: Mapping[Step, Known]) -> Iterator[Live]:
    """The places of a row that segments of `width` fields have."""
    later = False
    for step in row.steps:
        aside = step.spot.segment is not None or bool(step.when)
        if aside or step.spot.field < width:
            yield Live(row.name, -1 if aside else step.spot.field, later, known[step], step)
            later = True
