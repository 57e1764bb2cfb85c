"""What is held is looked at again when what decides has changed: all of it, once, a little at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import pytest
from services_world import NO_RULES, World, key_of, open_rules, visit_number, world

from gateway.config.model import Config
from gateway.review.policy import Policy
from gateway.rules import Rules
from gateway.store.interface import Conflict, Store
from gateway.upkeep.reassessment import AT_A_TIME, Reassessment, ruling
from gateway.upkeep.versions import ordered_by

ALL = Policy.model_validate({"rules": [{"name": "all", "when": "true", "reason": "All is looked at."}]})
BILL_HOLD = Policy.model_validate({"bill_hold_days": 30})


@pytest.fixture
async def held(rules: Rules) -> AsyncIterator[World]:
    """Three encounters that the policy holds."""
    async with world(rules, ALL) as gateway:
        for number in (1, 2, 3):
            await gateway.tell(visit_number(number))
        await gateway.work()
        yield gateway


def reassessment(gateway: World) -> Reassessment:
    store = cast(Store, gateway.store)
    return Reassessment(store, gateway.casework, gateway.clock, on_released=lambda: gateway.released.append("again"))


async def rule_by(gateway: World, policy: Policy) -> None:
    async with gateway.casework.sampler.turn(gateway.store):
        gateway.casework.rule_by(policy, gateway.rules.edit_context, gateway.rules.routes)


async def test_holds_that_the_new_policy_does_not_ask_for_end_and_claims_leave(held: World) -> None:
    await rule_by(held, NO_RULES)
    again = reassessment(held)
    assert await again.begin("new", 7)
    assert await again() == 3
    for number in (1, 2, 3):
        case = await held.case(key_of(visit_number(number)))
        assert (open_rules(case), len(case.claims)) == (set(), 1)
    assert held.released[-1] == "again"
    details = [s.event.detail async for s in held.store.events() if s.event.action == "encounter.reassessed"]
    assert details == [{"configuration": 7}] * 3


async def test_the_new_policy_s_holds_are_opened_and_what_is_released_is_left(rules: Rules) -> None:
    async with world(rules) as gateway:
        await gateway.tell(visit_number(1))
        await gateway.work()
        await rule_by(gateway, ALL)
        again = reassessment(gateway)
        await again.begin("new", 2)
        await again()
        assert open_rules(await gateway.case(key_of(visit_number(1)))) == set(), "its claim has left"


async def test_nothing_is_written_where_nothing_changes(held: World) -> None:
    before = [await held.case(key_of(visit_number(number))) for number in (1, 2, 3)]
    again = reassessment(held)
    await again.begin("new", 2)
    assert await again() == 3
    assert [await held.case(case.key) for case in before] == before


async def test_another_day_is_written(rules: Rules) -> None:
    """The bill-hold days are fewer: the encounter is due earlier, though the hold is the same."""
    async with world(rules, BILL_HOLD) as gateway:
        await gateway.tell(visit_number(1))
        await gateway.work()
        await rule_by(gateway, Policy.model_validate({"bill_hold_days": 5}))
        again = reassessment(gateway)
        await again.begin("new", 2)
        await again()
        gateway.clock.advance(days=4)
        assert await gateway.store.due_encounters(gateway.clock.now(), 10) == [key_of(visit_number(1))]


async def test_one_pass_for_each_change(held: World) -> None:
    again = reassessment(held)
    assert await again.begin("new", 2)
    assert [await again() for _ in range(3)] == [3, 0, 0]
    assert not await reassessment(held).begin("new", 2), "a restart with nothing changed"
    assert await reassessment(held).begin("newer", 3)


async def test_it_goes_on_where_it_stopped(rules: Rules) -> None:
    async with world(rules, ALL) as gateway:
        for number in range(AT_A_TIME + 5):
            await gateway.tell(visit_number(number))
        await gateway.work()
        await rule_by(gateway, NO_RULES)
        first = reassessment(gateway)
        await first.begin("new", 2)
        assert await first() == AT_A_TIME
        second = reassessment(gateway)
        assert await second.begin("new", 2)
        assert await second() == 5
        assert len([key for key in await gateway.keys() if (await gateway.case(key)).claims]) == AT_A_TIME + 5


async def test_messages_come_first(held: World) -> None:
    busy = [True]
    again = Reassessment(cast(Store, held.store), held.casework, held.clock, busy=lambda: busy[0])
    await again.begin("new", 2)
    assert await again() == 0
    busy[0] = False
    assert await again() == 3


async def test_one_that_changed_meanwhile_stops_no_other(held: World) -> None:
    await rule_by(held, NO_RULES)
    again = reassessment(held)
    await again.begin("new", 2)
    held.store.next_commits = [Conflict("batch"), None, Conflict("one of them")]
    await again()
    claims = [len((await held.case(key_of(visit_number(number)))).claims) for number in (1, 2, 3)]
    assert claims == [1, 0, 1]


async def test_what_another_gateway_began_is_its_own(held: World) -> None:
    here, there = reassessment(held), reassessment(held)
    await here.begin("here", 2)
    await there.begin("there", 3)
    assert await here() == 0
    assert await there() == 3


def test_what_decides_is_told_apart_from_what_does_not(hospital: Config) -> None:
    said = ordered_by(hospital)
    same = ordered_by(hospital.model_copy(update={"feeds": (), "http": hospital.http}))
    assert ruling(same) == ruling(said)
    billing = hospital.billing.model_copy(update={"npi": "1993999998"})
    assert ruling(ordered_by(hospital.model_copy(update={"billing": billing}))) != ruling(said)
    assert ruling(ordered_by(hospital.model_copy(update={"destinations": ()}))) != ruling(said)
