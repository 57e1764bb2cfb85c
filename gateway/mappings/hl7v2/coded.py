"""The codes of a message: diagnoses, procedures, and who coded them, as every family says them."""

from __future__ import annotations

from gateway.encounter.change import Items, Mode, Places
from gateway.encounter.model import Coding, Diagnosis, DiagnosisUse, Procedure
from gateway.mappings.hl7v2.diagnoses import DiagnosisList
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.procedures import ProcedureList
from gateway.mappings.hl7v2.reading import Reading

_RETURNS_CODES = "BAR"
"""The family whose very purpose is to return codes: it decides whether coding is final, whatever a dialect says."""


class CodedParts:
    """Diagnoses and procedures of one message, taken as `family` means them in the feed's dialect."""

    def __init__(self, reading: Reading, source: FeedProfile, message_id: int, family: str) -> None:
        self._reading = reading
        self._source = source
        self._decides = family == _RETURNS_CODES or family in source.dialect.final
        self._mode = Mode.REPLACE if family in source.dialect.replace else Mode.ADD
        default = DiagnosisUse.FINAL if family in source.dialect.final else DiagnosisUse.WORKING
        self.listed = DiagnosisList(reading, source, message_id, default)
        self.done = ProcedureList(reading, source, message_id)
        self.diagnoses: Items[Diagnosis] | None = None
        self.procedures: Items[Procedure] | None = None
        self.coding: Coding | None = None
        self.places: tuple[Places, ...] = ()

    def settle(self) -> None:
        """Set the parts, once all that the message says of codes has been read.

        A message without any code says nothing of them: what stood, stands, even where the family replaces. Nor do
        admitting diagnoses alone say that somebody coded.
        """
        diagnoses, procedures = self.listed.items(), self.done.items()
        places: tuple[Places, ...] = ()
        if diagnoses:
            self.diagnoses = Items(diagnoses, self._mode)
        if procedures:
            self.procedures = Items(procedures, self._mode)
        worked = any(each.use is not DiagnosisUse.ADMITTING for each in diagnoses)
        if self._decides and (worked or procedures):
            values, places = self._source.dialect.plans["coding"].once(self._reading)
            if worked:
                values["final"] = any(each.use is DiagnosisUse.FINAL for each in diagnoses)
            self.coding = Coding.model_validate(values)
        self.places = (*self.listed.places, *self.done.places, *places)
