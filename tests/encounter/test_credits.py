"""A credit that names its charge takes it off the bill only when it is for the whole of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from encounter_making import charge, credit

from gateway.encounter.credits import taken_back, unmatched

WHOLE = charge("c1", amount="300.00", units=Decimal(2))


@pytest.mark.parametrize(
    "said",
    [
        {"amount": "-300.00", "units": Decimal(2)},
        {"amount": "300.00", "units": Decimal(-2)},
    ],
)
def test_the_whole_is_taken_back(said: dict[str, object]) -> None:
    charges = (WHOLE, credit("k", reverses="c1", **said))  # type: ignore[arg-type]
    assert taken_back(charges) == {"c1"}
    assert unmatched(charges) == []


def test_what_the_credit_does_not_say_is_not_held_against_it() -> None:
    bare = credit("k", reverses="c1").model_copy(update={"units": None, "amount": None})
    assert taken_back((WHOLE, bare)) == {"c1"}


@pytest.mark.parametrize(
    "said",
    [
        {"amount": "-150.00", "units": Decimal(1)},
        {"amount": "-300.00", "units": Decimal(1)},
        {"amount": "-299.99", "units": Decimal(2)},
    ],
)
def test_a_part_leaves_the_charge_for_a_person(said: dict[str, object]) -> None:
    part = credit("k", reverses="c1", **said)  # type: ignore[arg-type]
    assert taken_back((WHOLE, part)) == frozenset()
    assert unmatched((WHOLE, part)) == [(1, part)]


def test_a_charge_is_taken_back_once() -> None:
    twice = tuple(credit(id, reverses="c1", amount="-300.00", units=Decimal(2)) for id in ("k1", "k2"))
    assert taken_back((WHOLE, *twice)) == {"c1"}
    assert [found.id for _, found in unmatched((WHOLE, *twice))] == ["k2"]


def test_a_credit_of_nothing_is_found() -> None:
    astray = credit("k", reverses="gone")
    assert taken_back((WHOLE, astray)) == frozenset()
    assert unmatched((WHOLE, astray)) == [(1, astray)]
