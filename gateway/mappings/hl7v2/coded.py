"""The codes of a message: diagnoses, procedures, and who coded them, as every family says them."""

from __future__ import annotations

from gateway.encounter.change import Items, Places
from gateway.encounter.model import Coding, Diagnosis, DiagnosisUse, Procedure
from gateway.mappings.hl7v2.actions import listed
from gateway.mappings.hl7v2.diagnoses import DiagnosisList
from gateway.mappings.hl7v2.mapped import FeedProfile
from gateway.mappings.hl7v2.plan import decided
from gateway.mappings.hl7v2.procedures import ProcedureList
from gateway.mappings.hl7v2.reading import Reading

_RETURNS_CODES = "BAR"
"""The family whose very purpose is to return codes: it decides whether coding is final, whatever a dialect says."""


class CodedParts:
    """Diagnoses and procedures of one message, taken as `family` means them in the feed's dialect."""

    def __init__(
        self, reading: Reading, source: FeedProfile, message_id: int, family: str, *, updates: bool = False
    ) -> None:
        """`updates`: by its event the message says only what is different, whatever the family means elsewhere."""
        self._reading = reading
        self._source = source
        self._decides = family == _RETURNS_CODES or family in source.dialect.final
        self._updates = updates
        self._replaced = frozenset[str]() if updates else source.replaces(family)
        default = DiagnosisUse.FINAL if family in source.dialect.final else DiagnosisUse.WORKING
        self.listed = DiagnosisList(reading, source, message_id, default, replaced="diagnoses" in self._replaced)
        self.done = ProcedureList(reading, source, message_id, replaced="procedures" in self._replaced)
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
        self.diagnoses = listed(
            diagnoses,
            tuple(self.listed.removed),
            replaced="diagnoses" in self._replaced,
            emptied=self.listed.emptied,
        )
        self.procedures = listed(
            procedures, tuple(self.done.removed), replaced="procedures" in self._replaced, emptied=self.done.emptied
        )
        worked = any(each.use is not DiagnosisUse.ADMITTING for each in diagnoses)
        if self._decides and (worked or procedures):
            values, places = self._source.dialect.plans["coding"].once(self._reading)
            final = any(each.use is DiagnosisUse.FINAL for each in diagnoses)
            if worked and (final or not self._updates):
                values["final"] = final
                places = (*places, self._finality(diagnoses))
            self.coding = Coding.model_validate(values)
        self.places = (*self.listed.places, *self.done.places, *places)

    def _finality(self, diagnoses: tuple[Diagnosis, ...]) -> Places:
        """What decides whether the coding is final: the first diagnosis that says it is, else the first that is not."""
        uses = (DiagnosisUse.FINAL, DiagnosisUse.WORKING)
        said = next(each for use in uses for each in diagnoses if each.use is use)
        if said.id in self.listed.unsaid:
            return decided("coding", "final", "final")
        label = (said.origin or "").partition(" ")[2]
        return Places("coding", label, {"final": self._source.dialect.plans["diagnoses"].place("use")})
