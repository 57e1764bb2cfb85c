"""What a store does with the audit trail: events in order with their hashes, seals and leaves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta, timezone

from conformance.store_samples import NOON, Exercise, Place, Samples, creation, event, small_case
from gateway.store.interface import Conflict, LeafBlock, Seal, Step, Store


async def _trail(store: Store, after: int = 0) -> list[str]:
    return [stored.event.subject async for stored in store.events(after)]


async def gives_events_as_they_were(place: Place) -> None:
    store = await place.open()
    said = [event(f"message/{n}", "MAIN:HOSP:1" if n % 2 else None, n, 7) for n in range(5)]
    await store.commit(Step(events=said))
    found = [stored async for stored in store.events()]
    assert [stored.event for stored in found] == said
    assert [stored.hash for stored in found] == [one.digest() for one in said]
    assert all(stored.event.digest() == stored.hash for stored in found)


async def hashes_what_can_be_read_back(place: Place) -> None:
    """An instant of another zone and a subject that no column holds: the hash is still that of the stored event."""
    store = await place.open()
    east = NOON.astimezone(timezone(timedelta(hours=9)))
    await store.commit(Step(events=[replace(event("Claim/a\x00b"), at=east)]))
    [stored] = [one async for one in store.events()]
    assert stored.event.at == NOON
    assert stored.event.digest() == stored.hash


async def keeps_the_order_over_pages(place: Place) -> None:
    store = await place.open()
    for batch in range(3):
        await store.commit(Step(events=[event(f"{batch}/{n}", "MAIN:HOSP:1", batch) for n in range(900)]))
    whole = [stored async for stored in store.events()]
    assert [stored.event.subject for stored in whole] == [f"{b}/{n}" for b in range(3) for n in range(900)]
    places = [stored.seq for stored in whole]
    assert places == sorted(set(places))
    assert await _trail(store, places[1_500]) == [stored.event.subject for stored in whole[1_501:]]


async def narrows_the_trail(place: Place) -> None:
    store = await place.open()
    said = [event(str(n), f"MAIN:HOSP:{n % 3}", minutes=n) for n in range(1_400)]
    await store.commit(Step(events=[*said, event("later", minutes=9_999)]))
    of_one = [stored.event async for stored in store.events(encounter="MAIN:HOSP:2")]
    assert of_one == said[2::3]
    since = NOON + timedelta(minutes=1_399)
    assert [stored.event.subject async for stored in store.events(since=since)] == ["1399", "later"]
    both = [
        stored.event async for stored in store.events(encounter="MAIN:HOSP:1", since=NOON + timedelta(minutes=1_390))
    ]
    assert both == [one for one in said[1_390:] if one.encounter == "MAIN:HOSP:1"]


async def gives_what_is_not_sealed(place: Place) -> None:
    store = await place.open()
    assert await store.unsealed(0, 10) == []
    assert await store.highest_event() == 0
    said = [event(str(n)) for n in range(6)]
    await store.commit(Step(events=said))
    first = await store.unsealed(0, 4)
    assert [hashed for _, hashed in first] == [one.digest() for one in said[:4]]
    rest = await store.unsealed(first[-1][0], 10)
    assert [hashed for _, hashed in rest] == [one.digest() for one in said[4:]]
    assert await store.highest_event() == rest[-1][0]


async def misses_no_event_while_others_commit(place: Place) -> None:
    """Reading on from the last place that was seen never passes over an event that was still being committed."""
    store, samples = await place.open(), Samples()
    seen: list[tuple[int, bytes]] = []

    async def work(worker: int) -> None:
        for number in range(12):
            case = small_case(samples, f"{worker}-{number}")
            await store.commit(creation(case))
            await store.keep(samples.message(f"{worker}-{number}"), event(f"message/{worker}-{number}"))

    workers = [asyncio.create_task(work(n)) for n in range(8)]
    while not all(worker.done() for worker in workers):
        seen += await store.unsealed(seen[-1][0] if seen else 0, 10_000)
        await asyncio.sleep(0)
    await asyncio.gather(*workers)
    seen += await store.unsealed(seen[-1][0] if seen else 0, 10_000)
    assert seen == [(stored.seq, stored.hash) async for stored in store.events()]
    assert len(seen) == 8 * 12 * 2


def _seal(number: int, size: int) -> Seal:
    return Seal(number, size, size, b"\x00\xffroot" * 4, NOON, "key-1", b"\x80\x00" * 32)


async def keeps_seals_and_leaves(place: Place) -> None:
    store = await place.open()
    assert await store.last_seal() is None
    assert [seal async for seal in store.seals()] == []
    await store.add_seal(_seal(1, 3), [LeafBlock(0, b"\x00" * 120)])
    await store.add_seal(_seal(2, 5), [LeafBlock(0, b"\x00" * 160), LeafBlock(1, b"\xff" * 40)])
    await store.add_seal(_seal(3, 9), [LeafBlock(number, bytes([number]) * 40) for number in range(2, 12)])
    assert await store.last_seal() == _seal(3, 9)
    assert [seal async for seal in store.seals()] == [_seal(1, 3), _seal(2, 5), _seal(3, 9)]
    blocks = [block async for block in store.leaf_blocks()]
    assert [block.number for block in blocks] == list(range(12))
    assert blocks[0].leaves == b"\x00" * 160
    assert [block.number async for block in store.leaf_blocks(9)] == [9, 10, 11]


async def takes_a_seal_once(place: Place) -> None:
    """Two that seal at one moment: one stands, with its leaves."""
    store = await place.open()
    await store.add_seal(_seal(1, 3), [LeafBlock(0, b"first")])
    try:
        await store.add_seal(_seal(1, 4), [LeafBlock(0, b"second"), LeafBlock(1, b"more")])
    except Conflict:
        pass
    else:
        raise AssertionError("two seals have one id")
    assert [block.leaves async for block in store.leaf_blocks()] == [b"first"]
    assert await store.last_seal() == _seal(1, 3)


EXERCISES: tuple[Exercise, ...] = (
    gives_events_as_they_were,
    hashes_what_can_be_read_back,
    keeps_the_order_over_pages,
    narrows_the_trail,
    gives_what_is_not_sealed,
    misses_no_event_while_others_commit,
    keeps_seals_and_leaves,
    takes_a_seal_once,
)
