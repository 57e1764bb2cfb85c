"""The canonical encounter: patient, coverage, visit, diagnoses, procedures, charges, providers, documents, coding.

Absent is `None` everywhere: nothing here is guessed. Codes are kept in the form of their system without display
punctuation (an ICD-10-CM code has no dot). Money and units are `Decimal`. Instants are timezone-aware datetimes;
dates of service are plain dates in the facility's own calendar.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.problem import Problem
from gateway.encounter.record import Record
from gateway.encounter.renumbering import Renumbering


class EncounterClass(StrEnum):
    INPATIENT = "inpatient"
    OUTPATIENT = "outpatient"
    EMERGENCY = "emergency"
    OBSERVATION = "observation"
    PREADMIT = "preadmit"
    RECURRING = "recurring"
    OTHER = "other"


class VisitStatus(StrEnum):
    PLANNED = "planned"
    ACTIVE = "active"
    DISCHARGED = "discharged"
    CANCELLED = "cancelled"


class ProviderRole(StrEnum):
    ATTENDING = "attending"
    REFERRING = "referring"
    CONSULTING = "consulting"
    ADMITTING = "admitting"
    RENDERING = "rendering"
    ORDERING = "ordering"
    OPERATING = "operating"
    SUPERVISING = "supervising"
    AUTHOR = "author"
    BILLING = "billing"


class CodeSystem(StrEnum):
    ICD10CM = "icd-10-cm"
    ICD10PCS = "icd-10-pcs"
    ICD9CM = "icd-9-cm"
    CPT = "cpt"
    HCPCS = "hcpcs"
    LOCAL = "local"


class DiagnosisUse(StrEnum):
    """DG1-6 (table 0052), and what an encoder or a FHIR Claim says of the role of a code."""

    ADMITTING = "admitting"
    WORKING = "working"
    FINAL = "final"


class ChargeKind(StrEnum):
    """FT1-6 (table 0017). Only charges and credits are billed; the others are kept as they came."""

    CHARGE = "charge"
    CREDIT = "credit"
    PAYMENT = "payment"
    ADJUSTMENT = "adjustment"
    COPAYMENT = "co-payment"


class ClaimKind(StrEnum):
    PROFESSIONAL = "professional"
    INSTITUTIONAL = "institutional"


class DocumentKind(StrEnum):
    """What a document is good for as evidence, whatever its local or LOINC type."""

    PROGRESS_NOTE = "progress-note"
    HISTORY_AND_PHYSICAL = "history-and-physical"
    CONSULTATION = "consultation"
    OPERATIVE_NOTE = "operative-note"
    PROCEDURE_NOTE = "procedure-note"
    DISCHARGE_SUMMARY = "discharge-summary"
    EMERGENCY_NOTE = "emergency-note"
    IMAGING_REPORT = "imaging-report"
    PATHOLOGY_REPORT = "pathology-report"
    LABORATORY_REPORT = "laboratory-report"
    QUERY_ANSWER = "query-answer"
    OTHER = "other"


class DocumentStatus(StrEnum):
    """TXA-17/19 and DocumentReference.status/docStatus, reduced to what decides whether it supports a code."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    AMENDED = "amended"
    CANCELLED = "cancelled"


class PersonName(Record):
    family: str | None = None
    given: str | None = None
    middle: str | None = None
    suffix: str | None = None


class Address(Record):
    line: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Patient(Record):
    identifiers: tuple[Identifier, ...] = ()
    name: PersonName | None = None
    birth_date: date | None = None
    sex: str | None = None
    """F, M or U, as claims use it."""
    address: Address | None = None
    phone: str | None = None


class Provider(Record):
    role: ProviderRole
    npi: str | None = None
    name: PersonName | None = None
    organization: str | None = None
    identifiers: tuple[Identifier, ...] = ()


class Coverage(Record):
    id: str
    rank: int | None = None
    """1 is billed first."""
    payer: Identifier | None = None
    payer_name: str | None = None
    plan: str | None = None
    filing: str | None = None
    """X12 claim filing indicator (SBR09), where the feed says it: MB, MA, MC, CI, BL..."""
    member_id: str | None = None
    group_number: str | None = None
    relationship: str | None = None
    """The patient's relationship to the subscriber: self, spouse, child or other."""
    subscriber: PersonName | None = None
    subscriber_birth_date: date | None = None
    subscriber_sex: str | None = None
    subscriber_address: Address | None = None


class Guarantor(Record):
    name: PersonName | None = None
    relationship: str | None = None
    address: Address | None = None


class Visit(Record):
    status: VisitStatus | None = None
    encounter_class: EncounterClass | None = None
    type: str | None = None
    service: str | None = None
    location: str | None = None
    place_of_service: str | None = None
    admitted: datetime | None = None
    discharged: datetime | None = None
    disposition: str | None = None
    """PV1-36 discharge disposition, table 0112 (UB-04 patient status where the site uses it)."""
    account: Identifier | None = None
    number: Identifier | None = None


class Diagnosis(Record):
    id: str
    code: str
    system: CodeSystem | None = None
    use: DiagnosisUse = DiagnosisUse.WORKING
    rank: int | None = None
    present_on_admission: str | None = None
    description: str | None = None
    source: str | None = None
    """The feed that said it."""
    origin: str | None = None
    """``message-id place``, as `DG1[2]`."""


class Procedure(Record):
    id: str
    code: str
    system: CodeSystem | None = None
    modifiers: tuple[str, ...] = ()
    performed: date | None = None
    rank: int | None = None
    providers: tuple[Provider, ...] = ()
    source: str | None = None
    origin: str | None = None


class Charge(Record):
    """One line that may be billed. `diagnoses` are the codes that it points to, first pointer first."""

    id: str
    kind: ChargeKind = ChargeKind.CHARGE
    code: str | None = None
    system: CodeSystem | None = None
    local_code: str | None = None
    """The charge master's own code, when the sender has one beside the billable code."""
    modifiers: tuple[str, ...] = ()
    units: Decimal | None = None
    amount: Decimal | None = None
    """The line's whole amount, not the amount per unit."""
    start: date | None = None
    end: date | None = None
    diagnoses: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()
    revenue_code: str | None = None
    place_of_service: str | None = None
    reverses: str | None = None
    """For a credit: the id of the charge that it takes back, once matched."""
    match: tuple[str, ...] = ()
    """For a credit: the fields by which its feed's rule finds that charge; the usual ones when empty."""
    source: str | None = None
    origin: str | None = None


class Document(Record):
    """A document's description. Its content stands in the store under `digest`; the encounter stays small."""

    id: str
    kind: DocumentKind = DocumentKind.OTHER
    type: str | None = None
    title: str | None = None
    status: DocumentStatus = DocumentStatus.FINAL
    author: Provider | None = None
    written: datetime | None = None
    content_type: str | None = None
    digest: str | None = None
    """SHA-256 of the content, hexadecimal; absent when the feed only announced the document."""
    size: int | None = None
    url: str | None = None
    replaces: str | None = None
    appends: str | None = None
    """For an addendum: the id of the document that it adds to."""
    answers: str | None = None
    """The number of the provider query that it names as the one it answers."""
    source: str | None = None
    origin: str | None = None


class Coding(Record):
    """Who coded the encounter, with what, when, and whether the codes are final."""

    coder: str | None = None
    encoder: str | None = None
    coded: datetime | None = None
    final: bool | None = None
    drg: str | None = None


class Entry(NamedTuple):
    """One message that counts in an encounter."""

    message: int
    at: int
    """When it counts from, in seconds since 1970 (UTC): the order of facts, whatever the order of arrival."""
    mapping: str = ""
    """The version of the mapping that read it."""
    charges: int = 0
    """How many charges it holds."""


class Tally(NamedTuple):
    """What became of the charges that messages said: `said` = standing + `repeated` + `removed` + `passed_over`."""

    said: int = 0
    repeated: int = 0
    """Said again under the same id: the later one stands."""
    removed: int = 0
    """Taken away by a message that replaces or removes."""
    passed_over: int = 0
    """No charges, by the feed's rule."""


class Encounter(Record):
    """One billable visit, and the messages that made it: where each value stands in them is read from them again."""

    key: EncounterKey
    identifiers: tuple[Identifier, ...] = ()
    patient: Patient = Patient()
    guarantor: Guarantor | None = None
    visit: Visit = Visit()
    coverages: tuple[Coverage, ...] = ()
    providers: tuple[Provider, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    charges: tuple[Charge, ...] = ()
    documents: tuple[Document, ...] = ()
    coding: Coding = Coding()
    problems: tuple[Problem, ...] = ()
    history: tuple[Entry, ...] = ()
    """The messages that count, in the order in which their facts do. The encounter can be built again from them."""
    renumbered: tuple[Renumbering, ...] = ()
    """Numbers that merges and moves changed: whatever later messages call them, these hold."""
    merged_into: str | None = None
    """The key of the encounter that this one became part of. It bills nothing any more."""
    tally: Tally = Tally()

    def to_json(self) -> bytes:
        """The stored form: UTF-8 JSON without the values that nobody said."""
        return self.as_json()

    @classmethod
    def from_json(cls, data: bytes) -> Encounter:
        """The encounter that `to_json` wrote."""
        return cls.model_validate_json(data)
