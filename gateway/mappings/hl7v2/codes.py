"""Which code of a coded field is one that is billed by, and what system it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from gateway.encounter.change import Places
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

    @property
    def unknown(self) -> str | None:
        """The sender's name of the code's system, where no table has it."""
        return None

    def named(self, name: object, systems: Systems, wanted: frozenset[CodeSystem]) -> Code:
        """The same code with the system that another field names, when its own names none."""
        if self.system is not None or not isinstance(name, str):
            return self
        return _in_system(self.code, name, systems, wanted)


class CodeOfUnknown(Code):
    """A local code for want of an entry: no table has the name of its system."""

    _name: str

    @classmethod
    def of(cls, code: str, name: str) -> Self:
        """The code with its system's name as written."""
        found = cls(code, CodeSystem.LOCAL)
        found._name = name
        return found

    @property
    def unknown(self) -> str | None:
        return self._name


class Chosen(NamedTuple):
    """The code that counts among those of one field, and which pair of code and system it is: from 0."""

    code: Code
    pair: int


class Pointers(NamedTuple):
    """The codes of a repeating field, each once, their texts alone, and for each where it stands: the repetition, and
    the component of the code (both from 1).
    """

    codes: tuple[Code, ...]
    texts: tuple[str, ...]
    at: tuple[tuple[int, int], ...] = ()

    def places(self, index: int, group: str, label: str, field: str) -> tuple[Places, ...]:
        """The places of code and system of the code `index` (from 0), that stands in `field` of the segment `label`."""
        repetition, component = self.at[index]
        where = f"{field}[{repetition}]."
        code = Places(group, label, {"code": f"{where}{component}"})
        if self.codes[index].system is None:
            return (code,)
        return (code, Places(group, label, {"system": f"{where}{component + 2}"}, table="diagnosis_system"))


def _in_system(code: str, name: str, systems: Systems, wanted: frozenset[CodeSystem]) -> Code:
    """A code in the system that the sender calls `name`."""
    system = systems.get(name.upper())
    if system is None:
        return CodeOfUnknown.of(code, name)
    return Code(code, system if isinstance(system, CodeSystem) and system in wanted else CodeSystem.LOCAL)


def _choose(pairs: Iterable[Coded], systems: Systems, wanted: frozenset[CodeSystem]) -> Chosen:
    """The first code, alternate ones included, whose system is wanted; else the first whose system is not said; else
    the first as a local one.
    """
    unsaid: Chosen | None = None
    local: Chosen | None = None
    for index, code, name in pairs:
        if not name:
            unsaid = unsaid or Chosen(Code(_plain(code), None), index)
            continue
        found = Chosen(_in_system(_plain(code), name, systems, wanted), index)
        if found.code.system is not CodeSystem.LOCAL:
            return found
        local = local or found
    return unsaid or local or Chosen(Code("", CodeSystem.LOCAL), 0)


def _plain(code: str) -> str:
    """Without dot and blanks, in capitals."""
    return "".join(code.replace(".", "").split()).upper()


def unknown_system(reading: Reading, raw: str, at: At, systems: Systems) -> str | None:
    """The first name of a code system in a CE or CWE field that the table does not have."""
    return next((name for _, _, name in coded(reading, raw, at) if name and name.upper() not in systems), None)


def one(systems: Systems, wanted: frozenset[CodeSystem]) -> Read:
    """A reader of the code of a CE or CWE field."""

    def read(reading: Reading, raw: str, at: At) -> object:
        pairs = coded(reading, raw, at)
        return _choose(pairs, systems, wanted) if pairs else None

    return read


def many(systems: Systems, wanted: frozenset[CodeSystem]) -> Read:
    """A reader of the codes of all repetitions of a CE or CWE field, each once."""

    def read(reading: Reading, raw: str, at: At) -> object:
        codes: dict[str, tuple[Code, tuple[int, int]]] = {}
        for repetition, pairs in coded_list(reading, raw, at):
            chosen = _choose(pairs, systems, wanted)
            codes.setdefault(chosen.code.code, (chosen.code, (repetition, 3 * chosen.pair + 1)))
        if not codes:
            return None
        return Pointers(tuple(code for code, _ in codes.values()), tuple(codes), tuple(at for _, at in codes.values()))

    return read


def charged(systems: Systems, wanted: frozenset[CodeSystem]) -> Read:
    """A reader of the code that a line is billed by: of a wanted system, or of the shape of CPT and HCPCS codes where
    no system is said. Any other counts as absent.
    """

    def read(reading: Reading, raw: str, at: At) -> Chosen | None:
        pairs = coded(reading, raw, at)
        if not pairs:
            return None
        found = _choose(pairs, systems, wanted)
        code, system = found.code
        if system is CodeSystem.LOCAL or (system is None and _CHARGED.fullmatch(code) is None):
            return None
        return found

    return read
