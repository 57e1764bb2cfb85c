"""Samples are exact: whatever fails, conflicts or restarts, each place is drawn once and none is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from services_world import NO_RULES, SUPERVISOR, World, open_rules, visit_number, world

from gateway.case import Draw
from gateway.casework import Sampler
from gateway.encounter.billable import fingerprint
from gateway.review.assess import assess
from gateway.review.policy import Policy
from gateway.review.sampling import Sample
from gateway.rules import Rules
from gateway.store.interface import Conflict, Step, StoreFault

REVIEWED = Policy.model_validate(
    {"rules": [{"name": "always", "when": "total > 0.0", "reason": "Every claim is reviewed."}]}
)
AUDIT = {"name": "audit", "take": 1, "of": 5, "seed": "autumn"}
SAMPLED = Policy.model_validate({"samples": [AUDIT]})


def places(draws: Iterable[Draw], of: int = 5) -> list[int]:
    """Each draw's number in its unit, from 0."""
    return sorted(int(d.frame.rpartition("/")[2]) * of + d.position for d in draws)


def is_exact(draws: list[Draw], take: int = 1, of: int = 5) -> bool:
    """No place is missing or taken twice, and each whole frame has as many chosen as it must."""
    frames: dict[str, list[bool]] = {}
    for draw in draws:
        frames.setdefault(draw.frame, []).append(draw.chosen)
    whole = [chosen for chosen in frames.values() if len(chosen) == of]
    return places(draws, of) == list(range(len(draws))) and all(sum(chosen) == take for chosen in whole)


async def eligible(gateway: World, *numbers: int) -> None:
    for number in numbers:
        await gateway.tell(visit_number(number))


async def test_a_sample_has_exactly_so_many_of_each_frame(rules: Rules) -> None:
    async with world(rules, SAMPLED) as gateway:
        await eligible(gateway, *range(1, 21))
        await gateway.work()
        draws = await gateway.draws()
        assert len(draws) == 20
        assert is_exact(draws)
        held = [key for key in await gateway.keys() if open_rules(await gateway.case(key)) == {"audit"}]
        assert len(held) == 4
        assert (await gateway.told()).count("sample.drawn") == 20
        assert (await gateway.told()).count("claim.released") == 16


async def test_an_encounter_is_drawn_once_whatever_is_said_of_it_later(rules: Rules) -> None:
    async with world(rules, SAMPLED) as gateway:
        for _ in range(2):
            await eligible(gateway, 1, 2, 3)
            await gateway.work()
        assert places(await gateway.draws()) == [0, 1, 2]


async def test_nothing_is_drawn_before_the_codes_are_final(rules: Rules) -> None:
    async with world(rules, SAMPLED) as gateway:
        visit = visit_number(1)
        await gateway.register(visit)
        await gateway.charge(visit)
        await gateway.work()
        assert await gateway.draws() == []
        await gateway.code(visit)
        await gateway.work()
        assert places(await gateway.draws()) == [0]


async def test_each_coder_has_frames_of_its_own(rules: Rules) -> None:
    policy = Policy.model_validate({"samples": [{**AUDIT, "per": "coder"}]})
    async with world(rules, policy) as gateway:
        for number in range(1, 7):
            await gateway.tell(visit_number(number, coder="anna" if number % 2 else "bert"))
        await gateway.work()
        by_unit: dict[str, list[Draw]] = {}
        for draw in await gateway.draws():
            by_unit.setdefault(draw.frame.rpartition("/")[0], []).append(draw)
        assert [places(draws) for draws in by_unit.values()] == [[0, 1, 2], [0, 1, 2]]


async def test_a_conflict_leaves_no_gap_in_a_sample(rules: Rules) -> None:
    async with world(rules, SAMPLED) as gateway:
        await eligible(gateway, 1, 2, 3)
        gateway.store.next_commits = [Conflict("batch"), None, Conflict("one")]
        await gateway.work()
        await eligible(gateway, 4, 5)
        await gateway.work()
        draws = await gateway.draws()
        assert len(draws) == 5
        assert is_exact(draws)


async def test_a_store_fault_leaves_no_gap_in_a_sample(rules: Rules) -> None:
    async with world(rules, SAMPLED) as gateway:
        await eligible(gateway, 1, 2, 3)
        gateway.store.next_commits = [StoreFault("disk")]
        with pytest.raises(StoreFault):
            await gateway.pipeline.work_once()
        await gateway.work()
        draws = await gateway.draws()
        assert len(draws) == 3
        assert is_exact(draws)


async def test_a_message_that_meets_a_defect_leaves_no_gap_in_a_sample(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:

    def failing(encounter: Any, *args: Any) -> Any:
        if encounter.key.number == "A2" and encounter.coding.final:
            raise KeyError("a defect of an edit")
        return assess(encounter, *args)

    monkeypatch.setattr("gateway.casework.assess", failing)
    async with world(rules, SAMPLED) as gateway:
        await eligible(gateway, 1, 2, 3, 4)
        await gateway.work()
        assert len(await gateway.set_aside()) == 1
        draws = await gateway.draws()
        assert len(draws) == 3
        assert is_exact(draws)


async def test_a_sample_goes_on_after_a_restart(rules: Rules, database: str) -> None:
    async with world(rules, SAMPLED, url=database) as gateway:
        await eligible(gateway, 1, 2, 3)
        await gateway.work()
    async with world(rules, SAMPLED, url=database) as gateway:
        await eligible(gateway, *range(4, 11))
        await gateway.work()
        draws = await gateway.draws()
        assert len(draws) == 10
        assert is_exact(draws)


async def test_what_was_kept_before_a_restart_is_drawn_once_after_it(rules: Rules, database: str) -> None:
    async with world(rules, SAMPLED, url=database) as gateway:
        await eligible(gateway, 1, 2, 3)
        gateway.store.next_commits = [StoreFault("the machine stops here")]
        with pytest.raises(StoreFault):
            await gateway.pipeline.work_once()
    async with world(rules, SAMPLED, url=database) as gateway:
        await gateway.work()
        draws = await gateway.draws()
        assert len(draws) == 3
        assert is_exact(draws)


async def test_a_decision_at_the_desk_beside_a_batch_that_fails_leaves_no_gap(rules: Rules, database: str) -> None:
    """A sample is new in the policy: what stands is drawn when somebody next decides on it."""
    async with world(rules, REVIEWED, url=database) as gateway:
        await eligible(gateway, 1)
        await gateway.work()
        print_ = fingerprint(await gateway.encounter("MAIN:MAIN:A1"))
    both = Policy.model_validate({**REVIEWED.model_dump(), "samples": [AUDIT]})
    async with world(rules, both, url=database) as gateway:
        await eligible(gateway, 2)
        deciding: list[asyncio.Task[Any]] = []

        async def meanwhile(_: Step) -> None:
            deciding.append(asyncio.create_task(gateway.desk.approve("MAIN:MAIN:A1", SUPERVISOR, print_)))
            for _turn in range(10):
                await asyncio.sleep(0)
            raise Conflict("the batch is rolled back")

        gateway.store.next_commits = [meanwhile]
        await gateway.work()
        await asyncio.gather(*deciding)
        await eligible(gateway, 3)
        await gateway.work()
        draws = await gateway.draws()
        assert len(draws) == 3
        assert is_exact(draws)
        assert await gateway.set_aside() == []


async def test_another_gateways_draws_are_counted_when_they_are_met(rules: Rules, database: str) -> None:
    async with world(rules, SAMPLED, url=database) as one, world(rules, SAMPLED, url=database) as other:
        await eligible(one, 1, 2)
        await one.work()
        await eligible(other, 3)
        await other.work()
        await eligible(one, 4)
        await one.work()
        draws = await one.draws()
        assert len(draws) == 4
        assert is_exact(draws)
        assert await one.set_aside() == []


async def test_a_sample_that_the_policy_no_longer_has_still_holds_what_it_chose(rules: Rules, database: str) -> None:
    async with world(rules, SAMPLED, url=database) as gateway:
        await eligible(gateway, *range(1, 6))
        await gateway.work()
        (chosen,) = [key for key in await gateway.keys() if open_rules(await gateway.case(key))]
    async with world(rules, NO_RULES, url=database) as gateway:
        visit = visit_number(int(chosen.rpartition("A")[2]))
        await gateway.register(visit, "A08")
        await gateway.work()
        assert open_rules(await gateway.case(chosen)) == {"audit"}


class Counts:
    """A store whose counts may fail to be read."""

    def __init__(self, counts: dict[tuple[str, str], int], *faults: Exception) -> None:
        self.counts, self.faults, self.asked = counts, list(faults), 0

    async def draw_counts(self) -> dict[tuple[str, str], int]:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)
        return self.counts


async def turn(sampler: Sampler, store: Counts, draws: int, fault: Exception | None = None) -> list[int]:
    """The places that a turn was given; it ends with `fault`."""
    async with sampler.turn(store):
        given = [sampler.draw(Sample.model_validate(AUDIT), "u").position for _ in range(draws)]
        if fault is not None:
            raise fault
    return given


async def test_a_turn_that_drew_nothing_has_nothing_to_count_again() -> None:
    sampler, store = Sampler({}), Counts({})
    with pytest.raises(Conflict):
        await turn(sampler, store, 0, Conflict())
    assert await turn(sampler, store, 2) == [0, 1]
    assert store.asked == 0


async def test_what_a_lost_turn_was_given_is_given_again() -> None:
    sampler, store = Sampler({("audit", "u"): 1}), Counts({("audit", "u"): 1})
    with pytest.raises(Conflict):
        await turn(sampler, store, 2, Conflict())
    assert await turn(sampler, store, 2) == [1, 2]
    assert await turn(sampler, store, 1) == [3]
    assert store.asked == 1


async def test_counts_that_cannot_be_read_are_read_before_the_next_draw() -> None:
    sampler, store = Sampler({}), Counts({("audit", "u"): 3}, StoreFault("down"))
    with pytest.raises(StoreFault, match="first"):
        await turn(sampler, store, 1, StoreFault("first"))
    with pytest.raises(StoreFault, match="down"):
        await turn(sampler, store, 1)
    assert await turn(sampler, store, 1) == [3]


async def test_turns_are_taken_one_after_the_other() -> None:
    sampler, store = Sampler({}), Counts({})
    given: list[tuple[str, int]] = []

    async def take(name: str) -> None:
        async with sampler.turn(store):
            for _ in range(2):
                given.append((name, sampler.draw(Sample.model_validate(AUDIT), "u").position))
                await asyncio.sleep(0)

    await asyncio.gather(take("pipeline"), take("desk"))
    assert given == [("pipeline", 0), ("pipeline", 1), ("desk", 2), ("desk", 3)]
