"""The outbox, the MLLP destination and a real receiver that misbehaves: at most one claim arrives; lanes stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from mllp_making import charge, mllp_settings
from outbox_world import World

from conformance.billing_mllp import STORES, Misdeed, MllpBilling
from gateway.adapters.mllp.destination import MllpDestination
from gateway.audit.events import Action
from gateway.delivery import Lane, Outbox
from gateway.release.model import Claim, Delivery, DeliveryState, Result
from gateway.store.interface import StoreFault


class ControlledRenderer:
    def render(self, claim: Claim, delivery: Delivery) -> bytes:
        return charge(delivery.key)


@asynccontextmanager
async def started(world: World, port: int, **settings: object) -> AsyncIterator[Outbox]:
    """A gateway over the world, with the lane of an MLLP destination."""
    destination = MllpDestination(mllp_settings(port, name="payer", timeout_seconds=0.1, **settings))
    try:
        yield world.start_with(Lane(destination, ControlledRenderer(), 1))
    finally:
        await destination.close()


async def delivered(peer: MllpBilling, claims: int = 1, **settings: object) -> World:
    world = World(claims)
    async with started(world, peer.port, **settings) as outbox:
        await world.turn(outbox, 4 * claims, every=timedelta(minutes=6))
    return world


@pytest.mark.parametrize("misdeed", list(Misdeed))
async def test_a_receiver_that_recognises_repeats_gets_each_claim_once(misdeed: Misdeed) -> None:
    async with MllpBilling(script=[misdeed]) as peer:
        world = await delivered(peer, idempotent=True)
    expected = {
        Misdeed.REFUSE: DeliveryState.REJECTED,
        Misdeed.REFUSE_OLD: DeliveryState.REJECTED,
        Misdeed.NOT_FOR_US: DeliveryState.READY,
        Misdeed.COMMIT_THEN_HANG: DeliveryState.SENT,
    }
    assert world.state() is expected.get(misdeed, DeliveryState.ACCEPTED)
    assert len(peer.messages) == (1 if misdeed in STORES or world.state() is DeliveryState.ACCEPTED else 0)
    assert len(set(peer.received)) == 1, "every attempt repeats the bytes of the first"


@pytest.mark.parametrize("misdeed", list(Misdeed))
async def test_a_receiver_that_does_not_is_never_sent_what_it_may_have(misdeed: Misdeed) -> None:
    async with MllpBilling(script=[misdeed], deduplicates=False) as peer:
        world = await delivered(peer)
    assert len(peer.messages) <= 1
    if misdeed in STORES:
        assert len(peer.received) == 1
    if world.state() is DeliveryState.UNKNOWN:
        assert len(peer.received) == 1
        assert world.row().parked


async def test_the_parked_waits_for_a_person_through_every_restart() -> None:
    """Even where the receiver recognises repeats: the rule said that a person decides."""
    rules = [{"when": "AE", "error": "103", "do": "park"}]
    world = World()
    async with MllpBilling(script=[Misdeed.REFUSE]) as peer:
        for _ in range(2):
            async with started(world, peer.port, idempotent=True, answers=rules) as outbox:
                await outbox.recover()
                await world.turn(outbox, 3, every=timedelta(hours=1))
        assert (world.state(), len(peer.received)) == (DeliveryState.UNKNOWN, 1)
        async with started(world, peer.port, idempotent=True) as outbox:
            await outbox.send_again(world.row(), actor="user:kobrien")
            await outbox.idle("payer")
        assert (world.state(), world.row().parked) == (DeliveryState.ACCEPTED, False)


async def test_a_person_may_settle_what_is_parked() -> None:
    world = World()
    async with MllpBilling(script=[Misdeed.HANG]) as peer, started(world, peer.port) as outbox:
        await world.turn(outbox)
        await outbox.settle_by_hand(world.row(), Result.ACCEPTED, actor="user:kobrien", reason="they have it")
    assert (world.state(), world.row().parked) == (DeliveryState.ACCEPTED, False)


async def test_a_refusal_of_every_claim_alike_stops_the_lane_until_it_is_resumed() -> None:
    world = World(claims=3)
    async with MllpBilling(script=[Misdeed.NOT_FOR_US]) as peer:
        async with started(world, peer.port) as outbox:
            await world.turn(outbox, 3)
            assert len(peer.received) == 1
            (state,) = outbox.states()
            assert (state.state, state.actor) == ("suspended", "gateway")
            assert state.reason == "AR; 203 unsupported version id at MSH[1]-12; suspend"
            assert outbox.outages().keys() == {"payer"}
        async with started(world, peer.port) as outbox:
            await outbox.recover()
            await world.turn(outbox, 3)
            assert len(peer.received) == 1, "a restart forgets no suspension"
            await outbox.resume("payer", actor="user:operator")
            assert outbox.states()[0].state == "up"
            await world.turn(outbox, 3)
    assert [world.state(number) for number in (1, 2, 3)] == [DeliveryState.ACCEPTED] * 3
    told = [(event.action, event.actor) for event in world.store.events if event.subject == "destination/payer"]
    assert told == [(Action.DESTINATION_SUSPENDED, "gateway"), (Action.DESTINATION_RESUMED, "user:operator")]


async def test_an_operator_stops_a_lane_and_lets_it_go_on() -> None:
    world = World()
    async with MllpBilling() as peer, started(world, peer.port) as outbox:
        await outbox.suspend("payer", actor="user:operator", reason="their upgrade of Ann Smith")
        await world.turn(outbox, 2)
        assert peer.received == []
        assert world.store.suspended["payer"].reason == "their upgrade of Ann Smith"
        assert not any(b"Ann" in event.content() for event in world.store.events)
        await outbox.resume("payer", actor="user:operator")
        assert (await outbox.resume("payer", actor="user:operator")).state == "up"
        await world.turn(outbox)
        assert world.state() is DeliveryState.ACCEPTED
        with pytest.raises(KeyError):
            await outbox.suspend("nobody", actor="user:operator", reason="none")


async def test_another_gateway_s_suspension_is_heard_of() -> None:
    """Two gateways over one store: what one stops, the other stops at its next look."""
    world = World()
    async with MllpBilling() as peer, started(world, peer.port) as one, started(world, peer.port) as other:
        await one.recover()
        await other.suspend("payer", actor="user:operator", reason="their upgrade")
        world.clock.advance(timedelta(seconds=6))
        one.start()
        async with asyncio.timeout(5):
            while one.states()[0].state != "suspended":  # noqa: ASYNC110 - what is waited for is inside the outbox
                await asyncio.sleep(0)
        await one.stop()
    assert peer.received == []


async def test_a_lane_stops_at_once_even_while_the_store_cannot_say_so() -> None:
    world = World(claims=2)
    async with MllpBilling(script=[Misdeed.NOT_FOR_US]) as peer, started(world, peer.port) as outbox:
        world.store.faults = [("", StoreFault("none")), ("before", StoreFault("away"))]
        await world.turn(outbox, 2)
        assert len(peer.received) == 1
        assert world.store.suspended.keys() == {"payer"}


async def test_a_change_by_hand_that_the_store_did_not_take_has_not_happened() -> None:
    world = World()
    async with MllpBilling() as peer, started(world, peer.port) as outbox:
        world.store.faults = [("before", StoreFault("away"))]
        with pytest.raises(StoreFault):
            await outbox.suspend("payer", actor="user:operator", reason="their upgrade")
        assert outbox.states()[0].state == "up"
        await outbox.suspend("payer", actor="user:operator", reason="their upgrade")
        world.store.faults = [("before", StoreFault("away"))]
        with pytest.raises(StoreFault):
            await outbox.resume("payer", actor="user:operator")
        assert outbox.states()[0].state == "suspended"
        assert world.store.suspended.keys() == {"payer"}
