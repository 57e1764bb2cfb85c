"""Reading, screening, validating and writing resources.

`read` is strict: it parses with orjson first, which refuses invalid UTF-8, lone surrogates, NaN and excessive depth at
little cost, and then with the standard library, which alone can refuse a key that stands twice and keep decimals
exact. Both together take 20 to 50 us for a usual resource. What was acknowledged at a `glance` is read so when it is
processed: nothing is made of bytes that two readers could read in two ways.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import orjson
from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel, ValidationError

from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.outcome import ERROR, FATAL, WARNING, Issue
from gateway.mappings.fhir.postcheck import post_check
from gateway.mappings.fhir.screening import screen

__all__ = ["DEPTH", "UNKNOWN_ELEMENT", "Issue", "read", "reread", "screen", "validate", "write"]

DEPTH = 48
"""Levels of nesting: the deepest of HL7's own examples has 21."""
SHOWN_DEPTH = 200
"""Levels that can be written as JSON."""
MOST_DIGITS = 400
"""Of a number that is written out; a longer one is written with its exponent, as it was sent: `1e999999999`."""

UNKNOWN_ELEMENT = "is no element of R4 and is not used"

_MAX_ISSUES = 50
_INT_DIGITS = 18
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_CONTROL = re.compile(rb"\\(?:(u00(?:0[0-8bcefBCEF]|1[0-9a-fA-F])|[bf])|.)", re.DOTALL)


def read(payload: bytes, limit_depth: int = DEPTH, ahead: int = 0) -> dict[str, Any]:
    """The JSON object that `payload` is: decimals are `Decimal`, whole numbers `int` (`Decimal` beyond 18 digits). The
    first `ahead` bytes were put before what was sent.

    Raises MappingError (`structure`, `limit`) when it isn't JSON, isn't an object, names a member twice, holds a NaN,
    a control character (R4, string) or more than `limit_depth` levels.
    """
    try:
        orjson.loads(payload)
        value = json.loads(payload, object_pairs_hook=_members, parse_float=_decimal, parse_int=_whole)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno - (ahead if error.lineno == 1 else 0)}"
        raise MappingError("structure", "", f"the body is not well-formed JSON: {place}") from error
    except (ValueError, RecursionError) as error:
        raise MappingError("structure", "", "the body is not well-formed JSON") from error
    if not isinstance(value, dict):
        raise MappingError("structure", "", "the body should be a JSON object")
    _refuse_control_characters(payload)
    _refuse_depth(value, limit_depth)
    return value


def reread(payload: bytes) -> dict[str, Any]:
    """What was acknowledged at a glance, as it is shown again: of a member that is named twice the last. MappingError
    `limit` for one of so many levels that it cannot be shown.
    """
    try:
        value: dict[str, Any] = json.loads(payload, parse_float=_decimal, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise MappingError("limit", "", f"more than {SHOWN_DEPTH} levels of nesting") from error
    _refuse_depth(value, SHOWN_DEPTH)
    return value


def write(resource: dict[str, Any]) -> bytes:
    """The resource as UTF-8 JSON; a Decimal is written with every digit it has, up to `MOST_DIGITS` places."""
    return orjson.dumps(resource, default=_written)


def _written(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f") if abs(value.adjusted()) < MOST_DIGITS else str(value))
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MappingError("structure", "", "a JSON object names one of its members twice")
    return members


def _whole(text: str) -> int | Decimal:
    """An `int` as long as JSON can be written with it: 64 bits."""
    return int(text) if len(text) <= _INT_DIGITS else Decimal(text)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError("a number beyond all bounds") from error


def _refuse_control_characters(payload: bytes) -> None:
    if not any(escape in payload for escape in (b"\\u00", b"\\b", b"\\f")):
        return
    if any(match.group(1) for match in _CONTROL.finditer(payload)):
        raise MappingError("value", "", "a string holds a control character")


def _refuse_depth(value: dict[str, Any], limit: int) -> None:
    level: list[Any] = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise MappingError("limit", "", f"more than {limit} levels of nesting")


def validate(resource: dict[str, Any]) -> list[Issue]:
    """Everything that R4 has against the resource; empty when it conforms. An element that R4 doesn't know is a
    warning: servers should not refuse it (R4, RESTful API, unknown content).

    Checks structure, types, cardinality and required elements by the R4B models, and what those miss: empty arrays and
    objects, contained resources without an id, and all that `postcheck` finds.
    """
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or _model(kind) is None:
        return [Issue(FATAL, "structure", "resourceType", "names no resource type of R4")]
    issues = [*_contained_issues(resource, kind), *_empty_issues(resource, kind)]
    if not any(issue.severity == FATAL for issue in issues):
        issues += _model_issues(resource, kind)
        known = {issue.expression for issue in issues}
        issues += [issue for issue in post_check(resource) if issue.expression not in known]
    # Warnings last: they are what is left out where there is too much.
    return sorted(issues, key=lambda issue: not issue.refuses)[:_MAX_ISSUES]


@cache
def _model(kind: str) -> type[BaseModel] | None:
    try:
        model: type[BaseModel] = get_fhir_model_class(kind)
    except (KeyError, LookupError, ValueError, ImportError):
        return None
    return model


def _model_issues(resource: dict[str, Any], kind: str) -> list[Issue]:
    model = _model(kind)
    assert model is not None  # noqa: S101 - the caller looked
    try:
        model.model_validate(resource)
    except ValidationError as error:
        return [_issue(kind, item) for item in error.errors(include_input=False, include_url=False)]
    except (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        # The models were not written for hostile input: what they can't digest isn't a resource.
        return [Issue(FATAL, "structure", kind, "can't be read as a resource of its type")]
    return []


_SAYS: dict[str, tuple[str, str, str]] = {
    "missing": (ERROR, "required", "is required"),
    "model_field_validation.missing": (ERROR, "required", "is required"),
    "extra_forbidden": (WARNING, "structure", UNKNOWN_ELEMENT),
    "list_type": (ERROR, "structure", "should be a list without null entries"),
    "string_type": (ERROR, "structure", "should be a string"),
    "json_invalid": (ERROR, "structure", "should be an object"),
    "value_error": (ERROR, "value", "has a form that its type does not allow"),
    "string_pattern_mismatch": (ERROR, "value", "has a form that its type does not allow"),
    "greater_than_equal": (ERROR, "value", "is smaller than its type allows"),
}
"""The models' error types -> severity, issue type, and our own words: theirs may repeat values."""

_SAYS_OTHER = (ERROR, "structure", "is not as R4 defines it")

_CHOICE = re.compile(
    r"Value error, (?:Expect any of field value from|Any of one field value is expected from)"
    r" this list \[([A-Za-z0-9', ]*)\]"
)
"""What the models say of a choice (`value[x]`) of which there is none, or more than one: names, never a value."""


def _issue(kind: str, item: Any) -> Issue:
    severity, code, text = _SAYS.get(item["type"], _SAYS_OTHER)
    choice = _CHOICE.match(item["msg"])
    if choice is not None:
        code, text = "required", f"should have one of {choice[1].replace(chr(39), '')}, and only one"
    # The models say `root` of an object where they found none: no element of R4 is called so.
    place = tuple(part for part in item["loc"] if part != "root")
    return Issue(severity, code, _expression(kind, place), text)


def _expression(kind: str, place: tuple[int | str, ...]) -> str:
    """FHIRPath of a place. A name that is no element's form is not repeated: it could be anything."""
    path = kind
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if _NAME.fullmatch(part) else ".(unknown)"
    return path


def _contained_issues(resource: dict[str, Any], kind: str) -> Iterator[Issue]:
    contained = resource.get("contained")
    for index, inner in enumerate(contained if isinstance(contained, list) else ()):
        path = f"{kind}.contained[{index}]"
        if not isinstance(inner, dict) or not isinstance(inner.get("resourceType"), str):
            yield Issue(FATAL, "structure", path, "should be a resource")
        elif _model(inner["resourceType"]) is None:
            yield Issue(FATAL, "structure", f"{path}.resourceType", "names no resource type of R4")
        elif not inner.get("id"):
            yield Issue(ERROR, "required", f"{path}.id", "a contained resource has an id")


def _empty_issues(value: dict[str, Any], path: str) -> Iterator[Issue]:
    """Empty arrays, objects and strings, which R4's JSON form excludes (R4, JSON)."""
    for name, inner in value.items():
        where = _expression(path, (name,))
        if inner in ("", [], {}):
            yield Issue(ERROR, "structure", where, "is empty: leave it out instead")
        elif isinstance(inner, dict):
            yield from _empty_issues(inner, where)
        elif isinstance(inner, list):
            for index, item in enumerate(inner):
                if item in ("", [], {}):
                    yield Issue(ERROR, "structure", f"{where}[{index}]", "is empty: leave it out instead")
                elif isinstance(item, dict):
                    yield from _empty_issues(item, f"{where}[{index}]")
