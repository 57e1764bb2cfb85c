"""The suite that every destination passes: what the outbox relies on, whatever the wire.

A `Harness` stands a destination before a receiver that a test can look into and take away. Each check gets a fresh one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.delivery import Destination
from gateway.release.model import Outcome, Result

KEY = "C0000000000001-1"
OTHER_KEY = "C0000000000002-1"


class Harness(Protocol):
    """A destination and the receiver behind it."""

    @property
    def destination(self) -> Destination: ...

    def payload(self, mark: str) -> bytes:
        """Bytes that the receiver takes; others for another `mark`."""
        ...

    def received(self) -> Sequence[bytes]:
        """What the receiver keeps, each claim once."""
        ...

    async def take_away(self) -> None:
        """From now on the receiver cannot be reached at all."""
        ...


async def a_claim_arrives_whole(harness: Harness) -> None:
    outcome = await harness.destination.send(KEY, harness.payload("one"), False)
    assert outcome.result in (Result.ACCEPTED, Result.SENT), outcome.text
    assert list(harness.received()) == [harness.payload("one")]


async def two_claims_are_two(harness: Harness) -> None:
    await harness.destination.send(KEY, harness.payload("one"), False)
    await harness.destination.send(OTHER_KEY, harness.payload("two"), False)
    assert sorted(harness.received()) == sorted([harness.payload("one"), harness.payload("two")])


async def a_repeat_is_no_second_claim(harness: Harness) -> None:
    first = await harness.destination.send(KEY, harness.payload("one"), False)
    again = await harness.destination.send(KEY, harness.payload("one"), True)
    assert again.result is first.result, again.text
    assert again.reference == first.reference
    assert len(harness.received()) == 1


async def other_bytes_under_a_used_key_are_not_taken(harness: Harness) -> None:
    await harness.destination.send(KEY, harness.payload("one"), False)
    other = await harness.destination.send(KEY, harness.payload("two"), True)
    assert other.result in (Result.REJECTED, Result.UNKNOWN), other.text
    assert list(harness.received()) == [harness.payload("one")]


async def a_receiver_that_is_away_gets_nothing(harness: Harness) -> None:
    await harness.take_away()
    outcome = await harness.destination.send(KEY, harness.payload("one"), False)
    assert outcome.result is Result.NOT_SENT, outcome.text


async def an_inquiry_tells_the_truth_or_nothing(harness: Harness) -> None:
    before = await harness.destination.inquire(KEY, harness.payload("one"))
    assert before is None or before.result in (Result.NOT_SENT, Result.UNKNOWN)
    await harness.destination.send(KEY, harness.payload("one"), False)
    after = await harness.destination.inquire(KEY, harness.payload("one"))
    assert after is None or after.result in (Result.ACCEPTED, Result.SENT, Result.UNKNOWN)
    assert len(harness.received()) == 1


async def an_outcome_has_words_and_no_claim(harness: Harness) -> None:
    outcomes: list[Outcome] = [await harness.destination.send(KEY, harness.payload("one"), False)]
    await harness.take_away()
    outcomes.append(await harness.destination.send(OTHER_KEY, harness.payload("two"), False))
    for outcome in outcomes:
        assert outcome.text
        assert harness.payload("one").decode() not in outcome.text


CHECKS: tuple[Callable[[Harness], Awaitable[None]], ...] = (
    a_claim_arrives_whole,
    two_claims_are_two,
    a_repeat_is_no_second_claim,
    other_bytes_under_a_used_key_are_not_taken,
    a_receiver_that_is_away_gets_nothing,
    an_inquiry_tells_the_truth_or_nothing,
    an_outcome_has_words_and_no_claim,
)
