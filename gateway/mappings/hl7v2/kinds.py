"""The kinds of value that canonical fields have, and how each is read from a field (chapter 2A, data types).

A reader gets the whole field and the place within it, and gives the value; None when nothing stands there; DELETE for
an explicit `""`. It raises Unreadable when what stands there is not of its kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from gateway.encounter.identity import Identifier
from gateway.encounter.model import Address, PersonName
from gateway.mappings.hl7v2.reading import At, Reading, Unmapped, Unreadable

Read = Callable[[Reading, str, At], object]
Parse = Callable[[Reading, str], object]
Coded = tuple[int, str, str]
"""Which pair of a field it is (0, or 1 for the alternate one), a code, and the name of its system as written: empty
when the sender names none.
"""

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})", re.ASCII)
_TIMESTAMP = re.compile(r"([0-9]{8})((?:[0-9]{2}){1,3})?(?:\.[0-9]{1,6})?([+-][0-9]{4})?", re.ASCII)
_MODIFIER = re.compile(r"[A-Z0-9]{2}", re.ASCII)


def text(reading: Reading, raw: str, at: At) -> str | None:
    """The text itself."""
    return reading.leaf(raw, at)


def parse_date(reading: Reading, value: str) -> date:
    """A TS or DT's day, in the feed's own calendar when the value has an offset from UTC."""
    if len(value) == 8 and value.isdecimal() and value.isascii():
        return _day(value)
    match = _TIMESTAMP.fullmatch(value)
    if match is None:
        raise Unreadable("not a date (YYYYMMDD)")
    if match[3] is None:
        return _day(match[1])
    return _instant(match, reading).date()


def parse_birth_date(reading: Reading, value: str) -> date:
    """A TS or DT's day as written: a birth date has no time zone."""
    match = _TIMESTAMP.fullmatch(value)
    if match is None:
        raise Unreadable("not a date (YYYYMMDD)")
    return _day(match[1])


def parse_instant(reading: Reading, value: str) -> datetime:
    """A TS as an aware datetime in the feed's time zone; a day alone is its midnight."""
    match = _TIMESTAMP.fullmatch(value)
    if match is None:
        raise Unreadable("not a date and time (YYYYMMDDHHMM)")
    return _instant(match, reading)


def _day(digits: str) -> date:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise Unreadable("no such day in the calendar") from None


def _instant(match: re.Match[str], reading: Reading) -> datetime:
    day, clock, offset = match.groups()
    clock = (clock or "").ljust(6, "0")
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{offset or ''}")
        return moment.replace(tzinfo=reading.zone) if offset is None else moment.astimezone(reading.zone)
    except (ValueError, OverflowError):
        raise Unreadable("no such day or time in the calendar") from None


def parse_number(reading: Reading, value: str) -> Decimal:
    """A quantity or an amount: at most 12 digits and 6 decimals."""
    if len(value) < 13 and value.isdecimal() and value.isascii():
        return Decimal(value)
    if _NUMBER.fullmatch(value) is None:
        raise Unreadable("not a number")
    return Decimal(value)


def parse_rank(reading: Reading, value: str) -> int | None:
    """A position from 1 on; 0 says nothing."""
    if not (len(value) < 6 and value.isdecimal() and value.isascii()):
        raise Unreadable("not a whole number")
    return int(value) or None


def parse_code(reading: Reading, value: str) -> str:
    """A code in capitals without blanks."""
    return "".join(value.split()).upper()


def by_table(name: str, entries: Mapping[str, StrEnum | str], *, lenient: bool = False) -> Parse:
    """Reads a value by the dialect's table `name`; case does not count. A lenient one knows no wrong values."""

    def parse(reading: Reading, value: str) -> object:
        found = entries.get(value)
        if found is None:
            found = entries.get(value.upper())
            if found is None and not lenient:
                raise Unmapped(name, value)
        return found

    return parse


def coded(reading: Reading, raw: str, at: At) -> tuple[Coded, ...]:
    """A CE or CWE: the code with its system, then the alternate code with its own."""
    return _pairs(reading, reading.components(raw, at), at.component)


def coded_list(reading: Reading, raw: str, at: At) -> list[tuple[int, tuple[Coded, ...]]]:
    """Every repetition of a CE or CWE that has a code, each with its number from 1."""
    parts = enumerate(raw.split(reading.repetition), start=1)
    found = ((number, _pairs(reading, part.split(reading.component), 0)) for number, part in parts)
    return [(number, pairs) for number, pairs in found if pairs]


def _pairs(reading: Reading, components: list[str], first: int) -> tuple[Coded, ...]:
    found = []
    for pair, index in enumerate((first, first + 3) if not first else (first,)):
        if index < len(components) and components[index]:
            code = reading.said(components, index)
            if code:
                found.append((pair, code, reading.said(components, index + 2) or ""))
    return tuple(found)


def modifiers(reading: Reading, raw: str, at: At) -> tuple[str, ...] | None:
    """Every repetition's first component, each once: two letters or digits, as CPT and HCPCS modifiers have.

    One of another form is kept beside well-formed ones, so that the edits find it. Where none is formed like a
    modifier, the field holds something else: Unreadable.
    """
    if len(raw) == 2 and _MODIFIER.fullmatch(raw):
        return (raw,)
    found: dict[str, None] = {}
    formed = False
    for each in raw.split(reading.repetition):
        value = reading.said(each.split(reading.component), at.component)
        if value is None:
            continue
        modifier = value.upper()
        found[modifier] = None
        formed = formed or _MODIFIER.fullmatch(modifier) is not None
    if found and not formed:
        raise Unreadable("none has the two characters of a modifier")
    return tuple(found) or None


def name(reading: Reading, raw: str, at: At) -> PersonName | None:
    """XPN: family name (its own part of FN), given, middle, suffix."""
    return _name(reading, reading.components(raw, at), 0)


def person_name(reading: Reading, components: list[str]) -> PersonName | None:
    """XCN.2 to XCN.5."""
    return _name(reading, components, 1)


def _name(reading: Reading, components: list[str], first: int) -> PersonName | None:
    said = reading.said
    family, given = said(components, first), said(components, first + 1)
    middle, suffix = said(components, first + 2), said(components, first + 3)
    if family is None and given is None:
        return None
    return PersonName.unchecked({"family": family, "given": given, "middle": middle, "suffix": suffix})


_ADDRESS = ("line", "line2", "city", "state", "postal_code", "country")


def address(reading: Reading, raw: str, at: At) -> Address | None:
    """XAD: street (SAD.1), other designation, city, state, postal code, country."""
    components = reading.components(raw, at)[:6]
    written = reading.component.join(components)
    known = reading.read_before.get(written)
    if isinstance(known, Address):
        return known
    said = reading.said
    values = {field: value for index, field in enumerate(_ADDRESS) if (value := said(components, index))}
    if not values:
        return None
    found = reading.read_before[written] = Address.unchecked(values)
    return found


def phone(reading: Reading, raw: str, at: At) -> str | None:
    """XTN: the number as written, else area code and local number, else the unformatted one."""
    components = reading.components(raw, at)
    written = reading.said(components, 0)
    if written:
        return written
    area, local = reading.said(components, 5), reading.said(components, 6)
    return f"{area or ''}{local}" if local else reading.said(components, 11)


def identifier(kind: str | None = None, *, ours: bool = False) -> Read:
    """CX: the number with its assigning authority. `kind` is its type whatever CX.5 says; `ours`: the feed's own
    authority, when it has one, stands in the place of the message's.
    """

    def read(reading: Reading, raw: str, at: At) -> Identifier | None:
        return _identifier(reading, reading.components(raw, at), kind, ours)

    return read


def identifiers(reading: Reading, raw: str, at: At) -> tuple[Identifier, ...] | None:
    """Every repetition of a CX."""
    each = (
        _identifier(reading, part.split(reading.component), None, ours=False) for part in raw.split(reading.repetition)
    )
    return tuple(found for found in each if found is not None) or None


def _identifier(reading: Reading, components: list[str], kind: str | None, ours: bool) -> Identifier | None:
    value = reading.said(components, 0)
    if value is None:
        return None
    authority = (reading.authority if ours else None) or reading.said(components, 3) or reading.said(components, 3, 1)
    return Identifier.unchecked({"value": value, "authority": authority, "type": kind or reading.said(components, 4)})
