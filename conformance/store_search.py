"""What a store finds of its messages: by every word an analyst has, newest first, page by page, within bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from conformance.store_samples import Exercise, Place, Samples, change, creation
from gateway.clock import first_id
from gateway.encounter.identity import Identifier
from gateway.message import Message, MessageState
from gateway.store.interface import MessageOutcome, MessageSearch, Step, Store

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
TYPES = ("ADT^A01", "ADT^A08", "DFT^P03", "PUT Claim/7", "PUT Claim/8")
REASONS = ("no-encounter-number at PID-18: no number", "no-encounter-number at PV1-19: none", "no-type at MSH-9: none")


def kept(count: int = 40) -> list[Message]:
    """One a minute, on two feeds in turns."""
    sample = Samples().message()
    return [
        replace(
            sample,
            id=first_id(BEGAN + timedelta(minutes=n)) + n,
            feed=f"feed{n % 2}",
            type=TYPES[n % len(TYPES)],
            control=f"C{n:03}",
            received=BEGAN + timedelta(minutes=n),
            payload=b"MSH|\x00|%d|Quill^M\xc3\xa9lanie|caf\xe9\xff" % n,
        )
        for n in range(count)
    ]


class Found:
    """Searches in the numbers of `kept`."""

    def __init__(self, store: Store, messages: list[Message]) -> None:
        self._store = store
        self._numbers = {message.id: number for number, message in enumerate(messages)}

    async def __call__(self, **search: Any) -> list[int]:
        """All that is found, page after page; each page must lead further down."""
        found: list[int] = []
        before = search.pop("before", None)
        while True:
            page = await self._store.search_messages(MessageSearch(before=before, **search))
            found += [self._numbers[message.id] for message in page.items]
            assert all(message.payload == b"" for message in page.items)
            if page.next is None:
                return found
            assert before is None or page.next < before
            before = page.next


async def filled(place: Place) -> tuple[Store, list[Message], Found]:
    store, messages = await place.open(), kept()
    await store.commit(Step(messages=messages))
    return store, messages, Found(store, messages)


def falling(*, step: int = 1, first: int = 0, last: int = 39) -> list[int]:
    return list(range(first, last + 1, step))[::-1]


async def searches_by_every_word(place: Place) -> None:
    _, messages, found = await filled(place)
    assert await found() == falling()
    assert await found(limit=7) == falling()
    assert await found(feed="feed1") == falling(step=2, first=1)
    assert await found(type="DFT") == falling(step=5, first=2)
    assert await found(type="ADT", limit=3) == sorted([*range(0, 40, 5), *range(1, 40, 5)], reverse=True)
    assert await found(type="ADT^A08", feed="feed0") == falling(step=10, first=6)
    assert await found(type="PUT Claim/8") == falling(step=5, first=4)
    assert await found(type="PUT Claim") == sorted([*range(3, 40, 5), *range(4, 40, 5)], reverse=True)
    assert await found(control="C01") == falling(first=10, last=19)
    assert await found(control="C017") == [17]
    assert await found(state=MessageState.RECEIVED, feed="feed0", type="ADT^A01") == falling(step=10, first=0)
    assert await found(before=messages[3].id) == [2, 1, 0]
    for nothing in ({"feed": "none"}, {"type": "ORU"}, {"control": "X"}, {"number": "1"}, {"encounter": "A:B:C"}):
        assert await found(**nothing) == [], nothing


async def searches_by_time(place: Place) -> None:
    _, _, found = await filled(place)
    ten, twenty = BEGAN + timedelta(minutes=10), BEGAN + timedelta(minutes=20)
    assert await found(since=twenty) == falling(first=20)
    assert await found(until=ten) == falling(last=9)
    assert await found(since=ten, until=twenty, feed="feed0") == falling(step=2, first=10, last=19)
    assert await found(since=BEGAN + timedelta(days=9)) == []
    ends = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    assert await found(since=ends[0], until=ends[1]) == falling()


async def searches_in_payloads(place: Place) -> None:
    """Whatever bytes stand around it, in either encoding, ASCII letters in any case."""
    _, _, found = await filled(place)
    since = BEGAN
    assert await found(text="quill^m", since=since, limit=9) == falling()
    assert await found(text="M\u00e9lanie", since=since) == falling()
    assert await found(text="CAF\u00e9", since=since) == falling()
    assert await found(text="|7|", since=since) == [7]
    assert await found(text="|17|", feed="feed1") == [17]
    assert await found(text="|17|", feed="feed0") == []
    assert await found(text="|17|", control="C01") == [17]
    assert await found(text="%", since=since) == []
    assert await found(text="\u4e2d", since=since) == []


async def searches_in_large_payloads(place: Place) -> None:
    """From the first byte to the last, as in small ones."""
    store, messages = await place.open(), kept(6)
    page = b"OBX|1|TX|NOTE||The patient was seen today.||||||F\r" * 200
    messages = [replace(m, payload=b"%s%s|No. %d|%s" % (m.payload, page, n, page)) for n, m in enumerate(messages)]
    await store.commit(Step(messages=messages))
    found = Found(store, messages)
    assert await found(text="no. 4", since=BEGAN) == [4]
    assert await found(text="|3|Quill", since=BEGAN) == [3]
    assert await found(text="M\u00e9lanie", since=BEGAN, feed="feed1") == [5, 3, 1]
    assert await found(text="seen today", since=BEGAN) == falling(last=5)
    assert await found(text="seen tomorrow", since=BEGAN) == []


async def searches_by_number_and_encounter(place: Place) -> None:
    """By any number of its encounter; by its own where it has no encounter."""
    store, messages, found = await filled(place)
    samples = Samples()
    case = samples.full_case("100")
    assert case.encounter is not None
    numbered = case.encounter.model_copy(
        update={"identifiers": (*case.encounter.identifiers, Identifier(value="P-9", authority="HOSP", type="MR"))}
    )
    case = replace(case, encounter=numbered)
    outcomes = [MessageOutcome(m.id, MessageState.PROCESSED, encounter=case.key) for m in messages[:4]]
    aside = MessageOutcome(messages[9].id, MessageState.SET_ASIDE, reason=REASONS[0], numbers=("P-9", "P-9", "V\x00"))
    step = creation(case)
    step.outcomes += [*outcomes, aside]
    await store.commit(step)
    assert await found(encounter=case.key) == [3, 2, 1, 0]
    assert await found(encounter=case.key, feed="feed0") == [2, 0]
    assert await found(number="P-9") == [9, 3, 2, 1, 0]
    assert await found(number="P-9", limit=2) == [9, 3, 2, 1, 0]
    assert await found(number="HOSP|P-9", state=MessageState.PROCESSED) == [3, 2, 1, 0]
    assert await found(number="OTHER|P-9", state=MessageState.PROCESSED) == []
    assert await found(number="V\x00") == [9]
    assert await store.encounters_with(["P-9", "none"]) == [case.key]
    assert await store.encounters_with(["P-9"], "OTHER") == []
    assert await store.encounters_with([]) == []
    gone = change(case, replace(case, version=2, encounter=numbered.model_copy(update={"identifiers": ()})))
    await store.commit(Step(cases=[gone]))
    assert await found(number="P-9") == [9]


async def searches_within_bounds(place: Place) -> None:
    """A search that is not at its end says so, and goes on where it stopped."""
    store, _, found = await filled(place)
    assert await found(text="|0|", since=BEGAN, limit=1, scan=1) == [0]
    page = await store.search_messages(MessageSearch(limit=40))
    assert len(page.items) == 40
    assert await found(before=page.next) == []


async def groups_what_is_set_aside(place: Place) -> None:
    store, messages, found = await filled(place)
    aside = [MessageOutcome(m.id, MessageState.SET_ASIDE, reason=REASONS[n % 3]) for n, m in enumerate(messages[:12])]
    await store.commit(Step(outcomes=aside))
    groups = await store.set_aside()
    assert [g.count for g in groups] == [4, 4, 2, 2]
    assert {(g.feed, g.rule): g.count for g in groups} == {
        ("feed0", "no-encounter-number"): 4,
        ("feed1", "no-encounter-number"): 4,
        ("feed0", "no-type"): 2,
        ("feed1", "no-type"): 2,
    }
    first = next(g for g in groups if (g.feed, g.rule) == ("feed0", "no-encounter-number"))
    assert (first.oldest, first.newest) == (messages[0].received, messages[10].received)
    assert messages[10].id in first.examples
    assert first.text in REASONS
    assert await found(state=MessageState.SET_ASIDE, rule="no-type") == [11, 8, 5, 2]
    assert await found(state=MessageState.SET_ASIDE, rule="no-encounter-number", feed="feed1") == [9, 7, 3, 1]


async def knows_the_attempts_at_a_message(place: Place) -> None:
    store, messages, _ = await filled(place)
    for number in (1, 2):
        attempt = replace(messages[0], id=messages[-1].id + number, replay_of=messages[0].id)
        await store.commit(Step(messages=[attempt]))
    assert await store.attempts(messages[0].id) == [messages[-1].id + 1, messages[-1].id + 2]
    assert await store.attempts(messages[1].id) == []


EXERCISES: tuple[Exercise, ...] = (
    searches_by_every_word,
    searches_by_time,
    searches_in_payloads,
    searches_in_large_payloads,
    searches_by_number_and_encounter,
    searches_within_bounds,
    groups_what_is_set_aside,
    knows_the_attempts_at_a_message,
)
