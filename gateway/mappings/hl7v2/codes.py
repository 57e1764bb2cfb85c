"""Which code of a coded field is one that is billed by, and what system it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gateway.encounter.model import CodeSystem
from gateway.mappings.hl7v2.kinds import Coded, Read, coded, coded_list
from gateway.mappings.hl7v2.reading import At, Reading

DIAGNOSIS = frozenset({CodeSystem.ICD10CM, CodeSystem.ICD9CM})
PROCEDURE = frozenset({CodeSystem.CPT, CodeSystem.HCPCS, CodeSystem.ICD10PCS, CodeSystem.ICD9CM})
CHARGE = frozenset({CodeSystem.CPT, CodeSystem.HCPCS})
"""The systems that each is billed by."""

_CHARGED = re.compile(r"[0-9]{4}[0-9A-Z]|[A-Z][0-9]{4}", re.ASCII)

Systems = Mapping[str, object]
"""A dialect's table of code systems, keyed in capitals."""


class Code(NamedTuple):
    """A code without display punctuation. `system` is None when the sender names none, and LOCAL for a system that
    nothing of its sort is billed by.
    """

    code: str
    system: CodeSystem | None

    def named(self, name: object, systems: Systems, wanted: frozenset[CodeSystem]) -> Code:
        """The same code with the system that another field names, when its own names none."""
        if self.system is not None or not isinstance(name, str):
            return self
        system = systems.get(name.upper())
        return Code(self.code, system if isinstance(system, CodeSystem) and system in wanted else CodeSystem.LOCAL)


class Pointers(NamedTuple):
    """The codes of a repeating field, each once, and their texts alone."""

    codes: tuple[Code, ...]
    texts: tuple[str, ...]


def _choose(pairs: Iterable[Coded], systems: Systems, wanted: frozenset[CodeSystem]) -> Code:
    """The first code, alternate ones included, whose system is wanted; else the first whose system is not said; else
    the first as a local one.
    """
    unsaid = local = None
    for code, name in pairs:
        if not name:
            unsaid = unsaid or Code(_plain(code), None)
            continue
        system = systems.get(name.upper())
        if isinstance(system, CodeSystem) and system in wanted:
            return Code(_plain(code), system)
        local = local or Code(_plain(code), CodeSystem.LOCAL)
    return unsaid or local or Code("", CodeSystem.LOCAL)


def _plain(code: str) -> str:
    """Without dot and blanks, in capitals."""
    return "".join(code.replace(".", "").split()).upper()


def one(systems: Systems, wanted: frozenset[CodeSystem]) -> Read:
    """A reader of the code of a CE or CWE field."""

    def read(reading: Reading, raw: str, at: At) -> object:
        pairs = coded(reading, raw, at)
        return _choose(pairs, systems, wanted) if pairs else None

    return read


def many(systems: Systems, wanted: frozenset[CodeSystem]) -> Read:
    """A reader of the codes of all repetitions of a CE or CWE field, each once."""

    def read(reading: Reading, raw: str, at: At) -> object:
        found = (_choose(pairs, systems, wanted) for pairs in coded_list(reading, raw, at))
        codes: dict[str, Code] = {}
        for code in found:
            codes.setdefault(code.code, code)
        return Pointers(tuple(codes.values()), tuple(codes)) if codes else None

    return read


def charged(systems: Systems, wanted: frozenset[CodeSystem]) -> Read:
    """A reader of the code that a line is billed by: of a wanted system, or of the shape of CPT and HCPCS codes where
    no system is said. Any other counts as absent.
    """

    def read(reading: Reading, raw: str, at: At) -> Code | None:
        pairs = coded(reading, raw, at)
        if not pairs:
            return None
        found = _choose(pairs, systems, wanted)
        if found.system is CodeSystem.LOCAL or (found.system is None and _CHARGED.fullmatch(found.code) is None):
            return None
        return found

    return read
