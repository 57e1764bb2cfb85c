"""What a store keeps of attachments that are fetched: which are due, and that one gateway at a time tries each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from conformance.store_messages import refused
from conformance.store_samples import NOON, Exercise, Place
from gateway.store.fetches import Fetch, FetchState
from gateway.store.interface import Step

LATER = NOON + timedelta(minutes=5)


def _fetch(number: int) -> Fetch:
    return Fetch("ehr", f"url-{number}", f"https://documents.example/{number}", NOON, content_type="text/plain", size=9)


async def knows_which_fetches_are_due(place: Place) -> None:
    store = await place.open()
    first, second = _fetch(1), replace(_fetch(2), due=NOON - timedelta(minutes=1), hash="aGFzaA==")
    later, others = replace(_fetch(3), due=LATER), replace(_fetch(1), client="other", due=LATER)
    await store.commit(Step(fetches=[first, second, later, others]))
    assert await store.due_fetches(NOON, 10) == [second, first]
    assert await store.due_fetches(NOON, 1) == [second]
    assert await store.fetch("ehr", "url-1") == first
    assert await store.fetch("other", "url-1") == others
    assert await store.fetch("nobody", "url-1") is None


async def lets_one_gateway_try_a_fetch(place: Place) -> None:
    store = await place.open()
    fetch = _fetch(1)
    await store.commit(Step(fetches=[fetch]))
    tried = replace(fetch, attempts=1, due=LATER)
    await store.commit(Step(fetch_moves=[(fetch, tried)]))
    await refused(store, Step(fetch_moves=[(fetch, replace(tried, reason="late"))]))
    failed = replace(tried, state=FetchState.FAILED, reason="not-found")
    await store.commit(Step(fetch_moves=[(tried, failed)]))
    assert await store.fetch("ehr", "url-1") == failed
    assert await store.due_fetches(LATER, 10) == []


async def begins_a_fetch_anew_when_its_document_comes_again(place: Place) -> None:
    store = await place.open()
    await store.commit(Step(fetches=[replace(_fetch(1), state=FetchState.FAILED, attempts=9, reason="not-found")]))
    again = replace(_fetch(1), due=LATER, size=10)
    await store.commit(Step(fetches=[again]))
    assert await store.fetch("ehr", "url-1") == again
    assert await store.due_fetches(LATER, 10) == [again]


EXERCISES: tuple[Exercise, ...] = (
    knows_which_fetches_are_due,
    lets_one_gateway_try_a_fetch,
    begins_a_fetch_anew_when_its_document_comes_again,
)
