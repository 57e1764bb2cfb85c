"""pydantic's complaints in words for the person who writes the file: what is wrong, what to do. No value is shown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping

from pydantic_core import ErrorDetails

NAME = r"^[a-z0-9][a-z0-9-]{0,39}$"
"""The form of the names that people give: to feeds, clients, destinations, rules, samples."""

Words = tuple[str, str]
Wording = Mapping[str, Callable[[ErrorDetails], Words]]
"""By the type of pydantic's error."""

_SEE = "see docs: the configuration"


def words(error: ErrorDetails, own: Wording) -> Words:
    """What is wrong and what to do. A validator says both itself: `wrong; to do`, or with `remedy` in its context."""
    remedy = error.get("ctx", {}).get("remedy")
    if remedy is not None:
        return error["msg"], str(remedy)
    wording = own.get(error["type"]) or _WORDS.get(error["type"])
    return wording(error) if wording else (f"does not fit ({error['type']})", _SEE)


def instead(said: object, known: Iterable[str], offer: str = "write one of") -> str:
    """`did you mean ...?` when a known word is near, and all that may be written. What was said is not repeated."""
    words = list(known)
    lowered = {word.lower(): word for word in words}
    near = difflib.get_close_matches(str(said).lower(), lowered, n=1)
    meant = f"did you mean {lowered[near[0]]}? " if near else ""
    return f"{meant}{offer} {', '.join(words)}"


def _context(error: ErrorDetails, name: str) -> str:
    return str(error.get("ctx", {}).get(name, ""))


def _bound(error: ErrorDetails) -> Words:
    text = error["msg"].removeprefix("Input should be ")
    return f"must be {text}", "write a number in that range"


def _choice(error: ErrorDetails) -> Words:
    expected = _context(error, "expected")
    return "is not one of its values", instead(error.get("input"), re.findall(r"'([^']*)'", expected) or [expected])


def _stated(error: ErrorDetails) -> Words:
    text, _, remedy = error["msg"].removeprefix("Value error, ").partition("; ")
    return text, remedy or _SEE


def _number(_: ErrorDetails) -> Words:
    return "is not a number", "write it in digits, without quotes or units"


def _whole(_: ErrorDetails) -> Words:
    return "is not a whole number", "write it in digits, without quotes or units"


def _truth(_: ErrorDetails) -> Words:
    return "is neither true nor false", "write true or false"


def _date(_: ErrorDetails) -> Words:
    return "is not a date", "write it as 2026-01-31"


def _pattern(error: ErrorDetails) -> Words:
    if _context(error, "pattern") == NAME:
        remedy = "use lower-case letters, digits and hyphens, 40 at most, beginning with a letter or digit"
        return "is not a name", remedy
    return "does not have its form", f"write it as the pattern says: {_context(error, 'pattern')}"


def _text(error: ErrorDetails) -> Words:
    if isinstance(error.get("input"), list | dict):
        return "is not a text", "write one value"
    return "is not a text", "put it in quotes, so that YAML takes it as text"


def _long(error: ErrorDetails) -> Words:
    most = _context(error, "max_length")
    return f"is longer than {most}", f"write {most} at most"


def _list(_: ErrorDetails) -> Words:
    return "is not a list", "write it in brackets, as [a, b], or one `- item` a line"


def _mapping(_: ErrorDetails) -> Words:
    return "is not a group of settings", "write `key: value` lines under it, indented, or {key: value}"


_WORDS: Wording = {
    "missing": lambda _: ("is missing", "add it"),
    "value_error": _stated,
    "enum": _choice,
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
    "string_type": _text,
    "path_type": _text,
    "string_too_short": lambda _: ("is empty", "write a text"),
    "string_too_long": _long,
    "int_parsing": _whole,
    "int_type": _whole,
    "int_from_float": _whole,
    "int_parsing_size": _whole,
    "float_parsing": _number,
    "float_type": _number,
    "finite_number": _number,
    "decimal_parsing": _number,
    "decimal_type": _number,
    "bool_parsing": _truth,
    "bool_type": _truth,
    "date_type": _date,
    "date_parsing": _date,
    "date_from_datetime_parsing": _date,
    "date_from_datetime_inexact": _date,
    "tuple_type": _list,
    "frozen_set_type": _list,
    "too_short": lambda _: ("is empty", "list at least one"),
    "too_long": _long,
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "dict_type": _mapping,
    "greater_than": _bound,
    "greater_than_equal": _bound,
    "less_than": _bound,
    "less_than_equal": _bound,
}
