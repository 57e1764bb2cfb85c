"""What a store keeps of access: tokens by their digests, and that an assertion counts once, whoever takes it."""

from __future__ import annotations

from datetime import timedelta

from conformance.store_messages import refused, subjects
from conformance.store_samples import NOON, Exercise, Place, event
from gateway.store.access import AccessToken, UsedAssertion
from gateway.store.interface import Step

LATER = NOON + timedelta(minutes=5)


def _token(number: int, minutes: int = 5) -> AccessToken:
    expires = NOON + timedelta(minutes=minutes)
    return AccessToken(bytes([number]) * 32, "ehr", "system/Task.rs", expires)


def _used(number: int, client: str = "ehr", minutes: int = 5) -> UsedAssertion:
    return UsedAssertion(client, bytes([number]) * 32, NOON + timedelta(minutes=minutes))


async def knows_a_token_by_its_digest(place: Place) -> None:
    store = await place.open()
    assert await store.access_token(_token(1).digest) is None
    await store.commit(Step(access_tokens=[_token(1), _token(2)], events=[event()]))
    assert await store.access_token(_token(1).digest) == _token(1)
    assert await store.access_token(_token(2).digest) == _token(2)
    assert await store.access_token(b"") is None


async def takes_an_assertion_once(place: Place) -> None:
    store = await place.open()
    await store.commit(Step(assertions=[_used(1)], access_tokens=[_token(1)], events=[event("first")]))
    again = Step(assertions=[_used(1, minutes=9)], access_tokens=[_token(2)], events=[event("again")])
    await refused(store, again)
    assert await store.access_token(_token(2).digest) is None, "what was refused gives no token"
    await store.commit(Step(assertions=[_used(1, client="other"), _used(2)], events=[event("others")]))
    assert await subjects(store) == ["first", "others"]


async def lets_go_of_what_has_expired(place: Place) -> None:
    store = await place.open()
    await store.commit(Step(assertions=[_used(1), _used(2, minutes=20)], access_tokens=[_token(1), _token(2, 20)]))
    await store.commit(Step(access_expired=[LATER]))
    assert await store.access_token(_token(1).digest) is not None, "it ends at that moment, not before it"
    await store.commit(Step(access_expired=[LATER + timedelta(seconds=1)]))
    assert await store.access_token(_token(1).digest) is None
    assert await store.access_token(_token(2).digest) == _token(2, 20)
    await refused(store, Step(assertions=[_used(2)]))
    await store.commit(Step(assertions=[_used(1)]))


EXERCISES: tuple[Exercise, ...] = (knows_a_token_by_its_digest, takes_an_assertion_once, lets_go_of_what_has_expired)
