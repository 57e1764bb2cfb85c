"""The gateway dies at each step there is, again and again. What the receiver keeps is never more than one copy."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outbox_world import Crash, World

from gateway.release.model import DeliveryState

KINDS: dict[str, dict[str, bool]] = {
    "forgetful": {},
    "deduplicating": {"removes_duplicates": True},
    "asked": {"answers_inquiries": True},
}
WORDS = ["take", "not-sent", "lose", "keep-and-lose", "refuse", "raise"]


async def live(world: World, turns: int = 8) -> None:
    """Start, recover, deliver; after each crash start again, until a life ends without one."""
    for _ in range(20):
        try:
            outbox = world.start()
            await outbox.recover()
            await world.turn(outbox, turns)
            return
        except Crash:
            continue
    raise AssertionError("it never lived through")


async def steps_of(kind: str, script: list[str]) -> int:
    world = World(claims=2, script=list(script), **KINDS[kind])
    await live(world)
    return world.fuse.step + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("script", [[], ["not-sent"], ["keep-and-lose"], ["lose"]], ids=lambda s: "-".join(s) or "good")
async def test_a_crash_at_any_step_makes_no_second_copy(kind: str, script: list[str]) -> None:
    for step in range(await steps_of(kind, script)):
        world = World(claims=2, crashes=[step], script=list(script), **KINDS[kind])
        await live(world)
        assert world.fuse.burnt, f"no step {step}"
        for number in (1, 2):
            assert world.copies(number) <= 1, (step, world.fuse.burnt)
            assert_ended(world, kind, number)


def assert_ended(world: World, kind: str, number: int) -> None:
    """Nothing is stuck: it was taken, or a person is asked. Where the receiver helps, no person is needed."""
    state = world.state(number)
    assert state in (DeliveryState.ACCEPTED, DeliveryState.UNKNOWN, DeliveryState.REJECTED)
    if state is DeliveryState.ACCEPTED:
        assert world.copies(number) == 1
    elif kind != "forgetful":
        assert state is DeliveryState.REJECTED
    elif state is DeliveryState.UNKNOWN:
        moves = [(e.subject, e.detail["to"]) for e in world.store.events]
        assert (f"delivery/{100 + number}", "unknown") in moves


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    crashes=st.sets(st.integers(0, 40), max_size=4),
    script=st.lists(st.sampled_from(WORDS), max_size=5),
)
def test_crashes_and_faults_together_make_no_second_copy(kind: str, crashes: set[int], script: list[str]) -> None:
    world = World(claims=3, crashes=crashes, script=list(script), **KINDS[kind])
    asyncio.run(live(world, turns=14))
    for number in (1, 2, 3):
        assert world.copies(number) <= 1
        assert_ended(world, kind, number)
        payloads = {payload for key, payload, _ in world.receiver.sends if key == f"C{number}-1"}
        assert len(payloads) <= 1
    attempts = [(e.subject, e.detail["attempt"]) for e in world.store.events if e.detail["to"] == "intent"]
    assert len(attempts) == len(set(attempts)) == len(world.store.attempts)
    assert len(world.receiver.sends) <= len(attempts)
