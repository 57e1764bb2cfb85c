"""Procedures: PR1 (chapter 6, 6.5.4)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from typing import NamedTuple

from pydantic import TypeAdapter

from gateway.encounter.change import Places
from gateway.encounter.model import CodeSystem, Procedure
from gateway.mappings.hl7v2.actions import DELETED, UNCHANGED, action_of, named_by
from gateway.mappings.hl7v2.codes import PROCEDURE, Code
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.plan import Span, Values
from gateway.mappings.hl7v2.reading import Reading

_PROCEDURES = TypeAdapter(tuple[Procedure, ...])
PERFORMERS = ("operating", "rendering")
"""The fields of a PR1 that name who did it, by their roles."""
_IDENTIFIER, _ACTION = 19, 20
"""PR1-19 names a procedure for the action code beside it, from version 2.5 on."""


class _Found(NamedTuple):
    """A procedure's PR1, the bits of its places, what is to be done with it under which name of the sender's, and which
    problems came up when it was read.
    """

    number: int
    mask: int
    action: str
    named: str | None
    since: int
    until: int


class ProcedureList:
    """The message's procedures. One that stands beside a charge and has its code is that charge's own, and no other."""

    def __init__(self, reading: Reading, source: FeedProfile, message_id: int, *, replaced: bool = False) -> None:
        """`replaced`: the message's procedures are all there are."""
        self._reading = reading
        self._source = source
        self._origin = f"{message_id} "
        self._systems = source.dialect.lookups["procedure_system"]
        self._plan = source.dialect.plans["procedures"]
        self._read: list[Values] = []
        self._found: list[_Found] = []
        self._positions: list[int] = []
        self._claimed: set[int] = set()
        self._seen: dict[str, int] = {}
        self.places: list[Places] = []
        self.removed: list[str] = []
        """The ids of procedures that the message takes away, once its items were asked for."""
        self.emptied = False
        """Whether a PR1 says, by `""` for its code, that there is none."""
        self._replaced = replaced
        noted = len(reading.problems)
        for number, span, values, mask in self._plan.each(reading):
            if self._code(values, number):
                self._read.append(values)
                acted = len(reading.message.fields(span[0])) > _ACTION
                action = action_of(reading, span[0], _ACTION) if acted else ""
                named = named_by(reading, span[0], _IDENTIFIER) if action else None
                self._found.append(_Found(number, mask, action, named, noted, len(reading.problems)))
                self._positions.append(span[0])
            noted = len(reading.problems)

    def _code(self, values: Values, number: int) -> bool:
        """Settle the code of a PR1; whether there is a procedure at all."""
        code = values.get("code")
        if not isinstance(code, Code):
            if "code" in values and code is None and self._replaced:
                self.emptied = True
                return False
            self._reading.problem("procedure-unmapped", f"PR1[{number}]-3", "a procedure without a code cannot be used")
            return False
        if "system" in values:
            code = code.named(values["system"], self._systems, PROCEDURE)
        if code.system is CodeSystem.LOCAL:
            text = "the code's system is none that procedures are billed by; it is kept as a local code"
            table = "procedure_system" if code.unknown else None
            self._reading.problem("procedure-unmapped", f"PR1[{number}]-3", text, table=table, value=code.unknown)
        values["code"], values["system"] = code
        return True

    def claim(self, span: Span, code: object) -> tuple[Values, int] | None:
        """The procedure with `code` that stands within `span`, and its index; from now on it is the charge's own."""
        if not self._positions:
            return None
        for index in range(bisect_right(self._positions, span[0]), bisect_left(self._positions, span[1])):
            if self._read[index]["code"] == code and index not in self._claimed:
                self._claimed.add(index)
                return self._read[index], index
        return None

    def places_of(self, index: int, names: Collection[str], item: str) -> tuple[Places, ...]:
        """Where the values of the fields `names` stand that the charge `item` takes from the procedure at `index`."""
        found = self._found[index]
        return self._plan.places_in(found.mask, names, item, found.number)

    def items(self) -> tuple[Procedure, ...]:
        """The procedures that no charge has claimed, in the message's order."""
        said: list[Values] = []
        for index, values in enumerate(self._read):
            found = self._found[index]
            if index in self._claimed or (found.action == UNCHANGED and not self._replaced):
                continue
            completed = self._completed(values, found)
            self._reading.attribute(str(values["id"]), found.since, found.until)
            if found.action != DELETED:
                self.places += self._plan.places(found.mask, len(said), found.number)
                said.append(completed)
        return _PROCEDURES.validate_python(said)

    def _completed(self, values: Values, found: _Found) -> Values:
        if not values.get("modifiers"):
            values.pop("modifiers", None)
        values["providers"] = tuple([p for n in PERFORMERS if (p := values.pop(n, None)) is not None])
        id = self._id(values)
        values["id"] = f"#{found.named}" if found.named else id
        if found.action == DELETED:
            self.removed += dict.fromkeys((id, str(values["id"])))
        values["source"] = self._source.name
        values["origin"] = f"{self._origin}PR1[{found.number}]"
        return values

    def _id(self, values: Values) -> str:
        """Names a procedure by what it is: said again, it takes its own place. Alike ones are numbered."""
        id, modifiers, performed = str(values["code"]), values.get("modifiers"), values.get("performed")
        if isinstance(modifiers, tuple):
            id = "-".join((id, *modifiers))
        if performed is not None:
            id = f"{id}@{performed}"
        count = self._seen[id] = self._seen.get(id, 0) + 1
        return id if count == 1 else f"{id}#{count}"
