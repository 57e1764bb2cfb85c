"""Diagnoses: DG1 (chapter 6, 6.5.2), and what charges point to."""

from __future__ import annotations

from pydantic import TypeAdapter

from gateway.encounter.change import Places
from gateway.encounter.model import CodeSystem, Diagnosis, DiagnosisUse
from gateway.mappings.hl7v2.codes import DIAGNOSIS, Code, Pointers
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.plan import Values
from gateway.mappings.hl7v2.reading import Reading

_DIAGNOSES = TypeAdapter(tuple[Diagnosis, ...])


class DiagnosisList:
    """The message's diagnoses, each use and code once, with the problems and places on the way."""

    def __init__(self, reading: Reading, source: FeedProfile, message_id: int, default: DiagnosisUse) -> None:
        self._reading = reading
        self._source = source
        self._origin = f"{message_id} "
        self._default = default
        self._systems = source.dialect.lookups["diagnosis_system"]
        self._said: dict[str, Values] = {}
        self.places: list[Places] = []
        self.positions: list[tuple[int, str]] = []
        """For each DG1 where it stands in the message, and its code."""
        self._codes: set[str] = set()
        self._read()

    def _read(self) -> None:
        plan = self._source.dialect.plans["diagnoses"]
        problems, said, positions = self._reading.problems, self._said, self.positions
        noted = len(problems)
        for number, span, values, mask in plan.each(self._reading):
            code = self._code(values, number)
            if code is not None:
                id = f"{values.get('use') or self._default}-{code.code}"
                if len(problems) > noted:
                    self._reading.attribute(id, noted)
                if id not in said:
                    self._add(id, f"DG1[{number}]", values, code)
                    self.places += plan.places(mask, len(said) - 1, number)
                positions.append((span[0], code.code))
            noted = len(problems)

    def _code(self, values: Values, number: int) -> Code | None:
        """The code of a DG1; None, with a problem, when it has none or is withdrawn (DG1-21, table 0206)."""
        code, beside = values.pop("code", None), values.pop("system", None)
        if values.pop("action", None) == "D":
            text = "a diagnosis is withdrawn; check that it is not coded"
            self._reading.problem("diagnosis-withdrawn", f"DG1[{number}]-21", text)
            return None
        if not isinstance(code, Code):
            text = "a diagnosis without a code cannot be used"
            self._reading.problem("diagnosis-unmapped", f"DG1[{number}]-3", text)
            return None
        if beside is not None:
            code = code.named(beside, self._systems, DIAGNOSIS)
        if code.system is CodeSystem.LOCAL:
            self._unbilled(f"DG1[{number}]-3")
        return code

    def _unbilled(self, where: str) -> None:
        text = "the code's system is none that diagnoses are billed by; it is kept as a local code"
        self._reading.problem("diagnosis-unmapped", where, text)

    def point(self, pointers: Pointers, number: int, place: str) -> tuple[str, ...]:
        """Take the diagnoses that charge `number` points to, unless DG1 or another charge said them; their codes."""
        if not self._codes.issuperset(pointers.texts):
            for repetition, code in enumerate(pointers.codes, start=1):
                if code.code not in self._codes:
                    self._pointed(code, f"FT1[{number}]", f"{place}[{repetition}]")
        return pointers.texts

    def _pointed(self, code: Code, label: str, place: str) -> None:
        noted = len(self._reading.problems)
        if code.system is CodeSystem.LOCAL:
            self._unbilled(f"{label}-{place}")
        id = f"{self._default}-{code.code}"
        self._reading.attribute(id, noted)
        self._add(id, label, {}, code)
        self.places.append(Places(f"diagnoses[{len(self._said) - 1}]", label, {"code": place}))

    def _add(self, id: str, label: str, values: Values, code: Code) -> None:
        values["id"] = id
        values["code"], values["system"] = code
        if values.get("use") is None:
            values["use"] = self._default
        values["source"] = self._source.name
        values["origin"] = self._origin + label
        self._codes.add(code.code)
        self._said[id] = values

    def items(self) -> tuple[Diagnosis, ...]:
        """The diagnoses, in the message's order."""
        return _DIAGNOSES.validate_python(list(self._said.values()))
