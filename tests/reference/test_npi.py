from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reference.npi import npi_is_valid

BODIES = st.from_regex(r"[12][0-9]{8}", fullmatch=True)


def luhn(number: str) -> bool:
    """The formula as ISO/IEC 7812 writes it, over the whole number with its prefix."""
    total = 0
    for place, character in enumerate(reversed(number)):
        digit = int(character) * (2 if place % 2 else 1)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


@pytest.mark.parametrize("npi", ["1234567893", "1245319599"])
def test_published_examples_are_valid(npi: str) -> None:
    assert npi_is_valid(npi)


@pytest.mark.parametrize(
    "npi", ["", "1234567890", "123456789", "12345678933", "0234567893", "3234567893", "123456789a", "١٢٣٤٥٦٧٨٩٣"]
)
def test_what_is_no_npi(npi: str) -> None:
    assert not npi_is_valid(npi)


@given(BODIES)
def test_exactly_one_check_digit_fits(body: str) -> None:
    fitting = [str(digit) for digit in range(10) if npi_is_valid(f"{body}{digit}")]
    assert fitting == [str(digit) for digit in range(10) if luhn(f"80840{body}{digit}")]
    assert len(fitting) == 1


@given(BODIES, st.integers(0, 8), st.integers(1, 9))
def test_a_wrong_digit_is_found(body: str, at: int, by: int) -> None:
    whole = next(f"{body}{digit}" for digit in range(10) if npi_is_valid(f"{body}{digit}"))
    wrong = f"{whole[:at]}{(int(whole[at]) + by) % 10}{whole[at + 1 :]}"
    assert not npi_is_valid(wrong)
