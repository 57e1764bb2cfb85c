"""One decision over one case: holds open and end by themselves, approvals bind, claims leave, samples are exact."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from services_world import NO_RULES, SUPERVISOR, World, key_of, open_holds, open_rules, visit_number, world

from conformance.day import wrong_code
from conformance.hospital import Item, Visit
from gateway.audit.events import Action
from gateway.case import Case, Draw
from gateway.casework import Casework, Sampler
from gateway.encounter.billable import fingerprint
from gateway.release.model import DeliveryState
from gateway.review.model import DecisionKind, HoldKind, HoldState
from gateway.review.policy import Policy, PolicyRule
from gateway.review.sampling import Sample
from gateway.rules import Rules
from gateway.store.interface import Conflict, Step, StoreFault

REVIEWED = Policy.model_validate(
    {"rules": [{"name": "always", "when": "total > 0.0", "reason": "Every claim is reviewed."}]}
)
AUDIT = {"name": "audit", "take": 1, "of": 5, "seed": "autumn"}
SAMPLED = Policy.model_validate({"samples": [AUDIT]})


def dearer(visit: Visit) -> Visit:
    """The same visit with a longer consultation in its first line."""
    return replace(visit, items=(replace(visit.items[0], code="99214", each=Decimal("246.00")), *visit.items[1:]))


# Holds


async def test_a_case_without_an_encounter_has_nothing_to_decide(gateway: World) -> None:
    with pytest.raises(ValueError, match="no encounter"):
        gateway.casework.advance(Case("MAIN:MAIN:A1"), now=gateway.clock.now())


async def test_a_failed_edit_holds_the_claim_and_ends_by_itself(gateway: World) -> None:
    visit = replace(visit_number(1), diagnoses=("E119",), items=(Item("99214", Decimal("246.00"), ("E119",)),))
    await gateway.register(visit)
    await gateway.document(visit)
    await gateway.charge(visit)
    await gateway.code(visit, ("E11",))
    await gateway.work()
    case = await gateway.case(key_of(visit))
    assert "icd10-not-billable" in open_rules(case)
    assert await gateway.stage(key_of(visit)) == "held"
    assert not case.claims
    (hold,) = [h for h in open_holds(case) if h.rule == "icd10-not-billable"]
    gateway.clock.advance(minutes=5)
    await gateway.code(visit)
    await gateway.work()
    after = await gateway.case(key_of(visit))
    ended = next(h for h in after.holds if h.id == hold.id)
    assert (ended.state, ended.ended_by, ended.ended) == (HoldState.CLEARED, "gateway", gateway.clock.now())
    assert ended.ended_reason
    assert len(after.claims) == 1
    told = await gateway.told(key_of(visit))
    assert "hold.opened edit icd10-not-billable" in told
    assert "hold.ended edit icd10-not-billable" in told
    assert told.index("claim.released") > told.index("hold.ended edit icd10-not-billable")


async def test_a_hold_that_opens_and_ends_in_one_batch_is_told_with_both(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.register(visit, "A04", "A03")
    await gateway.work()
    told = [line for line in await gateway.told(key_of(visit)) if "not-discharged" in line]
    assert told == ["hold.opened waiting not-discharged", "hold.ended waiting not-discharged"]
    (hold,) = [h for h in (await gateway.case(key_of(visit))).holds if h.rule == "not-discharged"]
    assert hold.state is HoldState.CLEARED


async def test_an_open_hold_that_is_found_again_is_not_told_again(gateway: World) -> None:
    visit = visit_number(1)
    for _ in range(3):
        await gateway.register(visit, "A08")
        await gateway.work()
    told = await gateway.told(key_of(visit))
    assert told.count("hold.opened waiting codes-not-final") == 1
    holds = [h for h in (await gateway.case(key_of(visit))).holds if h.rule == "codes-not-final"]
    assert len(holds) == 1


async def test_the_demonstrations_wrong_code_is_found(gateway: World) -> None:
    visit = wrong_code(gateway.clock.now().date())
    await gateway.tell(visit)
    await gateway.work()
    assert open_rules(await gateway.case(key_of(visit))) == set()


# Approval


async def approved(gateway: World, visit: Visit) -> str:
    """The fingerprint that a supervisor approved."""
    print_ = fingerprint(await gateway.encounter(key_of(visit)))
    await gateway.desk.approve(key_of(visit), SUPERVISOR, print_)
    return print_


async def test_an_approval_releases_exactly_what_was_seen(rules: Rules) -> None:
    async with world(rules, REVIEWED) as gateway:
        visit = visit_number(1)
        await gateway.tell(visit)
        await gateway.work()
        assert open_rules(await gateway.case(key_of(visit))) == {"always"}
        print_ = await approved(gateway, visit)
        case = await gateway.case(key_of(visit))
        (claim,) = case.claims
        assert (claim.fingerprint, claim.approved_by) == (print_, "user:sam")
        assert [(d.kind, d.fingerprint) for d in case.decisions] == [(DecisionKind.APPROVE, print_)]
        assert gateway.released == ["desk"]


async def test_an_approval_does_not_count_for_other_codes(rules: Rules) -> None:
    """Approved while the stay still waits for something else; one code changes; it is held again."""
    async with world(rules, REVIEWED) as gateway:
        visit = visit_number(1)
        await gateway.register(visit)
        await gateway.charge(visit)
        await gateway.code(visit)
        await gateway.work()
        assert open_rules(await gateway.case(key_of(visit))) >= {"always", "document-missing"}
        first = await approved(gateway, visit)
        assert "always" not in open_rules(await gateway.case(key_of(visit)))
        await gateway.code(visit, ("I10", "E786"))
        await gateway.work()
        assert "always" in open_rules(await gateway.case(key_of(visit)))
        await gateway.code(visit)
        await gateway.document(visit)
        await gateway.work()
        case = await gateway.case(key_of(visit))
        assert fingerprint(await gateway.encounter(key_of(visit))) == first
        assert not case.claims, "the second review is open: it was asked for, and nobody has answered it"
        held = [(h.state, h.ended_by) for h in case.holds if h.rule == "always"]
        assert held[0] == (HoldState.RESOLVED, "user:sam")


async def test_what_is_not_billed_may_change_after_an_approval(rules: Rules) -> None:
    async with world(rules, REVIEWED) as gateway:
        visit = visit_number(1)
        await gateway.register(visit)
        await gateway.charge(visit)
        await gateway.code(visit)
        await gateway.work()
        first = await approved(gateway, visit)
        await gateway.register(replace(visit, location="WARD-7"), "A08")
        await gateway.document(visit)
        await gateway.work()
        case = await gateway.case(key_of(visit))
        assert [(c.fingerprint, c.approved_by) for c in case.claims] == [(first, "user:sam")]


# After release


async def test_a_change_after_release_is_a_late_charge(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.tell(visit)
    await gateway.work()
    (claim,) = (await gateway.case(key_of(visit))).claims
    await gateway.charge(dearer(visit))
    await gateway.work()
    case = await gateway.case(key_of(visit))
    (hold,) = open_holds(case)
    assert (hold.kind, hold.rule) == (HoldKind.LATE_CHARGE, "changed-after-release")
    assert claim.number in hold.text
    assert case.claims == (claim,)
    assert len(case.deliveries) == 1
    assert await gateway.stage(key_of(visit)) == "held"


async def test_a_late_change_that_is_taken_back_ends_its_hold(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.tell(visit)
    await gateway.work()
    for charged in (dearer(visit), visit):
        await gateway.charge(charged)
        await gateway.work()
    case = await gateway.case(key_of(visit))
    assert open_rules(case) == set()
    assert [h.state for h in case.holds if h.kind is HoldKind.LATE_CHARGE] == [HoldState.CLEARED]


async def test_a_resolved_late_charge_opens_again_for_another_change(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.tell(visit)
    await gateway.work()
    await gateway.charge(dearer(visit))
    await gateway.work()
    (hold,) = open_holds(await gateway.case(key_of(visit)))
    await gateway.desk.resolve(key_of(visit), hold.id, SUPERVISOR, "below the payer's limit for corrections")
    assert open_rules(await gateway.case(key_of(visit))) == set()
    await gateway.register(visit, "A08")
    await gateway.work()
    assert open_rules(await gateway.case(key_of(visit))) == set()
    await gateway.code(visit, ("I10",))
    await gateway.work()
    assert "changed-after-release" in open_rules(await gateway.case(key_of(visit)))


async def test_nothing_is_released_twice(gateway: World) -> None:
    visit = visit_number(1)
    for _ in range(3):
        await gateway.tell(visit)
        await gateway.work()
    assert len((await gateway.case(key_of(visit))).claims) == 1
    assert (await gateway.told()).count("claim.released") == 1


async def test_the_claim_that_is_told_is_the_claim_that_stands(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.tell(visit)
    await gateway.work()
    case = await gateway.case(key_of(visit))
    (told,) = [e.event async for e in gateway.store.events() if e.event.action is Action.CLAIM_RELEASED]
    (claim,) = case.claims
    assert told.subject == f"claim/{claim.number}"
    assert told.detail == {
        "version": 1,
        "destination": "clearinghouse",
        "fingerprint": claim.fingerprint,
        "approved_by": "policy",
        "total": "180.50",
    }
    (delivery,) = case.deliveries
    assert (delivery.state, delivery.destination, delivery.key) == (
        DeliveryState.READY,
        "clearinghouse",
        f"{claim.number}-1",
    )


async def test_a_claim_that_no_destination_takes_is_held(rules: Rules) -> None:
    unrouted = replace(rules, routes=())
    async with world(unrouted) as gateway:
        visit = visit_number(1)
        await gateway.tell(visit)
        await gateway.work()
        assert open_rules(await gateway.case(key_of(visit))) == {"no-destination"}


# Samples


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
    from gateway import casework as module

    assess = module.assess

    def failing(encounter: Any, *args: Any) -> Any:
        if encounter.key.number == "A2" and encounter.coding.final:
            raise KeyError("a defect of an edit")
        return assess(encounter, *args)

    monkeypatch.setattr(module, "assess", failing)
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
            for _ in range(10):
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


async def test_a_turn_that_drew_nothing_reads_nothing_again() -> None:
    class Store:
        asked = 0

        async def draw_counts(self) -> dict[tuple[str, str], int]:
            self.asked += 1
            return {}

    sampler, store = Sampler({}), Store()
    with pytest.raises(Conflict):
        async with sampler.turn(store):
            raise Conflict
    async with sampler.turn(store):
        pass
    assert store.asked == 0
    with pytest.raises(Conflict):
        async with sampler.turn(store):
            assert sampler.draw(Sample.model_validate(AUDIT), "u").position == 0
            raise Conflict
    async with sampler.turn(store):
        assert sampler.draw(Sample.model_validate(AUDIT), "u").position == 0
    assert store.asked == 1


async def test_counts_that_cannot_be_read_are_read_before_the_next_draw() -> None:
    class Store:
        faults = 1

        async def draw_counts(self) -> dict[tuple[str, str], int]:
            self.faults -= 1
            if self.faults >= 0:
                raise StoreFault("down")
            return {("audit", "u"): 3}

    sampler, store = Sampler({}), Store()
    with pytest.raises(StoreFault, match="first"):
        async with sampler.turn(store):
            sampler.draw(Sample.model_validate(AUDIT), "u")
            raise StoreFault("first")
    with pytest.raises(StoreFault, match="down"):
        async with sampler.turn(store):
            pytest.fail("no turn without counts")
    async with sampler.turn(store):
        assert sampler.draw(Sample.model_validate(AUDIT), "u").position == 3


def test_the_policy_rules_of_these_tests_are_what_they_seem() -> None:
    assert [type(rule) for rule in REVIEWED.rules] == [PolicyRule]
    assert isinstance(Casework, type)
