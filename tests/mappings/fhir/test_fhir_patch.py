"""JSON Patch: what a diff describes, a patch makes; and nothing that is given is changed."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.patch import MAX_OPERATIONS, patched

NAMES = st.sampled_from(["a", "b", "c", "d/e", "f~g", ""])
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.decimals(-5, 5, places=1)
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAMES, v, max_size=3), max_leaves=8)
RESOURCES = st.dictionaries(NAMES, VALUES, max_size=4).map(lambda more: {"resourceType": "Basic", "id": "1", **more})

BASE = {"resourceType": "Basic", "id": "1", "list": [1, 2], "object": {"a": 1, "b": True}}


def pointer(*steps: str | int) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def diff(one: Any, other: Any, *place: str | int) -> list[dict[str, Any]]:
    """The operations that turn `one` into `other`, the plain way."""
    if isinstance(one, dict) and isinstance(other, dict):
        gone = [{"op": "remove", "path": pointer(*place, name)} for name in one.keys() - other.keys()]
        new = [{"op": "add", "path": pointer(*place, name), "value": other[name]} for name in other.keys() - one.keys()]
        both = [step for name in one.keys() & other.keys() for step in diff(one[name], other[name], *place, name)]
        return gone + both + new
    if isinstance(one, list) and isinstance(other, list):
        shared = min(len(one), len(other))
        changed = [step for index in range(shared) for step in diff(one[index], other[index], *place, index)]
        gone = [{"op": "remove", "path": pointer(*place, index)} for index in range(len(one) - 1, shared - 1, -1)]
        new = [{"op": "add", "path": pointer(*place, "-"), "value": value} for value in other[shared:]]
        return changed + gone + new
    return (
        []
        if one == other and type(one) is type(other)
        else [{"op": "replace", "path": pointer(*place), "value": other}]
    )


@given(RESOURCES, RESOURCES)
def test_the_difference_of_two_resources_makes_the_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    before = deepcopy(one)
    operations = diff(one, other)
    assert patched(one, operations) == other
    assert one == before


@given(RESOURCES, RESOURCES)
def test_a_failing_test_leaves_nothing(one: dict[str, Any], other: dict[str, Any]) -> None:
    before = deepcopy(one)
    with pytest.raises(MappingError) as error:
        patched(one, [*diff(one, other), {"op": "test", "path": "/id", "value": "another"}])
    assert error.value.code == "conflict"
    assert one == before


@given(RESOURCES)
def test_what_is_there_can_be_tested_copied_and_moved(resource: dict[str, Any]) -> None:
    steps = [{"op": "test", "path": pointer(name), "value": value} for name, value in resource.items()]
    assert patched(resource, steps) == resource
    copied = patched(
        resource, [{"op": "copy", "from": "/id", "path": "/new"}, {"op": "move", "from": "/new", "path": "/n"}]
    )
    assert copied == {**resource, "n": "1"}


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("remove", "structure"),
        ({}, "structure"),
        ({"op": ["add"]}, "structure"),
        ({"op": "add", "path": "/x"}, "structure"),
        ({"op": "add", "path": "x", "value": 1}, "structure"),
        ({"op": "add", "path": "/~2", "value": 1}, "structure"),
        ({"op": "add", "path": "/x/y", "value": 1}, "value"),
        ({"op": "add", "path": "/list/3", "value": 1}, "value"),
        ({"op": "add", "path": "/list/01", "value": 1}, "value"),
        ({"op": "add", "path": "/id/0", "value": 1}, "value"),
        ({"op": "remove", "path": "/list/-"}, "value"),
        ({"op": "remove", "path": "/list/2"}, "value"),
        ({"op": "remove", "path": ""}, "value"),
        ({"op": "replace", "path": "/nothing", "value": 1}, "value"),
        ({"op": "replace", "path": "", "value": 1}, "structure"),
        ({"op": "move", "from": "/object", "path": "/object/a"}, "value"),
        ({"op": "copy", "from": "/nothing", "path": "/x"}, "value"),
        ({"op": "test", "path": "/object/b", "value": 1}, "conflict"),
        ({"op": "test", "path": "/list", "value": [1]}, "conflict"),
        ({"op": "replace", "path": "/id", "value": "2"}, "unsupported"),
        ({"op": "remove", "path": "/resourceType"}, "unsupported"),
        ({"op": "add", "path": "/x" * 600, "value": 1}, "limit"),
    ],
)
def test_an_operation_that_does_not_fit_is_an_error_at_its_place(operation: Any, code: str) -> None:
    with pytest.raises(MappingError) as error:
        patched(BASE, [{"op": "test", "path": "/id", "value": "1"}, operation])
    assert error.value.code == code
    assert error.value.where.startswith("[1]") or code in ("structure", "unsupported")


def test_numbers_are_equal_by_value() -> None:
    resource = {**BASE, "n": Decimal("1.50")}
    assert patched(resource, [{"op": "test", "path": "/n", "value": Decimal("1.5")}]) == resource


def test_a_patch_cannot_grow_without_end() -> None:
    doubling = [
        {"op": "copy", "from": "/object", "path": "/object/c"},
        {"op": "copy", "from": "/object", "path": "/list/-"},
    ]
    with pytest.raises(MappingError) as error:
        patched(BASE, doubling * (MAX_OPERATIONS // 2))
    assert error.value.code == "limit"
    with pytest.raises(MappingError) as error:
        patched(BASE, [{"op": "test", "path": "/id", "value": "1"}] * (MAX_OPERATIONS + 1))
    assert error.value.code == "limit"
    with pytest.raises(MappingError):
        patched(BASE, {"op": "test"})
