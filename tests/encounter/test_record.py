"""The short ways to make and to write a record give what the long ones do."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.encounter.billable import Line
from gateway.encounter.model import Coding, PersonName, Provider, ProviderRole

words = st.text(max_size=8)
amounts = st.decimals(allow_nan=False, allow_infinity=False, places=2)
days = st.dates(date(1900, 1, 1), date(2100, 1, 1))
providers = st.builds(Provider, role=st.sampled_from(ProviderRole), npi=words, name=st.builds(PersonName, family=words))
lines = st.builds(
    Line,
    charge=words,
    code=st.none() | words,
    modifiers=st.lists(words, max_size=3).map(tuple),
    units=st.none() | amounts,
    amount=st.none() | amounts,
    start=st.none() | days,
    pointers=st.lists(st.integers(1, 12), max_size=4).map(tuple),
    rendering=st.none() | providers,
)


@given(lines)
def test_a_record_made_without_a_check_is_the_same_record(line: Line) -> None:
    made = Line.unchecked({name: getattr(line, name) for name in Line.model_fields})
    assert made == line
    assert made.model_dump_json() == line.model_dump_json()
    assert made.as_json() == line.as_json()
    changed = made.model_copy(update={"code": "99284"})
    assert changed == line.model_copy(update={"code": "99284"})
    assert made.code == line.code


@given(lines)
def test_values_are_checked_as_by_the_constructor(line: Line) -> None:
    values = {name: getattr(line, name) for name in line.model_fields_set}
    made = Line.from_values(values)
    assert made == line
    assert made.model_fields_set == line.model_fields_set
    with pytest.raises(ValidationError):
        Line.from_values({**values, "units": "many"})
    with pytest.raises(ValidationError):
        Line.from_values({**values, "unheard_of": 1})


@given(lines)
def test_it_is_written_as_pydantic_writes_it(line: Line) -> None:
    assert line.as_json() == line.model_dump_json(exclude_none=True).encode()
    assert Line.model_validate_json(line.as_json()) == line


@given(lines)
def test_what_was_not_said_has_its_default(line: Line) -> None:
    said = {name: getattr(line, name) for name in line.model_fields_set}
    assert Line.unchecked(said) == line
    assert list(vars(Line.unchecked(said))) == list(Line.model_fields)


def test_a_record_made_without_a_check_is_frozen() -> None:
    made = Coding.unchecked(dict.fromkeys(Coding.model_fields))
    with pytest.raises(ValidationError):
        made.coder = "X"  # type: ignore[misc]
    assert made == Coding()
    assert Line.unchecked(dict(Line(charge="1", amount=Decimal("1.50")).__dict__)).amount == Decimal("1.50")
