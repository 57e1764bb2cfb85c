"""The forms of codes: what can be a code at all, whatever the code sets of the day hold. No descriptors."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache


class CodeForm(StrEnum):
    """What a procedure or service code is, by its form."""

    CPT_CATEGORY_1 = "cpt-category-1"
    CPT_CATEGORY_2 = "cpt-category-2"
    """Performance measures: reported, often at no charge."""
    CPT_CATEGORY_3 = "cpt-category-3"
    CPT_LABORATORY = "cpt-laboratory"
    """Proprietary laboratory analyses (U) and multianalyte assays (M)."""
    HCPCS_LEVEL_2 = "hcpcs-level-2"
    ICD10PCS = "icd-10-pcs"


FORMS: dict[CodeForm, re.Pattern[str]] = {
    CodeForm.CPT_CATEGORY_1: re.compile(r"[0-9]{5}"),
    CodeForm.CPT_CATEGORY_2: re.compile(r"[0-9]{4}F"),
    CodeForm.CPT_CATEGORY_3: re.compile(r"[0-9]{4}T"),
    CodeForm.CPT_LABORATORY: re.compile(r"[0-9]{4}[UM]"),
    CodeForm.HCPCS_LEVEL_2: re.compile(r"[A-V][0-9]{4}"),
    CodeForm.ICD10PCS: re.compile(r"[0-9A-HJ-NP-Z]{7}"),
}
"""Whole codes, upper case. No two forms share a code."""

_MODIFIER = re.compile(r"[0-9A-Z]{2}")
_REVENUE_CODE = re.compile(r"[0-9]{4}")

PLACES_OF_SERVICE = frozenset(
    f"{place:02}"
    for place in (*range(1, 28), *range(31, 35), 41, 42, *range(49, 59), *range(60, 63), 65, 66, 71, 72, 81, 99)
)
"""CMS place-of-service code set for professional claims; the numbers between are not assigned."""


@lru_cache(maxsize=4096)
def form_of(code: str) -> CodeForm | None:
    """The form of a procedure or service code; None when it has none of them."""
    return next((form for form, pattern in FORMS.items() if pattern.fullmatch(code)), None)


@lru_cache(maxsize=4096)
def billable_service(code: str) -> bool:
    """Whether `code` can stand on a service line: CPT or HCPCS."""
    return form_of(code) not in (None, CodeForm.ICD10PCS)


@lru_cache(maxsize=1024)
def modifier_is_formed(modifier: str) -> bool:
    """Two characters, digits or capital letters (CPT appendix A, HCPCS level II)."""
    return _MODIFIER.fullmatch(modifier) is not None


def revenue_code_is_formed(code: str) -> bool:
    """Four digits, the leading zero included (NUBC UB-04, form locator 42)."""
    return _REVENUE_CODE.fullmatch(code) is not None
