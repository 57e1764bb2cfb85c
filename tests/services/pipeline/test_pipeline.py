"""Messages in order, a batch at a time; what fails is set aside and stops nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from io import StringIO
from typing import Any

import pytest
from services_world import ENCODER, NOON, SENT, SUPERVISOR, World, key_of, open_rules, visit_number, world

from conformance import ehr
from gateway.audit.events import Action
from gateway.encounter.billable import fingerprint
from gateway.mappings.hl7v2.mapping import map_message
from gateway.message import MessageState
from gateway.review.policy import Policy, PolicyRule
from gateway.rules import Rules
from gateway.store.interface import Conflict, Step, StoreFault, UncertainCommit

REVIEWED = Policy(rules=(PolicyRule(name="always", when="total > 0.0", reason="Every claim is reviewed."),))


async def held(gateway: World, number: int = 1) -> str:
    """An encounter that only a review holds; its key."""
    visit = visit_number(number)
    await gateway.tell(visit)
    await gateway.work()
    assert open_rules(await gateway.case(key_of(visit))) == {"always"}
    return key_of(visit)


# The way through


async def test_a_visit_that_nothing_stops_is_released(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.tell(visit)
    await gateway.work()
    case = await gateway.case(key_of(visit))
    assert open_rules(case) == set()
    (claim,) = case.claims
    assert (claim.destination, claim.approved_by, str(claim.billed.total)) == ("clearinghouse", "policy", "180.50")
    assert [d.claim for d in case.deliveries] == [claim.id]
    assert await gateway.stage(key_of(visit)) == "released"
    assert gateway.released == ["pipeline"]


async def test_each_message_is_told_with_its_outcome(gateway: World) -> None:
    visit = visit_number(1)
    messages = await gateway.register(visit)
    await gateway.work()
    assert gateway.processed == [(message.id, MessageState.PROCESSED) for message in messages]
    assert {(await gateway.message(m.id)).encounter for m in messages} == {key_of(visit)}
    told = [e.event async for e in gateway.store.events()]
    changed = [e for e in told if e.action is Action.ENCOUNTER_CHANGED]
    assert [(e.actor, e.message, e.encounter) for e in changed] == [
        (f"feed:{m.feed}", m.id, key_of(visit)) for m in messages
    ]


async def test_events_of_one_commit_name_the_version_that_is_stored(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.register(visit)
    await gateway.work()
    await gateway.charge(visit)
    await gateway.work()
    told = [e.event async for e in gateway.store.events(encounter=key_of(visit))]
    assert [e.detail["version"] for e in told if e.action is Action.ENCOUNTER_CHANGED] == [1, 1, 2]
    assert (await gateway.case(key_of(visit))).version == 2


async def test_a_control_id_that_came_before_with_other_content_is_noted(gateway: World) -> None:
    visit = visit_number(1)
    first = await gateway.send(ehr.adt("A04", visit, "x", SENT), control="SAME")
    second = await gateway.send(ehr.adt("A08", visit, "x", SENT), control="SAME")
    await gateway.work()
    assert (await gateway.message(first.id)).reason is None
    noted = await gateway.message(second.id)
    assert noted.state is MessageState.PROCESSED
    assert (noted.reason or "").startswith("control-id-reused")


async def test_a_documents_text_is_kept_beside_the_encounter(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.document(visit)
    await gateway.work()
    (document,) = (await gateway.encounter(key_of(visit))).documents
    content = await gateway.store.content(key_of(visit), document.digest)
    assert content.body.decode().startswith("Blood pressure 148/86")


async def test_a_type_that_nothing_uses_is_kept_and_passed_over(gateway: World) -> None:
    visit = visit_number(1)
    unused = await gateway.send(ehr.adt("A04", visit, "x", SENT).replace(b"ADT^A04^ADT_A01", b"ADT^A60^ADT_A60"))
    await gateway.work()
    message = await gateway.message(unused.id)
    assert message.state is MessageState.UNUSED
    assert message.reason
    assert await gateway.keys() == []
    assert await gateway.told() == ["message.received", "message.unused"]


# Order


async def test_messages_of_one_encounter_are_applied_in_the_order_they_came(rules: Rules) -> None:
    async with world(rules, batch=3) as gateway:
        one, other = visit_number(1), visit_number(2)
        for place in ("ED-1", "ED-2", "ED-3", "ED-4", "ED-5"):
            await gateway.register(replace(one, location=place), "A08")
            await gateway.register(replace(other, location=place), "A08")
        await gateway.work()
        assert (await gateway.encounter(key_of(one))).visit.location == "ED-5"
        assert (await gateway.encounter(key_of(other))).visit.location == "ED-5"
        ids = [id for id, _ in gateway.processed]
        assert ids == sorted(ids)
        assert len(ids) == 10


async def test_where_many_wait_more_are_taken_at_once(rules: Rules) -> None:
    """And all of them in the end, each once, in their order."""
    async with world(rules, batch=2) as gateway:
        for number in range(40):
            await gateway.register(visit_number(number % 5 + 1), "A08")
        taken = [await gateway.pipeline.work_once() for _ in range(8)]
        assert taken == [8, 8, 8, 8, *[2] * 4], "8 while 16 wait"
        while await gateway.pipeline.work_once():
            pass
        ids = [id for id, _ in gateway.processed]
        assert ids == sorted(ids)
        assert len(ids) == 40


async def test_order_is_kept_when_a_batch_is_taken_one_by_one(gateway: World) -> None:
    visit = visit_number(1)
    for place in ("ED-1", "ED-2", "ED-3"):
        await gateway.register(replace(visit, location=place), "A08")
    gateway.store.next_commits = [Conflict("somebody was faster")]
    await gateway.work()
    assert (await gateway.encounter(key_of(visit))).visit.location == "ED-3"
    assert [outcome for _, outcome in gateway.processed] == [MessageState.PROCESSED] * 3


async def test_what_a_fault_left_is_taken_in_order_again(gateway: World) -> None:
    visit = visit_number(1)
    for place in ("ED-1", "ED-2", "ED-3"):
        await gateway.register(replace(visit, location=place), "A08")
    gateway.store.next_commits = [Conflict("batch"), None, StoreFault("disk")]
    with pytest.raises(StoreFault):
        await gateway.pipeline.work_once()
    assert await gateway.store.backlog() == 2
    await gateway.work()
    ids = [id for id, _ in gateway.processed]
    assert ids == sorted(ids)
    assert (await gateway.encounter(key_of(visit))).visit.location == "ED-3"


# What cannot be used


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"not HL7 at all", "no-message at MSH"),
        (ehr.message(ehr.header("ADT^A04", "x", SENT), "PID|1||M1", "PV1|1|O"), "no-encounter-number"),
    ],
)
async def test_a_message_that_cannot_be_used_is_set_aside_and_the_others_go_on(
    gateway: World, payload: bytes, reason: str
) -> None:
    before = await gateway.register(visit_number(1), "A04")
    bad = await gateway.send(payload)
    after = await gateway.register(visit_number(2), "A04")
    await gateway.work()
    (aside,) = await gateway.set_aside()
    assert aside.id == bad.id
    assert aside.reason is not None
    assert aside.reason.startswith(reason)
    kept = await gateway.message(bad.id)
    assert (kept.payload, kept.reply) == (payload, b"AA")
    assert dict(gateway.processed) == {
        before[0].id: MessageState.PROCESSED,
        bad.id: MessageState.SET_ASIDE,
        after[0].id: MessageState.PROCESSED,
    }
    assert "message.set-aside" in await gateway.told()
    assert len(await gateway.keys()) == 2


async def test_a_message_of_a_feed_that_is_gone_is_set_aside(gateway: World) -> None:
    await gateway.send(ehr.adt("A04", visit_number(1), "x", SENT), feed="old-feed")
    await gateway.work()
    (aside,) = await gateway.set_aside()
    assert aside.reason is not None
    assert "old-feed is no longer configured" in aside.reason


def poison(monkeypatch: pytest.MonkeyPatch, mark: bytes, fault: type[Exception] = ZeroDivisionError) -> None:
    """A mapping with a defect: it fails on messages that hold `mark`."""

    def mapped(er7: Any, *args: Any) -> Any:
        if mark in er7.encode():
            raise fault("ABERNATHY^JUNE")
        return map_message(er7, *args)

    monkeypatch.setattr("gateway.pipeline.reading.map_message", mapped)


async def test_a_defect_that_one_message_meets_sets_aside_only_that_one(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, b"CURSED")
    one, other = visit_number(1), visit_number(2)
    await gateway.register(one, "A04")
    (cursed,) = await gateway.register(replace(one, location="CURSED"), "A08")
    await gateway.register(other, "A04")
    await gateway.register(replace(one, location="ED-9"), "A08")
    await gateway.work()
    (aside,) = await gateway.set_aside()
    assert aside.id == cursed.id
    assert aside.reason == "internal: ZeroDivisionError while processing; see the log"
    assert (await gateway.encounter(key_of(one))).visit.location == "ED-9"
    assert (await gateway.encounter(key_of(other))).visit.location == other.location
    assert sorted(gateway.processed)[1] == (cursed.id, MessageState.SET_ASIDE)
    assert len(gateway.processed) == 4


async def test_what_a_defect_says_is_shown_to_nobody(
    gateway: World, monkeypatch: pytest.MonkeyPatch, log_lines: StringIO
) -> None:
    """An exception's text may quote the patient."""
    poison(monkeypatch, b"PID")
    await gateway.register(visit_number(1), "A04")
    await gateway.work()
    (aside,) = await gateway.set_aside()
    assert "ABERNATHY" not in (aside.reason or "")
    told = [e.event async for e in gateway.store.events()]
    assert not any("ABERNATHY" in str(event) for event in told)
    assert "ABERNATHY" not in log_lines.getvalue()
    assert "gateway.pipeline.reading:read:" in log_lines.getvalue()


async def test_a_defect_in_a_check_sets_aside_only_its_message(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = visit_number(1), visit_number(2)
    context = gateway.rules.edit_context

    def failing(encounter: Any, billed: Any, now: Any) -> Any:
        if encounter.key.number == one.account:
            raise LookupError("edit")
        return context(encounter, billed, now)

    monkeypatch.setattr(gateway.casework, "_edit_context", failing)
    await gateway.register(one, "A04")
    await gateway.register(other, "A04")
    await gateway.work()
    assert [m.reason for m in await gateway.set_aside()] == ["internal: LookupError while processing; see the log"]
    assert await gateway.keys() == [key_of(other)]


# Others who change the same


async def test_a_decision_at_the_desk_meanwhile_is_kept_and_the_message_applied_to_it(rules: Rules) -> None:
    async with world(rules, REVIEWED) as gateway:
        key = await held(gateway)
        approved = fingerprint(await gateway.encounter(key))
        await gateway.send(ehr.adt("A08", replace(visit_number(1), location="WARD-7"), "x", SENT))

        async def approve(_: Step) -> None:
            case = await gateway.case(key)
            ruling = gateway.casework.advance(case, now=gateway.clock.now(), actor="user:sam")
            await gateway.store.real.commit(Step(cases=[ruling.change], events=ruling.events))

        gateway.store.next_commits = [approve]
        await gateway.work()
        case = await gateway.case(key)
        assert (await gateway.encounter(key)).visit.location == "WARD-7"
        assert case.version == 3
        assert fingerprint(await gateway.encounter(key)) == approved
        assert await gateway.set_aside() == []


async def test_an_approval_that_is_faster_than_a_message_releases_once(rules: Rules) -> None:
    async with world(rules, REVIEWED) as gateway:
        key = await held(gateway)
        approved = fingerprint(await gateway.encounter(key))
        await gateway.send(ehr.adt("A08", replace(visit_number(1), location="WARD-7"), "x", SENT))
        work = asyncio.create_task(gateway.pipeline.work_once())
        ruling = await gateway.desk.approve(key, SUPERVISOR, approved)
        await work
        await gateway.work()
        case = await gateway.case(key)
        assert ruling.released is not None
        assert [claim.approved_by for claim in case.claims] == ["user:sam"]
        assert (await gateway.encounter(key)).visit.location == "WARD-7"
        assert open_rules(case) == set()


async def test_a_conflict_of_one_encounter_does_not_harm_the_batch(gateway: World) -> None:
    visits = [visit_number(n) for n in range(1, 5)]
    for visit in visits:
        await gateway.register(visit, "A04")
    gateway.store.next_commits = [Conflict("batch"), None, Conflict("again"), Conflict("and again")]
    await gateway.work()
    assert await gateway.keys() == [key_of(v) for v in visits]
    assert [(await gateway.case(key_of(v))).version for v in visits] == [1, 1, 1, 1]
    assert await gateway.set_aside() == []


async def test_a_message_that_always_conflicts_is_set_aside_so_that_none_overtakes_it(gateway: World) -> None:
    one, other = visit_number(1), visit_number(2)
    (first,) = await gateway.register(one, "A04")
    await gateway.register(other, "A04")
    gateway.store.next_commits = [Conflict("batch")] + [Conflict("alone")] * 5
    await gateway.work()
    (aside,) = await gateway.set_aside()
    assert aside.id == first.id
    assert aside.reason is not None
    assert aside.reason.startswith("conflict: ")
    assert await gateway.keys() == [key_of(other)]
    assert (first.id, MessageState.SET_ASIDE) in gateway.processed


async def test_a_message_that_another_gateway_processed_is_left_to_it(gateway: World) -> None:
    """Two gateways share the work: both read the same message, one commits first."""
    visit = visit_number(1)
    await gateway.register(visit, "A04")

    async def other_is_faster(step: Step) -> None:
        await gateway.store.real.commit(step)

    gateway.store.next_commits = [other_is_faster]
    await gateway.work()
    assert (await gateway.case(key_of(visit))).version == 1
    assert (await gateway.told()).count("encounter.changed") == 1
    assert await gateway.store.backlog() == 0


# A store that fails


async def test_a_store_that_fails_keeps_the_messages_for_later(gateway: World) -> None:
    visit = visit_number(1)
    (message,) = await gateway.register(visit, "A04")
    gateway.store.next_commits = [StoreFault("disk full")]
    with pytest.raises(StoreFault):
        await gateway.pipeline.work_once()
    assert (await gateway.message(message.id)).state is MessageState.RECEIVED
    assert await gateway.keys() == []
    await gateway.work()
    assert (await gateway.message(message.id)).state is MessageState.PROCESSED


async def test_a_commit_of_which_nobody_knows_is_not_made_twice(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.tell(visit)

    async def committed_but_lost(step: Step) -> None:
        await gateway.store.real.commit(step)
        raise UncertainCommit("the connection was lost")

    gateway.store.next_commits = [committed_but_lost]
    with pytest.raises(UncertainCommit):
        await gateway.pipeline.work_once()
    await gateway.work()
    case = await gateway.case(key_of(visit))
    assert len(case.claims) == 1
    assert case.version == 1


async def test_the_loop_outlives_a_store_that_fails_anywhere(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.pipeline.pipeline.FAULT_PAUSE", 0)
    monkeypatch.setattr("gateway.pipeline.pipeline.IDLE_SECONDS", 0.001)
    fault = StoreFault("down")
    await gateway.register(visit_number(1), "A04")
    gateway.store.next_counts = [fault]
    gateway.store.next_reads = [fault, fault]
    gateway.store.next_commits = [fault, fault]
    async with running(gateway):
        await gateway.until(lambda: len(gateway.processed) == 1)
        gateway.store.next_counts = [fault, fault]
        await gateway.until(lambda: not gateway.store.next_counts)
        await gateway.register(visit_number(2), "A04")
        await gateway.until(lambda: len(gateway.processed) == 2)
    assert await gateway.set_aside() == []


# The loop


def _processed(gateway: World, count: int) -> bool:
    return len(gateway.processed) == count


@asynccontextmanager
async def running(gateway: World) -> AsyncIterator[asyncio.Task[None]]:
    """The pipeline's loop, for as long as the block lasts."""
    loop = asyncio.create_task(gateway.pipeline.run())
    yield loop
    gateway.pipeline.stop()
    async with asyncio.timeout(5):
        await loop


async def test_what_was_left_is_taken_when_the_loop_starts(gateway: World) -> None:
    await gateway.register(visit_number(1))
    async with running(gateway):
        await gateway.until(lambda: len(gateway.processed) == 2)
    assert gateway.backlog.count == 0


async def test_a_message_is_processed_as_soon_as_it_is_kept(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle loop is woken by the commit, not by its own timer."""
    monkeypatch.setattr("gateway.pipeline.pipeline.IDLE_SECONDS", 3_600)
    async with running(gateway):
        for number in range(1, 6):
            await asyncio.sleep(0.002)
            await gateway.register(visit_number(number), "A04")
            await gateway.until(partial(_processed, gateway, number))


async def test_the_loop_looks_by_itself_for_what_another_process_queued(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pipeline.pipeline.IDLE_SECONDS", 0.001)
    gateway.backlog.arrived = lambda: None
    async with running(gateway):
        await gateway.register(visit_number(1), "A04")
        await gateway.until(lambda: len(gateway.processed) == 1)
    assert gateway.backlog.count == 0


async def test_the_loop_stops_after_the_batch_in_hand(rules: Rules) -> None:
    async with world(rules, batch=1) as gateway:
        for number in range(1, 4):
            await gateway.register(visit_number(number), "A04")

        async def stop(_: Step) -> None:
            gateway.pipeline.stop()

        gateway.store.next_commits = [stop]
        async with running(gateway) as loop, asyncio.timeout(5):
            await loop
        assert len(gateway.processed) == 1
        assert await gateway.store.backlog() == 2


async def test_the_backlog_is_worked_off(gateway: World) -> None:
    await gateway.register(visit_number(1))
    await gateway.send(b"not HL7", ENCODER)
    assert gateway.backlog.count == 3
    await gateway.work()
    assert gateway.backlog.count == 0
    assert await gateway.pipeline.work_once() == 0
    assert gateway.clock.now() == NOON
