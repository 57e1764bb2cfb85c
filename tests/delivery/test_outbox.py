"""The outbox as its users see it: what is delivered, what is held back, what is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from outbox_world import START, MarkedRenderer, Receiver, World
from structlog.testing import capture_logs

from gateway.delivery import Lane, Outbox
from gateway.release.model import DeliveryState, Result
from gateway.release.transitions import IllegalMove, payload_hash
from gateway.store.interface import Conflict, StoreFault, UncertainCommit

MINUTE = timedelta(minutes=1)


def down_and_up(logs: list[dict[str, object]]) -> list[object]:
    return [line["event"] for line in logs if str(line["event"]).startswith("destination.")]


async def test_a_due_claim_is_delivered_once() -> None:
    world = World(claims=3)
    outbox = world.start()
    await world.turn(outbox, 3)
    assert [world.state(n) for n in (1, 2, 3)] == [DeliveryState.ACCEPTED] * 3
    assert [world.copies(n) for n in (1, 2, 3)] == [1, 1, 1]
    assert world.row().reference == "Claim/c1"


async def test_the_intent_and_its_bytes_are_committed_before_they_leave() -> None:
    world = World()
    outbox = world.start()
    world.receiver.gate = asyncio.Event()
    await outbox.turn("payer")
    await world.receiver.until(lambda: world.receiver.sends)
    row = world.row()
    assert (row.state, row.attempts, row.epoch, row.first_attempt) == (DeliveryState.INTENT, 1, 1, START)
    assert row.payload == world.receiver.sends[0][1]
    assert (row.id, 1) in world.store.attempts
    assert world.store.events[-1].detail["payload"] == payload_hash(row.payload)
    world.receiver.gate.set()
    await outbox.idle("payer")


async def test_every_move_is_in_the_audit_trail() -> None:
    world = World(script=["not-sent"])
    await world.turn(world.start(), 2)
    moves = [(e.detail["from"], e.detail["to"]) for e in world.store.events]
    assert moves == [("ready", "intent"), ("intent", "ready"), ("ready", "intent"), ("intent", "accepted")]
    assert {e.actor for e in world.store.events} == {"gateway"}
    assert {e.subject for e in world.store.events} == {"delivery/101"}


async def test_what_was_not_sent_is_tried_again_later_with_the_same_bytes() -> None:
    world = World(script=["not-sent", "not-sent"])
    outbox = world.start()
    await world.turn(outbox, every=timedelta(0))
    assert (world.state(), world.row().due) == (DeliveryState.READY, START + timedelta(seconds=1))
    await world.turn(outbox, every=timedelta(0))
    assert len(world.receiver.sends) == 1
    await world.turn(outbox, 3)
    assert world.state() is DeliveryState.ACCEPTED
    assert len({payload for _, payload, _ in world.receiver.sends}) == 1
    assert world.renderer.rendered == [1]


async def test_a_refusal_ends_it_and_is_told() -> None:
    world = World(script=["refuse"])
    await world.turn(world.start(), 5)
    assert world.state() is DeliveryState.REJECTED
    assert len(world.receiver.sends) == 1
    assert world.casework.told == [(101, DeliveryState.REJECTED, "422 refused")]


async def test_an_unknown_outcome_without_help_from_the_receiver_waits_for_a_person() -> None:
    world = World(script=["keep-and-lose"])
    outbox = world.start()
    with capture_logs() as logs:
        await world.turn(outbox, 20)
    assert world.state() is DeliveryState.UNKNOWN
    assert (world.copies(), len(world.receiver.sends)) == (1, 1)
    assert [line["event"] for line in logs] == ["delivery.needs_person"]


@pytest.mark.parametrize("first", ["lose", "keep-and-lose", "raise"])
async def test_a_receiver_that_removes_duplicates_gets_the_same_bytes_again(first: str) -> None:
    world = World(script=[first], removes_duplicates=True)
    await world.turn(world.start(), 3)
    assert (world.state(), world.copies()) == (DeliveryState.ACCEPTED, 1)
    (key, payload, resend), again = world.receiver.sends
    assert again == (key, payload, True)
    assert not resend


async def test_no_resend_after_the_receiver_s_window() -> None:
    world = World(script=["keep-and-lose", *["lose"] * 400], removes_duplicates=True)
    outbox = world.start()
    await world.turn(outbox, 300)
    sends = len(world.receiver.sends)
    assert 1 < sends < 300
    await world.turn(outbox, 20)
    assert len(world.receiver.sends) == sends
    assert (world.state(), world.copies()) == (DeliveryState.UNKNOWN, 1)


@pytest.mark.parametrize(("first", "sends"), [("lose", 2), ("keep-and-lose", 1)])
async def test_a_receiver_that_can_be_asked_is_asked(first: str, sends: int) -> None:
    world = World(script=[first], answers_inquiries=True)
    await world.turn(world.start(), 3)
    assert (world.state(), world.copies()) == (DeliveryState.ACCEPTED, 1)
    assert len(world.receiver.sends) == sends


async def test_a_verdict_that_comes_later_is_waited_for() -> None:
    world = World(script=["later"])
    outbox = world.start()
    await world.turn(outbox, 3)
    assert (world.state(), len(world.receiver.sends)) == (DeliveryState.SENT, 1)
    after = await outbox.settle_by_hand(world.row(), Result.ACCEPTED, actor="user:sam", reason="their portal says so")
    assert after.state is DeliveryState.ACCEPTED


async def test_a_person_settles_what_nobody_knows() -> None:
    world = World(script=["lose"])
    outbox = world.start()
    await world.turn(outbox, 2)
    await outbox.settle_by_hand(world.row(), Result.REJECTED, actor="user:sam", reason="never arrived")
    assert (world.state(), world.row().outcome) == (DeliveryState.REJECTED, "never arrived")
    assert world.store.events[-1].actor == "user:sam"
    with pytest.raises(IllegalMove):
        await outbox.settle_by_hand(world.row(), Result.ACCEPTED, actor="user:sam", reason="no, it did")


async def test_a_person_cannot_settle_what_has_changed_meanwhile() -> None:
    world = World(script=["lose"], removes_duplicates=True)
    outbox = world.start()
    await world.turn(outbox)
    seen = world.row()
    await world.turn(outbox)
    with pytest.raises(Conflict):
        await outbox.settle_by_hand(seen, Result.REJECTED, actor="user:sam", reason="never arrived")
    assert world.state() is DeliveryState.ACCEPTED


async def test_a_person_has_it_sent_again() -> None:
    world = World(script=["lose"])
    outbox = world.start()
    await world.turn(outbox, 2)
    await outbox.send_again(world.row(), actor="user:sam")
    await outbox.idle("payer")
    assert (world.state(), world.copies()) == (DeliveryState.ACCEPTED, 1)
    assert [e.actor for e in world.store.events[-2:]] == ["user:sam", "gateway"]
    with pytest.raises(IllegalMove):
        await outbox.send_again(world.row(), actor="user:sam")


async def test_no_more_is_in_flight_than_the_destination_allows() -> None:
    world = World(claims=9)
    outbox = world.start(concurrency=3)
    outbox.start()
    await world.receiver.until(lambda: len(world.receiver.kept) == 9)
    await outbox.stop()
    assert world.receiver.most_at_once == 3


async def test_an_outage_is_one_line_in_the_log_and_one_when_it_ends() -> None:
    world = World(claims=8, script=["not-sent"] * 30)
    outbox = world.start()
    with capture_logs() as logs:
        await world.turn(outbox, 20)
        assert list(outbox.outages()) == ["payer"]
        assert len(world.receiver.sends) <= 4 + 19
        await world.turn(outbox, 40)
    assert down_and_up(logs) == ["destination.down", "destination.up"]
    assert outbox.outages() == {}
    assert all(world.copies(n) == 1 for n in range(1, 9))


async def test_a_destination_that_is_down_is_probed_by_one_claim_at_a_time() -> None:
    world = World(claims=8, script=["not-sent"] * 5)
    outbox = world.start()
    await world.turn(outbox)
    assert len(world.receiver.sends) == 4
    world.receiver.most_at_once = 0
    await world.turn(outbox)
    assert (len(world.receiver.sends), world.receiver.most_at_once) == (5, 1)


async def test_a_dead_destination_delays_no_other() -> None:
    world = World(script=["not-sent"] * 50)
    world.release(2, destination="other")
    other = Receiver(world.fuse, name="other")
    outbox = world.start(Lane(other, MarkedRenderer()))
    outbox.start()
    await other.until(lambda: other.kept)
    await outbox.stop()
    assert world.state(2) is DeliveryState.ACCEPTED
    assert world.state(1) is not DeliveryState.ACCEPTED


async def test_a_claim_that_cannot_be_written_is_refused_and_never_sent() -> None:
    world = World(claims=2)
    world.renderer.unwritable.add(1)
    await world.turn(world.start(), 3)
    assert (world.state(1), world.state(2)) == (DeliveryState.REJECTED, DeliveryState.ACCEPTED)
    assert "patient.sex" in (world.row(1).outcome or "")
    assert world.copies(1) == 0


async def test_a_fault_of_the_gateway_s_own_puts_one_claim_off_and_blames_nobody() -> None:
    world = World(claims=2)
    world.renderer.broken.add(1)
    outbox = world.start()
    with capture_logs() as logs:
        await world.turn(outbox)
        assert (world.state(1), world.state(2)) == (DeliveryState.READY, DeliveryState.ACCEPTED)
        assert world.row(1).due > START
    assert [line["event"] for line in logs] == ["delivery.render_fault"]
    world.renderer.broken.clear()
    await world.turn(outbox, 2)
    assert world.state(1) is DeliveryState.ACCEPTED


async def test_nothing_is_sent_while_the_store_cannot_keep_the_intent() -> None:
    world = World()
    world.store.faults = [("before", StoreFault("disk full"))] * 3
    outbox = world.start()
    with capture_logs() as logs:
        await world.turn(outbox, 3)
        assert world.receiver.sends == []
        await world.turn(outbox)
    assert (world.state(), world.copies()) == (DeliveryState.ACCEPTED, 1)
    assert [line["event"] for line in logs] == ["delivery.store_down", "delivery.store_up"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_intent_whose_commit_is_uncertain_is_not_sent_under(when: str) -> None:
    world = World()
    world.store.faults = [(when, UncertainCommit("connection lost"))]
    outbox = world.start()
    await world.turn(outbox)
    assert world.receiver.sends == []
    await world.turn(outbox, 3)
    assert (world.state(), world.copies()) == (DeliveryState.ACCEPTED, 1)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_outcome_is_kept_until_the_store_takes_it(when: str) -> None:
    world = World()
    outbox = world.start()
    world.receiver.gate = asyncio.Event()
    await outbox.turn("payer")
    await world.receiver.until(lambda: world.receiver.sends)
    world.store.faults = [(when, UncertainCommit("connection lost")), ("before", StoreFault("still away"))]
    world.receiver.gate.set()
    await outbox.idle("payer")
    assert (world.state(), world.copies()) == (DeliveryState.ACCEPTED, 1)
    assert sum(e.detail["to"] == "accepted" for e in world.store.events) == 1


async def test_another_owner_s_doubt_is_ended_by_our_verdict() -> None:
    world = World()
    first = world.start()
    world.receiver.gate = asyncio.Event()
    await first.turn("payer")
    lane = world.lane
    await world.receiver.until(lambda: world.receiver.sends)
    second = world.start()
    assert await second.recover() == 1
    assert world.state() is DeliveryState.UNKNOWN
    world.receiver.gate.set()
    await asyncio.wait(list(lane.under_way.values()))
    assert world.state() is DeliveryState.ACCEPTED


async def test_another_owner_s_fresh_intent_is_left_alone() -> None:
    world = World()
    world.pace = type(world.pace)(takeover=timedelta(minutes=3), store_pause=timedelta(0))
    first = world.start()
    world.receiver.gate = asyncio.Event()
    await first.turn("payer")
    await world.receiver.until(lambda: world.receiver.sends)
    second = world.start()
    assert await second.recover() == 0
    world.clock.advance(timedelta(minutes=4))
    await second.turn("payer")
    assert world.state() is DeliveryState.UNKNOWN
    await first.stop(timedelta(0))


async def test_stopping_waits_for_what_is_under_way() -> None:
    world = World()
    outbox = world.start()
    world.receiver.gate = asyncio.Event()
    outbox.start()
    await world.receiver.until(lambda: world.receiver.sends)
    stopping = asyncio.create_task(outbox.stop(timedelta(seconds=5)))
    await asyncio.sleep(0)
    world.receiver.gate.set()
    await stopping
    assert world.state() is DeliveryState.ACCEPTED


async def test_what_does_not_end_in_time_is_left_as_an_intent_and_recovered_as_unknown() -> None:
    world = World()
    outbox = world.start()
    world.receiver.gate = asyncio.Event()
    outbox.start()
    await world.receiver.until(lambda: world.receiver.sends)
    await outbox.stop(timedelta(0))
    assert world.state() is DeliveryState.INTENT
    assert await world.start().recover() == 1
    assert world.state() is DeliveryState.UNKNOWN


async def test_a_release_wakes_the_loop() -> None:
    world = World(claims=0)
    world.pace = type(world.pace)(poll=timedelta(hours=1))
    outbox = world.start()
    outbox.start()
    await asyncio.sleep(0)
    world.release(1)
    outbox.notify("payer")
    await world.receiver.until(lambda: world.receiver.kept)
    await outbox.stop()
    assert world.state() is DeliveryState.ACCEPTED


async def test_a_resend_that_finds_nobody_there_is_still_unknown() -> None:
    world = World(script=["keep-and-lose", *["not-sent"] * 400], removes_duplicates=True)
    outbox = world.start()
    await world.turn(outbox, 330)
    assert (world.state(), world.copies()) == (DeliveryState.UNKNOWN, 1)
    world.receiver.script.clear()
    sends = len(world.receiver.sends)
    await world.turn(outbox, 5)
    assert len(world.receiver.sends) == sends


async def test_an_outcome_that_a_fault_kept_from_being_written_is_unknown_and_never_sent_again() -> None:
    world = World()
    world.store.faults = [("", Exception()), ("before", RuntimeError("a fault in the case's keeper"))]
    outbox = world.start()
    with capture_logs() as logs:
        await world.turn(outbox)
        assert world.state() is DeliveryState.INTENT
        await world.turn(outbox, 3)
    assert (world.state(), world.copies(), len(world.receiver.sends)) == (DeliveryState.UNKNOWN, 1, 1)
    assert [line["event"] for line in logs] == ["delivery.fault", "delivery.needs_person"]


async def test_a_case_that_cannot_be_written_does_not_keep_the_others_from_recovery() -> None:
    world = World(claims=2, script=["keep-and-lose", "keep-and-lose"])
    first = world.start()
    world.receiver.gate = asyncio.Event()
    await first.turn("payer")
    await world.receiver.until(lambda: len(world.receiver.sends) == 2)
    await first.stop(timedelta(0))
    world.receiver.gate = None
    world.store.faults = [("before", RuntimeError("a fault in the case's keeper"))]
    second = world.start()
    assert await second.recover() == 2
    assert [world.state(n) for n in (1, 2)] == [DeliveryState.UNKNOWN] * 2


async def test_what_waits_for_a_destination_that_is_gone_is_told_at_the_start() -> None:
    world = World(claims=2)
    nowhere = Outbox(world.store, world.casework, [], world.clock, owner="n", epoch=9, jitter=lambda: 1.0)
    with capture_logs() as logs:
        await nowhere.recover()
        await world.start().recover()
    told = [line for line in logs if line["event"] == "delivery.no_such_destination"]
    assert [(line["destination"], line["count"]) for line in told] == [("payer", 2)]
