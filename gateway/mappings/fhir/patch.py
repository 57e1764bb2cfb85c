"""JSON Patch over a resource (RFC 6902; R4, RESTful API, patch), by JSON Pointers (RFC 6901). Pure: nothing that is
given is changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from decimal import Decimal
from typing import Any

import orjson

from gateway.mappings.errors import MappingError

MEDIA_TYPE = "application/json-patch+json"

MAX_OPERATIONS = 200
MAX_POINTER = 512
MAX_LEVELS = 48
"""As a resource that is read may have."""
MAX_GROWTH = 4 * 1024 * 1024
"""Bytes of JSON that all operations together may add: a copy of a copy doubles each time."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_BAD_ESCAPE = re.compile(r"~(?![01])")
_FIXED = ("resourceType", "id")
"""What a patch may not make another of."""

Steps = tuple[str, ...]


def patched(resource: Mapping[str, Any], operations: object) -> dict[str, Any]:
    """The resource after all `operations`, in their order; `operations` is the JSON array as it was read.

    All or nothing: MappingError, its place an operation (`[2].path`): `structure` for what is no patch, `value` for a
    place that is not there, `conflict` when a `test` fails, `limit`, `unsupported` for another type or id.
    """
    if not isinstance(operations, list):
        raise MappingError("structure", "", "a JSON Patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise MappingError("limit", "", f"more than {MAX_OPERATIONS} operations")
    document = _Document(deepcopy(dict(resource)))
    for index, operation in enumerate(operations):
        document.apply(operation, f"[{index}]")
    result = document.root
    if not isinstance(result, dict):
        raise MappingError("structure", "", "what is left is no resource")
    for name in _FIXED:
        if result.get(name) != resource.get(name):
            raise MappingError("unsupported", name, "a patch can't change this")
    _refuse_depth(result)
    return result


class _Document:
    """A JSON document that operations change in place."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._room = MAX_GROWTH

    def apply(self, operation: object, place: str) -> None:
        if not isinstance(operation, dict):
            raise MappingError("structure", place, "an operation is an object")
        name = operation.get("op")
        run = _OPERATIONS.get(name) if isinstance(name, str) else None
        if run is None:
            raise MappingError("structure", f"{place}.op", "is add, remove, replace, move, copy or test")
        run(self, operation, place)

    def add(self, operation: dict[str, Any], place: str) -> None:
        self._put(_pointer(operation, "path", place), self._grown(_value(operation, place), place), f"{place}.path")

    def remove(self, operation: dict[str, Any], place: str) -> None:
        self._take(_pointer(operation, "path", place), f"{place}.path")

    def replace(self, operation: dict[str, Any], place: str) -> None:
        steps, value = _pointer(operation, "path", place), self._grown(_value(operation, place), place)
        if not steps:
            self.root = value
            return
        holder, key = self._holder(steps, f"{place}.path")
        self._member(holder, key, f"{place}.path")
        holder[_index(holder, key, f"{place}.path") if isinstance(holder, list) else key] = value

    def move(self, operation: dict[str, Any], place: str) -> None:
        origin, target = _pointer(operation, "from", place), _pointer(operation, "path", place)
        if target[: len(origin)] == origin and target != origin:
            raise MappingError("value", f"{place}.path", "a value can't be moved into itself")
        self._put(target, self._take(origin, f"{place}.from"), f"{place}.path")

    def copy(self, operation: dict[str, Any], place: str) -> None:
        origin, target = _pointer(operation, "from", place), _pointer(operation, "path", place)
        self._put(target, self._grown(self._at(origin, f"{place}.from"), place), f"{place}.path")

    def test(self, operation: dict[str, Any], place: str) -> None:
        steps, value = _pointer(operation, "path", place), _value(operation, place)
        if not _same(self._at(steps, f"{place}.path"), value):
            raise MappingError("conflict", f"{place}.value", "the test fails: another value stands there")

    def _grown(self, value: Any, place: str) -> Any:
        """A copy of `value`, with the room that it takes."""
        _refuse_depth(value, place)
        self._room -= len(orjson.dumps(value, default=str))
        if self._room < 0:
            raise MappingError("limit", place, "the patch makes the resource too large")
        return deepcopy(value)

    def _put(self, steps: Steps, value: Any, where: str) -> None:
        if not steps:
            self.root = value
            return
        holder, key = self._holder(steps, where)
        if isinstance(holder, list):
            holder.insert(_index(holder, key, where, inserting=True), value)
        else:
            holder[key] = value

    def _take(self, steps: Steps, where: str) -> Any:
        if not steps:
            raise MappingError("value", where, "the whole resource can't be taken away")
        holder, key = self._holder(steps, where)
        value = self._member(holder, key, where)
        del holder[_index(holder, key, where) if isinstance(holder, list) else key]
        return value

    def _at(self, steps: Steps, where: str) -> Any:
        value = self.root
        for step in steps:
            value = self._member(value, step, where)
        return value

    def _holder(self, steps: Steps, where: str) -> tuple[Any, str]:
        """The object or list that has the last step, and that step."""
        holder = self._at(steps[:-1], where)
        if not isinstance(holder, dict | list):
            raise _absent(where)
        return holder, steps[-1]

    @staticmethod
    def _member(holder: Any, key: str, where: str) -> Any:
        if isinstance(holder, list):
            return holder[_index(holder, key, where)]
        if not isinstance(holder, dict) or key not in holder:
            raise _absent(where)
        return holder[key]


_OPERATIONS: Mapping[str, Callable[[_Document, dict[str, Any], str], None]] = {
    "add": _Document.add,
    "remove": _Document.remove,
    "replace": _Document.replace,
    "move": _Document.move,
    "copy": _Document.copy,
    "test": _Document.test,
}


def _pointer(operation: dict[str, Any], name: str, place: str) -> Steps:
    """The steps of a JSON Pointer; none for the whole document."""
    text = operation.get(name)
    where = f"{place}.{name}"
    if not isinstance(text, str) or (text and text[0] != "/") or _BAD_ESCAPE.search(text):
        raise MappingError("structure", where, "should be a JSON Pointer")
    if len(text) > MAX_POINTER:
        raise MappingError("limit", where, f"longer than {MAX_POINTER} characters")
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])
    if len(steps) > MAX_LEVELS:
        raise MappingError("limit", where, f"more than {MAX_LEVELS} levels")
    return steps


def _value(operation: dict[str, Any], place: str) -> Any:
    if "value" not in operation:
        raise MappingError("structure", f"{place}.value", "is required")
    return operation["value"]


def _index(holder: list[Any], key: str, where: str, *, inserting: bool = False) -> int:
    """The place in a list; `-` is behind its end (RFC 6901, section 4)."""
    if inserting and key == "-":
        return len(holder)
    if not _INDEX.fullmatch(key) or int(key) >= len(holder) + inserting:
        raise _absent(where)
    return int(key)


def _absent(where: str) -> MappingError:
    return MappingError("value", where, "there is no such place in the resource")


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON (RFC 6902, section 4.6): numbers by their value, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        return Decimal(str(one)) == Decimal(str(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _refuse_depth(value: Any, where: str = "") -> None:
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_LEVELS):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise MappingError("limit", where, f"more than {MAX_LEVELS} levels of nesting")
