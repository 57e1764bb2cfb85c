"""A small synthetic hospital: its patients, clinicians, payers and visits. No person or number here is real.

National provider identifiers are made with their check digit; telephone numbers are of the 555-01xx range that is set
aside for fiction; codes are real codes, without their descriptions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal

FACILITY = "MAIN"

BILLING = """\
billing:
  name: GENERAL HOSPITAL
  npi: "1234567893"
  tax_id: "123456789"
  line: 1 HOSPITAL WAY
  city: SPRINGFIELD
  state: IL
  postal_code: "627010001"
  contact_name: BILLING OFFICE
  contact_phone: "2175550100"
"""
"""Who bills, as a part of `gateway.yaml`."""


def npi(first_nine: str) -> str:
    """A national provider identifier: nine digits and the check digit of the Luhn formula over 80840 and them."""
    digits = [int(digit) for digit in "80840" + first_nine]
    doubled = (sum(divmod(2 * digit, 10)) if place % 2 == 0 else digit for place, digit in enumerate(reversed(digits)))
    return first_nine + str(-sum(doubled) % 10)


@dataclass(frozen=True, slots=True)
class Person:
    """A patient. `mrn` is the medical record number that the hospital gave."""

    mrn: str
    family: str
    given: str
    born: date
    sex: str
    """F or M."""
    line: str
    postal_code: str
    city: str = "SPRINGFIELD"
    state: str = "IL"
    phone: str = "2175550142"


@dataclass(frozen=True, slots=True)
class Clinician:
    npi: str
    family: str
    given: str


@dataclass(frozen=True, slots=True)
class Insurance:
    payer: str
    """The payer's identifier."""
    payer_name: str
    plan: str
    filing: str
    """Claim filing indicator of X12 SBR09."""
    member: str
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One charge. `diagnoses` are the codes it points to; `each` is the price of a unit."""

    code: str
    each: Decimal
    diagnoses: tuple[str, ...]
    units: int = 1
    modifiers: tuple[str, ...] = ()
    revenue: str | None = None
    local: str | None = None
    """The charge master's number, where the EHR sends it alone and the gateway must know the code."""
    day: int = 0
    """Days after the visit began."""

    @property
    def amount(self) -> Decimal:
        return self.each * self.units


@dataclass(frozen=True, slots=True)
class Note:
    """A signed note. `type` is its LOINC code, `kind` its TXA-2 type of table 0270."""

    id: str
    kind: str
    type: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit, with everything that will be written of it. Times are the hospital's own."""

    number: str
    account: str
    person: Person
    clinician: Clinician
    insurance: Insurance
    patient_class: str
    """PV1-2: O outpatient, E emergency, I inpatient."""
    began: datetime
    ended: datetime
    location: str
    place_of_service: str
    diagnoses: tuple[str, ...]
    """ICD-10-CM codes without the dot, the first-listed one first."""
    items: tuple[Item, ...]
    coder: str
    notes: tuple[Note, ...] = ()
    disposition: str = "01"
    working: tuple[str, ...] = field(default=())
    """What was written at the start, before coding."""

    @property
    def total(self) -> Decimal:
        return sum((item.amount for item in self.items), Decimal(0))

    def day_of(self, item: Item) -> date:
        """The item's date of service."""
        return self.began.date() + timedelta(days=item.day)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    """A moment of the hospital's own day."""
    return datetime.combine(day, time(hour, minute))


OKAFOR = Clinician(npi("141700003"), "OKAFOR", "ADAEZE")
LINDGREN = Clinician(npi("152800014"), "LINDGREN", "PETER")
MARCHETTI = Clinician(npi("163900025"), "MARCHETTI", "LUCIA")
HOSPITAL_NPI = npi("123456789")

MEDICARE = Insurance("00952", "MEDICARE ILLINOIS", "PART B", "MB", "1EG4TE5MK73")
LAKESIDE = Insurance("LAKES1", "LAKESIDE HEALTH PLAN", "PPO GOLD", "CI", "LHP40012877", "GRP7731")
PRAIRIE = Insurance("PRAIR1", "PRAIRIE MUTUAL", "HMO", "HM", "PM8830027")
