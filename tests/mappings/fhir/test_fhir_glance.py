"""The first look refuses what is not well-formed as reading whole does, and sees of the rest what the door looks at."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.glance import glance
from gateway.mappings.fhir.resource import read, reread
from gateway.mappings.fhir.screening import TAKEN, looked_at

TEXTS = st.text(max_size=6) | st.sampled_from(['":', '" :', '\\":', "{}", "[[", '"a":1', "\\u0022:", "\n", "\b"])
NAMES = st.sampled_from(["resourceType", "id", "meta", "status", "class", "identifier", "item"]) | TEXTS
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | TEXTS
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAMES, v, max_size=3), max_leaves=12)


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


def of_an_encounter(payload: bytes) -> dict[str, Any]:
    return glance(payload, "Encounter")


@given(
    st.dictionaries(NAMES, VALUES, max_size=5),
    st.sampled_from([(",", ":"), (", ", " : "), (",\n", "\t:")]),
    st.booleans(),
)
def test_it_sees_of_an_object_what_the_door_looks_at(
    value: dict[str, Any], separators: tuple[str, str], ascii_only: bool
) -> None:
    payload = json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    whole, seen = outcome(read, payload), outcome(of_an_encounter, payload)
    if isinstance(whole, dict) and isinstance(seen, dict):
        wanted = {"resourceType", "id", "meta", *looked_at("Encounter")}
        assert {n: v for n, v in seen.items() if n in wanted} == {n: v for n, v in whole.items() if n in wanted}
    else:
        assert seen == whole


@given(st.binary(max_size=12), st.integers(0, 60), st.booleans())
def test_what_is_not_well_formed_is_refused_alike(noise: bytes, place: int, cut: bool) -> None:
    """Wherever the fault stands, in what is looked at or beside it."""
    good = '{"resourceType":"Encounter","status":"finished","text":{"div":"é"},"class":{"code":"A"}}'.encode()
    payload = good[:place] if cut else good[:place] + noise + good[place:]
    whole, seen = outcome(read, payload), outcome(of_an_encounter, payload)
    assert isinstance(seen, tuple) == isinstance(whole, tuple)
    if isinstance(whole, tuple):
        assert seen == whole


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"1",
        b"{",
        b'{"a":NaN}',
        b'{"a":"\\u0000"}',
        b'{"a":"\xff"}',
        b'{"a":{"b":"\xed\xa0\x80"}}',
        b'{"a":"\\ud800"}',
        b'{"a":[01]}',
        b'{"a":1}x',
        b'\xef\xbb\xbf{"a":1}',
        b'{"resourceType":' + b"[" * 5000,
    ],
)
def test_what_is_no_object_is_refused_alike(payload: bytes) -> None:
    assert isinstance(outcome(of_an_encounter, payload), tuple)
    assert outcome(of_an_encounter, payload) == outcome(read, payload)


@pytest.mark.parametrize("kind", sorted(TAKEN))
def test_every_kind_can_be_looked_at(kind: str) -> None:
    said = {"resourceType": kind, "id": "7", "meta": {}, **dict.fromkeys(looked_at(kind), "x")}
    assert glance(json.dumps({**said, "text": {"div": "<p/>"}}).encode(), kind) == said


def test_what_was_taken_at_a_glance_is_shown_again() -> None:
    twice = b'{"resourceType":"Claim","total":{"value":1.50,"value":2.50}}'
    assert glance(twice, "Claim") == {"resourceType": "Claim"}
    assert reread(twice) == {"resourceType": "Claim", "total": {"value": Decimal("2.50")}}
    with pytest.raises(MappingError):
        read(twice)
