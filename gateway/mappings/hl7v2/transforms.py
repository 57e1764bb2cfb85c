"""What a dialect may do to a value before it is read: a closed set, named in the dialect's `with`.

Single values are changed as text, after they were cut out and unescaped. Fields of several components have transforms
of their own, that work on the whole field as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from gateway.encounter.record import Record
from gateway.mappings.hl7v2.reading import Reading

Transform = Callable[[str], str]
"""Gives the text to read instead; an empty one counts as absent."""
RawTransform = Callable[[Reading, str], str]
"""Gives the field to read instead, delimiters and escapes included."""

_CLOCK_WITHOUT_OFFSET = re.compile(r"[0-9]{8}[0-9]{2,6}(?:\.[0-9]{1,6})?", re.ASCII)
_LENGTH = re.compile(r"[1-9][0-9]?", re.ASCII)
_DATE_PARTS = re.compile(r"YYYY|MM|DD|hh|mm|ss")
_WANTED_PARTS = ("YYYY", "MM", "DD", "hh", "mm", "ss")


class Applied(Record):
    """One transform of a dialect, with its parameter where it takes one."""

    name: str
    parameter: str | None = None


def _digits(text: str) -> str:
    return "".join(character for character in text if character in "0123456789")


def _utc(text: str) -> str:
    return f"{text}+0000" if _CLOCK_WITHOUT_OFFSET.fullmatch(text) else text


TRANSFORMS: dict[str, Transform] = {
    "upper": str.upper,
    "lower": str.lower,
    "digits": _digits,
    "no-blanks": lambda text: "".join(text.split()),
    "no-dots": lambda text: text.replace(".", ""),
    "no-leading-zeros": lambda text: text.lstrip("0") or "0",
    "no-money-signs": lambda text: text.replace("$", "").replace(",", ""),
    "first-word": lambda text: text.partition(" ")[0],
    "last-word": lambda text: text.rpartition(" ")[2],
    "utc": _utc,
}
"""Those without a parameter. `utc`: a time of day that names no offset is one in UTC."""


def _before(mark: str) -> Transform:
    return lambda text: text.partition(mark)[0].strip()


def _after(mark: str) -> Transform:
    return lambda text: text.partition(mark)[2].strip()


def _pad(length: str) -> Transform:
    width = int(length)
    return lambda text: text.rjust(width, "0")


def _first(length: str) -> Transform:
    end = int(length)
    return lambda text: text[:end]


def _last(length: str) -> Transform:
    start = int(length)
    return lambda text: text[-start:]


def _without_prefix(prefix: str) -> Transform:
    return lambda text: text.removeprefix(prefix)


def _without_suffix(suffix: str) -> Transform:
    return lambda text: text.removesuffix(suffix)


def _decimals(count: str) -> Transform:
    """Digits alone, of which the last `count` are decimals: `9150` is 91.50."""
    places = int(count)

    def transform(text: str) -> str:
        if not (text.isascii() and text.isdecimal()):
            return text
        padded = text.rjust(places + 1, "0")
        return f"{padded[:-places]}.{padded[-places:]}"

    return transform


def _date(form: str) -> Transform:
    """From the form `MM/DD/YYYY` and the like to HL7's own; a text of another form stays, and is found unreadable."""
    pieces = re.split(f"({_DATE_PARTS.pattern})", form)
    shape = "".join(f"(?P<{p}>[0-9]{{{len(p)}}})" if p in _WANTED_PARTS else re.escape(p) for p in pieces)
    pattern = re.compile(shape, re.ASCII)

    def transform(text: str) -> str:
        match = pattern.fullmatch(text)
        return "".join(match.groupdict().get(part) or "" for part in _WANTED_PARTS) if match else text

    return transform


def _is_date_form(form: str) -> bool:
    parts = _DATE_PARTS.findall(form)
    return len(parts) == len(set(parts)) and {"YYYY", "MM", "DD"} <= set(parts) and len(form) <= 40


class Parameter(NamedTuple):
    """A transform that takes a parameter: how it is made, which parameters there are, and how one is written."""

    make: Callable[[str], Transform]
    fits: Callable[[str], bool]
    example: str


def _is_text(text: str) -> bool:
    return 0 < len(text) <= 40


def _is_length(text: str) -> bool:
    return _LENGTH.fullmatch(text) is not None


PARAMETERS: dict[str, Parameter] = {
    "before": Parameter(_before, _is_text, '{before: "-"}'),
    "after": Parameter(_after, _is_text, '{after: "-"}'),
    "without-prefix": Parameter(_without_prefix, _is_text, "{without-prefix: V}"),
    "without-suffix": Parameter(_without_suffix, _is_text, "{without-suffix: X}"),
    "pad": Parameter(_pad, _is_length, "{pad: 2} for zeros before it up to 2 characters, 99 at most"),
    "first": Parameter(_first, _is_length, "{first: 5} for 5 characters, 99 at most"),
    "last": Parameter(_last, _is_length, "{last: 4} for 4 characters, 99 at most"),
    "decimals": Parameter(_decimals, _is_length, "{decimals: 2}"),
    "date": Parameter(_date, _is_date_form, "{date: MM/DD/YYYY}, of YYYY, MM and DD, with hh, mm and ss"),
}
"""Those with a parameter."""


def transform(applied: Applied) -> Transform:
    """The transform that a dialect names."""
    if applied.parameter is None:
        return TRANSFORMS[applied.name]
    return PARAMETERS[applied.name].make(applied.parameter)


def comma_names(at: int) -> RawTransform:
    """Splits a family name in component `at` (from 0) that holds the others too: `Albert, Brian S` is Albert, Brian, S.

    Where the given name has a component of its own, nothing changes.
    """

    def transform(reading: Reading, raw: str) -> str:
        if "," not in raw:
            return raw
        return reading.repetition.join(_split_name(reading, each, at) for each in raw.split(reading.repetition))

    return transform


def _split_name(reading: Reading, raw: str, at: int) -> str:
    components = raw.split(reading.component)
    components += [""] * (at + 3 - len(components))
    family, comma, others = components[at].partition(",")
    if not comma or components[at + 1].strip():
        return raw
    given, _, middle = others.strip().partition(" ")
    components[at : at + 2] = [family.strip(), given]
    components[at + 2] = components[at + 2] or middle.strip()
    return reading.component.join(components)


COMMA_NAMES = "comma-names"
