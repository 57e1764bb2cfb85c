"""Exactly what would be billed for an encounter, and its fingerprint: what an approval is bound to."""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal

from gateway.encounter.credits import taken_back
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import (
    Charge,
    ChargeKind,
    ClaimKind,
    Coverage,
    Diagnosis,
    DiagnosisUse,
    Encounter,
    Patient,
    Procedure,
    Provider,
    ProviderRole,
    Visit,
)
from gateway.encounter.record import Record

_UNSOURCED = {"source": None, "origin": None}


class Line(Record):
    """One service line, as billed. `pointers` count from 1 into the claim's diagnoses."""

    charge: str
    code: str | None = None
    modifiers: tuple[str, ...] = ()
    units: Decimal | None = None
    amount: Decimal | None = None
    start: date | None = None
    end: date | None = None
    pointers: tuple[int, ...] = ()
    revenue_code: str | None = None
    place_of_service: str | None = None
    rendering: Provider | None = None


class Billable(Record):
    """What a claim would say. Lines are the charges that no credit takes back; a void encounter has none."""

    key: EncounterKey
    kind: ClaimKind
    patient: Patient
    visit: Visit
    coverages: tuple[Coverage, ...] = ()
    providers: tuple[Provider, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    lines: tuple[Line, ...] = ()
    drg: str | None = None

    @property
    def total(self) -> Decimal:
        """The claim's amount: the sum of its lines."""
        return sum((line.amount or Decimal(0) for line in self.lines), Decimal(0))

    def fingerprint(self) -> str:
        """SHA-256, hexadecimal, over all that is billed. Where a value came from does not count."""
        return hashlib.sha256(self.as_json()).hexdigest()


def billed_charges(encounter: Encounter) -> tuple[Charge, ...]:
    """The charges that stand: charges that no credit reverses. Payments and adjustments are not billed."""
    if encounter.merged_into is not None:
        return ()
    charges = tuple([c for c in encounter.charges if c.kind is ChargeKind.CHARGE])
    gone = taken_back(encounter.charges) if len(charges) != len(encounter.charges) else ()
    return tuple([c for c in charges if c.id not in gone]) if gone else charges


def billed_diagnoses(encounter: Encounter) -> tuple[Diagnosis, ...]:
    """Final diagnoses, in order of rank; each code once."""
    final = [d for d in encounter.diagnoses if d.use is DiagnosisUse.FINAL]
    final.sort(key=lambda d: d.rank if d.rank is not None else 1_000)
    first: dict[str, Diagnosis] = {}
    for diagnosis in final:
        first.setdefault(diagnosis.code, diagnosis)
    return tuple(first.values())


def claim_kind(charges: tuple[Charge, ...]) -> ClaimKind:
    """Institutional when a line carries a revenue code (UB-04 bills by it), professional otherwise."""
    return ClaimKind.INSTITUTIONAL if any(c.revenue_code for c in charges) else ClaimKind.PROFESSIONAL


def _bare(provider: Provider) -> Provider:
    """Without the numbers that no claim carries."""
    if not provider.identifiers:
        return provider
    return Provider.unchecked(
        {"role": provider.role, "npi": provider.npi, "name": provider.name, "organization": provider.organization}
    )


def _diagnosis(diagnosis: Diagnosis) -> Diagnosis:
    """A claim carries a diagnosis' code, not the words that a feed puts beside it."""
    return Diagnosis.unchecked(
        {
            "id": diagnosis.id,
            "code": diagnosis.code,
            "system": diagnosis.system,
            "use": diagnosis.use,
            "rank": diagnosis.rank,
            "present_on_admission": diagnosis.present_on_admission,
        }
    )


def _rendering(charge: Charge) -> Provider | None:
    for provider in charge.providers:
        if provider.role is ProviderRole.RENDERING:
            return _bare(provider)
    return None


def _line(charge: Charge, positions: dict[str, int], visit: Visit) -> Line:
    return Line.unchecked(
        {
            "charge": charge.id,
            "code": charge.code,
            "modifiers": charge.modifiers,
            "units": charge.units,
            "amount": charge.amount,
            "start": charge.start,
            "end": charge.end,
            "pointers": tuple([positions[code] for code in charge.diagnoses if code in positions]),
            "revenue_code": charge.revenue_code,
            "place_of_service": charge.place_of_service or visit.place_of_service,
            "rendering": _rendering(charge),
        }
    )


def _patient(patient: Patient) -> Patient:
    return Patient.unchecked(
        {"name": patient.name, "birth_date": patient.birth_date, "sex": patient.sex, "address": patient.address}
    )


def _visit(visit: Visit) -> Visit:
    return Visit.unchecked(
        {
            "encounter_class": visit.encounter_class,
            "place_of_service": visit.place_of_service,
            "admitted": visit.admitted,
            "discharged": visit.discharged,
            "disposition": visit.disposition,
            "account": visit.account,
            "number": visit.number,
        }
    )


def billable(encounter: Encounter) -> Billable:
    """What would be billed for `encounter` as it stands now."""
    charges = billed_charges(encounter)
    diagnoses = billed_diagnoses(encounter)
    positions = {d.code: index for index, d in enumerate(diagnoses, start=1)}
    return Billable.unchecked(
        {
            "key": encounter.key,
            "kind": claim_kind(charges),
            "patient": _patient(encounter.patient),
            "visit": _visit(encounter.visit),
            "coverages": tuple(sorted(encounter.coverages, key=lambda c: c.rank if c.rank is not None else 1_000)),
            "providers": tuple([_bare(p) for p in encounter.providers]),
            "diagnoses": tuple([_diagnosis(d) for d in diagnoses]),
            "procedures": tuple([p.model_copy(update=_UNSOURCED) for p in encounter.procedures]),
            "lines": tuple([_line(charge, positions, encounter.visit) for charge in charges]),
            "drg": encounter.coding.drg,
        }
    )


def fingerprint(encounter: Encounter) -> str:
    """The fingerprint of exactly what would be billed."""
    return billable(encounter).fingerprint()
