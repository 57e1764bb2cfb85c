"""The National Provider Identifier's form and check digit."""

from __future__ import annotations

import re
from functools import lru_cache

_FORM = re.compile(r"[12][0-9]{9}")
_PREFIX_SUM = 24
"""What the issuer prefix 80840 adds to the Luhn sum of the ten digits."""
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""A digit doubled, its two digits added."""


@lru_cache(maxsize=4096)
def npi_is_valid(npi: str) -> bool:
    """Whether `npi` is ten digits, begins with 1 or 2 and ends with the right check digit.

    ISO/IEC 7812 Luhn formula over 80840 and the number, 45 CFR 162.406.
    """
    if not _FORM.fullmatch(npi):
        return False
    digits = [int(character) for character in npi]
    return (_PREFIX_SUM + sum(_DOUBLED[d] for d in digits[::2]) + sum(digits[1::2])) % 10 == 0
