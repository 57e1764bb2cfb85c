"""The MLLP destination against a receiver that misbehaves, over real sockets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from mllp_making import charge, destination

from conformance.billing_mllp import STORES, Misdeed, MllpBilling
from gateway.release.model import Outcome, Result

KEY = "C0000000000001-1"
NEXT = "C0000000000002-1"

OUTCOMES: dict[Misdeed, tuple[Result, str]] = {
    Misdeed.TAKE: (Result.ACCEPTED, "AA: taken"),
    Misdeed.SLOW: (Result.ACCEPTED, "AA: taken"),
    Misdeed.TWICE: (Result.ACCEPTED, "AA: taken"),
    Misdeed.REFUSE: (Result.REJECTED, "AE; 103 table value not found at FT1[2]-25; reject"),
    Misdeed.REFUSE_OLD: (Result.REJECTED, "AE; 103 table value not found at FT1[2]-25; reject"),
    Misdeed.BUSY: (Result.NOT_SENT, "AR; retry"),
    Misdeed.NOT_FOR_US: (Result.NOT_SENT, "AR; 203 unsupported version id at MSH[1]-12; suspend"),
    Misdeed.INTERNAL: (Result.UNKNOWN, "AE; 207 application internal error; park"),
    Misdeed.COMMIT_THEN_HANG: (Result.SENT, "CA: received; its verdict did not come"),
    Misdeed.HANG: (Result.UNKNOWN, "no answer within the time limit; park"),
    Misdeed.STORE_AND_HANG: (Result.UNKNOWN, "no answer within the time limit; park"),
    Misdeed.LATE: (Result.UNKNOWN, "no answer within the time limit; park"),
    Misdeed.DROP: (Result.UNKNOWN, "the connection ended before the answer; park"),
    Misdeed.STORE_AND_DROP: (Result.UNKNOWN, "the connection ended before the answer; park"),
    Misdeed.HALF_ANSWER: (Result.UNKNOWN, "the connection ended before the answer; park"),
    Misdeed.OTHER_ID: (Result.UNKNOWN, "the answer is for another message; park"),
    Misdeed.GARBAGE: (Result.UNKNOWN, "the answer is no acknowledgement; park"),
    Misdeed.NO_MSA: (Result.UNKNOWN, "the answer is no acknowledgement; park"),
    Misdeed.HUGE: (Result.UNKNOWN, "the answer is no acknowledgement; park"),
}
USABLE_AFTER = {
    Misdeed.TAKE,
    Misdeed.SLOW,
    Misdeed.REFUSE,
    Misdeed.REFUSE_OLD,
    Misdeed.BUSY,
    Misdeed.NOT_FOR_US,
    Misdeed.INTERNAL,
}


async def sent(port: int, **settings: object) -> Outcome:
    async with destination(port, **settings) as one:
        return await one.send(KEY, charge(KEY), False)


def test_every_misdeed_has_its_outcome() -> None:
    assert OUTCOMES.keys() == set(Misdeed)


@pytest.mark.parametrize("misdeed", list(Misdeed))
async def test_what_each_misdeed_comes_to(misdeed: Misdeed) -> None:
    result, text = OUTCOMES[misdeed]
    async with MllpBilling(script=[misdeed]) as peer:
        outcome = await sent(peer.port)
        assert (outcome.result, outcome.text) == (result, text)
        assert outcome.parked == text.endswith("park")
        assert outcome.suspends == text.endswith("suspend")
        assert len(peer.messages) == (misdeed in STORES)


@pytest.mark.parametrize("misdeed", list(Misdeed))
async def test_no_answer_is_credited_to_the_next_message(misdeed: Misdeed) -> None:
    """After a fault the socket has ended; after an answer the same one serves again. The next is taken on its own."""
    async with MllpBilling(script=[misdeed]) as peer, destination(peer.port) as one:
        await one.send(KEY, charge(KEY), False)
        peer.let_go()
        for _ in range(3):
            await asyncio.sleep(0)
        outcome = await one.send(NEXT, charge(NEXT), False)
        assert outcome.result is Result.ACCEPTED, outcome.text
        assert peer.received == [charge(KEY), charge(NEXT)]
        assert peer.connections == (1 if misdeed in USABLE_AFTER else 2)


async def test_one_connection_serves_in_order() -> None:
    async with MllpBilling() as peer, destination(peer.port) as one:
        keys = [f"C{number:013}-1" for number in range(20)]
        outcomes = await asyncio.gather(*(one.send(key, charge(key), False) for key in keys))
        assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}
        assert peer.messages == [charge(key) for key in keys]
        assert peer.connections == 1


async def test_a_connection_that_the_receiver_ended_is_opened_anew() -> None:
    async with MllpBilling() as peer, destination(peer.port) as one:
        await one.send(KEY, charge(KEY), False)
        peer.drop_all()
        await asyncio.sleep(0.02)
        assert (await one.send(NEXT, charge(NEXT), False)).result is Result.ACCEPTED
        assert peer.connections == 2


async def test_a_connection_that_was_idle_for_long_is_not_trusted() -> None:
    async with MllpBilling() as peer, destination(peer.port, idle_seconds=0.000001) as one:
        await one.send(KEY, charge(KEY), False)
        assert (await one.send(NEXT, charge(NEXT), False)).result is Result.ACCEPTED
        assert peer.connections == 2


async def test_nobody_listens() -> None:
    async with MllpBilling() as peer:
        pass
    outcome = await sent(peer.port)
    assert (outcome.result, outcome.text) == (Result.NOT_SENT, "no connection; retry")


@pytest.mark.parametrize(
    ("misdeed", "mode", "result"),
    [
        (Misdeed.TAKE, "enhanced", Result.ACCEPTED),
        (Misdeed.REFUSE, "enhanced", Result.REJECTED),
        (Misdeed.COMMIT_THEN_HANG, "enhanced", Result.SENT),
        (Misdeed.COMMIT_THEN_HANG, "commit", Result.ACCEPTED),
        (Misdeed.STORE_AND_HANG, "commit", Result.UNKNOWN),
    ],
)
async def test_enhanced_mode(misdeed: Misdeed, mode: str, result: Result) -> None:
    enhanced = mode == "enhanced" and misdeed is not Misdeed.COMMIT_THEN_HANG
    async with MllpBilling(enhanced=enhanced, script=[misdeed]) as peer:
        assert (await sent(peer.port, acknowledgement=mode)).result is result


async def test_the_verdict_after_a_commit_must_be_the_message_s_own() -> None:
    async with (
        MllpBilling(enhanced=True, script=[Misdeed.OTHER_ID]) as peer,
        destination(peer.port, acknowledgement="enhanced") as one,
    ):
        assert (await one.send(KEY, charge(KEY), False)).result is Result.SENT
        assert (await one.send(NEXT, charge(NEXT), False)).result is Result.ACCEPTED
        assert peer.connections == 2


async def test_the_site_s_rules_come_first() -> None:
    rules = [
        {"when": "AE", "error": "103", "do": "suspend"},
        {"when": "AR", "do": "reject"},
        {"when": "no-answer", "do": "suspend"},
    ]
    script = [Misdeed.REFUSE, Misdeed.BUSY, Misdeed.HANG]
    async with MllpBilling(script=script) as peer, destination(peer.port, answers=rules) as one:
        outcomes = [await one.send(KEY, charge(KEY), False) for _ in script]
    assert [(each.result, each.suspends) for each in outcomes] == [
        (Result.NOT_SENT, True),
        (Result.REJECTED, False),
        (Result.UNKNOWN, True),
    ]


async def test_after_so_many_tries_a_person_decides() -> None:
    rules = [{"when": "AR", "do": "retry", "tries": 3}]
    async with MllpBilling(script=[Misdeed.BUSY] * 4) as peer, destination(peer.port, answers=rules) as one:
        outcomes = [await one.send(KEY, charge(KEY), False) for _ in range(4)]
    assert [each.result for each in outcomes] == [
        Result.NOT_SENT,
        Result.NOT_SENT,
        Result.UNKNOWN,
        Result.NOT_SENT,
    ]
    assert outcomes[2].parked


async def test_a_duplicate_may_be_taken_for_a_yes_where_the_site_says_so() -> None:
    rules = [{"when": "AE", "error": "205", "do": "accept"}]
    async with MllpBilling() as peer, destination(peer.port, answers=rules) as one:
        await one.send(KEY, charge(KEY), False)
        again = await one.send(KEY, charge(KEY, "other"), True)
    assert (again.result, again.text) == (Result.ACCEPTED, "AE; 205 duplicate key identifier; accept")


async def test_a_receiver_that_recognises_repeats_is_sent_the_unknown_again() -> None:
    moment = datetime(2025, 3, 6, tzinfo=UTC)
    async with MllpBilling(script=[Misdeed.STORE_AND_HANG]) as peer:
        async with destination(peer.port, idempotent=True, window_hours=2) as one:
            first = await one.send(KEY, charge(KEY), False)
            assert (first.result, first.parked) == (Result.UNKNOWN, False)
            assert one.resend_safe(moment, moment + timedelta(hours=1))
            assert not one.resend_safe(moment, moment + timedelta(hours=2))
            assert (await one.send(KEY, charge(KEY), True)).result is Result.ACCEPTED
        assert len(peer.messages) == 1
        async with destination(peer.port) as one:
            assert not one.resend_safe(moment, moment)


async def test_a_cancelled_attempt_leaves_no_connection_behind() -> None:
    async with MllpBilling(script=[Misdeed.LATE]) as peer, destination(peer.port, timeout_seconds=5) as one:
        attempt = asyncio.create_task(one.send(KEY, charge(KEY), False))
        while not peer.received:  # noqa: ASYNC110 - the peer tells of nothing but what it has
            await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        peer.let_go()
        assert (await one.send(NEXT, charge(NEXT), False)).result is Result.ACCEPTED
        assert peer.connections == 2


@pytest.mark.parametrize(
    "payload",
    [charge(NEXT), b"no message", b"", charge(KEY) + b"\x1c\rMSH|^~\\&|FORGED\r", charge(KEY) + b"\x0b"],
)
async def test_bytes_that_cannot_be_the_delivery_s_message_never_leave(payload: bytes) -> None:
    async with MllpBilling() as peer, destination(peer.port) as one:
        assert (await one.send(KEY, payload, False)).result is Result.REJECTED
        assert peer.received == []


@pytest.mark.parametrize("misdeed", [Misdeed.REFUSE, Misdeed.REFUSE_OLD, Misdeed.GARBAGE])
async def test_no_word_of_the_receiver_s_text_is_kept(misdeed: Misdeed) -> None:
    async with MllpBilling(script=[misdeed]) as peer:
        outcome = await sent(peer.port)
    assert "Canary" not in outcome.text
    assert "HTTP" not in outcome.text
