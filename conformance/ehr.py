"""The EHR's HL7 v2 side: ADT, DFT and MDM for the visits of the synthetic hospital.

Each builder returns a message's bytes without its MLLP frame. `control` is MSH-10, `sent` MSH-7.
"""

from __future__ import annotations

import re
from datetime import date, datetime

from conformance.hospital import FACILITY, Clinician, Item, Note, Person, Visit

_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\r": "\\.br\\", "\n": "\\.br\\"}
_SPECIAL = re.compile(r"\r\n|[\\|^&~\r\n]")
_STRUCTURES = {
    "ADT^A03": "ADT_A03",
    "ADT^A04": "ADT_A01",
    "ADT^A01": "ADT_A01",
    "ADT^A08": "ADT_A01",
    "ADT^A13": "ADT_A01",
}


def escape(text: str) -> str:
    """`text` as a field's value: delimiters and line ends escaped (chapter 2, 2.7)."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0][-1]], text)


def timestamp(moment: datetime) -> str:
    """TS to the second, in the hospital's own time."""
    return moment.strftime("%Y%m%d%H%M%S")


def day(of: date) -> str:
    return of.strftime("%Y%m%d")


def dotted(code: str) -> str:
    """An ICD-10-CM code as people write it."""
    return f"{code[:3]}.{code[3:]}" if len(code) > 3 else code


def segment(name: str, *fields: tuple[int, str]) -> str:
    """A segment with the given fields, each by its number."""
    values = dict(fields)
    return "|".join([name, *(values.get(number, "") for number in range(1, max(values) + 1))])


def message(*segments: str) -> bytes:
    return "".join(f"{each}\r" for each in segments).encode()


def header(kind: str, control: str, sent: datetime, *, application: str = "EPIC") -> str:
    """MSH of 2.5.1. `kind` is MSH-9 without its structure."""
    structure = _STRUCTURES.get(kind, kind.replace("^", "_"))
    return (
        f"MSH|^~\\&|{application}|{FACILITY}|GATEWAY|{FACILITY}|{timestamp(sent)}||{kind}^{structure}|{control}|P|2.5.1"
        "|||||USA|UNICODE UTF-8"
    )


def pid(visit: Visit) -> str:
    person = visit.person
    return segment(
        "PID",
        (1, "1"),
        (3, f"{person.mrn}^^^{FACILITY}^MR"),
        (5, f"{escape(person.family)}^{escape(person.given)}^^^^^L"),
        (7, day(person.born)),
        (8, person.sex),
        (11, _address(person)),
        (13, f"^PRN^PH^^^{person.phone[:3]}^{person.phone[3:]}"),
        (18, f"{visit.account}^^^{FACILITY}^AN"),
    )


def _address(person: Person) -> str:
    return f"{escape(person.line)}^^{escape(person.city)}^{person.state}^{person.postal_code}^USA^H"


def xcn(who: Clinician) -> str:
    """A clinician with the NPI, as the larger EHRs send it (XCN.9 and XCN.13)."""
    return f"{who.npi}^{escape(who.family)}^{escape(who.given)}^^^^MD^^NPI^L^^^NPI"


def pv1(visit: Visit, *, discharged: bool) -> str:
    ended = ((36, visit.disposition), (45, timestamp(visit.ended))) if discharged else ()
    return segment(
        "PV1",
        (1, "1"),
        (2, visit.patient_class),
        (3, f"{visit.location}^^^{FACILITY}"),
        (7, xcn(visit.clinician)),
        (19, f"{visit.number}^^^{FACILITY}^VN"),
        (44, timestamp(visit.began)),
        *ended,
    )


def zpv(visit: Visit) -> str:
    """The hospital's own segment: the place of service, for which PV1 has no field."""
    return segment("ZPV", (1, visit.place_of_service))


def in1(visit: Visit) -> str:
    insurance, person = visit.insurance, visit.person
    return segment(
        "IN1",
        (1, "1"),
        (2, f"{escape(insurance.plan)}"),
        (3, f"{insurance.payer}^^^{FACILITY}"),
        (4, escape(insurance.payer_name)),
        (8, insurance.group or ""),
        (15, insurance.filing),
        (16, f"{escape(person.family)}^{escape(person.given)}"),
        (17, "SEL^Self^HL70063"),
        (18, day(person.born)),
        (19, _address(person)),
        (36, insurance.member),
        (43, person.sex),
    )


def dg1(position: int, code: str, use: str) -> str:
    """DG1 with `use` of table 0052: A, W or F."""
    fields = ((1, str(position)), (3, f"{dotted(code)}^^I10C"), (6, use), (15, str(position)))
    return segment("DG1", *fields)


def adt(event: str, visit: Visit, control: str, sent: datetime) -> bytes:
    """ADT of `event`: A01 admitted, A03 discharged, A04 registered, A08 updated, A13 the discharge is cancelled."""
    return message(
        header(f"ADT^{event}", control, sent),
        segment("EVN", (1, event), (2, timestamp(sent))),
        pid(visit),
        pv1(visit, discharged=event == "A03"),
        *(dg1(place, code, "W") for place, code in enumerate(visit.working, start=1)),
        in1(visit),
        zpv(visit),
    )


def merged(visit: Visit, retired: str, control: str, sent: datetime) -> bytes:
    """ADT^A41: the account `retired` becomes part of the visit's own."""
    return message(
        header("ADT^A41", control, sent),
        segment("EVN", (1, "A41"), (2, timestamp(sent))),
        pid(visit),
        segment("MRG", (1, f"{visit.person.mrn}^^^{FACILITY}^MR"), (3, f"{retired}^^^{FACILITY}^AN")),
    )


def dft(visit: Visit, control: str, sent: datetime) -> bytes:
    """DFT^P03: the visit's charges."""
    charges = (_ft1(visit, place, item) for place, item in enumerate(visit.items, start=1))
    return message(
        header("DFT^P03", control, sent),
        segment("EVN", (1, "P03"), (2, timestamp(sent))),
        pid(visit),
        pv1(visit, discharged=True),
        *charges,
        zpv(visit),
    )


def _ft1(visit: Visit, place: int, item: Item) -> str:
    return segment(
        "FT1",
        (1, str(place)),
        (2, f"{visit.number}-{place}"),
        (4, day(visit.day_of(item))),
        (5, day(visit.day_of(item))),
        (6, "CG"),
        (7, item.local or f"{item.code}^^C4"),
        (10, str(item.units)),
        (11, f"{item.amount}&USD"),
        (12, f"{item.each}&USD"),
        (16, f"{visit.location}^^^{FACILITY}"),
        (19, "~".join(f"{dotted(code)}^^I10C" for code in item.diagnoses)),
        (20, xcn(visit.clinician)),
        (21, xcn(visit.clinician)),
        (25, "" if item.local else f"{item.code}^^C4"),
        (26, "~".join(item.modifiers)),
    )


def mdm(visit: Visit, note: Note, control: str, sent: datetime) -> bytes:
    """MDM^T02: a signed note with its text, a paragraph an OBX."""
    paragraphs = enumerate(note.text.split("\n"), start=1)
    return message(
        header("MDM^T02", control, sent),
        segment("EVN", (1, "T02"), (2, timestamp(sent))),
        pid(visit),
        pv1(visit, discharged=True),
        segment(
            "TXA",
            (1, "1"),
            (2, f"{note.kind}^{escape(note.title)}^HL70270"),
            (3, "TX"),
            (4, timestamp(visit.ended)),
            (9, xcn(visit.clinician)),
            (12, note.id),
            (17, "AU"),
            (19, "AV"),
        ),
        *(
            segment(
                "OBX", (1, str(n)), (2, "TX"), (3, f"{note.type}^{escape(note.title)}^LN"), (5, escape(text)), (11, "F")
            )
            for n, text in paragraphs
        ),
    )
