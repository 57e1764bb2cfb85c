"""The models' complaints in words for the person who writes the file: what is wrong, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from gateway.config import (
    Audit,
    Billing,
    Client,
    Config,
    DestinationKind,
    Feed,
    FhirClaim,
    Http,
    Processing,
    Settings,
    X12File,
)
from gateway.settings.document import Document, Loc, below

_KINDS: Mapping[str, type[Settings]] = {DestinationKind.X12_FILE: X12File, DestinationKind.FHIR_CLAIM: FhirClaim}

_SECTIONS: Mapping[str, type[Settings]] = {
    "feeds": Feed,
    "clients": Client,
    "http": Http,
    "billing": Billing,
    "audit": Audit,
    "processing": Processing,
}

_SECRETS: Mapping[type[Settings], tuple[str, frozenset[str]]] = {
    Client: ("token", frozenset({"token_env", "token_file"})),
    FhirClaim: ("token", frozenset({"token_env", "token_file"})),
    Audit: ("key", frozenset({"key_env"})),
    Config: ("store_key", frozenset()),
}
"""What stands in the file in place of a secret."""

Words = tuple[str, str]

_QUOTES = "put it in quotes, so that YAML takes it as text"


def _bound(error: ErrorDetails) -> Words:
    text = error["msg"].removeprefix("Input should be ")
    return f"must be {text}", "write a number in that range"


def _choice(error: ErrorDetails) -> Words:
    expected = str(error.get("ctx", {}).get("expected", ""))
    known = re.findall(r"'([^']*)'", expected)
    return "is not one of its values", _meant(error.get("input"), known) + f"write one of {', '.join(known)}"


def _stated(error: ErrorDetails) -> Words:
    """A validator's own words."""
    text, _, remedy = error["msg"].removeprefix("Value error, ").partition("; ")
    return text, remedy or "see docs: the configuration"


def _number(_: ErrorDetails) -> Words:
    return "is not a number", "write it in digits, without quotes or units"


def _whole(_: ErrorDetails) -> Words:
    return "is not a whole number", "write it in digits, without quotes or units"


def _pattern(_: ErrorDetails) -> Words:
    return "is not a name", "use lower-case letters, digits and hyphens, 40 at most, beginning with a letter or digit"


def _text(error: ErrorDetails) -> Words:
    if isinstance(error.get("input"), list | dict):
        return "is not a text", "write one value"
    return "is not a text", _QUOTES


def _list(error: ErrorDetails) -> Words:
    return "is not a list", "write it in brackets, as [a, b], or one `- item` a line"


def _mapping(_: ErrorDetails) -> Words:
    return "is not a group of settings", "write `key: value` lines under it, indented, or {key: value}"


_WORDS: Mapping[str, Callable[[ErrorDetails], Words]] = {
    "missing": lambda _: ("is missing", "add it"),
    "value_error": _stated,
    "enum": _choice,
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
    "string_type": _text,
    "path_type": _text,
    "int_parsing": _whole,
    "int_type": _whole,
    "int_from_float": _whole,
    "int_parsing_size": _whole,
    "float_parsing": _number,
    "float_type": _number,
    "finite_number": _number,
    "bool_parsing": lambda _: ("is neither true nor false", "write true or false"),
    "bool_type": lambda _: ("is neither true nor false", "write true or false"),
    "tuple_type": _list,
    "frozen_set_type": _list,
    "too_short": lambda _: ("is empty", "list at least one"),
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "dict_type": _mapping,
    "union_tag_not_found": lambda _: ("has no kind", f"add kind: {' or kind: '.join(_KINDS)}"),
    "greater_than": _bound,
    "greater_than_equal": _bound,
    "less_than": _bound,
    "less_than_equal": _bound,
}


def tell(document: Document, errors: Iterable[ErrorDetails]) -> None:
    """Each complaint as a mistake at its place in the file."""
    for error in errors:
        loc = _place(document, error["loc"])
        if error["type"] == "extra_forbidden":
            document.tell(loc, "there is no such setting", _similar(document, loc))
        elif error["type"] == "union_tag_invalid":
            kind = below(_at(document, loc), "kind")
            document.tell((*loc, "kind"), "is not one of its values", _meant(kind, _KINDS) + _one_of(_KINDS))
        else:
            words = _WORDS.get(error["type"])
            text, remedy = words(error) if words else (f"does not fit ({error['type']})", "see docs: the configuration")
            document.tell(loc, text, remedy)


def _one_of(known: Iterable[str]) -> str:
    return f"write one of {', '.join(known)}"


def _place(document: Document, loc: tuple[int | str, ...]) -> Loc:
    """The model's location as the file's: the tag of a union is no part of the file."""
    found: Loc = ()
    here: object = document.data
    for part in loc:
        if isinstance(part, str) and part in _KINDS and part not in _keys(here):
            continue
        found = (*found, part)
        here = below(here, part)
    return found


def _keys(value: object) -> Iterable[object]:
    return value.keys() if isinstance(value, dict) else ()


def _at(document: Document, loc: Loc) -> object:
    here: object = document.data
    for part in loc:
        here = below(here, part)
    return here


def _similar(document: Document, loc: Loc) -> str:
    known = _settings(document, loc[:-1])
    return _meant(loc[-1], known) + f"there are {', '.join(sorted(known))}"


def _settings(document: Document, loc: Loc) -> set[str]:
    """The names that may stand in the group at `loc`."""
    model = _model(document, loc)
    secret, instead = _SECRETS.get(model, ("", frozenset()))
    return (set(model.model_fields) - {secret}) | instead


def _model(document: Document, loc: Loc) -> type[Settings]:
    if not loc:
        return Config
    if loc[0] == "destinations":
        return _KINDS.get(str(below(_at(document, loc[:2]), "kind")), X12File)
    return _SECTIONS.get(str(loc[0]), Config)


def _meant(said: Any, known: Iterable[str]) -> str:
    """`did you mean ...? ` when a known word is near. What was said is not repeated."""
    near = difflib.get_close_matches(str(said).lower(), list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}? " if near else ""  # followed by what may be written
