"""ADT events: what each does to the visit, when it happened, what a cancel leaves out, what concerns a person only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.encounter.change import Change, Mode
from gateway.encounter.events import EVENT_FIELDS
from gateway.encounter.history import Said, build
from gateway.encounter.model import Encounter, EncounterClass, Visit, VisitStatus
from gateway.mappings.hl7v2.adt import EVENTS
from gateway.mappings.hl7v2.er7 import Er7Message
from gateway.mappings.hl7v2.mapping import MAPPED, FeedProfile, Unused, map_message

if TYPE_CHECKING:
    from tests.mappings.hl7v2.conftest import Maps

PID = "PID|1||M1^^^H^MR||DOE^JANE||19700101|F||||||||||A1^^^HAR^AN"


def pv1(kind: str = "I", location: str = "4W", **fields: str) -> str:
    said = {1: "1", 2: kind, 3: location, 19: "V1", **{int(name[1:]): value for name, value in fields.items()}}
    return "PV1|" + "|".join(said.get(n, "") for n in range(1, max(said) + 1))


LEAVING = pv1(f36="01", f44="20260119080000", f45="20260120100000")


def change(mapped: object) -> Change:
    assert isinstance(mapped, Change)
    return mapped


def visit(mapped: object) -> Visit:
    said = change(mapped).visit
    assert said is not None
    return said


@pytest.mark.parametrize(
    ("event", "status", "cancels"),
    [
        ("A01", VisitStatus.ACTIVE, ()),
        ("A02", None, ()),
        ("A03", VisitStatus.DISCHARGED, ()),
        ("A04", VisitStatus.ACTIVE, ()),
        ("A05", VisitStatus.PLANNED, ()),
        ("A06", None, ()),
        ("A07", None, ()),
        ("A08", None, ()),
        ("A09", None, ()),
        ("A10", None, ()),
        ("A11", VisitStatus.CANCELLED, ("A01", "A04")),
        ("A12", None, ("A02",)),
        ("A13", None, ("A03",)),
        ("A23", VisitStatus.CANCELLED, ()),
        ("A38", VisitStatus.CANCELLED, ("A05",)),
    ],
)
def test_what_an_event_does(maps: Maps, event: str, status: VisitStatus | None, cancels: tuple[str, ...]) -> None:
    mapped = change(maps(f"ADT^{event}", f"EVN|{event}|20260120100000", PID, LEAVING))
    assert (mapped.event, mapped.cancels) == (event, cancels)
    said = mapped.visit
    assert said is not None
    assert said.status is status
    assert ("status" in said.model_fields_set) is (status is not None)
    assert mapped.problems == ()


def test_every_event_of_the_table_is_mapped() -> None:
    assert {f"ADT^{event}" for event in EVENTS} <= MAPPED.keys()
    assert EVENT_FIELDS.keys() <= EVENTS.keys()
    assert all(name in Visit.model_fields for names in EVENT_FIELDS.values() for name in names)
    assert all(event in EVENT_FIELDS for each in EVENTS.values() for event in each.cancels)


def test_the_status_comes_from_the_event(maps: Maps) -> None:
    assert change(maps("ADT^A03", PID, LEAVING)).origins()["visit.status"] == "MSH[1]-9[1].2"


@pytest.mark.parametrize(
    ("event", "left_out"),
    [
        ("A11", {"admitted"}),
        ("A12", {"location"}),
        ("A13", {"status", "discharged", "disposition"}),
        ("A38", set()),
    ],
)
def test_a_cancel_does_not_say_again_what_it_cancels(maps: Maps, event: str, left_out: set[str]) -> None:
    """Senders repeat the visit as it was."""
    mapped = change(maps(f"ADT^{event}", PID, LEAVING))
    said = visit(mapped)
    assert not said.model_fields_set & left_out
    assert said.encounter_class is EncounterClass.INPATIENT
    assert {"location", "discharged", "disposition", "admitted"} - left_out <= said.model_fields_set
    places = {path.removeprefix("visit.") for path in mapped.origins() if path.startswith("visit.")}
    assert places == said.model_fields_set


@pytest.mark.parametrize(
    ("event", "class_", "expected"),
    [
        ("A06", "I", EncounterClass.INPATIENT),
        ("A06", "", EncounterClass.INPATIENT),
        ("A07", "E", EncounterClass.EMERGENCY),
        ("A07", "", EncounterClass.OUTPATIENT),
        ("A08", "", None),
        ("A06", "QQ", None),
    ],
)
def test_a_change_of_class(maps: Maps, event: str, class_: str, expected: EncounterClass | None) -> None:
    """PV1-2 says the class; where it says nothing, the event does by its definition."""
    mapped = change(maps(f"ADT^{event}", PID, pv1(class_)))
    assert visit(mapped).encounter_class is expected
    if not class_ and expected:
        assert mapped.origins()["visit.encounter_class"] == "MSH[1]-9[1].2"


@pytest.mark.parametrize(
    ("merged", "told"),
    [
        ("MRG|||A0", ["MRG[1]-3"]),
        ("MRG|M1||A1||V1", []),
        ("MRG|||A1||V0", ["MRG[1]-5"]),
        ("MRG|", []),
        ('MRG|||""', []),
    ],
)
def test_a_new_account_number_with_the_class_is_told(maps: Maps, merged: str, told: list[str]) -> None:
    """Charges may stand under the former one."""
    mapped = change(maps("ADT^A06", PID, merged, pv1()))
    assert [(p.rule, p.where) for p in mapped.problems] == [("former-number", where) for where in told]


def at(msh7: str, evn2: str, maps: Maps) -> tuple[datetime | None, list[str]]:
    mapped = change(maps("ADT^A08", f"EVN|A08|{evn2}", PID, msh7=msh7))
    return mapped.at, [problem.where for problem in mapped.problems if problem.rule == "moment-unreadable"]


CENTRAL = datetime.fromisoformat("2026-01-20T09:00:00-06:00")


@pytest.mark.parametrize(
    ("msh7", "evn2", "expected", "problems"),
    [
        ("20260120101500", "20260120090000", CENTRAL, []),
        ("20260120090000", "", CENTRAL, []),
        ("20260120090000", '""', CENTRAL, []),
        ("", "20260120150000+0000", CENTRAL, []),
        ("", "202601201500+0000^M", CENTRAL, []),
        ("", "20260120150000.25+0000", CENTRAL.replace(microsecond=250000), []),
        ("20260120090000", "2026012024", CENTRAL, []),
        ("20260120090000", "20260120", CENTRAL, []),
        ("20260120", "20260120", None, []),
        ("", "", None, []),
        ("", "yesterday", None, ["EVN-2"]),
        ("20261345000000", "", None, ["MSH-7"]),
        ("20261345000000", "yesterday", None, ["MSH-7"]),
    ],
)
def test_when_it_happened(maps: Maps, msh7: str, evn2: str, expected: datetime | None, problems: list[str]) -> None:
    """EVN-2 before MSH-7. A day alone is no moment: what came first that day cannot be told from it."""
    found, told = at(msh7, evn2, maps)
    if expected is not None and expected.microsecond:
        found, expected = found and found.replace(microsecond=0), expected.replace(microsecond=0)
    assert (found, told) == (expected, problems)


@given(st.text(alphabet='0123456789+-.:TZ^&~\\"', max_size=26))
def test_any_moment_is_read_without_an_exception(written: str) -> None:
    from gateway.mappings.hl7v2.moment import moment
    from gateway.mappings.hl7v2.reading import Reading

    message = Er7Message.parse(f"MSH|^~\\&|A|B|C|D|20260120||ADT^A08\rEVN|A08|{written}\r".encode())
    found = moment(Reading(message, UTC))
    assert found is None or found.tzinfo is not None


@pytest.mark.parametrize("event", ["A28", "A31"])
def test_a_person_is_told_of_where_an_encounter_is_named(maps: Maps, event: str) -> None:
    mapped = change(
        maps(f"ADT^{event}", PID, pv1("N", f7="1234567893^ADLER^RUTH"), "GT1|1||DOE^SAM", "IN1|1|P1|60054|BLUE")
    )
    assert mapped.patient is not None
    assert mapped.patient.name is not None
    assert mapped.guarantor is not None
    assert mapped.coverages is not None
    assert mapped.coverages.mode is Mode.REPLACE
    assert mapped.providers is None
    assert mapped.diagnoses is None
    assert visit(mapped).model_fields_set == {"account", "number"}
    assert not [path for path in mapped.origins() if path.startswith("providers")]
    assert mapped.event == event


@pytest.mark.parametrize("event", ["A28", "A29", "A31"])
def test_a_person_without_an_encounter_is_not_used(maps: Maps, event: str) -> None:
    mapped = maps(f"ADT^{event}", "PID|1||M1^^^H^MR||DOE^JANE")
    assert isinstance(mapped, Unused)
    assert mapped.reason.endswith("names no account or visit")


def test_a_deleted_person_is_for_somebody_to_look_at(maps: Maps) -> None:
    mapped = change(maps("ADT^A29", PID, pv1()))
    assert (mapped.patient, mapped.visit, mapped.coverages) == (None, None, None)
    assert [(p.rule, p.where) for p in mapped.problems] == [("person-deleted", "PID-3")]
    assert [i.value for i in mapped.identifiers] == ["A1", "V1", "M1"]


def story(maps: Maps, *messages: tuple[str, str, str]) -> Encounter:
    """The encounter that (event, time, PV1) make."""
    said = [
        Said(change(maps(f"ADT^{event}", f"EVN|{event}|{when}", PID, segment, message=n)), datetime.now(UTC))
        for n, (event, when, segment) in enumerate(messages, start=1)
    ]
    return build(said[0].change.key, said)


def test_a_cancelled_discharge_leaves_the_patient_admitted(maps: Maps) -> None:
    stay = ("A01", "20260119080000", pv1(f44="20260119080000"))
    encounter = story(maps, stay, ("A03", "20260120100000", LEAVING), ("A13", "20260120110000", LEAVING))
    assert encounter.visit.status is VisitStatus.ACTIVE
    assert (encounter.visit.discharged, encounter.visit.disposition) == (None, None)
    assert encounter.visit.admitted is not None
    assert encounter.problems == ()


def test_a_cancelled_transfer_brings_the_patient_back(maps: Maps) -> None:
    encounter = story(
        maps,
        ("A01", "20260119080000", pv1(location="4W")),
        ("A02", "20260119090000", pv1(location="ICU")),
        ("A12", "20260119093000", pv1(location="ICU")),
    )
    assert encounter.visit.location == "4W"


def test_a_cancelled_admission_cancels_the_visit(maps: Maps) -> None:
    admitted = pv1(f44="20260119080000")
    encounter = story(maps, ("A01", "20260119080000", admitted), ("A11", "20260119090000", admitted))
    assert encounter.visit.status is VisitStatus.CANCELLED
    assert encounter.visit.admitted is None


def test_a_sites_dialect_may_leave_registration_to_others(maps: Maps, base: FeedProfile) -> None:
    dialect = base.dialect.model_copy(update={"registration": frozenset()})
    source = FeedProfile("x", "MAIN", base.zone, dialect)
    mapped = change(maps("ADT^A11", PID, LEAVING, source=source))
    assert mapped.visit == Visit(status=VisitStatus.CANCELLED)
    assert mapped.patient is None


def test_the_event_is_the_headers_not_evns(base: FeedProfile) -> None:
    payload = f"MSH|^~\\&|A|B|C|D|20260120||ADT^A13|1|P|2.5\rEVN|A01|20260120100000\r{PID}\r{LEAVING}\r"
    assert change(map_message(Er7Message.parse(payload.encode()), base, 1)).event == "A13"
