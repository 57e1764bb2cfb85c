"""A gateway with data of two patients in it: whatever is asked for one of them, nothing of the other may come back.

Each has a visit over HL7 v2 with documents, codes and a provider query, another one over FHIR, and a message that was
set aside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gateway_world import World, today
from visits import code, put, seen, sent, stay

from conformance import day, ehr
from conformance.hospital import MARCHETTI, Clinician, Person, Visit, npi
from conformance.playing import key
from conformance.story import INDICATORS, OPTIONS, QUESTION
from gateway.access.roles import Role
from gateway.message import MessageState

SPOKEN_FOR = Clinician(npi("174100036"), "HALVORSEN", "TEMITOPE")
"""Who treats the other patient, and nobody else."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient's visit over HL7 v2 and the one over FHIR."""

    visit: Visit
    over_fhir: Visit

    @property
    def person(self) -> Person:
        return self.visit.person

    @property
    def marks(self) -> frozenset[str]:
        """What only this patient's data says: name, street, and every number."""
        person, numbers = self.person, [one.number for one in (self.visit, self.over_fhir)]
        accounts = [one.account for one in (self.visit, self.over_fhir)]
        return frozenset({person.family, person.mrn, person.line, *numbers, *accounts})


def _patient(mrn: str, family: str, number: str, line: str, clinician: Clinician, over: Visit | None = None) -> Patient:
    template = day.unclear_record(today())
    person = replace(template.person, mrn=mrn, family=family, line=line)
    insurance = replace(template.insurance, member=f"MEM{mrn}")

    def visit(of: Visit, prefix: str) -> Visit:
        notes = tuple(
            replace(note, id=f"{prefix}{number}-{place}", text=f"{note.text}\nSigned for {family}.")
            for place, note in enumerate(of.notes)
        )
        return replace(
            of,
            number=f"{prefix}V{number}",
            account=f"{prefix}A{number}",
            person=person,
            clinician=clinician,
            insurance=insurance,
            notes=notes,
        )

    return Patient(visit(template, "H"), visit(day.over_fhir(today()), "F"))


MINE = _patient("MRN7001", "QUILLFEATHER", "7001", "1 LARKSPUR LANE", MARCHETTI)
OTHER = _patient("MRN9002", "ZWEIFELHOFER", "9002", "2 FOXGLOVE ROAD", SPOKEN_FOR)


@dataclass(frozen=True, slots=True)
class Furnished:
    """The encounter as the desk sees it, the FHIR resources' addresses, the message that is set aside."""

    patient: Patient
    encounter: dict[str, Any]
    resources: tuple[str, ...]
    aside: str

    @property
    def key(self) -> str:
        return str(self.encounter["key"])

    @property
    def query(self) -> dict[str, Any]:
        return dict(self.encounter["queries"][0])

    @property
    def hold(self) -> str:
        return next(str(hold["id"]) for hold in self.encounter["holds"] if hold["state"] == "open")

    @property
    def document(self) -> str:
        return str(self.encounter["documents"][0]["id"])


async def furnish(world: World, patient: Patient) -> Furnished:
    """Everything about the patient, told as the hospital's systems tell it."""
    visit = patient.visit
    await stay(world, visit)
    await code(world, visit)
    first = (await seen(world, visit))["documents"][0]["id"]
    draft = {
        **QUESTION,
        "provider": visit.clinician.npi,
        "indicators": [{"text": text, "document": first} for text in INDICATORS],
        "options": [{"text": text, "indicators": shown} for text, shown in OPTIONS],
    }
    await world.desk(Role.CDI).ask(key(visit), draft)
    await put(world, patient.over_fhir)
    lost = ehr.adt("A04", replace(visit, number="", account=""), *sent())
    await world.send(lost)
    view = await seen(world, visit)
    aside = await world.messages(state=MessageState.SET_ASIDE)
    note = patient.over_fhir.notes[0]
    number = patient.over_fhir.number
    kept = [f"Encounter/enc-{number}", f"Claim/clm-{number}", f"DocumentReference/doc-{note.id}"]
    return Furnished(patient, view, tuple(kept), str(aside[0].id))
