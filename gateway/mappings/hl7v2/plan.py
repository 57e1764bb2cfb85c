"""A dialect's field paths, compiled once: reading a group is a walk over rows, without looking up any path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from gateway.encounter.change import Places
from gateway.mappings.hl7v2.codes import Chosen
from gateway.mappings.hl7v2.condition import Condition
from gateway.mappings.hl7v2.fields import ALIASES, GROUPS, UNREMEMBERED
from gateway.mappings.hl7v2.layout import Known, Layouts, Live, Row, Together, Values
from gateway.mappings.hl7v2.reading import CODE_UNMAPPED, At, Reading, Unmapped, Unreadable
from gateway.mappings.hl7v2.rule import FieldRule
from gateway.mappings.hl7v2.steps import CONSTANT, Compiler, Found, Mark, Span, Step, Table, compiled

__all__ = ["Plan", "Span", "Values", "decided"]

_REMEMBERED = 1024
_LONGEST = 160
_TOGETHER, _LONGEST_TOGETHER = 512, 400
"""How much is kept of what was read before: texts of each field, and their length; fields read together, and theirs."""
_UNREADABLE = object()
_NOTHING: Found = (None, 0)
MAX_REPETITIONS = 200
"""How often a field may repeat: more than any sender needs, and few enough to be worked through."""

Alternatives = tuple[tuple[str, object], ...]
"""What several places of one field say: each place, and its value."""
_NOWHERE: tuple[tuple[Step, ...], None] = ((), None)


class Plan:
    """How one group is read in one dialect. `own` is the anchor, else the segment that most of its paths name."""

    __slots__ = (
        "_bits",
        "_layouts",
        "_marks",
        "_memory",
        "_only",
        "_several",
        "_written",
        "anchor",
        "group",
        "own",
        "rows",
        "several",
    )

    def __init__(
        self, group: str, rules: Mapping[str, FieldRule], tables: Mapping[str, Table], only: Condition = ()
    ) -> None:
        """`only`: the condition under which a segment of the group counts at all."""
        self.group = group
        self.anchor = GROUPS[group].anchor
        named = Counter(path.partition("-")[0].partition("[")[0] for rule in rules.values() for path in rule.paths)
        self.own = self.anchor or max(named, key=lambda segment: named[segment], default="")
        compiler = Compiler(group, self.own, tables, anchored=self.anchor is not None)
        self.rows = tuple(
            Row(name, tuple(compiler.step(name, kind, each, remembered=self._remembered(name)) for each in said))
            for name, kind in GROUPS[group].fields.items()
            if name in rules and (said := rules[name].alternatives)
        )
        self._several = {row.name: (own, _known_of(own)) for row in self.rows if len(own := _own(row)) > 1}
        self.several = frozenset(self._several)
        """The fields that have several places within the anchor."""
        self._written = {row.name: row.steps[0].place for row in self.rows}
        self._marks = compiler.marks
        self._bits = {row.name: sum({bit for step in row.steps for bit in _single(step.bits)}) for row in self.rows}
        self._only = compiled(only, self.own)
        self._layouts = Layouts(group, self.rows)
        self._memory: dict[tuple[int, int, int], tuple[Places, ...]] = {}

    def _remembered(self, name: str) -> bool:
        return (self.group, name) not in UNREMEMBERED

    def once(self, reading: Reading) -> tuple[Values, tuple[Places, ...]]:
        """The values of a group that a message says once, and their places."""
        values, mask = self.read(reading, reading.message.first(self.own))
        return values, self.places(mask) if mask else ()

    def each(self, reading: Reading) -> Iterator[tuple[int, Span, Values, int]]:
        """For each anchor segment that counts: its number from 1, its span, the values and the bits of their places."""
        message, only, anchor = reading.message, self._only, self.anchor
        positions = message.positions(self.own)
        last = len(positions)
        for number, position in enumerate(positions, start=1):
            span = (position, positions[number] if number < last else len(message))
            fields = message.fields(position)
            if only and not all(tested.holds(reading, fields, anchor, span) for tested in only):
                continue
            yield number, span, *self.read(reading, fields, number, span)

    def read(
        self, reading: Reading, fields: Sequence[str], number: int = 0, span: Span | None = None
    ) -> tuple[Values, int]:
        """The values that stand there, and a bit for each place they came from. A value of None is to be deleted.

        What cannot be read becomes a problem, and its field stays out.
        """
        width = len(fields)
        layout = self._layouts.get((reading.context, width)) or self._layouts.make(reading.context, width)
        values: Values = {}
        mask = 0
        for together in layout.together:
            texts = together.pick(fields)
            said, bits = together.known.get(texts) or self._read_together(reading, together, texts, fields, number)
            values.update(said)
            mask |= bits
        if layout.alone:
            mask |= self._walk(reading, layout.alone, values, fields, number, span)
        return values, mask

    def _read_together(
        self, reading: Reading, together: Together, texts: tuple[str, ...], fields: Sequence[str], number: int
    ) -> tuple[Values, int]:
        """What the fields say, to be remembered unless there is a problem, which every message has of its own."""
        noted = len(reading.problems)
        values: Values = {}
        found = values, self._walk(reading, together.places, values, fields, number, None)
        if len(reading.problems) == noted and sum(map(len, texts)) <= _LONGEST_TOGETHER:
            if len(together.known) >= _TOGETHER:
                together.known.clear()
            together.known[texts] = found
        return found

    def _walk(
        self,
        reading: Reading,
        places: tuple[Live, ...],
        values: Values,
        fields: Sequence[str],
        number: int,
        span: Span | None,
    ) -> int:
        """Add to `values` what stands at the places; the bits of those that said something."""
        mask = 0
        unreadable: list[str] = []
        for name, field, later, known, step in places:
            if later and name in values:
                continue
            if field < 0:
                value, bits = self._aside(reading, step, known, fields, number, span)
            else:
                raw = fields[field]
                if not raw:
                    continue
                value, bits = known.get(raw) or self._read(reading, step, raw, known, number)
            if bits:
                values[name] = value
                mask |= bits
            elif value is _UNREADABLE:
                values[name] = value
                unreadable.append(name)
        for name in unreadable:
            del values[name]
        return mask

    def _aside(
        self, reading: Reading, step: Step, known: Known, fields: Sequence[str], number: int, span: Span | None
    ) -> Found:
        """What a place says that is elsewhere, or counts only under a condition."""
        raw = step.name if step.constant else step.spot.raw(reading, fields, self.anchor, span)
        if not raw or (step.when and not step.holds(reading, fields, self.anchor, span)):
            return _NOTHING
        value, bits = known.get(raw) or self._read(reading, step, raw, known, number)
        if bits and step.slot:
            bits |= step.spot.found_at(reading, self.anchor, span) << step.slot
        return value, bits

    def _read(self, reading: Reading, step: Step, raw: str, known: Known, number: int) -> Found:
        """What the field `raw` says, to be remembered; _UNREADABLE, with a problem, when it is not of its kind."""
        if step.verbatim and raw.isalnum():
            found: Found = (raw, step.bits[0])
        elif raw == '""':
            return None, step.bits[0]
        else:
            try:
                if len(raw) > _LONGEST and raw.count(reading.repetition) >= MAX_REPETITIONS:
                    raise Unreadable(f"more than {MAX_REPETITIONS} repetitions")
                found = step.found(step.read(reading, raw, step.spot.at))
            except Unreadable as wrong:
                self._problem(reading, step, number, wrong)
                return _UNREADABLE, 0
        if not found[1]:
            found = _NOTHING
        if step.remembered and len(raw) <= _LONGEST:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[raw] = found
        return found

    def _problem(self, reading: Reading, step: Step, number: int, wrong: Unreadable) -> None:
        segment = step.spot.segment or (f"{self.own}[{number}]" if self.anchor else self.own)
        where, text = f"{segment}-{step.place}", f"{step.name}: {wrong}"
        if isinstance(wrong, Unmapped):
            reading.problem(CODE_UNMAPPED, where, text, table=wrong.table, value=wrong.value)
        else:
            reading.problem("value-unreadable", where, text)

    def places(self, mask: int, index: int | None = None, number: int = 0) -> tuple[Places, ...]:
        """Where the values of `mask` stand: of item `index`, in the anchor's `number`th segment.

        The same mask gives the same objects again.
        """
        key = (mask, -1 if index is None else index, number)
        known = self._memory.get(key)
        if known is None:
            known = self._places(self._said(mask), mask, self._item(index), number)
            if len(self._memory) < 4 * _REMEMBERED:
                self._memory[key] = known
        return known

    def _said(self, mask: int) -> dict[str, Mark]:
        """Canonical field -> its origin. What a code says of its system counts before what stands beside it."""
        said: dict[str, Mark] = {}
        for bit, mark in self._marks.items():
            if mask & bit:
                said.setdefault(ALIASES.get(mark.name, mark.name), mark)
        return said

    def _item(self, index: int | None) -> str:
        return self.group if index is None else f"{self.group}[{index}]"

    def _places(self, said: Mapping[str, Mark], mask: int, group: str, number: int) -> tuple[Places, ...]:
        own = f"{self.own}[{number or 1}]"
        by_origin: dict[tuple[str, str | None], dict[str, str]] = {}
        for name, mark in said.items():
            by_origin.setdefault((mark.label(mask, own), mark.table), {})[name] = mark.place
        return tuple(
            Places(group, label, fields, "." if label == CONSTANT else "-", table or "")
            for (label, table), fields in by_origin.items()
        )

    def looked_up(
        self, mask: int, name: str, table: str, fields: Iterable[str], index: int | None = None, number: int = 0
    ) -> tuple[Places, ...]:
        """The origin of `fields` whose values the dialect's `table` gave for what the field `name` of `mask` says."""
        mark = self._said(mask & self._bits.get(name, 0)).get(ALIASES.get(name, name))
        if mark is None:
            return ()
        said = {field: mark._replace(table=table) for field in fields}
        return self._places(said, mask, self._item(index), number)

    def places_in(self, mask: int, names: Collection[str], item: str, number: int) -> tuple[Places, ...]:
        """Where the values of the fields `names` stand, in the anchor's `number`th segment, as values of `item`."""
        said = {name: mark for name, mark in self._said(mask).items() if name.rpartition(".")[2] in names}
        return self._places(said, mask, item, number)

    def without(self, mask: int, name: str) -> int:
        """`mask` without the places of the field `name`."""
        return mask & ~self._bits.get(name, 0)

    def alternatives(self, reading: Reading, name: str, span: Span) -> Alternatives:
        """What the anchor at `span` says at each of the places of the field `name`, and where. Nothing where there is
        but one place. Remembered by the fields' texts, unless a place counts only under a condition.
        """
        steps, known = self._several.get(name, _NOWHERE)
        if not steps:
            return ()
        fields = reading.message.fields(span[0])
        if known is None:
            return tuple(self._alternatives(reading, steps, fields, span))
        texts = (reading.context, *[_raw(fields, step.spot.field) for step in steps])
        found = known.get(texts)
        if found is None:
            found = tuple(self._alternatives(reading, steps, fields, span))
            if sum(map(len, texts)) <= _LONGEST_TOGETHER:
                if len(known) >= _REMEMBERED:
                    known.clear()
                known[texts] = found
        return found

    def _alternatives(
        self, reading: Reading, steps: tuple[Step, ...], fields: Sequence[str], span: Span
    ) -> Iterator[tuple[str, object]]:
        for step in steps:
            raw = step.spot.raw(reading, fields, self.anchor, span)
            if raw and step.holds(reading, fields, self.anchor, span):
                yield step.place, _value(step, reading, raw)

    def texts(self, reading: Reading, name: str, span: Span) -> Iterator[tuple[str, str, At]]:
        """What stands in the anchor at `span` at each of the places of the field `name`, as it came: the place, the
        whole field, and the place within it.
        """
        fields = reading.message.fields(span[0])
        for step in next((_own(row) for row in self.rows if row.name == name), ()):
            raw = step.spot.raw(reading, fields, self.anchor, span)
            if raw and step.holds(reading, fields, self.anchor, span):
                yield step.place, raw, step.spot.at

    def everywhere(self, reading: Reading, name: str) -> tuple[str, list[object]]:
        """What all segments of a kind say of the field `name`, and where: at the first of its places that says
        anything. Nothing of one that stands in a single segment.
        """
        message = reading.message
        steps = next((row.steps for row in self.rows if row.name == name), ())
        for step in steps:
            spot = step.spot
            segment = spot.segment or self.own
            positions = message.positions(segment)[spot.occurrence - 1 :]
            if len(positions) == 1 and len(steps) == 1:
                break
            said = [raw for position in positions if (raw := _raw(message.fields(position), spot.field))]
            if said:
                alone = len(said) == 1 or spot.occurrence > 1
                return f"{segment}-{step.place}", [] if alone else [_value(step, reading, raw) for raw in said]
        return "", []

    def place(self, name: str) -> str:
        """The first place of the field `name` within its segment, for a problem's text; empty when it has none."""
        return self._written.get(name, "")


@lru_cache(maxsize=512)
def decided(group: str, name: str, key: str) -> Places:
    """The origin of a value that the dialect decides where the message is silent, by its setting `key`."""
    return Places(group, CONSTANT, {name: key}, ".")


def _single(bits: Iterable[int]) -> Iterator[int]:
    """The bits, each alone."""
    for each in bits:
        while each:
            yield each & -each
            each &= each - 1


def _known_of(steps: Iterable[Step]) -> dict[tuple[str, ...], Alternatives] | None:
    return None if any(step.when for step in steps) else {}


def _own(row: Row) -> tuple[Step, ...]:
    return tuple(step for step in row.steps if step.spot.segment is None)


def _value(step: Step, reading: Reading, raw: str) -> object:
    found = step.read(reading, raw, step.spot.at)
    return found.code if isinstance(found, Chosen) else found


def _raw(fields: Sequence[str], number: int) -> str:
    return fields[number] if number < len(fields) else ""
