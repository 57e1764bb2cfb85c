"""Each transform of the closed set, and that none of them can fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mappings.hl7v2.transforms import PARAMETERS, TRANSFORMS, Applied, transform


@pytest.mark.parametrize(
    ("name", "of", "text", "expected"),
    [
        ("upper", None, "ab", "AB"),
        ("lower", None, "AB", "ab"),
        ("digits", None, "(937) 555", "937555"),
        ("no-blanks", None, " a b ", "ab"),
        ("no-dots", None, "J18.9", "J189"),
        ("no-leading-zeros", None, "0070", "70"),
        ("no-leading-zeros", None, "000", "0"),
        ("no-money-signs", None, "$1,200.50", "1200.50"),
        ("first-word", None, "OFFICE VISIT", "OFFICE"),
        ("last-word", None, "VISIT 99213", "99213"),
        ("utc", None, "202601210330", "202601210330+0000"),
        ("utc", None, "20260121", "20260121"),
        ("utc", None, "202601210330-0500", "202601210330-0500"),
        ("before", "-", "99213-25", "99213"),
        ("before", "-", "99213", "99213"),
        ("after", "-", "99213-25", "25"),
        ("after", "-", "99213", ""),
        ("without-prefix", "V", "V00012", "00012"),
        ("without-suffix", ".0", "1.0", "1"),
        ("pad", "2", "5", "05"),
        ("pad", "2", "555", "555"),
        ("first", "5", "9921325", "99213"),
        ("last", "2", "9921325", "25"),
        ("decimals", "2", "9150", "91.50"),
        ("decimals", "2", "5", "0.05"),
        ("decimals", "2", "91.50", "91.50"),
        ("date", "MM/DD/YYYY", "03/02/2026", "20260302"),
        ("date", "DD.MM.YYYY hh:mm", "02.03.2026 08:15", "202603020815"),
        ("date", "YYYY-MM-DD", "03/02/2026", "03/02/2026"),
    ],
)
def test_a_transform(name: str, of: str | None, text: str, expected: str) -> None:
    assert transform(Applied(name=name, parameter=of))(text) == expected


def test_every_transform_is_in_the_table_above() -> None:
    (mark,) = (mark for mark in test_a_transform.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    assert {row[0] for row in mark.args[1]} == TRANSFORMS.keys() | PARAMETERS.keys()


@given(st.sampled_from(sorted(TRANSFORMS)), st.text(max_size=40))
def test_no_transform_fails(name: str, text: str) -> None:
    assert isinstance(transform(Applied(name=name))(text), str)


@given(st.sampled_from(sorted(PARAMETERS)), st.text(max_size=12), st.text(max_size=40))
def test_no_transform_fails_with_a_parameter_that_fits(name: str, of: str, text: str) -> None:
    if PARAMETERS[name].fits(of):
        assert isinstance(transform(Applied(name=name, parameter=of))(text), str)


@pytest.mark.parametrize(
    ("name", "of"),
    [("pad", "0"), ("pad", "100"), ("first", "-1"), ("date", "MM/DD"), ("date", "YYYYMMDDMM"), ("before", "")],
)
def test_a_parameter_that_does_not_fit(name: str, of: str) -> None:
    assert not PARAMETERS[name].fits(of)
