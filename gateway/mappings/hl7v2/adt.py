"""ADT: what events do to a visit and say of a person (chapter 3, 3.3.1 to 3.3.13, 3.3.23, 3.3.28 to 3.3.31, 3.3.38)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.encounter.change import Change, Places
from gateway.encounter.events import EVENT_FIELDS
from gateway.encounter.model import EncounterClass, Visit, VisitStatus
from gateway.mappings.hl7v2.coded import CodedParts
from gateway.mappings.hl7v2.delimiters import DELETE
from gateway.mappings.hl7v2.mapped import FeedProfile, Unused
from gateway.mappings.hl7v2.reading import Reading
from gateway.mappings.hl7v2.registration import Registration, has_number, register

FAMILY = "ADT"


@dataclass(frozen=True, slots=True)
class Event:
    """What an event does beside what its segments say."""

    status: VisitStatus | None = None
    """What it makes of the visit. None: it stays what it is."""
    encounter_class: EncounterClass | None = None
    """What the class is by the event's definition, where PV1-2 says none."""
    cancels: tuple[str, ...] = ()
    """The events of which it takes back the last one."""


EVENTS: dict[str, Event] = {
    "A01": Event(VisitStatus.ACTIVE),
    "A02": Event(),
    "A03": Event(VisitStatus.DISCHARGED),
    "A04": Event(VisitStatus.ACTIVE),
    "A05": Event(VisitStatus.PLANNED),
    "A06": Event(encounter_class=EncounterClass.INPATIENT),
    "A07": Event(encounter_class=EncounterClass.OUTPATIENT),
    "A08": Event(),
    "A09": Event(),
    "A10": Event(),
    "A11": Event(VisitStatus.CANCELLED, cancels=("A01", "A04")),
    "A12": Event(cancels=("A02",)),
    "A13": Event(cancels=("A03",)),
    "A23": Event(VisitStatus.CANCELLED),
    "A38": Event(VisitStatus.CANCELLED, cancels=("A05",)),
}
"""Trigger events of visits. Location (A02, A09, A10) and class (A06, A07) stand in PV1-3 and PV1-2."""

PERSONS = ("A28", "A31")
"""Events that say who a person is and how they are insured, and nothing of any visit."""
DELETED = "A29"


def visit(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change:
    """Patient, visit, payers and the diagnoses known so far, and what the event does.

    A cancel leaves out what the cancelled event had established: senders repeat it, and it no longer holds.
    """
    event = EVENTS[trigger]
    registered = register(reading, source, FAMILY)
    if event.cancels:
        registered.leave_out({name for cancelled in event.cancels for name in EVENT_FIELDS[cancelled]})
    _happen(event, registered, reading)
    _tell_of_former(reading, registered)
    coded = CodedParts(reading, source, message_id, FAMILY)
    coded.settle()
    return registered.change(message_id, reading, coded, event=trigger, cancels=event.cancels)


def _happen(event: Event, registered: Registration, reading: Reading) -> None:
    """Say of the visit what the event itself says."""
    said: dict[str, object] = {}
    if event.status is not None:
        said["status"] = event.status
    if event.encounter_class is not None and not reading.message.get("PV1-2"):
        said["encounter_class"] = event.encounter_class
    if said:
        visit = registered.visit
        registered.visit = Visit.model_validate(said) if visit is None else visit.model_copy(update=said)
        registered.places.append(_IN_EVENT[next(iter(said))])


_IN_EVENT = {name: Places("visit", "MSH[1]", {name: "9[1].2"}) for name in ("status", "encounter_class")}
"""Where the trigger event stands."""


_FORMER = {"MRG-3": "AN", "MRG-5": "VN"}
"""Where an event that changes a visit's class (A06, A07) names the account and the visit as they were before."""


def _tell_of_former(reading: Reading, registered: Registration) -> None:
    """A former number is no merge: what was said under it must be joined by one, or by hand, before it is billed."""
    if not reading.message.positions("MRG"):
        return
    for place, type in _FORMER.items():
        former = reading.message.get(place)
        known = {number.value for number in registered.identifiers if number.type == type}
        if former and former is not DELETE and former not in known:
            text = "names a former number; have the sender merge it (A41, A42, A49, A50), or join the two by hand"
            reading.problem("former-number", place.replace("-", "[1]-"), text)


def person(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change | Unused:
    """Who the patient is, their guarantor and payers. Without a visit's or account's number there is no encounter that
    it is said of: those that come later bring it themselves.
    """
    if not has_number(reading, source):
        return Unused(f"{FAMILY}^{trigger} says who a person is, and names no account or visit")
    registered = register(reading, source, FAMILY)
    registered.keep_person()
    return registered.change(message_id, reading, event=trigger)


def deleted(reading: Reading, source: FeedProfile, message_id: int, trigger: str) -> Change | Unused:
    """A person's record was deleted at the sender. What was documented and charged stays, for it was given; where an
    encounter is named, somebody must look before it is billed.
    """
    if not has_number(reading, source):
        return Unused(f"{FAMILY}^{trigger} deletes a person's record, and names no account or visit")
    registered = register(reading, source, FAMILY)
    registered.keep_numbers()
    text = "the sender deleted the patient's record; make sure whose encounter it is before it is billed"
    reading.problem("person-deleted", "PID-3", text)
    return registered.change(message_id, reading, event=trigger)
