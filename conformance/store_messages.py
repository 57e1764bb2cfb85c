"""What a store does with messages: keeps each once, byte for byte, and gives them in order."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

from conformance.store_samples import BYTES, NOON, Exercise, Place, Samples, event
from gateway.message import Message, MessageState
from gateway.store.interface import Conflict, MessageOutcome, MessageQuery, ResourceVersion, Step, Store


async def refused(store: Store, step: Step) -> None:
    """The step is a conflict."""
    try:
        await store.commit(step)
    except Conflict:
        return
    raise AssertionError("the store committed a step that conflicts")


async def subjects(store: Store) -> list[str]:
    return [stored.event.subject async for stored in store.events()]


async def keeps_every_byte(place: Place) -> None:
    store, samples = await place.open(), Samples()
    message = samples.message()
    assert await store.keep(message, event()) == message
    assert await store.message(message.id) == message
    assert [m.payload for m in await store.pending(10)] == [BYTES]
    assert await store.message(message.id + 1) is None


async def keeps_large_bytes(place: Place) -> None:
    """Those that repeat themselves, those that do not, and those of both kinds; a repeat is known by all of them."""
    store, samples = await place.open(), Samples()
    noise = b"".join(sha256(bytes([number])).digest() for number in range(200))
    large = [BYTES * 100, noise, BYTES * 50 + noise, b"\0" * 1_000_000, BYTES[:511], BYTES * 2]
    messages = [samples.message(payload=payload) for payload in large]
    await asyncio.gather(*(store.keep(message, event()) for message in messages))
    assert [m.payload for m in await store.pending(10)] == large
    assert [await store.message(message.id) for message in messages] == messages
    again = samples.message(payload=large[2])
    assert await store.keep(again, event()) == messages[2]


async def knows_a_repeat(place: Place) -> None:
    """Same feed, control and bytes: the reply that was given stands, nothing is written."""
    store, samples = await place.open(), Samples()
    first = samples.message()
    await store.keep(first, event("message/first"))
    again = replace(samples.message(), reply=b"another reply", received=NOON + timedelta(hours=1))
    assert await store.keep(again, event("message/again")) == first
    assert await store.message(again.id) is None
    assert await store.backlog() == 1
    assert await subjects(store) == ["message/first"]


async def takes_other_bytes_feeds_and_controls(place: Place) -> None:
    store, samples = await place.open(), Samples()
    others = [
        samples.message(),
        samples.message(payload=BYTES + b"x"),
        samples.message(feed="cerner"),
        samples.message(control="M2"),
    ]
    for message in others:
        assert await store.keep(message, event()) == message
    assert await store.backlog() == 4
    assert await store.controls_reused([message.id for message in others]) == {others[1].id}
    assert await store.controls_reused([]) == set()


async def keeps_many_at_once(place: Place) -> None:
    """Repeats among those that come at one moment have one winner, which all are told."""
    store, samples = await place.open(), Samples()
    messages = [samples.message(control=f"M{number % 60}") for number in range(200)]
    standing = await asyncio.gather(*(store.keep(m, event(f"message/{m.id}")) for m in messages))
    winners = {m.control: m for m in standing}
    assert len(winners) == 60
    assert all(winners[sent.control] == told for sent, told in zip(messages, standing, strict=True))
    assert await store.backlog() == 60
    assert sorted(await subjects(store)) == sorted(f"message/{m.id}" for m in winners.values())


async def refuses_a_resource_version_twice(place: Place) -> None:
    """Only the one who loses is told; whoever came at the same moment is kept."""
    store, samples = await place.open(), Samples()
    first, second, third = (samples.message(control=f"M{n}") for n in range(3))
    written = ResourceVersion("Claim", "c1", 1, "client:ehr", first.id, NOON)
    await store.keep(first, event("message/1"), written)
    results = await asyncio.gather(
        store.keep(second, event("message/2"), replace(written, message=second.id)),
        store.keep(third, event("message/3"), replace(written, version=2, message=third.id)),
        return_exceptions=True,
    )
    assert isinstance(results[0], Conflict)
    assert results[1] == third
    assert await store.message(second.id) is None
    assert await subjects(store) == ["message/1", "message/3"]
    assert await store.resource("client:ehr", "Claim", "c1", 1) == written
    assert await store.resource("client:ehr", "Claim", "c1") == replace(written, version=2, message=third.id)
    assert await store.resource("client:ehr", "Claim", "c2") is None


async def gives_pending_oldest_first(place: Place) -> None:
    store, samples = await place.open(), Samples()
    messages = [samples.message(control=f"M{number}") for number in range(6)]
    for message in reversed(messages):
        await store.keep(message, event())
    assert await store.pending(4) == messages[:4]
    outcome = MessageOutcome(messages[0].id, MessageState.PROCESSED, encounter="MAIN:HOSP:1")
    aside = MessageOutcome(messages[1].id, MessageState.SET_ASIDE, reason="no account number")
    await store.commit(Step(outcomes=[outcome, aside], events=[event()]))
    assert await store.pending(3) == messages[2:5]
    assert await store.backlog() == 4
    processed, set_aside = await store.message(messages[0].id), await store.message(messages[1].id)
    assert processed == replace(messages[0], state=MessageState.PROCESSED, encounter="MAIN:HOSP:1")
    assert set_aside == replace(messages[1], state=MessageState.SET_ASIDE, reason="no account number")


async def applies_an_outcome_once(place: Place) -> None:
    """And with it, all or nothing of the step."""
    store, samples = await place.open(), Samples()
    one, two = samples.message("M1"), samples.message("M2")
    await store.keep(one, event("message/1"))
    await store.keep(two, event("message/2"))
    await store.commit(Step(outcomes=[MessageOutcome(one.id, MessageState.PROCESSED)], events=[event("done/1")]))
    late = [MessageOutcome(two.id, MessageState.PROCESSED), MessageOutcome(one.id, MessageState.SET_ASIDE)]
    await refused(store, Step(outcomes=late, events=[event("done/2")]))
    assert await store.pending(10) == [two]
    assert await subjects(store) == ["message/1", "message/2", "done/1"]


async def links_a_replay(place: Place) -> None:
    """A replay carries the bytes of its original and is no repeat of it, however often it is done."""
    store, samples = await place.open(), Samples()
    original = samples.message()
    await store.keep(original, event())
    await store.commit(Step(outcomes=[MessageOutcome(original.id, MessageState.SET_ASIDE)]))
    for _ in range(2):
        replay = replace(samples.message(), replay_of=original.id)
        outcome = MessageOutcome(original.id, MessageState.REPLAYED, MessageState.SET_ASIDE)
        await store.commit(Step(messages=[replay], outcomes=[outcome]))
        assert (await store.pending(9))[-1] == replay
        back = MessageOutcome(original.id, MessageState.SET_ASIDE, MessageState.REPLAYED)
        await store.commit(Step(outcomes=[back]))
    assert await store.keep(samples.message(), event()) == replace(original, state=MessageState.SET_ASIDE)


async def commits_in_groups(place: Place) -> None:
    """Many steps at one moment, one of which conflicts: that one fails, the others stand."""
    store, samples = await place.open(), Samples()
    messages = [samples.message(control=f"M{number}") for number in range(40)]
    await asyncio.gather(*(store.keep(m, event()) for m in messages))
    done = [
        Step(outcomes=[MessageOutcome(m.id, MessageState.PROCESSED)], events=[event(f"done/{m.id}")]) for m in messages
    ]
    done[17].outcomes.append(MessageOutcome(messages[3].id, MessageState.SET_ASIDE))
    late = samples.message("late")
    *results, kept = await asyncio.gather(
        *(store.commit(step) for step in done), store.keep(late, event("late")), return_exceptions=True
    )
    assert [index for index, result in enumerate(results) if result is not None] == [17]
    assert isinstance(results[17], Conflict)
    assert kept == late
    assert await store.pending(10) == [messages[17], late]
    told = [subject for subject in await subjects(store) if subject.startswith("done/")]
    assert told == [f"done/{m.id}" for m in messages if m is not messages[17]]


async def refuses_only_what_cannot_be_stored(place: Place) -> None:
    """A value that no column holds is the fault of its step alone, and no `Conflict`: to try again is useless."""
    store, samples = await place.open(), Samples()
    good, bad = samples.message("good"), replace(samples.message("bad"), id=2**63)
    results = await asyncio.gather(store.keep(good, event()), store.keep(bad, event()), return_exceptions=True)
    assert results[0] == good
    assert isinstance(results[1], (ValueError, OverflowError)), type(results[1])
    assert await store.pending(10) == [good]


async def shows_unprintable_text(place: Place) -> None:
    """A control id of any bytes is kept readable, and known again; the payload shows what was sent."""
    store, samples = await place.open(), Samples()
    odd = samples.message(control="M\x00\ud800\u4e2d")
    await store.keep(odd, event())
    again = await store.keep(replace(odd, id=odd.id + 1), event())
    assert again.id == odd.id
    assert again.control == "M\ufffd?\u4e2d"


async def finds_messages(place: Place) -> None:
    store, samples = await place.open(), Samples()
    messages = [samples.message(control=f"M{n % 3}", payload=b"%d" % n, feed=f"feed{n % 2}") for n in range(12)]
    await asyncio.gather(*(store.keep(m, event()) for m in messages))
    outcome = MessageOutcome(messages[5].id, MessageState.SET_ASIDE, encounter="MAIN:HOSP:5", reason="unmapped")
    await store.commit(Step(outcomes=[outcome]))

    async def found(query: MessageQuery) -> list[int]:
        return [messages.index(_whole(messages, m)) for m in await store.messages(query)]

    assert await found(MessageQuery()) == list(range(11, -1, -1))
    assert await found(MessageQuery(limit=2, before=messages[9].id)) == [8, 7]
    assert await found(MessageQuery(feed="feed1", limit=3)) == [11, 9, 7]
    assert await found(MessageQuery(control="M1")) == [10, 7, 4, 1]
    assert await found(MessageQuery(control="M1", feed="feed0")) == [10, 4]
    assert await found(MessageQuery(state=MessageState.SET_ASIDE)) == [5]
    assert await found(MessageQuery(encounter="MAIN:HOSP:5")) == [5]
    assert await found(MessageQuery(encounter="MAIN:HOSP:5", state=MessageState.RECEIVED)) == []
    assert [(m.payload, m.reply) for m in await store.messages(MessageQuery(limit=1))] == [(b"", b"")]


def _whole(messages: list[Message], found: Message) -> Message:
    return next(m for m in messages if m.id == found.id)


async def stands_after_reopening(place: Place) -> None:
    store, samples = await place.open(), Samples()
    message = samples.message()
    await store.keep(message, event())
    await store.close()
    again = await place.open()
    assert await again.pending(10) == [message]
    assert (await again.keep(samples.message(), event())).id == message.id
    assert await subjects(again) == ["message/1"]


EXERCISES: tuple[Exercise, ...] = (
    keeps_every_byte,
    keeps_large_bytes,
    knows_a_repeat,
    takes_other_bytes_feeds_and_controls,
    keeps_many_at_once,
    refuses_a_resource_version_twice,
    gives_pending_oldest_first,
    applies_an_outcome_once,
    links_a_replay,
    commits_in_groups,
    refuses_only_what_cannot_be_stored,
    shows_unprintable_text,
    finds_messages,
    stands_after_reopening,
)
