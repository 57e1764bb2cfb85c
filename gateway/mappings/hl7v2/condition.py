"""Conditions of a dialect: when a place counts. A small closed form, written as data; there is no expression language.

    when: {FT1-25.3: [CPT, C4, HCPCS]}        it says one of these; case does not count
    when: {FT1-25.3: {not: [CDM]}}            it says none of these; nothing at all is none of them
    when: {present: FT1-20, absent: [ZFT-3]}  something is said here, and nothing there

All tests of a condition must hold. A path of the anchor's segment is read in the segment at hand, and any other as the
fields' own paths are.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from gateway.encounter.record import Record

PRESENT, ABSENT, NOT = "present", "absent", "not"


class TestKind(StrEnum):
    """What a test asks of the value at its path."""

    IN = "in"
    NOT_IN = "not in"
    PRESENT = "present"
    ABSENT = "absent"

    __test__ = False


class Test(Record):
    """One test. `values` are in capitals."""

    __test__ = False

    path: str
    kind: TestKind
    values: tuple[str, ...] = ()

    def holds(self, said: str | None) -> bool:
        """Whether it holds of the value that stands there; None where nothing does."""
        match self.kind:
            case TestKind.PRESENT:
                return said is not None
            case TestKind.ABSENT:
                return said is None
            case TestKind.IN:
                return said is not None and said.upper() in self.values
            case TestKind.NOT_IN:
                return said is None or said.upper() not in self.values


Condition = tuple[Test, ...]


def condition(written: object) -> object:
    """A condition as a dialect's file writes it, which has been checked; anything else is given back as it is."""
    if not isinstance(written, Mapping):
        return written
    found: list[Test] = []
    for key, value in written.items():
        if key in (PRESENT, ABSENT):
            found += [Test(path=path, kind=TestKind(key)) for path in _texts(value)]
        elif isinstance(value, Mapping):
            found.append(Test(path=key, kind=TestKind.NOT_IN, values=_capitals(value.get(NOT))))
        else:
            found.append(Test(path=key, kind=TestKind.IN, values=_capitals(value)))
    return tuple(found)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)


def _capitals(value: object) -> tuple[str, ...]:
    return tuple(text.upper() for text in _texts(value))
