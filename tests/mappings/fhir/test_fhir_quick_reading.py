"""The first look takes and refuses what reading whole takes and refuses, and sees the same but for rounded numbers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.quick_reading import quick_read
from gateway.mappings.fhir.resource import DEPTH, read

TEXTS = st.text(max_size=6) | st.sampled_from(['":', '" :', '\\":', "{}", "[[", '"a":1', "\\u0022:", "\n"])
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | TEXTS
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3), max_leaves=12)


def outcome(reader: Any, payload: bytes) -> object:
    try:
        return _rounded(reader(payload))
    except MappingError as error:
        return error.code, error.where, error.text


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(value) if isinstance(value, Decimal) else value


@given(
    st.dictionaries(TEXTS, VALUES, max_size=4),
    st.sampled_from([(",", ":"), (", ", " : "), (",\n", "\t:")]),
    st.booleans(),
)
def test_both_readings_agree(value: dict[str, Any], separators: tuple[str, str], ascii_only: bool) -> None:
    payload = json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert outcome(quick_read, payload) == outcome(read, payload)


@given(TEXTS, VALUES, VALUES, st.dictionaries(TEXTS, VALUES, max_size=3))
def test_a_name_that_stands_twice_is_found(name: str, one: Any, other: Any, more: dict[str, Any]) -> None:
    pairs = [(name, one), *((n, v) for n, v in more.items() if n != name), (name, other)]
    inner = ",".join(f"{json.dumps(n)}:{json.dumps(v)}" for n, v in pairs)
    payload = f'{{"list":[{{{inner}}}]}}'.encode()
    assert isinstance(outcome(quick_read, payload), tuple)


@pytest.mark.parametrize("levels", [DEPTH // 2, DEPTH - 2, DEPTH - 1, DEPTH, DEPTH + 1, 200])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_both_stop_at_one_depth(levels: int, begin: str, end: str) -> None:
    payload = ('{"x":' + begin * levels + "1" + end * levels + "}").encode()
    assert outcome(quick_read, payload) == outcome(read, payload)


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"1", b"{", b'{"a":NaN}', b'{"a":"\\u0000"}', b'{"a":"\xff"}', b'{"a":"\\ud800"}']
)
def test_what_is_no_object_is_refused_alike(payload: bytes) -> None:
    assert outcome(quick_read, payload) == outcome(read, payload)
    assert isinstance(outcome(quick_read, payload), tuple)
