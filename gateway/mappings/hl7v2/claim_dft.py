"""A released claim as DFT^P03, HL7 version 2.5.1 (chapter 6, 6.4.1): a receiver that posts charges can post it.

Segments stand in the order of the structure DFT_P03: MSH, EVN, PID, PV1; for each line FT1 and ZCL; PR1 after the last;
DG1, DRG, IN1. What the standard has no field for stands in ZCL: see `docs/destinations.md`. Codes go without words.
The same claim gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Protocol

from gateway.encounter.billable import Billable, Line
from gateway.encounter.identity import Identifier
from gateway.encounter.model import (
    Address,
    ClaimKind,
    CodeSystem,
    Coverage,
    Diagnosis,
    EncounterClass,
    PersonName,
    Procedure,
    Provider,
    ProviderRole,
)
from gateway.mappings.hl7v2.writer import Field, message, segment
from gateway.mappings.x12.problem import FormProblem, Unwritable

SOURCE = "HL7 2.5.1, DFT^P03"
VERSION = "2.5.1"
CURRENCY = "USD"

SYSTEMS: dict[CodeSystem, str] = {
    CodeSystem.ICD10CM: "I10C",
    CodeSystem.ICD10PCS: "I10P",
    CodeSystem.ICD9CM: "I9CDX",
    CodeSystem.CPT: "C4",
    CodeSystem.HCPCS: "HCPCS",
    CodeSystem.LOCAL: "L",
}
"""Names of code systems, table 0396."""
REVENUE_CODES = "HL70456"
_DOTTED = frozenset({CodeSystem.ICD10CM, CodeSystem.ICD9CM})

CLASSES: dict[EncounterClass, str] = {
    EncounterClass.INPATIENT: "I",
    EncounterClass.OUTPATIENT: "O",
    EncounterClass.EMERGENCY: "E",
    EncounterClass.OBSERVATION: "OBS",
    EncounterClass.PREADMIT: "P",
    EncounterClass.RECURRING: "R",
    EncounterClass.OTHER: "U",
}
"""PV1-2, table 0004, which sites add to: OBS is widely used. A class that nobody said is unknown: U."""

RELATIONSHIPS = {"self": "SEL", "spouse": "SPO", "child": "CHD", "other": "OTH"}
"""IN1-17, table 0063."""

TRANSACTIONS = {"1": "CG", "8": "CD"}
"""The claim's frequency -> FT1-6, table 0017: charges, and for a void the credits of what was charged. A DFT has no way
to say that charges replace others, so there is no row for a correction."""

_NPI = ("NPI", "2.16.840.1.113883.4.6", "ISO")
"""Who assigns national provider identifiers, as XCN.9."""
_PV1_PROVIDERS = {
    ProviderRole.ATTENDING: 7,
    ProviderRole.REFERRING: 8,
    ProviderRole.CONSULTING: 9,
    ProviderRole.ADMITTING: 17,
}
_PR1_PROVIDERS = {ProviderRole.OPERATING: 11, ProviderRole.RENDERING: 12}


class ReleasedClaim(Protocol):
    """A frozen claim, as `gateway.release.model.Claim` has it."""

    @property
    def number(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def frequency(self) -> str: ...
    @property
    def replaces(self) -> str | None: ...
    @property
    def billed(self) -> Billable: ...
    @property
    def released(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Parties:
    """MSH-3 to MSH-6, MSH-11, and what MSH-15 and 16 ask for (`AL` always, `NE` never, table 0155)."""

    sending_application: str
    sending_facility: str
    receiving_application: str | None = None
    receiving_facility: str | None = None
    usage: str = "T"
    commit: str | None = None
    application: str | None = None


def dft_problems(billed: Billable) -> tuple[FormProblem, ...]:
    """Why `billed` cannot be written as a DFT^P03; empty when it can."""
    return tuple(_problems(billed))


def claim_dft(claim: ReleasedClaim, control: str, parties: Parties, zone: tzinfo) -> bytes:
    """The message, as UTF-8. `control` is MSH-10; `zone` the facility's calendar. Raises Unwritable as `dft_problems`
    says, and for a correction.
    """
    billed = claim.billed
    found = dft_problems(billed)
    if claim.frequency not in TRANSACTIONS:
        text = "a DFT cannot say that charges replace others"
        found = (*found, _problem("dft-correction", "frequency", text, "Correct it in the billing system by hand"))
    if found:
        raise Unwritable(found)
    return message(
        _msh(claim, control, parties, zone),
        segment("EVN", "P03", _moment(claim.released, zone)),
        _pid(billed),
        _pv1(billed, zone),
        *(part for number in range(1, len(billed.lines) + 1) for part in _charge(claim, number, zone)),
        *(_pr1(number, each) for number, each in enumerate(billed.procedures, start=1)),
        *(_dg1(number, each) for number, each in enumerate(billed.diagnoses, start=1)),
        *([segment("DRG", billed.drg)] if billed.drg else ()),
        *(_in1(number, each) for number, each in enumerate(billed.coverages, start=1)),
    )


def _problem(rule: str, where: str, text: str, remedy: str, subject: str = "") -> FormProblem:
    return FormProblem(rule, where, text, remedy, SOURCE, subject=subject or where)


def _problems(billed: Billable) -> Iterator[FormProblem]:
    if not billed.lines:
        yield _problem("dft-lines", "lines", "A message carries at least one charge", "Bill it otherwise")
    for index, line in enumerate(billed.lines):
        where = f"lines[{index}]"
        if not line.code and not line.revenue_code:
            text = "A charge has a procedure or a revenue code (FT1-7)"
            yield _problem("dft-code", f"{where}.code", text, "Map the charge master's code", line.charge)
        if line.start is None:
            text = "A charge has its date of service (FT1-4)"
            yield _problem("dft-date", f"{where}.start", text, "Have the date sent", line.charge)
        for name, number in (("units", line.units), ("amount", line.amount)):
            if number is not None and not number.is_finite():
                yield _problem("dft-number", f"{where}.{name}", "Not a number", "Correct the charge", line.charge)
        if any(not 1 <= pointer <= len(billed.diagnoses) for pointer in line.pointers):
            text = "The line points to a diagnosis that the claim does not have"
            yield _problem("dft-pointers", f"{where}.pointers", text, "Have the coder link the charge", line.charge)
        if line.rendering is not None and not _nameable(line.rendering):
            text = "Who performed a service is a person, with a name or an NPI (FT1-20)"
            yield _problem("dft-provider", f"{where}.rendering", text, "Have the person named", line.charge)


def _nameable(provider: Provider) -> bool:
    return provider.npi is not None or provider.name is not None


# ---- the message and its patient


def _msh(claim: ReleasedClaim, control: str, parties: Parties, zone: tzinfo) -> str:
    return segment(
        "MSH",
        parties.sending_application,
        parties.sending_facility,
        parties.receiving_application,
        parties.receiving_facility,
        _moment(claim.released, zone),
        None,
        ("DFT", "P03", "DFT_P03"),
        control,
        parties.usage,
        VERSION,
        None,
        None,
        parties.commit,
        parties.application,
        None,
        "UNICODE UTF-8",
    )


def _placed(name: str, fields: dict[int, Field]) -> str:
    """A segment from its fields by their numbers."""
    return segment(name, *(fields.get(number) for number in range(1, max(fields) + 1)))


def _pid(billed: Billable) -> str:
    """PID-3 holds the number that billing counts by: a claim carries no other of the patient."""
    patient, visit = billed.patient, billed.visit
    account = visit.account
    if account is None and visit.number is None:
        account = Identifier(value=billed.key.number, authority=billed.key.authority or None, type="AN")
    return _placed(
        "PID",
        {
            1: 1,
            3: _cx(account or visit.number),
            5: _xpn(patient.name),
            7: _day(patient.birth_date),
            8: patient.sex,
            11: _xad(patient.address),
            18: _cx(account),
        },
    )


def _pv1(billed: Billable, zone: tzinfo) -> str:
    visit = billed.visit
    fields: dict[int, Field] = {1: 1, 2: CLASSES[visit.encounter_class or EncounterClass.OTHER]}
    for role, number in _PV1_PROVIDERS.items():
        fields[number] = [_xcn(each) for each in billed.providers if each.role is role and _nameable(each)]
    fields[19] = _cx(visit.number)
    fields[36] = visit.disposition
    fields[44] = _moment(visit.admitted, zone) if visit.admitted else None
    fields[45] = _moment(visit.discharged, zone) if visit.discharged else None
    return _placed("PV1", fields)


# ---- the charges


def _charge(claim: ReleasedClaim, number: int, zone: tzinfo) -> tuple[str, str]:
    """FT1 with the line's ZCL: each is whole by itself, for receivers post line by line."""
    billed, line = claim.billed, claim.billed.lines[number - 1]
    rendering = line.rendering or _whole_claim_s(billed)
    code = _procedure_code(line)
    ft1 = _placed(
        "FT1",
        {
            1: number,
            2: f"{claim.number}-{number}",
            4: (_day(line.start), _day(line.end) if line.end and line.end != line.start else None),
            5: _moment(claim.released, zone),
            6: TRANSACTIONS[claim.frequency],
            7: code or (line.revenue_code, None, REVENUE_CODES),
            10: _number(line.units),
            11: _money(line.amount),
            12: _money(_each(line)),
            19: [_diagnosis_code(billed.diagnoses[pointer - 1]) for pointer in line.pointers],
            20: _xcn(rendering) if rendering else None,
            25: code,
            26: [(modifier,) for modifier in line.modifiers],
        },
    )
    return ft1, _zcl(claim, number, line)


def _zcl(claim: ReleasedClaim, number: int, line: Line) -> str:
    """What DFT has no field for: the claim that the line is of, its revenue code and place of service."""
    kind = "P" if claim.billed.kind is ClaimKind.PROFESSIONAL else "I"
    return segment(
        "ZCL",
        number,
        claim.number,
        claim.version,
        claim.frequency,
        claim.replaces,
        kind,
        line.revenue_code,
        line.place_of_service,
        line.charge,
    )


def _whole_claim_s(billed: Billable) -> Provider | None:
    """The claim's own rendering provider: a line that names nobody is that one's."""
    named = [each for each in billed.providers if each.role is ProviderRole.RENDERING and _nameable(each)]
    return named[0] if len(named) == 1 else None


def _procedure_code(line: Line) -> Field:
    """A CPT code has five signs and begins with a digit, a HCPCS code with a letter (45 CFR 162.1002)."""
    if not line.code:
        return None
    return (line.code, None, SYSTEMS[CodeSystem.CPT if line.code[0].isdigit() else CodeSystem.HCPCS])


def _each(line: Line) -> Decimal | None:
    """The amount for one unit, where it comes out in whole cents."""
    if line.amount is None or not line.units:
        return None
    each = (line.amount / line.units).quantize(Decimal("0.01"))
    return each if each * line.units == line.amount else None


def _pr1(number: int, procedure: Procedure) -> str:
    fields: dict[int, Field] = {
        1: number,
        3: (procedure.code, None, SYSTEMS[procedure.system] if procedure.system else None),
        5: _day(procedure.performed),
        14: procedure.rank,
        16: [(modifier,) for modifier in procedure.modifiers],
    }
    for role, place in _PR1_PROVIDERS.items():
        fields[place] = [_xcn(each) for each in procedure.providers if each.role is role and _nameable(each)]
    return _placed("PR1", fields)


def _dg1(number: int, diagnosis: Diagnosis) -> str:
    return _placed(
        "DG1",
        {1: number, 3: _diagnosis_code(diagnosis), 6: "F", 15: number, 26: diagnosis.present_on_admission},
    )


def _diagnosis_code(diagnosis: Diagnosis) -> tuple[str | None, ...]:
    """With its dot, as the code sets are published."""
    code, system = diagnosis.code, diagnosis.system
    if system in _DOTTED and len(code) > 3 and "." not in code:
        code = f"{code[:3]}.{code[3:]}"
    return (code, None, SYSTEMS[system] if system else None)


# ---- the payers


def _in1(number: int, coverage: Coverage) -> str:
    payer = coverage.payer
    return _placed(
        "IN1",
        {
            1: number,
            2: (coverage.plan,),
            3: (payer.value, None, None, payer.authority) if payer else None,
            4: (coverage.payer_name,),
            8: coverage.group_number,
            15: coverage.filing,
            16: _xpn(coverage.subscriber),
            17: (RELATIONSHIPS.get(coverage.relationship or ""),),
            18: _day(coverage.subscriber_birth_date),
            19: _xad(coverage.subscriber_address),
            22: coverage.rank if coverage.rank is not None else number,
            36: coverage.member_id,
            43: coverage.subscriber_sex,
        },
    )


# ---- data types (chapter 2A)


def _cx(number: Identifier | None) -> Field:
    return (number.value, None, None, number.authority, number.type) if number else None


def _xpn(name: PersonName | None) -> Field:
    return (name.family, name.given, name.middle, name.suffix) if name else None


def _xcn(provider: Provider) -> tuple[str | tuple[str, ...] | None, ...]:
    """Who it is; the NPI stands in XCN.1, and XCN.9 and 13 say that it is one."""
    name = provider.name or PersonName()
    person = (name.family, name.given, name.middle, name.suffix)
    if provider.npi is None:
        return (None, *person)
    return (provider.npi, *person, None, None, None, _NPI, None, None, None, "NPI")


def _xad(address: Address | None) -> Field:
    if address is None:
        return None
    return (address.line, address.line2, address.city, address.state, address.postal_code, address.country)


def _day(day: date | None) -> str | None:
    return f"{day:%Y%m%d}" if day else None


def _moment(moment: datetime, zone: tzinfo) -> str:
    """A TS to the second in the facility's calendar, with its offset: a reader that drops the offset keeps the day."""
    return f"{moment.astimezone(zone):%Y%m%d%H%M%S%z}"


def _number(number: Decimal | None) -> str | None:
    return f"{number:f}" if number is not None else None


def _money(amount: Decimal | None) -> Field:
    """A CP: the amount, and its currency."""
    return ((_number(amount), CURRENCY),) if amount is not None else None
