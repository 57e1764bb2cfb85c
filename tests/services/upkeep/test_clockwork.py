"""What time alone brings about."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from io import StringIO
from typing import Any, cast

import pytest
from services_world import EHR, ENCODER, SENT, World, key_of, open_holds, open_rules, visit_number, world

from conformance import ehr, encoder
from conformance.hospital import Visit
from gateway.review.assess import assess
from gateway.review.model import HoldKind, HoldState
from gateway.review.policy import Policy
from gateway.rules import Rules
from gateway.store.interface import Conflict, Store, StoreFault
from gateway.upkeep.clockwork import Clockwork, DueEncounters

BILL_HOLD = Policy.model_validate({"bill_hold_days": 5})
"""The visits ended on 18 November; it is the 20th: they may leave on the 23rd."""


def due(gateway: World) -> DueEncounters:
    return DueEncounters(
        cast(Store, gateway.store), gateway.casework, gateway.clock, lambda: gateway.released.append("clock")
    )


async def waiting(gateway: World, *numbers: int) -> list[str]:
    """Encounters that only their bill-hold days hold."""
    for number in numbers:
        await gateway.tell(visit_number(number))
    await gateway.work()
    keys = [key_of(visit_number(number)) for number in numbers]
    assert [open_rules(await gateway.case(key)) for key in keys] == [{"bill-hold"}] * len(keys)
    return keys


# Due encounters


async def test_bill_hold_days_end_by_the_clock_and_the_claim_leaves(rules: Rules) -> None:
    async with world(rules, BILL_HOLD) as gateway:
        (key,) = await waiting(gateway, 1)
        (hold,) = open_holds(await gateway.case(key))
        assert hold.kind is HoldKind.WAITING
        assert await gateway.stage(key) == "waiting"
        gateway.clock.advance(days=2, hours=11, minutes=59)
        assert await due(gateway)() == 0
        assert open_rules(await gateway.case(key)) == {"bill-hold"}
        gateway.clock.advance(minutes=1)
        assert await due(gateway)() == 1
        case = await gateway.case(key)
        (ended,) = [h for h in case.holds if h.rule == "bill-hold"]
        assert (ended.state, ended.ended_by, ended.ended) == (HoldState.CLEARED, "gateway", gateway.clock.now())
        assert [claim.approved_by for claim in case.claims] == ["policy"]
        assert gateway.released == ["clock"]
        assert (await gateway.told(key))[-2:] == ["hold.ended waiting bill-hold", "claim.released"]


async def test_the_days_end_at_the_facilitys_midnight(rules: Rules) -> None:
    async with world(rules, BILL_HOLD) as gateway:
        (key,) = await waiting(gateway, 1)
        (hold,) = open_holds(await gateway.case(key))
        assert hold.due is not None
        assert hold.due.astimezone(rules.zone).strftime("%Y-%m-%d %H:%M") == "2026-11-23 00:00"


async def test_what_is_no_longer_due_is_not_looked_at_again(rules: Rules) -> None:
    async with world(rules, BILL_HOLD) as gateway:
        await waiting(gateway, 1)
        gateway.clock.advance(days=4)
        assert [await due(gateway)() for _ in range(3)] == [1, 0, 0]


async def test_the_encounter_itself_is_not_told_as_changed(rules: Rules) -> None:
    async with world(rules, BILL_HOLD) as gateway:
        (key,) = await waiting(gateway, 1)
        changed = (await gateway.told(key)).count("encounter.changed")
        gateway.clock.advance(days=4)
        await due(gateway)()
        assert (await gateway.told(key)).count("encounter.changed") == changed


async def test_a_restart_forgets_nothing_that_is_due(rules: Rules, database: str) -> None:
    async with world(rules, BILL_HOLD, url=database) as gateway:
        (key,) = await waiting(gateway, 1)
        clock = gateway.clock
    clock.advance(days=4)
    async with world(rules, BILL_HOLD, url=database, clock=clock) as gateway:
        assert await due(gateway)() == 1
        assert len((await gateway.case(key)).claims) == 1


async def test_other_holds_still_hold_when_the_days_are_over(rules: Rules) -> None:
    async with world(rules, BILL_HOLD) as gateway:
        visit = visit_number(1)
        await gateway.register(visit)
        await gateway.charge(visit)
        await gateway.work()
        gateway.clock.advance(days=4)
        await due(gateway)()
        assert open_rules(await gateway.case(key_of(visit))) == {"codes-not-final"}


async def test_an_encounter_that_a_message_changed_meanwhile_is_left_to_the_next_tick(rules: Rules) -> None:
    async with world(rules, BILL_HOLD) as gateway:
        one, other = await waiting(gateway, 1, 2)
        gateway.clock.advance(days=4)
        gateway.store.next_commits = [Conflict("a message was faster")]
        assert await due(gateway)() == 2
        claims = [len((await gateway.case(key)).claims) for key in (one, other)]
        assert sorted(claims) == [0, 1]
        assert await due(gateway)() == 1
        assert len((await gateway.case(one)).claims) == 1
        assert len((await gateway.case(other)).claims) == 1


async def test_one_that_cannot_be_advanced_stops_no_other(
    rules: Rules, monkeypatch: pytest.MonkeyPatch, log_lines: StringIO
) -> None:
    async with world(rules, BILL_HOLD) as gateway:
        one, other = await waiting(gateway, 1, 2)
        gateway.clock.advance(days=4)

        def failing(encounter: Any, *args: Any) -> Any:
            if str(encounter.key) == one:
                raise ArithmeticError("of ABERNATHY")
            return assess(encounter, *args)

        with monkeypatch.context() as broken:
            broken.setattr("gateway.casework.assess", failing)
            assert await due(gateway)() == 2
        assert len((await gateway.case(other)).claims) == 1
        assert "clockwork.encounter_failed" in log_lines.getvalue()
        assert "ABERNATHY" not in log_lines.getvalue()
        assert await due(gateway)() == 1
        assert len((await gateway.case(one)).claims) == 1


async def test_a_store_that_fails_ends_the_tick_and_nothing_is_lost(rules: Rules) -> None:
    async with world(rules, BILL_HOLD) as gateway:
        keys = await waiting(gateway, 1, 2)
        gateway.clock.advance(days=4)
        gateway.store.next_commits = [StoreFault("disk")]
        with pytest.raises(StoreFault):
            await due(gateway)()
        assert await due(gateway)() == 2
        assert [len((await gateway.case(key)).claims) for key in keys] == [1, 1]


async def still_there(gateway: World, visit: Visit) -> None:
    """All of a visit but its discharge: outpatients are often never discharged."""
    closed, open_ = (ehr.pv1(visit, discharged=discharged).encode() for discharged in (True, False))
    await gateway.register(visit, "A04")
    await gateway.document(visit)
    for payload, feed in ((ehr.dft(visit, "x", SENT), EHR), (encoder.final_codes(visit, "x", SENT), ENCODER)):
        await gateway.send(payload.replace(closed, open_), feed)


async def test_a_day_that_ends_draws_its_samples_without_a_gap(rules: Rules) -> None:
    """The visit is over at midnight: then the clock draws, and a conflict loses no place."""
    sample = {"name": "audit", "take": 1, "of": 3, "seed": "autumn"}
    async with world(rules, Policy.model_validate({"samples": [sample]})) as gateway:
        this_morning = SENT - timedelta(hours=3)
        for number in (1, 2, 3):
            visit = visit_number(number, began=this_morning, ended=this_morning + timedelta(minutes=30))
            await still_there(gateway, visit)
        await gateway.work()
        assert "not-discharged" in open_rules(await gateway.case("MAIN:MAIN:A1"))
        assert await gateway.draws() == []
        gateway.clock.advance(days=1)
        gateway.store.next_commits = [Conflict("one"), None, Conflict("three")]
        assert await due(gateway)() == 3
        assert await due(gateway)() == 2
        draws = await gateway.draws()
        assert [draw.position for draw in draws] == [0, 1, 2]
        assert sum(draw.chosen for draw in draws) == 1


# Ticks


async def ticks(clockwork: Clockwork, name: str, tick: Any, times: Any) -> None:
    ticked = asyncio.Event()

    async def told() -> None:
        try:
            await tick()
        finally:
            ticked.set()

    clockwork.every(timedelta(milliseconds=1), name, told)
    clockwork.start()
    async with asyncio.timeout(5):
        while not times():
            ticked.clear()
            await ticked.wait()
    await clockwork.stop()


async def test_a_tick_that_fails_comes_again_and_says_nothing_of_patients(log_lines: StringIO) -> None:
    count = 0

    async def tick() -> None:
        nonlocal count
        count += 1
        raise RuntimeError("of ABERNATHY")

    await ticks(Clockwork(), "due", tick, lambda: count >= 3)
    assert '"event":"clockwork.tick_failed"' in log_lines.getvalue()
    assert '"tick":"due"' in log_lines.getvalue()
    assert "ABERNATHY" not in log_lines.getvalue()


async def test_a_tick_that_takes_long_is_not_begun_twice() -> None:
    under_way, most, begun = 0, 0, 0
    going_on = asyncio.Event()

    async def tick() -> None:
        nonlocal under_way, most, begun
        begun, under_way = begun + 1, under_way + 1
        most = max(most, under_way)
        if begun == 1:
            await going_on.wait()
        under_way -= 1

    clockwork = Clockwork()
    clockwork.every(timedelta(milliseconds=1), "slow", tick)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        beats += 1
        if beats == 5:
            going_on.set()

    await ticks(clockwork, "beat", beat, lambda: begun >= 3)
    assert most == 1


async def test_a_tick_under_way_ends_before_the_stop_does() -> None:
    ended = False
    begun = asyncio.Event()

    async def tick() -> None:
        nonlocal ended
        begun.set()
        for _ in range(20):
            await asyncio.sleep(0)
        ended = True

    clockwork = Clockwork()
    clockwork.every(timedelta(milliseconds=1), "seal", tick)
    clockwork.start()
    await begun.wait()
    await clockwork.stop()
    assert ended


async def test_a_tick_that_does_not_end_is_cancelled(monkeypatch: pytest.MonkeyPatch, log_lines: StringIO) -> None:
    monkeypatch.setattr("gateway.upkeep.clockwork.STOP_SECONDS", 0.01)
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def tick() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    clockwork = Clockwork()
    clockwork.every(timedelta(milliseconds=1), "seal", tick)
    clockwork.start()
    await begun.wait()
    await clockwork.stop()
    async with asyncio.timeout(5):
        await cancelled.wait()
    assert "clockwork.stop_overdue" in log_lines.getvalue()


async def test_nothing_ticks_after_the_stop() -> None:
    count = 0

    async def tick() -> None:
        nonlocal count
        count += 1

    await ticks(Clockwork(), "due", tick, lambda: count >= 1)
    stopped = count
    await asyncio.sleep(0.01)
    assert count == stopped
