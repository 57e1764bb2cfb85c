"""Facts hold in the order in which they happened, whatever the order in which they arrive."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from encounter_making import KEY, change, changes, charge, final
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.encounter.apply import CLOCKS_DIFFER, apply, moment
from gateway.encounter.change import Change, Items, Mode
from gateway.encounter.history import UNMATCHED_CANCEL, Said, build, must_build
from gateway.encounter.identity import Identifier
from gateway.encounter.merge import Merge, MergeKind, Merges, merged_change
from gateway.encounter.model import Encounter, EncounterClass, Patient, Visit, VisitStatus
from gateway.encounter.renumbering import Numbered, Renumbering

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=30)


def at(minute: int, message: int, **said: object) -> Change:
    return replace(change(**said), message=message, at=NOON + timedelta(minutes=minute))  # type: ignore[arg-type]


def arrive(*arriving: Change) -> Encounter:
    """The encounter after messages that arrive in this order, as the pipeline takes them."""
    encounter: Encounter | None = None
    known: list[Said] = []
    for each in arriving:
        known.append(Said(each, LATER))
        late = must_build(encounter, each, LATER)
        encounter = build(KEY, known) if late else apply(encounter, each, LATER)
    assert encounter is not None
    return encounter


# Late


def test_an_older_message_never_overwrites_what_a_newer_one_said() -> None:
    newer = at(10, 1, visit=Visit(location="WEST"))
    older = at(5, 2, visit=Visit(location="EAST", service="SUR"))
    assert arrive(newer, older).visit == Visit(location="WEST", service="SUR")


def test_an_older_snapshot_does_not_bring_back_what_a_newer_one_left_out() -> None:
    newer = at(10, 1, diagnoses=Items((final("J189", 1),), Mode.REPLACE))
    older = at(5, 2, diagnoses=Items((final("J189", 1), final("R05", 2)), Mode.REPLACE))
    assert [d.code for d in arrive(newer, older).diagnoses] == ["J189"]


def test_the_history_names_every_message_in_the_order_of_its_facts() -> None:
    encounter = arrive(at(10, 1), at(5, 2), at(7, 3))
    assert [entry.message for entry in encounter.history] == [2, 3, 1]


def test_what_is_dated_in_the_future_counts_from_its_arrival() -> None:
    ahead = replace(change(), at=NOON + CLOCKS_DIFFER + timedelta(seconds=1))
    assert moment(ahead, NOON) == int(NOON.timestamp())
    near = replace(change(), at=NOON + CLOCKS_DIFFER)
    assert moment(near, NOON) == int((NOON + CLOCKS_DIFFER).timestamp())


@given(st.lists(changes, min_size=2, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_any_order_of_arrival_gives_the_same_encounter(said: list[Change], random: Random) -> None:
    ordered = [replace(each, message=n, at=NOON + timedelta(minutes=n)) for n, each in enumerate(said)]
    shuffled = list(ordered)
    random.shuffle(shuffled)
    assert arrive(*shuffled) == arrive(*ordered)


# Cancels


def admitted(minute: int, message: int) -> Change:
    visit = Visit(status=VisitStatus.ACTIVE, encounter_class=EncounterClass.INPATIENT, admitted=NOON, location="EAST")
    return replace(at(minute, message, visit=visit), event="A01")


def discharged(minute: int, message: int) -> Change:
    visit = Visit(status=VisitStatus.DISCHARGED, discharged=NOON + timedelta(hours=2), disposition="01", service="MED")
    return replace(at(minute, message, visit=visit), event="A03")


def cancel_discharge(minute: int, message: int) -> Change:
    return replace(at(minute, message, visit=Visit(location="WEST")), event="A13", cancels=("A03",))


def test_a_cancelled_discharge_is_undone_and_nothing_else() -> None:
    encounter = arrive(admitted(1, 1), discharged(2, 2), cancel_discharge(3, 3))
    assert encounter.visit.status is VisitStatus.ACTIVE
    assert (encounter.visit.discharged, encounter.visit.disposition) == (None, None)
    assert (encounter.visit.service, encounter.visit.location) == ("MED", "WEST")


def test_a_cancelled_discharge_leaves_none_though_charges_told_of_it_first() -> None:
    charged = at(2, 4, visit=Visit(discharged=NOON + timedelta(hours=2)))
    encounter = arrive(admitted(1, 1), charged, discharged(3, 2), cancel_discharge(4, 3))
    assert encounter.visit.discharged is None


def test_a_cancel_takes_back_the_last_one_that_still_counts() -> None:
    encounter = arrive(
        admitted(1, 1), discharged(2, 2), cancel_discharge(3, 3), discharged(4, 4), cancel_discharge(5, 5)
    )
    assert encounter.visit.status is VisitStatus.ACTIVE
    assert encounter.problems == ()


def test_a_cancelled_admission_cancels_the_visit() -> None:
    cancel = replace(at(3, 2, visit=Visit(status=VisitStatus.CANCELLED)), event="A11", cancels=("A01", "A04"))
    encounter = arrive(admitted(1, 1), cancel)
    assert (encounter.visit.status, encounter.visit.admitted) == (VisitStatus.CANCELLED, None)


def test_a_cancelled_transfer_brings_back_the_place_before() -> None:
    moved = replace(at(2, 2, visit=Visit(location="WEST")), event="A02")
    cancel = replace(at(3, 3, visit=Visit(service="SUR")), event="A12", cancels=("A02",))
    assert arrive(admitted(1, 1), moved, cancel).visit.location == "EAST"


def test_a_cancel_of_nothing_is_told_and_changes_no_status() -> None:
    cancel = replace(at(3, 2, visit=Visit(status=VisitStatus.CANCELLED)), event="A11", cancels=("A01", "A04"))
    begun = at(1, 1, visit=Visit(status=VisitStatus.ACTIVE))
    encounter = arrive(begun, cancel)
    assert encounter.visit.status is VisitStatus.ACTIVE
    assert [p.rule for p in encounter.problems] == [UNMATCHED_CANCEL]


def test_a_cancel_that_overtook_its_discharge_is_matched_when_that_comes() -> None:
    encounter = arrive(admitted(1, 1), cancel_discharge(3, 3), discharged(2, 2))
    assert encounter.visit.status is VisitStatus.ACTIVE
    assert encounter.visit.discharged is None
    assert encounter.problems == ()


# Counting


def test_charges_that_come_in_are_all_accounted_for() -> None:
    encounter = arrive(
        replace(at(1, 1, charges=Items((charge("1"), charge("2")))), counted=3, passed_over=1),
        at(2, 2, charges=Items((charge("2"), charge("3")))),
        at(3, 3, charges=Items((charge("3"),), Mode.REMOVE)),
    )
    said, repeated, removed, passed_over = encounter.tally
    assert (said, repeated, removed, passed_over) == (5, 1, 1, 1)
    assert said == len(encounter.charges) + repeated + removed + passed_over


@given(st.lists(changes, max_size=5))
@settings(max_examples=100, deadline=None)
def test_no_charge_is_lost_whatever_is_said(said: list[Change]) -> None:
    encounter = Encounter(key=KEY)
    for n, each in enumerate(said):
        encounter = apply(encounter, replace(each, message=n))
    tally = encounter.tally
    assert tally.said == len(encounter.charges) + tally.repeated + tally.removed + tally.passed_over


# Numbers


OLD = Identifier(value="M1", authority="HOSP", type="MR")
NEW = Identifier(value="M2", authority="HOSP", type="MR")


def test_a_merged_patients_number_stays_merged_whatever_comes_later() -> None:
    merges = Merges(2, "MAIN", (Merge(MergeKind.PATIENT, OLD, NEW),), at=NOON + timedelta(minutes=2))
    before = at(1, 1, patient=Patient(identifiers=(OLD,)))
    again = at(3, 3, patient=Patient(identifiers=(OLD,), sex="F"))
    encounter = arrive(before, merged_change(merges, KEY, ()), again)
    assert encounter.patient == Patient(identifiers=(NEW,), sex="F")
    assert encounter.renumbered == (Renumbering(names=Numbered.PATIENT, retired=OLD, surviving=NEW),)


def test_a_visit_that_moved_is_of_its_new_account_and_the_old_one_leads_elsewhere() -> None:
    visit = Identifier(value="V1", authority="HOSP", type="VN")
    old, new = (Identifier(value=each, authority="HOSP", type="AN") for each in ("A1", "A2"))
    merges = Merges(2, "MAIN", (Merge(MergeKind.MOVE_VISIT, old, new, visit),), at=NOON + timedelta(minutes=2))
    before = at(1, 1, visit=Visit(account=old, number=visit), identifiers=(old, visit))
    encounter = arrive(before, merged_change(merges, KEY, (old, visit)))
    assert encounter.visit.account == new
    assert set(encounter.identifiers) == {visit, new}
