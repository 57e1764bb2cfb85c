"""The professional claim: 837P, ASC X12N 005010X222A1. One claim an interchange.

`write_837p` writes; whether a claim can be written is asked of `carriable_837p.carriable`, before it is released.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal

from gateway.config.model import Billing
from gateway.encounter.billable import Billable, Line
from gateway.encounter.model import Coverage, Provider, ProviderRole
from gateway.mappings.x12.envelope import Envelope, wrap
from gateway.mappings.x12.parties import address, demographics, organization, person, provider
from gateway.mappings.x12.problem import FormProblem, Unwritable
from gateway.mappings.x12.writer import Element, Segment, Value, render

GUIDE = "005010X222A1"

SELF = "self"
RELATIONSHIPS = {SELF: "18", "spouse": "01", "child": "19", "other": "G8"}
"""Canonical relationship of the patient to the subscriber -> SBR02, PAT01."""

SEQUENCE = "PSTABCDEFGH"
"""SBR01: primary, secondary, tertiary, payer four to eleven."""

UNKNOWN_FILING = "ZZ"
"""SBR09 where the feed does not say the kind of insurance: the guide's own code for "not known"."""

INPATIENT_PLACES = frozenset({"21", "51", "61"})
"""Places of service whose claims say when the stay began: inpatient hospital, psychiatric, rehabilitation facility."""

MAX_POINTERS = 4
"""SV107 carries the first four; an edit tells where a charge has more."""

FREQUENCIES = frozenset({"1", "7", "8"})
REPLACEMENT_FREQUENCIES = frozenset({"7", "8"})


@dataclass(frozen=True, slots=True)
class Declarations:
    """What the billing provider declares on every claim: CLM06 to CLM09, OI03 and OI06."""

    signature_on_file: str = "Y"
    assignment: str = "A"
    benefits_assigned: str = "Y"
    release_of_information: str = "Y"


@dataclass(frozen=True, slots=True)
class Submission:
    """What is written: the billed content under its number (CLM01), frequency (CLM05-3) and, for a replacement or
    void, the payer's control number of the claim that it is about (REF*F8)."""

    billed: Billable
    number: str
    frequency: str = "1"
    replaces: str | None = None
    declarations: Declarations = Declarations()


def write_837p(submission: Submission, billing: Billing, envelope: Envelope) -> bytes:
    """The whole interchange, ASCII. The same arguments give the same bytes.

    Raises Unwritable when a value cannot be written: ask `carriable` first.
    """
    wrong = version_problems(submission.number, submission.frequency, submission.replaces)
    if wrong:
        raise Unwritable(wrong)
    body = (*site_segments(billing, envelope), *claim_segments(submission, envelope.zone))
    return render(wrap(envelope, "837", GUIDE, "HC", body))


def version_problems(number: str, frequency: str, replaces: str | None) -> tuple[FormProblem, ...]:
    """What is wrong with a claim's number and version, known only at release (CLM01, CLM05-3, REF*F8)."""
    found: list[FormProblem] = []
    if not 1 <= len(number) <= 20 or not number.isascii() or not number.isalnum():
        text = "A claim number is 1 to 20 letters and digits"
        found.append(FormProblem("x12-number", "number", text, "Number the claim again", subject="number"))
    if frequency not in FREQUENCIES:
        text = "A claim's frequency is 1 (original), 7 (replacement) or 8 (void)"
        found.append(FormProblem("x12-frequency", "frequency", text, "Say which of the three", subject="frequency"))
    if frequency in REPLACEMENT_FREQUENCIES and not replaces:
        text = "A replacement or void must name the payer's control number of the claim that it is about"
        remedy = "Wait for the payer's acknowledgement or remittance"
        found.append(FormProblem("x12-replaces", "replaces", text, remedy, subject="replaces"))
    return tuple(found)


def site_segments(billing: Billing, envelope: Envelope) -> tuple[Segment, ...]:
    """From BHT to the billing provider: the same for every claim of a site."""
    return (*_header(billing, envelope), *_billing_provider(billing))


def claim_segments(submission: Submission, zone: tzinfo) -> tuple[Segment, ...]:
    """From the subscriber to the last line."""
    billed = submission.billed
    primary = billed.coverages[0] if billed.coverages else Coverage(id="")
    separate = primary.relationship != SELF
    return (
        *_subscriber(billed, primary, separate),
        *(_patient(billed, primary) if separate else ()),
        *_claim(submission, zone),
        *(segment for index, line in enumerate(billed.lines) for segment in _line(submission, index, line)),
    )


def _header(billing: Billing, envelope: Envelope) -> Iterator[Segment]:
    """BHT, 1000A, 1000B."""
    sender = Value("destination.sender_id", "the submitter's id", envelope.sender, 15, 2)
    receiver = Value("destination.receiver_id", "the receiver's id", envelope.receiver, 15, 2)
    yield Segment("BHT", ("0019", "00", f"{envelope.control:09d}", envelope.day, envelope.time, "CH"))
    yield organization("41", Value("billing.name", "the submitter's name", billing.name, 60), "46", sender)
    contact = Value("billing.contact_name", "the contact's name", billing.contact_name, 60)
    phone = Value("billing.contact_phone", "the contact's telephone", billing.contact_phone, 256)
    yield Segment("PER", ("IC", contact, "TE", phone))
    yield organization("40", receiver, "46", receiver)


def _billing_provider(billing: Billing) -> Iterator[Segment]:
    """2000A, 2010AA."""
    yield Segment("HL", ("1", "", "20", "1"))
    if billing.taxonomy:
        taxonomy = Value("billing.taxonomy", "the taxonomy code", billing.taxonomy, 10, 10)
        yield Segment("PRV", ("BI", "PXC", taxonomy))
    name = Value("billing.name", "the billing provider's name", billing.name, 60)
    yield organization("85", name, "XX", Value("billing.npi", "the billing provider's NPI", billing.npi, 10, 10))
    yield Segment("N3", (Value("billing.line", "the billing provider's street address", billing.line, 55),))
    yield Segment(
        "N4",
        (
            Value("billing.city", "the billing provider's city", billing.city, 30, 2),
            Value("billing.state", "the billing provider's state", billing.state, 2, 2),
            Value("billing.postal_code", "the billing provider's nine-digit ZIP code", billing.postal_code, 9, 9),
        ),
    )
    yield Segment("REF", ("EI", Value("billing.tax_id", "the billing provider's tax id", billing.tax_id, 9, 9)))


def _subscriber(billed: Billable, primary: Coverage, separate: bool) -> Iterator[Segment]:
    """2000B, 2010BA, 2010BB. Address and demographics stand here only when the subscriber is the patient."""
    yield Segment("HL", ("2", "1", "22", "1" if separate else "0"))
    yield _sbr(0, primary, "" if separate else RELATIONSHIPS[SELF])
    yield _insured(billed, 0, primary)
    if not separate:
        yield from _patient_details(billed)
    yield _payer(0, primary)


def _sbr(index: int, coverage: Coverage, relationship: Element) -> Segment:
    where = f"coverages[{index}]"
    group = Value(f"{where}.group_number", "the group number", coverage.group_number, 50, required=False)
    filing = Value(f"{where}.filing", "the claim filing indicator", coverage.filing or UNKNOWN_FILING, 2)
    return Segment("SBR", (SEQUENCE[index : index + 1], relationship, group, "", "", "", "", "", filing))


def _insured(billed: Billable, index: int, coverage: Coverage) -> Segment:
    where = f"coverages[{index}]"
    member = Value(f"{where}.member_id", "the member id", coverage.member_id, 80, 2)
    if coverage.relationship == SELF and coverage.subscriber is None:
        return person("IL", "patient.name", "the patient", billed.patient.name, "MI", member)
    return person("IL", f"{where}.subscriber", "the subscriber", coverage.subscriber, "MI", member)


def _payer(index: int, coverage: Coverage) -> Segment:
    where = f"coverages[{index}]"
    name = Value(f"{where}.payer_name", "the payer's name", coverage.payer_name, 60)
    payer_id = coverage.payer.value if coverage.payer else None
    return organization("PR", name, "PI", Value(f"{where}.payer", "the payer's id", payer_id, 80, 2))


def _patient(billed: Billable, primary: Coverage) -> Iterator[Segment]:
    """2000C, 2010CA."""
    yield Segment("HL", ("3", "2", "23", "0"))
    relationship = RELATIONSHIPS.get(primary.relationship or "")
    what = "the patient's relationship to the subscriber"
    yield Segment("PAT", (Value("coverages[0].relationship", what, relationship, 2),))
    yield person("QC", "patient.name", "the patient", billed.patient.name)
    yield from _patient_details(billed)


def _patient_details(billed: Billable) -> Iterator[Segment]:
    said = billed.patient
    yield from address("patient.address", "the patient", said.address)
    yield demographics("patient.birth_date", "the patient", said.birth_date, "patient.sex", said.sex)


def _claim(submission: Submission, zone: tzinfo) -> Iterator[Segment]:
    """2300, 2310, 2320."""
    billed, declared = submission.billed, submission.declarations
    place = place_of_service(billed)
    yield Segment(
        "CLM",
        (
            Value("number", "the claim number", submission.number, 20),
            decimal(billed.total),
            "",
            "",
            (Value("lines[0].place_of_service", "the place of service", place, 2, 2), "B", submission.frequency),
            declared.signature_on_file,
            declared.assignment,
            declared.benefits_assigned,
            declared.release_of_information,
        ),
    )
    if place in INPATIENT_PLACES:
        yield from _stay(billed, zone)
    if submission.frequency in REPLACEMENT_FREQUENCIES:
        yield Segment("REF", ("F8", Value("replaces", "the payer's control number", submission.replaces, 50)))
    yield _diagnoses(billed)
    yield from _providers(billed)
    yield from _other_coverages(billed, declared)


def _stay(billed: Billable, zone: tzinfo) -> Iterator[Segment]:
    admitted, discharged = billed.visit.admitted, billed.visit.discharged
    day = Value("visit.admitted", "the date of admission", _day(admitted, zone), 8, 8)
    yield Segment("DTP", ("435", "D8", day))
    if discharged is not None:
        yield Segment("DTP", ("096", "D8", _day(discharged, zone) or ""))


def _day(instant: datetime | None, zone: tzinfo) -> str | None:
    return instant.astimezone(zone).strftime("%Y%m%d") if instant else None


def _diagnoses(billed: Billable) -> Segment:
    """HI: ABK is the principal diagnosis, ABF each other."""
    codes = tuple(
        ("ABK" if index == 0 else "ABF", Value(f"diagnoses[{index}].code", "the diagnosis code", said.code, 30))
        for index, said in enumerate(billed.diagnoses)
    )
    return Segment("HI", codes or (Value("diagnoses", "the principal diagnosis", None, 30),))


def claim_rendering(billed: Billable) -> Provider | None:
    """2310B: the encounter's rendering provider, or the one that every line names. Otherwise each line says its own."""
    named = of_role(billed, ProviderRole.RENDERING)
    if named:
        return named[0]
    said = [line.rendering for line in billed.lines if line.rendering is not None]
    if not said or len(said) < len(billed.lines) or not all(_same(said[0], other) for other in said):
        return None
    return next((one for one in said if one.name or one.organization), said[0])


def _same(one: Provider, other: Provider) -> bool:
    """An NPI is one provider, however the name is written."""
    return one == other if one.npi is None else one.npi == other.npi


def of_role(billed: Billable, role: ProviderRole) -> list[Provider]:
    return [said for said in billed.providers if said.role is role]


def _providers(billed: Billable) -> Iterator[Segment]:
    """2310A, 2310B, 2310D."""
    for said in of_role(billed, ProviderRole.REFERRING):
        yield provider("DN", "providers[referring]", "the referring provider", said, npi_required=False)
    rendering = claim_rendering(billed)
    if rendering is not None:
        yield provider("82", "providers[rendering]", "the rendering provider", rendering)
    for said in of_role(billed, ProviderRole.SUPERVISING):
        yield provider("DQ", "providers[supervising]", "the supervising provider", said, npi_required=False)


def _other_coverages(billed: Billable, declared: Declarations) -> Iterator[Segment]:
    """2320, 2330A, 2330B: every other payer that may have to pay."""
    for index, coverage in enumerate(billed.coverages[1:], start=1):
        relationship = Value(
            f"coverages[{index}].relationship",
            "the patient's relationship to the subscriber",
            RELATIONSHIPS.get(coverage.relationship or ""),
            2,
        )
        yield _sbr(index, coverage, relationship)
        yield Segment("OI", ("", "", declared.benefits_assigned, "", "", declared.release_of_information))
        yield _insured(billed, index, coverage)
        yield _payer(index, coverage)


def _line(submission: Submission, index: int, line: Line) -> Iterator[Segment]:
    """2400, 2420A."""
    where = f"lines[{index}]"
    billed = submission.billed
    yield Segment("LX", (str(index + 1),))
    yield _service(billed, line, where)
    yield _service_date(line, where)
    yield Segment("REF", ("6R", f"{submission.number}L{index + 1}"))
    general = claim_rendering(billed)
    if line.rendering is not None and not (general and _same(line.rendering, general)):
        yield provider("82", f"{where}.rendering", "the line's rendering provider", line.rendering)


def _service(billed: Billable, line: Line, where: str) -> Segment:
    modifiers = tuple(
        Value(f"{where}.modifiers[{index}]", "the modifier", modifier, 2, 2)
        for index, modifier in enumerate(line.modifiers)
    )
    place = line.place_of_service if line.place_of_service != place_of_service(billed) else None
    return Segment(
        "SV1",
        (
            ("HC", Value(f"{where}.code", "the procedure code", line.code, 48), *modifiers),
            Value(f"{where}.amount", "the line's amount", None if line.amount is None else decimal(line.amount), 18),
            "UN",
            Value(f"{where}.units", "the units", None if line.units is None else decimal(line.units), 15),
            Value(f"{where}.place_of_service", "the place of service", place, 2, 2, required=False),
            "",
            tuple(str(pointer) for pointer in line.pointers[:MAX_POINTERS]),
        ),
    )


def _service_date(line: Line, where: str) -> Segment:
    day = Value(f"{where}.start", "the date of service", _d8(line.start), 8, 8)
    if line.start is None or line.end is None or line.end == line.start:
        return Segment("DTP", ("472", "D8", day))
    return Segment("DTP", ("472", "RD8", f"{line.start:%Y%m%d}-{line.end:%Y%m%d}"))


def _d8(day: date | None) -> str | None:
    return day.strftime("%Y%m%d") if day else None


def place_of_service(billed: Billable) -> str | None:
    """CLM05-1: the first line's place. Lines that differ say their own (SV105)."""
    return billed.lines[0].place_of_service if billed.lines else None


def decimal(number: Decimal) -> str:
    """X12's R: no exponent, no trailing zeros behind the point."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
