"""Diagnoses: DG1 (chapter 6, 6.5.2), and what charges point to."""

from __future__ import annotations

from gateway.encounter.change import Places
from gateway.encounter.model import CodeSystem, Diagnosis, DiagnosisUse
from gateway.mappings.hl7v2.actions import DELETED, UNCHANGED, named_by
from gateway.mappings.hl7v2.codes import DIAGNOSIS, Code, Pointers
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.plan import Values, decided
from gateway.mappings.hl7v2.reading import Reading

_IDENTIFIER = 20
"""DG1-20 names a diagnosis for the action code beside it, from version 2.5 on."""


class DiagnosisList:
    """The message's diagnoses, each use and code once, with the problems and places on the way."""

    def __init__(
        self,
        reading: Reading,
        source: FeedProfile,
        message_id: int,
        default: DiagnosisUse,
        *,
        replaced: bool = False,
    ) -> None:
        """`replaced`: the message's diagnoses are all there are."""
        self._reading = reading
        self._source = source
        self._origin = f"{message_id} "
        self._default = default
        self._systems = source.dialect.lookups["diagnosis_system"]
        self._said: dict[str, Values] = {}
        self.places: list[Places] = []
        self.positions: list[tuple[int, str]] = []
        """For each DG1 where it stands in the message, and its code."""
        self.removed: list[str] = []
        """The ids of diagnoses that the message takes away."""
        self.emptied = False
        """Whether a DG1 says, by `""` for its code, that there is none."""
        self._replaced = replaced
        self._codes: set[str] = set()
        self.unsaid: set[str] = set()
        """The ids of diagnoses of which the message does not say whether they are final."""
        self._read()

    def _read(self) -> None:
        plan = self._source.dialect.plans["diagnoses"]
        problems, said, positions = self._reading.problems, self._said, self.positions
        noted = len(problems)
        for number, span, values, mask in plan.each(self._reading):
            action = values.pop("action", None)
            code = self._code(values, number)
            if code is not None:
                id = f"{values.get('use') or self._default}-{code.code}"
                if action is not None:
                    id = self._acted(action, id, values, span[0])
                if len(problems) > noted:
                    self._reading.attribute(id, noted)
                if id not in said and (action is None or self._counts(action)):
                    self._add(id, f"DG1[{number}]", values, code)
                    self.places += plan.places(mask, len(said) - 1, number)
                if action != DELETED:
                    positions.append((span[0], code.code))
            noted = len(problems)

    def _acted(self, action: object, id: str, values: Values, position: int) -> str:
        """The id that counts where there is an action code (DG1-21): by the sender's own name of the diagnosis, since
        an update may change its code. One that is taken away goes under either.
        """
        named = named_by(self._reading, position, _IDENTIFIER)
        own = f"{values.get('use') or self._default}#{named}" if named else id
        if action == DELETED:
            self.removed += dict.fromkeys((id, own))
            return id
        return id if own in self._said else own

    def _counts(self, action: object) -> bool:
        """Whether a diagnosis with this action code is one of the message's: in a snapshot one that is unchanged is."""
        return action != DELETED and (action != UNCHANGED or self._replaced)

    def _code(self, values: Values, number: int) -> Code | None:
        """The code of a DG1; None when it has none, with a problem unless all diagnoses are taken away by it."""
        code, beside = values.get("code"), values.pop("system", None)
        if not isinstance(code, Code):
            if "code" in values and code is None and self._replaced:
                self.emptied = True
                return None
            text = "a diagnosis without a code cannot be used"
            self._reading.problem("diagnosis-unmapped", f"DG1[{number}]-3", text)
            return None
        if beside is not None:
            code = code.named(beside, self._systems, DIAGNOSIS)
        if code.system is CodeSystem.LOCAL:
            self._unbilled(f"DG1[{number}]-3", code)
        return code

    def _unbilled(self, where: str, code: Code) -> None:
        text = "the code's system is none that diagnoses are billed by; it is kept as a local code"
        table = "diagnosis_system" if code.unknown else None
        self._reading.problem("diagnosis-unmapped", where, text, table=table, value=code.unknown)

    def point(self, pointers: Pointers, number: int, field: str) -> tuple[str, ...]:
        """Take the diagnoses that charge `number` points to in `field`, unless DG1 or another charge said them; their
        codes.
        """
        if not self._codes.issuperset(pointers.texts):
            for index, code in enumerate(pointers.codes):
                if code.code not in self._codes:
                    self._pointed(pointers, index, f"FT1[{number}]", field)
        return pointers.texts

    def _pointed(self, pointers: Pointers, index: int, label: str, field: str) -> None:
        noted, code = len(self._reading.problems), pointers.codes[index]
        if code.system is CodeSystem.LOCAL:
            self._unbilled(f"{label}-{field}[{pointers.at[index][0]}]", code)
        id = f"{self._default}-{code.code}"
        self._reading.attribute(id, noted)
        self._add(id, label, {}, code)
        self.places += pointers.places(index, f"diagnoses[{len(self._said) - 1}]", label, field)

    def _add(self, id: str, label: str, values: Values, code: Code) -> None:
        values["id"] = id
        values["code"], values["system"] = code
        if values.get("use") is None:
            values["use"] = self._default
            self.places.append(decided(f"diagnoses[{len(self._said)}]", "use", "final"))
            self.unsaid.add(id)
        values["source"] = self._source.name
        values["origin"] = self._origin + label
        self._codes.add(code.code)
        self._said[id] = values

    def items(self) -> tuple[Diagnosis, ...]:
        """The diagnoses, in the message's order."""
        return tuple([Diagnosis.unchecked(said) for said in self._said.values()])
