"""The way in: kept before it is acknowledged, a repeat recognised, senders held back when too much waits."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, cast

import pytest
from services_world import NOON, Faulty, StillClock

from gateway.audit.events import Action
from gateway.clock import Ids
from gateway.intake.intake import Backlog, Intake
from gateway.message import Format, MessageState, Received
from gateway.store.interface import Conflict, ResourceVersion, Store, StoreFault, Unstorable
from gateway.store.open import open_store


def received(payload: bytes = b"MSH|1", control: str = "C1", feed: str = "epic", reply: bytes = b"AA 1") -> Received:
    return Received(feed, Format.HL7V2, "ADT^A04", control, payload, reply)


class Door:
    """Intake over a store in memory."""

    def __init__(self, high_water: int = 5_000) -> None:
        self.store = Faulty(open_store("sqlite://"))
        self.backlog = Backlog(high_water)
        self.intake = Intake(cast(Store, self.store), self.backlog, StillClock(), Ids())

    async def __aenter__(self) -> Door:
        await self.store.real.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.real.close()


# Keeping


async def test_a_message_is_kept_byte_for_byte_with_its_reply_and_event() -> None:
    payload = bytes(range(256))
    async with Door() as door:
        kept = await door.intake.accept(received(payload))
        stored = await door.store.message(kept.id)
        assert (stored.payload, stored.reply, stored.state) == (payload, b"AA 1", MessageState.RECEIVED)
        assert (stored.feed, stored.type, stored.control, stored.received) == ("epic", "ADT^A04", "C1", NOON)
        (event,) = [e.event async for e in door.store.events()]
        assert (event.action, event.actor, event.subject) == (
            Action.MESSAGE_RECEIVED,
            "feed:epic",
            f"message/{kept.id}",
        )
        assert event.detail == {"type": "ADT^A04", "sha256": hashlib.sha256(payload).hexdigest()}


async def test_a_repeat_gets_the_answer_of_then_and_changes_nothing() -> None:
    async with Door() as door:
        first = await door.intake.accept(received())
        again = await door.intake.accept(received(reply=b"AA 2"))
        assert (again.id, again.reply) == (first.id, b"AA 1")
        assert await door.store.backlog() == 1
        assert door.backlog.count == 1
        assert len([e async for e in door.store.events()]) == 1


@pytest.mark.parametrize(
    "other", [received(b"MSH|2"), received(control="C2"), received(feed="encoder")], ids=["bytes", "control", "feed"]
)
async def test_another_message_is_no_repeat(other: Received) -> None:
    async with Door() as door:
        first = await door.intake.accept(received())
        assert (await door.intake.accept(other)).id != first.id
        assert await door.store.backlog() == 2


async def test_repeats_that_come_at_one_moment_are_kept_once() -> None:
    async with Door() as door:
        kept = await asyncio.gather(*(door.intake.accept(received()) for _ in range(5)))
        assert len({message.id for message in kept}) == 1
        assert await door.store.backlog() == 1
        assert door.backlog.count == 1


async def test_an_id_may_be_had_before_so_that_the_reply_names_it() -> None:
    async with Door() as door:
        id = door.intake.new_id()
        assert (await door.intake.accept(received(), None, id)).id == id
        assert door.intake.new_id() > id


async def test_a_resources_version_is_kept_with_its_message_and_only_once() -> None:
    async with Door() as door:
        id = door.intake.new_id()
        version = ResourceVersion("Claim", "c1", 1, "ehr", id, NOON)
        await door.intake.accept(received(), version, id)
        assert await door.store.resource("ehr", "Claim", "c1") == version
        other = door.intake.new_id()
        with pytest.raises(Conflict):
            await door.intake.accept(
                received(b"other", "C2"), ResourceVersion("Claim", "c1", 1, "ehr", other, NOON), other
            )
        assert await door.store.message(other) is None
        assert door.backlog.count == 1


async def test_what_could_not_be_kept_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Door() as door:
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(StoreFault("disk full"))
        monkeypatch.setattr(door.store.real, "keep", lambda *_: failed)
        with pytest.raises(StoreFault):
            await door.intake.accept(received())
        await asyncio.sleep(0)
        assert door.backlog.count == 0


async def test_what_the_store_refuses_at_once_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Door() as door:

        def refused(*_: Any) -> Any:
            raise Unstorable("a value that no row can hold")

        monkeypatch.setattr(door.store.real, "keep", refused)
        with pytest.raises(Unstorable):
            await door.intake.accept(received())
        assert door.backlog.count == 0


async def test_a_sender_that_hangs_up_before_the_commit_is_not_counted() -> None:
    async with Door() as door:
        keeping = door.intake.accept(received())
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
        await asyncio.sleep(0)
        assert door.backlog.count == 0
        assert await door.store.backlog() == 0


async def test_the_pipeline_is_woken_once_the_message_can_be_read() -> None:
    async with Door() as door:
        waiting: list[int] = []
        looks: list[asyncio.Task[None]] = []

        async def look() -> None:
            waiting.append(await door.store.backlog())

        door.backlog.arrived = lambda: looks.append(asyncio.ensure_future(look()))
        await door.intake.accept(received())
        await door.intake.accept(received())
        await asyncio.gather(*looks)
        assert waiting == [1]


# Holding back


class Listener:
    def __init__(self) -> None:
        self.told: list[bool] = []

    def __call__(self, congested: bool) -> None:
        self.told.append(congested)


def moves(backlog: Backlog, *steps: Callable[[], None]) -> list[bool]:
    listener = Listener()
    backlog.listen(listener)
    for step in steps:
        step()
    return listener.told


def test_senders_are_held_back_at_the_high_mark_and_let_go_at_half_of_it() -> None:
    backlog = Backlog(10)
    told = moves(backlog, *[backlog.add] * 9)
    assert (told, backlog.congested) == ([], False)
    backlog.add()
    assert (told, backlog.congested) == ([True], True)
    backlog.add()
    assert told == [True]
    backlog.done(5)
    assert (backlog.count, told) == (6, [True])
    backlog.done(1)
    assert (told, backlog.congested) == ([True, False], False)
    backlog.done(5)
    assert told == [True, False]


def test_what_is_still_being_kept_counts_already() -> None:
    backlog = Backlog(16)
    told = moves(backlog, *[backlog.expect] * 16)
    assert told == [True]


def test_the_count_of_the_store_decides() -> None:
    backlog = Backlog(10)
    told = moves(backlog, lambda: backlog.reset(100), lambda: backlog.reset(6), lambda: backlog.reset(5))
    assert told == [True, False]
    assert backlog.count == 5


def test_a_listener_that_comes_late_is_told_what_holds() -> None:
    """At start the pipeline counts what was left before the first socket listens."""
    backlog = Backlog(10)
    backlog.reset(11)
    assert moves(backlog) == [True]
    backlog.reset(0)
    assert moves(backlog) == []


def test_every_listener_is_told() -> None:
    backlog, one, other = Backlog(2), Listener(), Listener()
    backlog.listen(one)
    backlog.listen(other)
    backlog.add()
    backlog.add()
    assert (one.told, other.told) == ([True], [True])


def test_less_than_nothing_never_waits() -> None:
    backlog = Backlog(10)
    backlog.done(3)
    assert backlog.count == 0
