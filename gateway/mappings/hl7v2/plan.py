"""A dialect's field paths, compiled once: reading a group is a walk over rows, without looking up any path."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from gateway.encounter.change import Places
from gateway.mappings.hl7v2.delimiters import DELETE
from gateway.mappings.hl7v2.fields import ALIASES, GROUPS, UNREMEMBERED, Coded, Composite, Single
from gateway.mappings.hl7v2.kinds import Read, by_table
from gateway.mappings.hl7v2.path import Path
from gateway.mappings.hl7v2.reading import At, Reading, Unreadable
from gateway.mappings.hl7v2.transforms import TRANSFORMS, Transform

_REMEMBERED = 1024
_LONGEST = 160
_CONTEXTS = 4
"""How much of what was read before is kept: texts of each field, their length, and kinds of delimiters and calendar."""
_ELSEWHERE = 1 << 30
_UNREADABLE = object()
MAX_REPETITIONS = 200
"""How often a field may repeat: more than any sender needs, and few enough to be worked through."""

Values = dict[str, object]
Table = Mapping[str, StrEnum | str]
Span = tuple[int, int]
"""Positions of an item's segments: from its anchor to before the next one."""


class Step(NamedTuple):
    """One path to a value. `segment` is None for the plan's own segment."""

    segment: str | None
    field: int
    at: At
    bit: int
    place: str
    occurrence: int


class Row(NamedTuple):
    """A canonical field, how it is read, and where it may stand, in order."""

    name: str
    read: Read
    steps: tuple[Step, ...]
    remembered: bool


class Live(NamedTuple):
    """A place of a row in one context, with the meanings of the field texts already read there."""

    name: str
    field: int
    later: bool
    """Another place of the same row comes before."""
    known: dict[str, object]
    bit: int
    row: Row
    step: Step


class Rule(NamedTuple):
    """What a dialect says of one canonical field."""

    paths: tuple[Path, ...]
    transforms: tuple[str, ...] = ()


class Plan:
    """How one group is read in one dialect. `own` is the anchor, else the segment that most of its paths name."""

    __slots__ = ("_bits", "_live", "_memory", "_steps", "anchor", "group", "own", "rows", "several")

    def __init__(self, group: str, rules: Mapping[str, Rule], tables: Mapping[str, Table]) -> None:
        self.group = group
        self.anchor = GROUPS[group].anchor
        named = Counter(path.segment for rule in rules.values() for path in rule.paths)
        self.own = self.anchor or max(named, key=lambda segment: named[segment], default="")
        self._steps: dict[int, tuple[str, Step]] = {}
        self._bits: dict[str, int] = {}
        self.rows = tuple(
            self._row(name, rules[name], tables) for name in GROUPS[group].fields if name in rules and rules[name].paths
        )
        self.several = self._read_in_several()
        """The fields that have several places within the anchor, with those."""
        self._live: dict[str, tuple[Live, ...]] = {}
        self._memory: dict[tuple[int, int, int], tuple[Places, ...]] = {}

    def _read_in_several(self) -> dict[str, tuple[tuple[Row, Step], ...]]:
        own = {row.name: tuple((row, step) for step in row.steps if step.segment is None) for row in self.rows}
        return {name: places for name, places in own.items() if len(places) > 1}

    def _row(self, name: str, rule: Rule, tables: Mapping[str, Table]) -> Row:
        steps = []
        for path in rule.paths:
            bit = 1 << len(self._steps)
            own = path.segment == self.own and path.occurrence == 1
            at = At(path.repetition - 1, path.component - 1, path.subcomponent - 1)
            step = Step(None if own else path.segment, path.field, at, bit, path.within, path.occurrence)
            self._steps[bit] = (name, step)
            self._bits[name] = self._bits.get(name, 0) | bit
            steps.append(step)
        remembered = (self.group, name) not in UNREMEMBERED
        return Row(name, _reader(name, self.group, rule, tables), tuple(steps), remembered)

    def once(self, reading: Reading) -> tuple[Values, tuple[Places, ...]]:
        """The values of a group that a message says once, and their places."""
        values, mask = self.read(reading, reading.message.first(self.own))
        return values, self.places(mask) if mask else ()

    def each(self, reading: Reading) -> Iterator[tuple[int, Span, Values, int]]:
        """For each anchor segment: its number from 1, its span, the values and the bits of their places."""
        message = reading.message
        positions = message.positions(self.own)
        ends = [*positions[1:], len(message)]
        for number, span in enumerate(zip(positions, ends, strict=False), start=1):
            values, mask = self.read(reading, message.fields(span[0]), number, span)
            yield number, span, values, mask

    def read(
        self, reading: Reading, fields: Sequence[str], number: int = 0, span: Span | None = None
    ) -> tuple[Values, int]:
        """The values that stand there, and a bit for each place they came from. A value of None is to be deleted.

        What cannot be read becomes a problem, and its field stays out.
        """
        values: Values = {}
        mask = 0
        special = False
        count = len(fields)
        for name, field, later, known, bit, row, step in self._live.get(reading.context) or self._enlivened(reading):
            if field < count:
                raw = fields[field]
                if not raw or (later and name in values):
                    continue
            elif step.segment is None or (later and name in values):
                continue
            else:
                raw = _elsewhere(reading, step, self.anchor, span)
            value = known.get(raw)
            if value is None:
                if not raw or raw in known:
                    continue
                value = self._read(reading, row, step, raw, known, number)
                if value is None:
                    continue
                special = special or value is DELETE or value is _UNREADABLE
            values[name] = value
            mask |= bit
        return self._settled(values, mask) if special else (values, mask)

    def _read(self, reading: Reading, row: Row, step: Step, raw: str, known: dict[str, object], number: int) -> object:
        """The value of the field `raw`, to be remembered; _UNREADABLE, with a problem, when it is not of its kind."""
        if raw == DELETE:
            return DELETE
        try:
            if len(raw) > _LONGEST and raw.count(reading.repetition) >= MAX_REPETITIONS:
                raise Unreadable(f"more than {MAX_REPETITIONS} repetitions")
            value = row.read(reading, raw, step.at)
        except Unreadable as wrong:
            segment = step.segment or (f"{self.own}[{number}]" if self.anchor else self.own)
            reading.problem("value-unreadable", f"{segment}-{step.place}", f"{row.name}: {wrong}")
            return _UNREADABLE
        if row.remembered and value is not DELETE and len(raw) <= _LONGEST:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[raw] = value
        return value

    def _settled(self, values: Values, mask: int) -> tuple[Values, int]:
        """The values without those that could not be read, and None for those to be deleted."""
        for name, value in list(values.items()):
            if value is DELETE:
                values[name] = None
            elif value is _UNREADABLE:
                del values[name]
                mask = self.without(mask, name)
        return values, mask

    def _enlivened(self, reading: Reading) -> tuple[Live, ...]:
        """The places for the message's delimiters and the feed's calendar, on which the meaning of a text depends."""
        live = tuple(
            Live(row.name, _ELSEWHERE if step.segment else step.field, later > 0, {}, step.bit, row, step)
            for row in self.rows
            for later, step in enumerate(row.steps)
        )
        if len(self._live) >= _CONTEXTS:
            self._live.clear()
        self._live[reading.context] = live
        return live

    def places(self, mask: int, index: int | None = None, number: int = 0) -> tuple[Places, ...]:
        """Where the values of `mask` stand: of item `index`, in the anchor's `number`th segment.

        The same mask gives the same objects again.
        """
        key = (mask, -1 if index is None else index, number)
        known = self._memory.get(key)
        if known is None:
            known = self._places(mask, self.group if index is None else f"{self.group}[{index}]", number)
            if len(self._memory) < 4 * _REMEMBERED:
                self._memory[key] = known
        return known

    def _places(self, mask: int, group: str, number: int) -> tuple[Places, ...]:
        by_segment: dict[str, dict[str, str]] = {}
        for bit, (name, step) in self._steps.items():
            if mask & bit:
                own = f"{self.own}[{number}]" if self.anchor else self.own
                segment = own if step.segment is None else step.segment
                by_segment.setdefault(segment, {})[ALIASES.get(name, name)] = step.place
        return tuple(Places(group, segment, fields) for segment, fields in by_segment.items())

    def without(self, mask: int, name: str) -> int:
        """`mask` without the places of the field `name`."""
        return mask & ~self._bits.get(name, 0)

    def alternatives(self, reading: Reading, name: str, span: Span) -> Iterator[tuple[str, object]]:
        """What the anchor at `span` says at each of the places of the field `name`, and where. Nothing where there is
        but one place.
        """
        places = self.several.get(name, ())
        fields = reading.message.fields(span[0]) if places else ()
        for row, step in places:
            raw = _raw(fields, step.field)
            if raw:
                yield step.place, row.read(reading, raw, step.at)

    def everywhere(self, reading: Reading, name: str) -> tuple[str, list[object]]:
        """What all segments of a kind say of the field `name`, and where: at the first of its places that says
        anything. Nothing of one that stands in a single segment.
        """
        message = reading.message
        for row in self.rows:
            if row.name != name:
                continue
            for step in row.steps:
                segment = step.segment or self.own
                positions = message.positions(segment)[step.occurrence - 1 :]
                if len(positions) == 1 and len(row.steps) == 1:
                    break
                said = [raw for position in positions if (raw := _raw(message.fields(position), step.field))]
                if said:
                    alone = len(said) == 1 or step.occurrence > 1
                    return f"{segment}-{step.place}", [] if alone else [row.read(reading, r, step.at) for r in said]
        return "", []

    def place(self, name: str) -> str:
        """The first place of the field `name` within its segment, for a problem's text; empty when it has none."""
        return next((step.place for known, step in self._steps.values() if known == name), "")


def _raw(fields: Sequence[str], number: int) -> str:
    return fields[number] if number < len(fields) else ""


def _elsewhere(reading: Reading, step: Step, anchor: str | None, span: Span | None) -> str:
    """The raw field of a segment other than the anchor: among the item's own, else before the first anchor."""
    message = reading.message
    positions = message.positions(step.segment or "")
    if span is not None and positions:
        own = positions[bisect_right(positions, span[0]) : bisect_left(positions, span[1])]
        positions = own or positions[: bisect_left(positions, message.positions(anchor or "")[0])]
    if step.occurrence > len(positions):
        return ""
    return _raw(message.fields(positions[step.occurrence - 1]), step.field)


def _reader(name: str, group: str, rule: Rule, tables: Mapping[str, Table]) -> Read:
    kind = GROUPS[group].fields[name]
    if isinstance(kind, Composite):
        return kind.read
    if isinstance(kind, Coded):
        return kind.choose(tables.get(kind.table, {}), kind.wanted)
    return _single(kind, tuple(TRANSFORMS[each] for each in rule.transforms), tables)


def _single(kind: Single, transforms: tuple[Transform, ...], tables: Mapping[str, Table]) -> Read:
    parse = kind.parse
    if kind.table:
        parse = by_table(kind.table, tables.get(kind.table, {}), lenient=kind.lenient)

    def read(reading: Reading, raw: str, at: At) -> object:
        value = reading.leaf(raw, at)
        if value is None or value is DELETE:
            return value
        for transform in transforms:
            value = transform(value)
        if not value:
            return None
        return parse(reading, value) if parse is not None else value

    return read
