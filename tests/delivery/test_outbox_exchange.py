"""Destinations that come, go and change while the outbox is at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from outbox_world import Fuse, MarkedRenderer, Receiver, World

from gateway.delivery import Lane
from gateway.release.model import DeliveryState


async def until(met: Callable[[], object], seconds: float = 5) -> None:
    """Polled: what is awaited happens in the outbox's own loops."""
    async with asyncio.timeout(seconds):
        while not met():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_what_is_under_way_ends_where_it_began_and_is_begun_nowhere_else() -> None:
    world = World(claims=1)
    world.receiver.gate = asyncio.Event()
    outbox = world.start()
    await outbox.recover()
    outbox.start()
    await world.receiver.until(lambda: world.receiver.sends)
    other = Receiver(Fuse())
    [left] = outbox.exchange([Lane(other, MarkedRenderer())])
    assert left is world.lane
    outbox.notify()
    await asyncio.sleep(0.05)
    assert other.sends == [], "the claim is under way to the earlier receiver"
    assert world.row().state is DeliveryState.INTENT
    world.receiver.gate.set()
    await until(lambda: world.row().state is DeliveryState.ACCEPTED)
    world.release(2)
    outbox.notify()
    await until(lambda: other.sends)
    assert len(world.receiver.sends) == 1
    await outbox.stop()


async def test_a_destination_that_is_no_more_is_sent_nothing_and_what_waits_goes_on_when_it_is_back() -> None:
    world = World(claims=1)
    outbox = world.start()
    await outbox.recover()
    outbox.start()
    await until(lambda: world.row().state is DeliveryState.ACCEPTED)
    outbox.exchange([])
    world.release(2)
    outbox.notify()
    await outbox.turn("payer")
    await asyncio.sleep(0.02)
    assert world.row(2).state is DeliveryState.READY
    assert outbox.lane("payer") is None
    outbox.exchange([Lane(world.receiver, world.renderer)])
    await until(lambda: world.row(2).state is DeliveryState.ACCEPTED)
    await outbox.stop()


async def test_a_stop_waits_for_what_is_under_way_to_one_that_has_left() -> None:
    world = World(claims=1)
    world.receiver.gate = asyncio.Event()
    outbox = world.start()
    await outbox.recover()
    outbox.start()
    await world.receiver.until(lambda: world.receiver.sends)
    outbox.exchange([])
    stopping = asyncio.create_task(outbox.stop(timedelta(seconds=5)))
    await asyncio.sleep(0.02)
    assert not stopping.done()
    world.receiver.gate.set()
    async with asyncio.timeout(5):
        await stopping
    assert world.row().state is DeliveryState.ACCEPTED


async def test_a_lane_that_stays_is_left_alone() -> None:
    world = World(claims=1)
    outbox = world.start()
    lane = outbox.lane("payer")
    assert lane is not None
    assert outbox.exchange([lane]) == []
    assert outbox.lane("payer") is lane
