from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reference.code_forms import (
    FORMS,
    PLACES_OF_SERVICE,
    CodeForm,
    billable_service,
    form_of,
    modifier_is_formed,
    revenue_code_is_formed,
)


@pytest.mark.parametrize(
    ("code", "form"),
    [
        ("99213", CodeForm.CPT_CATEGORY_1),
        ("00100", CodeForm.CPT_CATEGORY_1),
        ("1036F", CodeForm.CPT_CATEGORY_2),
        ("0275T", CodeForm.CPT_CATEGORY_3),
        ("0241U", CodeForm.CPT_LABORATORY),
        ("0002M", CodeForm.CPT_LABORATORY),
        ("J1885", CodeForm.HCPCS_LEVEL_2),
        ("0FT44ZZ", CodeForm.ICD10PCS),
    ],
)
def test_each_form(code: str, form: CodeForm) -> None:
    assert form_of(code) is form
    assert billable_service(code) is (form is not CodeForm.ICD10PCS)


@pytest.mark.parametrize(
    "code", ["", "9921", "992133", "W1234", "j1885", "99213 ", "9921O", "0FT44ZO", "99213\n", "٩٩٢١٣"]
)
def test_what_is_no_code(code: str) -> None:
    assert form_of(code) is None
    assert not billable_service(code)


@given(st.text(alphabet="0123456789ABCFMTUXZ", min_size=4, max_size=7))
def test_a_code_has_at_most_one_form(code: str) -> None:
    assert sum(pattern.fullmatch(code) is not None for pattern in FORMS.values()) <= 1


def test_modifiers_and_revenue_codes() -> None:
    assert all(map(modifier_is_formed, ["25", "LT", "E1", "XE"]))
    assert not any(map(modifier_is_formed, ["", "2", "255", "lt", " 25", "L-"]))
    assert revenue_code_is_formed("0120")
    assert not any(map(revenue_code_is_formed, ["120", "01200", "012A", ""]))


def test_places_of_service() -> None:
    assert {"02", "10", "11", "21", "23", "27", "66", "99"} <= PLACES_OF_SERVICE
    assert PLACES_OF_SERVICE.isdisjoint({"00", "28", "30", "35", "48", "59", "98", "1"})
