"""The places of a dialect's fields, compiled: how the value at each is read, when it counts, what its origin is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from enum import StrEnum
from typing import NamedTuple

from gateway.mappings.hl7v2.codes import Chosen
from gateway.mappings.hl7v2.condition import Condition, Test
from gateway.mappings.hl7v2.delimiters import DELETE
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.fields import Coded, Composite, Kind, Single, meaning
from gateway.mappings.hl7v2.kinds import Read, by_table
from gateway.mappings.hl7v2.path import Path
from gateway.mappings.hl7v2.reading import At, Reading
from gateway.mappings.hl7v2.rule import Alternative
from gateway.mappings.hl7v2.transforms import COMMA_NAMES, RawTransform, Transform, comma_names, transform

Table = Mapping[str, str | None]
"""A dialect's table as written: the sender's code -> canonical value."""
Found = tuple[object, int]
"""A value and the bits of its places; no bits when nothing stands there."""
Span = tuple[int, int]
"""Positions of an item's segments: from its anchor to before the next one."""

SLOTS, SLOT_BITS = 1024, 16
SLOT = (1 << SLOT_BITS) - 1
"""Above the bits of origins a mask has room for the numbers of the segments that stand beside the anchor."""
CONSTANT = "dialect"
"""What stands in place of a segment for what the dialect says itself."""
_ALTERNATE = 3
_SYSTEM = 2
"""A CE's alternate code comes three components after the first, a system two after its code."""


class Spot(NamedTuple):
    """A place in a message. `segment` is None for the plan's own segment."""

    segment: str | None
    occurrence: int
    field: int
    at: At

    @classmethod
    def of(cls, path: str, own: str) -> Spot:
        """The spot that a dialect's path names."""
        parsed = Path.parse(path)
        at = At(parsed.repetition - 1, parsed.component - 1, parsed.subcomponent - 1)
        here = parsed.segment == own and parsed.occurrence == 1
        return cls(None if here else parsed.segment, parsed.occurrence, parsed.field, at)

    def raw(self, reading: Reading, fields: Sequence[str], anchor: str | None, span: Span | None) -> str:
        """The whole field as it came."""
        if self.segment is not None:
            occurrence = self.found_at(reading, anchor, span)
            if not occurrence:
                return ""
            fields = reading.message.fields(reading.message.positions(self.segment)[occurrence - 1])
        return fields[self.field] if self.field < len(fields) else ""

    def found_at(self, reading: Reading, anchor: str | None, span: Span | None) -> int:
        """Which of the segments of its name, from 1: of those of the item, or else of those before the first anchor; 0
        when there is none.
        """
        positions = reading.message.positions(self.segment or "")
        since, until = 0, len(positions)
        if span is not None and positions:
            since, until = bisect_right(positions, span[0]), bisect_left(positions, span[1])
            if since == until:
                since, until = 0, bisect_left(positions, reading.message.positions(anchor or "")[0])
        return since + self.occurrence if self.occurrence <= until - since else 0


class Tested(NamedTuple):
    """One test of a condition, compiled."""

    spot: Spot
    test: Test

    def holds(self, reading: Reading, fields: Sequence[str], anchor: str | None, span: Span | None) -> bool:
        return self.of(reading, self.spot.raw(reading, fields, anchor, span))

    def of(self, reading: Reading, raw: str) -> bool:
        """Whether it holds of the field `raw`."""
        value = reading.leaf(raw, self.spot.at) if raw else None
        return self.test.holds(None if value is DELETE else value)


class Mark(NamedTuple):
    """The origin of a value, where a bit stands for it: a place, and the table that it was looked up in.

    With a `slot`, the bits from there on say which of the segments it is.
    """

    name: str
    segment: str | None
    occurrence: int
    place: str
    table: str | None = None
    slot: int = 0

    def label(self, mask: int, own: str) -> str:
        """The segment with its number: `IN2[1]`; `own` of the plan's own segment."""
        if self.segment is None:
            return own
        occurrence = mask >> self.slot & SLOT if self.slot else self.occurrence
        return f"{self.segment}[{occurrence}]" if occurrence else self.segment


class Step(NamedTuple):
    """One place of a field. Without a field number it is a constant, and `read` gives its value."""

    name: str
    spot: Spot
    read: Read
    when: tuple[Tested, ...]
    bits: tuple[int, ...]
    place: str
    """As the dialect writes it, for problems."""
    remembered: bool
    verbatim: bool
    """Whether a field of letters and digits alone is the value itself."""
    slot: int = 0

    @property
    def constant(self) -> bool:
        return self.spot.segment == CONSTANT

    def found(self, value: object) -> Found:
        """What was read, and the bits of where it stood."""
        if value is None:
            return None, 0
        if isinstance(value, Chosen):
            return value.code, self.bits[2 * value.pair + (value.code.system is not None)]
        return None if value is DELETE else value, self.bits[0]

    def holds(self, reading: Reading, fields: Sequence[str], anchor: str | None, span: Span | None) -> bool:
        """Whether the step counts here."""
        return all(test.holds(reading, fields, anchor, span) for test in self.when)


class Compiler:
    """Compiles the places of one group's fields, and counts out the bits of their origins."""

    def __init__(self, group: str, own: str, tables: Mapping[str, Table], *, anchored: bool) -> None:
        self._group = group
        self._own = own
        self._tables = tables
        self._anchored = anchored
        self._slots = 0
        self.marks: dict[int, Mark] = {}

    def step(self, name: str, kind: Kind, said: Alternative, *, remembered: bool) -> Step:
        """The step of one alternative."""
        if said.path is None:
            return self._constant(name, kind, said)
        spot = Spot.of(said.path, self._own)
        read = _reader(kind, said, self._tables)
        here, elsewhere = _parted(compiled(said.when, self._own), spot)
        if here:
            read = _only_where(here, read)
        slot = self._slot(spot)
        bits = self._bits(name, kind, spot, slot, said.table)
        verbatim = isinstance(kind, Single) and not (here or kind.parse or kind.table or said.transforms or said.table)
        place = said.path.partition("-")[2]
        return Step(name, spot, read, elsewhere, bits, place, remembered, verbatim and spot.at == At(), slot)

    def _slot(self, spot: Spot) -> int:
        """Room in the mask for the number of a segment that stands beside the anchor."""
        if not self._anchored or spot.segment is None:
            return 0
        self._slots += 1
        return SLOTS + SLOT_BITS * self._slots

    def _constant(self, name: str, kind: Kind, said: Alternative) -> Step:
        bit = self._mark(Mark(name, CONSTANT, 0, f"fields.{self._group}.{name}"))
        value = constant(kind, said.value or "")
        when = compiled(said.when, self._own)
        spot = Spot(CONSTANT, 1, 0, At())
        return Step(name, spot, lambda _reading, _raw, _at: value, when, (bit,), "", False, False)

    def _mark(self, mark: Mark) -> int:
        bit = 1 << len(self.marks)
        self.marks[bit] = mark
        return bit

    def _bits(self, name: str, kind: Kind, spot: Spot, slot: int, table: str | None) -> tuple[int, ...]:
        """The value's bit; of a code, bits for the first and the alternate one, each without and with its system."""
        origin = Mark(name, spot.segment, spot.occurrence, _written(kind, spot), slot=slot)
        if not isinstance(kind, Coded):
            own = (kind.table or kind.names) if isinstance(kind, Single) else None
            return (self._mark(origin._replace(table=table or own)),)
        if kind.whole:
            return (self._mark(origin),)
        bits = []
        for component in (spot.at.component, spot.at.component + _ALTERNATE):
            field = f"{spot.field}[{spot.at.repetition + 1}]"
            code = self._mark(origin._replace(place=f"{field}.{component + 1}"))
            system = self._mark(
                origin._replace(name="system", place=f"{field}.{component + _SYSTEM + 1}", table=kind.table)
            )
            bits += [code, code | system]
        return tuple(bits)


def _written(kind: Kind, spot: Spot) -> str:
    """Where the value stands in its segment: the field, and as far as it is one value, repetition and component."""
    if not isinstance(kind, Single):
        return str(spot.field) if kind.whole else f"{spot.field}[{spot.at.repetition + 1}]"
    written = f"{spot.field}[{spot.at.repetition + 1}].{spot.at.component + 1}"
    return f"{written}.{spot.at.subcomponent + 1}" if spot.at.subcomponent else written


def constant(kind: Kind, text: str) -> object:
    """The canonical value of a constant. ValueError when it is none of the field's."""
    if isinstance(kind, Single) and kind.table:
        return meaning(kind.table, text)
    if isinstance(kind, Single) and kind.parse:
        return kind.parse(_NOTHING, text)
    return text


_NOTHING = Reading(Er7Message.parse(b"MSH|^~\\&|"), UTC)
"""In place of a message: a constant is the same in all."""


def compiled(when: Condition, own: str) -> tuple[Tested, ...]:
    """The tests of a condition."""
    return tuple(Tested(Spot.of(test.path, own), test) for test in when)


def _parted(when: tuple[Tested, ...], spot: Spot) -> tuple[tuple[Tested, ...], tuple[Tested, ...]]:
    """The tests of the very field that is read, on whose text alone they depend, and the others."""
    same = [tested.spot[:3] == spot[:3] and spot.segment is None for tested in when]
    here = tuple(tested for tested, is_same in zip(when, same, strict=True) if is_same)
    return here, tuple(tested for tested, is_same in zip(when, same, strict=True) if not is_same)


def _only_where(when: tuple[Tested, ...], read: Read) -> Read:
    def conditional(reading: Reading, raw: str, at: At) -> object:
        return read(reading, raw, at) if all(tested.of(reading, raw) for tested in when) else None

    return conditional


def _reader(kind: Kind, said: Alternative, tables: Mapping[str, Table]) -> Read:
    if isinstance(kind, Composite):
        named = kind.names_at if any(each.name == COMMA_NAMES for each in said.transforms) else None
        return kind.read if named is None else _renamed(comma_names(named), kind.read)
    if isinstance(kind, Coded):
        return kind.choose(looked_up(tables.get(kind.table, {}), kind.table), kind.wanted)
    return _single(kind, tuple(transform(each) for each in said.transforms), said.table, tables)


def _renamed(change: RawTransform, read: Read) -> Read:
    return lambda reading, raw, at: read(reading, change(reading, raw), at)


def looked_up(entries: Table, table: str | None) -> dict[str, StrEnum | str]:
    """A table's entries keyed in capitals, with the canonical values of the known `table`, or as text."""
    return {code.upper(): meaning(table, value) for code, value in entries.items() if value is not None}


def _single(kind: Single, transforms: tuple[Transform, ...], own: str | None, tables: Mapping[str, Table]) -> Read:
    parse: Callable[[Reading, str], object] | None = kind.parse
    table = own or kind.table
    if table:
        find = by_table(table, looked_up(tables.get(table, {}), kind.table), lenient=kind.lenient)
        parse = find if kind.table or parse is None else _then(find, parse)

    def read(reading: Reading, raw: str, at: At) -> object:
        value = reading.leaf(raw, at)
        if value is None or value is DELETE:
            return value
        for change in transforms:
            value = change(value)
        if not value:
            return None
        return parse(reading, value) if parse is not None else value

    return read


def _then(find: Callable[[Reading, str], object], parse: Callable[[Reading, str], object]) -> Callable[..., object]:
    return lambda reading, value: parse(reading, str(find(reading, value)))
