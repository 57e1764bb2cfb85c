"""Merges, moves, cancels, late messages and new attempts, through the whole pipeline."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from services_world import SENT, World, key_of, open_rules, visit_number

from conformance import ehr
from conformance.hospital import FACILITY, Visit
from gateway.audit.events import Action
from gateway.encounter.billable import fingerprint
from gateway.encounter.model import VisitStatus
from gateway.intake.replay import replay
from gateway.message import Message, MessageState


def merge(event: str, visit: Visit, sent: datetime, *retired: tuple[int, str]) -> bytes:
    """`visit` survives, what MRG names is retired."""
    return ehr.message(
        ehr.header(f"ADT^{event}", f"{event}-{sent:%H%M%S}", sent),
        ehr.segment("EVN", (1, event), (2, ehr.timestamp(sent))),
        ehr.pid(visit),
        ehr.segment("MRG", *retired),
        ehr.pv1(visit, discharged=False),
    )


def account(number: str) -> str:
    return f"{number}^^^{FACILITY}^AN"


def mrn(number: str) -> str:
    return f"{number}^^^{FACILITY}^MR"


def later(minutes: int) -> datetime:
    return SENT + timedelta(minutes=minutes)


async def outcome(gateway: World, sent: Message) -> tuple[MessageState, str]:
    message = await gateway.message(sent.id)
    return message.state, (message.reason or "").partition(" ")[0].rstrip(":")


async def two_accounts(gateway: World) -> tuple[Visit, Visit]:
    """A registered visit with charges, and another account of the same patient."""
    survivor, retired = visit_number(1), visit_number(2)
    await gateway.register(survivor, "A04")
    await gateway.register(retired, "A04")
    await gateway.charge(retired)
    await gateway.work()
    return survivor, retired


# Accounts


async def test_a_merged_accounts_messages_count_in_the_surviving_one(gateway: World) -> None:
    survivor, retired = await two_accounts(gateway)
    sent = await gateway.send(merge("A41", survivor, later(5), (3, account(retired.account))))
    await gateway.work()
    assert await outcome(gateway, sent) == (MessageState.PROCESSED, "")
    stands, gone = await gateway.encounter(key_of(survivor)), await gateway.encounter(key_of(retired))
    assert [c.code for c in stands.charges] == [item.code for item in retired.items]
    assert gone.merged_into == key_of(survivor)
    assert stands.visit.account is not None
    assert stands.visit.account.value == survivor.account
    events = [e.event async for e in gateway.store.events(encounter=key_of(retired))]
    assert [e.detail for e in events if e.action is Action.ENCOUNTER_MERGED] == [{"into": key_of(survivor)}]


async def test_what_names_the_retired_account_later_reaches_the_surviving_one(gateway: World) -> None:
    survivor, retired = await two_accounts(gateway)
    await gateway.send(merge("A41", survivor, later(5), (3, account(retired.account))))
    await gateway.work()
    late = await gateway.send(ehr.adt("A03", retired, "x", later(10)))
    await gateway.work()
    assert (await gateway.message(late.id)).encounter == key_of(survivor)
    assert (await gateway.encounter(key_of(survivor))).visit.status is VisitStatus.DISCHARGED


async def test_a_merge_is_taken_once_and_never_backwards(gateway: World) -> None:
    survivor, retired = await two_accounts(gateway)
    await gateway.send(merge("A41", survivor, later(5), (3, account(retired.account))))
    again = await gateway.send(merge("A41", survivor, later(6), (3, account(retired.account))))
    reversed_ = await gateway.send(merge("A41", retired, later(7), (3, account(survivor.account))))
    itself = await gateway.send(merge("A41", survivor, later(8), (3, account(survivor.account))))
    await gateway.work()
    assert (await outcome(gateway, again))[0] is MessageState.UNUSED
    assert await outcome(gateway, reversed_) == (MessageState.SET_ASIDE, "merge-reversed")
    assert await outcome(gateway, itself) == (MessageState.SET_ASIDE, "merge-into-itself")
    assert (await gateway.encounter(key_of(survivor))).merged_into is None


async def test_a_merge_in_one_batch_with_what_it_merges(gateway: World) -> None:
    survivor, retired = visit_number(1), visit_number(2)
    await gateway.register(survivor, "A04")
    await gateway.register(retired, "A04")
    await gateway.send(merge("A41", survivor, later(5), (3, account(retired.account))))
    await gateway.charge(replace(survivor, account=retired.account))
    await gateway.work()
    assert len((await gateway.encounter(key_of(survivor))).charges) == len(survivor.items)
    assert await gateway.set_aside() == []


async def test_an_account_that_only_got_another_number_keeps_its_encounter(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.register(visit, "A04")
    await gateway.work()
    renamed = replace(visit, account="A9")
    await gateway.send(merge("A49", renamed, later(5), (3, account(visit.account))))
    await gateway.send(ehr.dft(renamed, "x", later(6)))
    await gateway.work()
    encounter = await gateway.encounter(key_of(visit))
    assert len(encounter.charges) == len(visit.items)
    assert encounter.visit.account is not None
    assert encounter.visit.account.value == "A9"
    assert await gateway.keys() == [key_of(visit)]


async def test_a_merge_of_what_nobody_knows_is_kept_and_listed(gateway: World) -> None:
    sent = await gateway.send(merge("A41", visit_number(1), later(5), (3, account("NEVER"))))
    await gateway.work()
    assert (await outcome(gateway, sent))[0] is MessageState.UNUSED
    assert await gateway.keys() == []


async def test_a_released_claim_whose_account_is_merged_away_is_a_late_charge(gateway: World) -> None:
    survivor, retired = visit_number(1), visit_number(2)
    await gateway.register(survivor, "A04")
    await gateway.tell(retired)
    await gateway.work()
    assert (await gateway.case(key_of(retired))).claims
    await gateway.send(merge("A41", survivor, later(5), (3, account(retired.account))))
    await gateway.work()
    assert open_rules(await gateway.case(key_of(retired))) == {"changed-after-release"}


# Patients


async def test_a_merged_patients_encounters_get_the_surviving_number(gateway: World) -> None:
    one, two = visit_number(1), visit_number(2)
    old = replace(one.person, mrn="OLD")
    for visit in (one, two):
        await gateway.register(replace(visit, person=old), "A04")
    await gateway.send(merge("A40", one, later(5), (1, mrn("OLD"))))
    await gateway.charge(replace(one, person=old))
    await gateway.work()
    for visit in (one, two):
        patient = (await gateway.encounter(key_of(visit))).patient
        assert [i.value for i in patient.identifiers] == [one.person.mrn]


async def test_a_reversed_pair_is_set_aside(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.register(replace(visit, person=replace(visit.person, mrn="OLD")), "A04")
    await gateway.send(merge("A40", visit, later(5), (1, mrn("OLD"))))
    back = replace(visit, person=replace(visit.person, mrn="OLD"))
    sent = await gateway.send(merge("A40", back, later(6), (1, mrn(visit.person.mrn))))
    await gateway.work()
    assert await outcome(gateway, sent) == (MessageState.SET_ASIDE, "merge-reversed")


async def test_an_account_that_moves_gets_the_other_patient(gateway: World) -> None:
    mine, others = visit_number(1), visit_number(2)
    for visit in (mine, others):
        await gateway.register(visit, "A04")
    moved = replace(mine, person=replace(mine.person, mrn="NEW"))
    await gateway.send(merge("A44", moved, later(5), (1, mrn(mine.person.mrn)), (3, account(mine.account))))
    await gateway.work()
    found = {v.account: (await gateway.encounter(key_of(v))).patient.identifiers[0].value for v in (mine, others)}
    assert found == {mine.account: "NEW", others.account: others.person.mrn}


# Visits


async def test_a_visit_moves_to_another_account_with_its_messages_and_back(gateway: World) -> None:
    first, second = visit_number(1), replace(visit_number(2), account="A1")
    for visit in (first, second):
        await gateway.register(visit, "A04")
    await gateway.charge(second)
    await gateway.work()
    assert len((await gateway.encounter("MAIN:MAIN:A1")).charges) == len(second.items)
    away = replace(second, account="A2")
    await gateway.send(merge("A45", away, later(5), (3, account("A1")), (5, f"{second.number}^^^{FACILITY}^VN")))
    await gateway.work()
    assert (await gateway.encounter("MAIN:MAIN:A1")).charges == ()
    assert len((await gateway.encounter("MAIN:MAIN:A2")).charges) == len(second.items)
    await gateway.send(merge("A45", second, later(6), (3, account("A2")), (5, f"{second.number}^^^{FACILITY}^VN")))
    await gateway.work()
    assert len((await gateway.encounter("MAIN:MAIN:A1")).charges) == len(second.items)
    assert (await gateway.encounter("MAIN:MAIN:A2")).charges == ()
    assert await gateway.set_aside() == []


# Cancels


async def test_a_cancelled_discharge_holds_the_claim_again(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.register(visit, "A04", "A03")
    await gateway.send(ehr.adt("A13", visit, "x", later(5)))
    await gateway.work()
    assert (await gateway.encounter(key_of(visit))).visit.status is VisitStatus.ACTIVE


async def test_a_cancelled_visit_with_charges_is_not_billed(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.register(visit, "A04")
    await gateway.send(ehr.adt("A11", visit, "x", later(5)))
    await gateway.charge(visit)
    await gateway.code(visit)
    await gateway.work()
    case = await gateway.case(key_of(visit))
    assert "visit-cancelled" in open_rules(case)
    assert case.claims == ()


async def test_a_cancel_of_a_visit_that_nobody_knows_is_set_aside(gateway: World) -> None:
    sent = await gateway.send(ehr.adt("A11", visit_number(1), "x", SENT))
    await gateway.work()
    assert await outcome(gateway, sent) == (MessageState.SET_ASIDE, "unmatched-cancel")
    assert await gateway.keys() == []


# Late, and again


@pytest.mark.parametrize("together", [True, False])
async def test_an_older_message_that_comes_late_changes_no_newer_fact(gateway: World, together: bool) -> None:
    visit = visit_number(1)
    newer, older = replace(visit, working=("J189",)), replace(visit, working=("R05",))
    await gateway.send(ehr.adt("A08", newer, "x", later(10)))
    if not together:
        await gateway.work()
    await gateway.send(ehr.adt("A04", older, "x", later(1)))
    await gateway.work()
    encounter = await gateway.encounter(key_of(visit))
    assert encounter.visit.status is VisitStatus.ACTIVE
    ordered = visit_number(2)
    await gateway.send(ehr.adt("A04", replace(ordered, working=("R05",)), "x", later(1)))
    await gateway.send(ehr.adt("A08", replace(ordered, working=("J189",)), "x", later(10)))
    await gateway.work()
    assert [d.code for d in encounter.diagnoses] == [
        d.code for d in (await gateway.encounter(key_of(ordered))).diagnoses
    ]


async def test_a_new_attempt_takes_the_place_of_the_first(gateway: World) -> None:
    visit = visit_number(1)
    (first,) = await gateway.register(visit, "A04")
    await gateway.charge(visit)
    await gateway.work()
    before = await gateway.encounter(key_of(visit))
    await replay(gateway.store, first.id, actor="user:ann", clock=gateway.clock, ids=gateway.ids)
    await gateway.work()
    after = await gateway.encounter(key_of(visit))
    assert len(after.history) == len(before.history)
    assert first.id not in {entry.message for entry in after.history}
    assert fingerprint(after) == fingerprint(before)
    assert after.tally == before.tally
