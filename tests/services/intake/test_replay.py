"""A message that was dealt with is taken again: linked, kept as it was, told, and only once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest
from services_world import SENT, World, key_of, visit_number

from conformance import ehr
from gateway.audit.events import Action
from gateway.intake.replay import NotReplayable, replay
from gateway.message import MessageState
from gateway.store.interface import Conflict, Store, StoreFault

OPERATOR = "user:otto"


async def again(gateway: World, id: int, actor: str = OPERATOR) -> int:
    return await replay(cast(Store, gateway.store), id, actor=actor, clock=gateway.clock, ids=gateway.ids)


async def set_aside(gateway: World, monkeypatch: pytest.MonkeyPatch) -> int:
    """A message that a defect of the mapping set aside, and the defect mended."""
    with monkeypatch.context() as broken:
        broken.setattr("gateway.pipeline.reading.map_message", lambda *_: 1 / 0)
        (message,) = await gateway.register(visit_number(1), "A04")
        await gateway.work()
    assert (await gateway.message(message.id)).state is MessageState.SET_ASIDE
    return message.id


async def test_a_message_is_used_after_the_mapping_was_mended(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    original = await set_aside(gateway, monkeypatch)
    attempt = await again(gateway, original)
    assert await gateway.store.backlog() == 1
    await gateway.work()
    assert (await gateway.message(attempt)).state is MessageState.PROCESSED
    assert await gateway.keys() == [key_of(visit_number(1))]


async def test_the_original_stays_as_it_was_and_the_attempt_names_it(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await set_aside(gateway, monkeypatch)
    before = await gateway.message(id)
    gateway.clock.advance(days=2)
    attempt = await gateway.message(await again(gateway, id))
    after = await gateway.message(id)
    assert after == replace(before, state=MessageState.REPLAYED)
    assert after.reason == "internal: ZeroDivisionError while processing; see the log"
    assert (attempt.replay_of, attempt.state, attempt.reason) == (id, MessageState.RECEIVED, None)
    assert (attempt.payload, attempt.reply) == (before.payload, before.reply)
    assert (attempt.feed, attempt.type, attempt.control) == (before.feed, before.type, before.control)
    assert attempt.received == gateway.clock.now()


async def test_who_replayed_what_is_in_the_trail(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    original = await set_aside(gateway, monkeypatch)
    attempt = await again(gateway, original)
    (event,) = [e.event async for e in gateway.store.events() if e.event.action is Action.MESSAGE_REPLAYED]
    assert (event.actor, event.subject, event.message) == (OPERATOR, f"message/{original}", attempt)
    assert event.detail == {"was": "set-aside"}


async def test_an_attempt_that_fails_again_can_be_replayed_again(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = await set_aside(gateway, monkeypatch)
    with monkeypatch.context() as broken:
        broken.setattr("gateway.pipeline.reading.map_message", lambda *_: 0 / 0)
        first = await again(gateway, original)
        await gateway.work()
    assert (await gateway.message(first)).state is MessageState.SET_ASIDE
    second = await again(gateway, first)
    await gateway.work()
    assert (await gateway.message(second)).state is MessageState.PROCESSED
    assert (await gateway.message(second)).replay_of == first
    assert (await gateway.message(first)).replay_of == original


async def test_an_attempt_waits_behind_all_that_came_before_it(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    original = await set_aside(gateway, monkeypatch)
    waiting = await gateway.register(visit_number(2), "A04")
    attempt = await again(gateway, original)
    await gateway.work()
    assert [id for id, _ in gateway.processed][-2:] == [waiting[0].id, attempt]


async def test_a_message_that_was_used_or_passed_over_can_be_taken_again(gateway: World) -> None:
    (used,) = await gateway.register(visit_number(1), "A04")
    unused = await gateway.send(ehr.adt("A04", visit_number(2), "x", SENT).replace(b"ADT^A04", b"ADT^A60"))
    await gateway.work()
    for id in (used.id, unused.id):
        attempt = await again(gateway, id)
        await gateway.work()
        assert (await gateway.message(attempt)).replay_of == id


async def test_a_replay_is_no_repeat_and_a_repeat_of_the_original_still_is(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = await set_aside(gateway, monkeypatch)
    await again(gateway, original)
    payload = (await gateway.message(original)).payload
    repeat = await gateway.send(payload, control="T1")
    assert repeat.id == original


async def test_only_what_was_dealt_with_can_be_replayed(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotReplayable, match="there is no message 99"):
        await again(gateway, 99)
    (waiting,) = await gateway.register(visit_number(2), "A04")
    with pytest.raises(NotReplayable, match="is received"):
        await again(gateway, waiting.id)
    await gateway.work()
    original = await set_aside(gateway, monkeypatch)
    await again(gateway, original)
    with pytest.raises(NotReplayable, match="is replayed"):
        await again(gateway, original)


async def test_two_who_replay_at_one_moment_make_one_attempt(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    original = await set_aside(gateway, monkeypatch)
    told = await asyncio.gather(again(gateway, original), again(gateway, original), return_exceptions=True)
    assert sorted(type(one).__name__ for one in told) == ["NotReplayable", "int"]
    assert await gateway.store.backlog() == 1


async def test_a_store_that_fails_replays_nothing(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    original = await set_aside(gateway, monkeypatch)
    gateway.store.next_commits = [StoreFault("disk")]
    with pytest.raises(StoreFault):
        await again(gateway, original)
    assert (await gateway.message(original)).state is MessageState.SET_ASIDE
    gateway.store.next_commits = [Conflict("meanwhile")]
    with pytest.raises(NotReplayable, match="by someone else"):
        await again(gateway, original)
