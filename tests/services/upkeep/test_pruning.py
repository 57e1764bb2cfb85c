"""Dropping what need be kept no longer, and nothing else."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from services_world import StillClock

from conformance.store_samples import NOON, Samples, change, creation, encounter, event, next_version
from gateway.audit.events import Action
from gateway.case import Case
from gateway.clock import Ids, first_id
from gateway.config.upkeep import Retention
from gateway.encounter.model import Entry
from gateway.intake.replay import NotReplayable, replay
from gateway.message import Message, MessageState
from gateway.store.interface import MessageOutcome, Step, Store
from gateway.store.open import open_store
from gateway.upkeep.pruning import DailyPruning, Pruned, Pruning

OLD, YOUNG = timedelta(days=50), timedelta(days=5)


class Archive:
    """A store with messages of any age."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = StillClock(NOON + timedelta(days=1_000))
        self.samples = Samples()
        self.count = 0
        self.rests = 0

    async def kept(self, age: timedelta, state: MessageState, key: str | None = None, size: int = 1_000) -> Message:
        self.count += 1
        self.samples.ids.last = first_id(self.clock.now() - age) + self.count
        payload = random.Random(self.count).randbytes(size)  # noqa: S311 - bytes that cannot be packed
        message = replace(self.samples.message(f"M{self.count}", payload), received=self.clock.now() - age)
        await self.store.keep(message, event())
        if state is not MessageState.RECEIVED:
            outcome = MessageOutcome(message.id, state, encounter=key, reason="why" if key is None else None)
            await self.store.commit(Step(outcomes=[outcome]))
        return message

    async def accepted(self, number: str, age: timedelta, stage: str = "accepted") -> tuple[str, list[Message]]:
        """An encounter whose claim was accepted `age` ago, with two messages that count and one that was replayed."""
        whole = encounter(number)
        key = str(whole.key)
        counting = [await self.kept(age, MessageState.PROCESSED, key) for _ in range(2)]
        replayed = await self.kept(age, MessageState.REPLAYED, key)
        history = tuple(Entry(message.id, 0) for message in counting)
        case = Case(key, 1, whole.model_copy(update={"history": history}))
        step = creation(case, stage=stage)
        step.events = [replace(step.events[0], at=self.clock.now() - age)]
        await self.store.commit(step)
        return key, [*counting, replayed]

    async def prune(self, dry: bool = False, **kept: Any) -> Pruned:
        async def rest(seconds: float) -> None:
            self.rests += 1

        retention = Retention.model_validate(kept)
        return await Pruning(self.store, self.clock, retention, "user:operator", rest=rest).run(dry=dry)

    async def sizes(self, *messages: Message) -> list[int]:
        found = [await self.store.message(message.id) for message in messages]
        return [len(message.payload) for message in found if message is not None]

    async def told(self) -> list[dict[str, object]]:
        return [s.event.detail async for s in self.store.events() if s.event.action is Action.MESSAGES_PRUNED]


@pytest.fixture
async def archive() -> AsyncIterator[Archive]:
    store = open_store("sqlite://")
    await store.open()
    yield Archive(store)
    await store.close()


async def test_each_state_has_a_time_of_its_own(archive: Archive) -> None:
    unused = await archive.kept(OLD, MessageState.UNUSED)
    young = await archive.kept(YOUNG, MessageState.UNUSED)
    aside = await archive.kept(OLD, MessageState.SET_ASIDE)
    waits = await archive.kept(OLD, MessageState.RECEIVED)
    done = await archive.prune(unused="30 days", set_aside="never")
    assert dict(done.messages) == {"unused": 1}
    assert await archive.sizes(unused, young, aside, waits) == [0, 1_000, 1_000, 1_000]
    found = await archive.store.message(unused.id)
    assert found is not None
    assert found.reason == "why; its content was pruned"
    assert found.reply == unused.reply, "a repeat is told what it was told"
    assert await archive.told() == [{"count": 1, "bytes": 1_000}]
    assert not (await archive.prune(unused="30 days")).messages, "what is pruned is not pruned again"


async def test_set_aside_messages_can_be_pruned(archive: Archive) -> None:
    aside = await archive.kept(OLD, MessageState.SET_ASIDE)
    assert (await archive.prune(set_aside=30)).messages["set-aside"] == 1
    assert await archive.sizes(aside) == [0]


async def test_a_dry_run_counts_and_changes_nothing(archive: Archive) -> None:
    unused = [await archive.kept(OLD, MessageState.UNUSED) for _ in range(3)]
    await archive.accepted("1", OLD)
    counted = await archive.prune(dry=True, unused=30, processed=30)
    assert dict(counted.messages) == {"unused": 3, "processed": 2, "replayed": 1}
    assert (counted.encounters, counted.bytes) == (1, 6_000)
    assert await archive.sizes(*unused) == [1_000] * 3
    assert await archive.told() == []
    done = await archive.prune(unused=30, processed=30)
    assert done == counted


async def test_an_encounter_s_messages_go_together_once_it_is_settled(archive: Archive) -> None:
    key, messages = await archive.accepted("1", OLD)
    _, recent = await archive.accepted("2", YOUNG)
    _, held = await archive.accepted("3", OLD, stage="held")
    done = await archive.prune(processed=30, replayed=1)
    assert done.encounters == 1
    assert await archive.sizes(*messages) == [0, 0, 0]
    assert await archive.sizes(*recent, *held) == [1_000] * 6
    [said] = [s.event async for s in archive.store.events(encounter=key) if s.event.action == "messages.pruned"]
    assert (said.actor, said.detail) == ("user:operator", {"count": 3, "bytes": 3_000})
    assert not (await archive.prune(processed=30)).encounters


async def test_an_encounter_with_a_message_that_waits_is_left(archive: Archive) -> None:
    key, messages = await archive.accepted("1", OLD)
    late = await archive.kept(YOUNG, MessageState.PROCESSED, key)
    await archive.store.commit(
        Step(outcomes=[MessageOutcome(late.id, MessageState.RECEIVED, MessageState.PROCESSED, encounter=key)])
    )
    assert not (await archive.prune(processed=30)).messages
    assert await archive.sizes(*messages) == [1_000] * 3


async def test_what_counts_in_another_encounter_by_now_stays(archive: Archive) -> None:
    key, messages = await archive.accepted("1", OLD)
    elsewhere = await archive.kept(OLD, MessageState.PROCESSED, key)
    assert (await archive.prune(processed=30)).messages.total() == 3
    assert await archive.sizes(*messages, elsewhere) == [0, 0, 0, 1_000]


async def test_an_encounter_that_changed_after_it_was_pruned_is_pruned_again_later(archive: Archive) -> None:
    key, _ = await archive.accepted("1", OLD)
    await archive.prune(processed=30)
    late = await archive.kept(timedelta(0), MessageState.PROCESSED, key)
    case = (await archive.store.cases([key]))[key]
    assert case.encounter is not None
    history = (*case.encounter.history, Entry(late.id, 1))
    after = next_version(case, encounter=case.encounter.model_copy(update={"history": history}))
    await archive.store.commit(
        Step(cases=[change(case, after, stage="accepted")], events=[replace(event(), at=archive.clock.now())])
    )
    archive.clock.advance(days=29)
    assert not (await archive.prune(processed=30)).encounters
    archive.clock.advance(days=2)
    assert (await archive.prune(processed=30)).encounters == 1
    assert await archive.sizes(late) == [0]


async def test_many_go_little_by_little(archive: Archive) -> None:
    for _ in range(250):
        await archive.kept(OLD, MessageState.UNUSED, size=10)
    large = [await archive.kept(OLD, MessageState.UNUSED, size=5_000_000) for _ in range(3)]
    done = await archive.prune(unused=30)
    assert done.messages["unused"] == 253
    counts = [said["count"] for said in await archive.told()]
    assert max(int(str(count)) for count in counts) <= 100
    assert counts[-2:] == [1, 1], "two of five megabytes are too many for one commit"
    assert await archive.sizes(*large) == [0, 0, 0]
    assert archive.rests >= len(counts)


async def test_a_message_that_is_replayed_meanwhile_is_left_and_the_others_go(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [await archive.kept(OLD, MessageState.SET_ASIDE) for _ in range(3)]
    commit = archive.store.commit
    first = [True]

    async def meanwhile(step: Step) -> None:
        if step.pruned and first.pop() if first else False:
            await commit(Step(outcomes=[MessageOutcome(messages[1].id, MessageState.REPLAYED, MessageState.SET_ASIDE)]))
        await commit(step)

    monkeypatch.setattr(archive.store, "commit", meanwhile)
    assert (await archive.prune(set_aside=30)).messages.total() == 2
    assert await archive.sizes(*messages) == [0, 1_000, 0]


async def test_the_file_gets_smaller(tmp_path: Any) -> None:
    store = open_store(f"sqlite:///{tmp_path}/gateway.db")
    await store.open()
    archive = Archive(store)
    for _ in range(20):
        await archive.kept(OLD, MessageState.UNUSED, size=200_000)
    await store.close()
    before = (tmp_path / "gateway.db").stat().st_size
    await store.open()
    await archive.prune(unused=30)
    await store.close()
    assert (tmp_path / "gateway.db").stat().st_size < before / 4


async def test_once_a_day_however_often_it_is_asked(archive: Archive) -> None:
    await archive.kept(OLD, MessageState.UNUSED)
    daily = DailyPruning(archive.store, archive.clock, lambda: Retention.model_validate({"unused": 30}))
    assert (await daily()) is not None
    asked: list[datetime] = []
    for _ in range(30):
        archive.clock.advance(hours=1)
        if await daily() is not None:
            asked.append(archive.clock.now())
    assert len(asked) == 1
    assert await DailyPruning(archive.store, archive.clock, Retention)() is None


@pytest.mark.parametrize("said", ["400", "forever", "-3 days", "0 days", 0, 1.5, True, "3 weeks"])
def test_a_time_that_is_none_is_refused(said: object) -> None:
    if said == "400":
        assert Retention.model_validate({"unused": said}).by_state() == {MessageState.UNUSED: timedelta(days=400)}
        return
    with pytest.raises(ValueError, match="400 days"):
        Retention.model_validate({"unused": said})


def test_what_is_unprocessed_has_no_time() -> None:
    with pytest.raises(ValueError, match="received"):
        Retention.model_validate({"received": "1 day"})


async def test_what_was_pruned_is_not_replayed(archive: Archive) -> None:
    unused = await archive.kept(OLD, MessageState.UNUSED)
    await archive.prune(unused=30)
    with pytest.raises(NotReplayable, match="pruned"):
        await replay(archive.store, unused.id, actor="user:operator", clock=archive.clock, ids=Ids())
