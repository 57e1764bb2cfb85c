"""The EHR's FHIR R4 side: Encounter, Claim and DocumentReference for the visits of the synthetic hospital.

Each builder returns a resource as plain JSON values, with the resources that it needs contained in it. Ids are the
EHR's own, made of the visit's number: `Encounter/enc-NUMBER`, `Claim/clm-NUMBER`.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from typing import Any

from conformance.ehr import dotted
from conformance.hospital import FACILITY, HOSPITAL_NPI, Clinician, Item, Note, Visit

Resource = dict[str, Any]

NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
CPT = "http://www.ama-assn.org/go/cpt"
LOINC = "http://loinc.org"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"
CLASSES = {"O": ("AMB", "ambulatory"), "E": ("EMER", "emergency"), "I": ("IMP", "inpatient encounter")}
_CENTRAL = timezone(timedelta(hours=-6))


def instant(moment: datetime) -> str:
    """A moment of the hospital's day with its offset, as FHIR's dateTime wants."""
    return moment.replace(tzinfo=_CENTRAL).isoformat()


def concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def reference(to: str) -> Resource:
    return {"reference": to}


def identifier(kind: str, value: str) -> Resource:
    """An identifier of a type of table 0203, given by the hospital."""
    return {
        "type": concept(f"{V2}0203", kind),
        "system": f"urn:hospital:{FACILITY.lower()}:{kind.lower()}",
        "value": value,
        "assigner": {"display": FACILITY},
    }


def patient(visit: Visit) -> Resource:
    person = visit.person
    return {
        "resourceType": "Patient",
        "id": "patient",
        "identifier": [identifier("MR", person.mrn)],
        "name": [{"use": "official", "family": person.family, "given": [person.given]}],
        "telecom": [{"system": "phone", "value": person.phone, "use": "home"}],
        "gender": {"F": "female", "M": "male"}[person.sex],
        "birthDate": person.born.isoformat(),
        "address": [
            {
                "line": [person.line],
                "city": person.city,
                "state": person.state,
                "postalCode": person.postal_code,
                "country": "US",
            }
        ],
    }


def practitioner(who: Clinician, id: str = "clinician") -> Resource:
    return {
        "resourceType": "Practitioner",
        "id": id,
        "identifier": [{"type": concept(f"{V2}0203", "NPI"), "system": NPI_SYSTEM, "value": who.npi}],
        "name": [{"family": who.family, "given": [who.given]}],
    }


def encounter(visit: Visit) -> Resource:
    """The finished visit, with the account that billing counts by."""
    code, display = CLASSES[visit.patient_class]
    account = {"resourceType": "Account", "id": "account", "identifier": [identifier("AN", visit.account)]}
    attending = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "ATND")
    return {
        "resourceType": "Encounter",
        "id": f"enc-{visit.number}",
        "contained": [patient(visit), practitioner(visit.clinician), account | {"status": "active"}],
        "identifier": [identifier("VN", visit.number)],
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code, "display": display},
        "subject": reference("#patient"),
        "participant": [{"type": [attending], "individual": reference("#clinician")}],
        "period": {"start": instant(visit.began), "end": instant(visit.ended)},
        "account": [reference("#account")],
        "hospitalization": {"dischargeDisposition": concept(f"{V2}0112", visit.disposition)},
        "location": [{"location": {"display": visit.location}}],
    }


def _coverage(visit: Visit) -> list[Resource]:
    insurance = visit.insurance
    payer = {
        "resourceType": "Organization",
        "id": "payer",
        "identifier": [{"system": "urn:hospital:main:payer", "value": insurance.payer}],
        "name": insurance.payer_name,
    }
    coverage: Resource = {
        "resourceType": "Coverage",
        "id": "coverage",
        "status": "active",
        "subscriberId": insurance.member,
        "beneficiary": reference("#patient"),
        "relationship": concept("http://terminology.hl7.org/CodeSystem/subscriber-relationship", "self"),
        "payor": [reference("#payer")],
        "class": [
            {
                "type": concept("http://terminology.hl7.org/CodeSystem/coverage-class", "plan"),
                "value": insurance.plan,
            }
        ],
        "order": 1,
    }
    return [payer, coverage]


def claim(visit: Visit, *, created: datetime) -> Resource:
    """The visit's charges and final codes, by its coder (`enterer`)."""
    institutional = any(item.revenue for item in visit.items)
    kind = "institutional" if institutional else "professional"
    hospital = {
        "resourceType": "Organization",
        "id": "hospital",
        "identifier": [{"system": NPI_SYSTEM, "value": HOSPITAL_NPI}],
        "name": "GENERAL HOSPITAL",
    }
    coder = {"resourceType": "Practitioner", "id": "coder", "identifier": [{"value": visit.coder}]}
    return {
        "resourceType": "Claim",
        "id": f"clm-{visit.number}",
        "contained": [patient(visit), practitioner(visit.clinician), coder, hospital, *_coverage(visit)],
        "identifier": [{"system": "urn:hospital:main:claim", "value": f"clm-{visit.number}"}],
        "status": "active",
        "type": concept("http://terminology.hl7.org/CodeSystem/claim-type", kind),
        "use": "claim",
        "patient": reference("#patient"),
        "billablePeriod": {"start": visit.began.date().isoformat(), "end": visit.ended.date().isoformat()},
        "created": instant(created),
        "enterer": reference("#coder"),
        "insurer": reference("#payer"),
        "provider": reference("#hospital"),
        "priority": concept("http://terminology.hl7.org/CodeSystem/processpriority", "normal"),
        "careTeam": [{"sequence": 1, "provider": reference("#clinician"), "role": _role(institutional)}],
        "diagnosis": [_diagnosis(place, code) for place, code in enumerate(visit.diagnoses, start=1)],
        "insurance": [{"sequence": 1, "focal": True, "coverage": reference("#coverage")}],
        "item": [_item(visit, place, item) for place, item in enumerate(visit.items, start=1)],
        "total": {"value": float(visit.total), "currency": "USD"},
    }


def _role(institutional: bool) -> Resource:
    system = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBClaimCareTeamRole"
    return concept(system, "attending" if institutional else "rendering")


def _diagnosis(place: int, code: str) -> Resource:
    entry: Resource = {"sequence": place, "diagnosisCodeableConcept": concept(ICD10CM, dotted(code))}
    if place == 1:
        entry["type"] = [concept("http://terminology.hl7.org/CodeSystem/ex-diagnosistype", "principal")]
    return entry


def _item(visit: Visit, place: int, item: Item) -> Resource:
    line: Resource = {
        "sequence": place,
        "careTeamSequence": [1],
        "diagnosisSequence": [visit.diagnoses.index(code) + 1 for code in item.diagnoses],
        "productOrService": concept(CPT, item.code),
        "servicedDate": visit.day_of(item).isoformat(),
        "locationCodeableConcept": concept(
            "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set",
            visit.place_of_service,
        ),
        "quantity": {"value": item.units},
        "unitPrice": {"value": float(item.each), "currency": "USD"},
        "net": {"value": float(item.amount), "currency": "USD"},
        "encounter": [reference(f"Encounter/enc-{visit.number}")],
    }
    if item.revenue:
        line["revenue"] = concept("https://www.nubc.org/CodeSystem/RevenueCodes", item.revenue)
    if item.modifiers:
        line["modifier"] = [concept(CPT, modifier) for modifier in item.modifiers]
    return line


def document(visit: Visit, note: Note) -> Resource:
    """A signed note, its text attached."""
    return {
        "resourceType": "DocumentReference",
        "id": f"doc-{note.id}",
        "contained": [patient(visit), practitioner(visit.clinician)],
        "identifier": [{"system": "urn:hospital:main:document", "value": note.id}],
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [{"system": LOINC, "code": note.type}], "text": note.title},
        "subject": reference("#patient"),
        "date": instant(visit.ended),
        "author": [reference("#clinician")],
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain; charset=utf-8",
                    "data": base64.b64encode(note.text.encode()).decode(),
                    "title": note.title,
                }
            }
        ],
        "context": {"encounter": [reference(f"Encounter/enc-{visit.number}")]},
    }
