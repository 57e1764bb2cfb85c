"""What becomes of a delivery, and what it means for its case."""

from __future__ import annotations

from typing import cast

import pytest
from services_world import SUPERVISOR, World, key_of, open_holds, open_rules, visit_number

from gateway.audit.events import Action
from gateway.delivery.settlement import TRIES, Settlement
from gateway.release.model import Delivery, DeliveryState, Outcome, Result
from gateway.release.transitions import changed_event, intended, settled
from gateway.review.model import HoldKind, HoldState
from gateway.store.interface import Conflict, DeliveryChange, Step, Store, StoreFault

KEY = key_of(visit_number(1))


class Sending:
    """A released claim whose delivery is under way, and the far end's answers."""

    def __init__(self, gateway: World) -> None:
        self.gateway = gateway
        self.settlement = Settlement(cast(Store, gateway.store), gateway.casework, gateway.clock)

    async def begin(self) -> Sending:
        await self.gateway.tell(visit_number(1))
        await self.gateway.work()
        ready = await self.delivery()
        intent = intended(ready, b"the claim", epoch=1, now=self.gateway.clock.now())
        await self.gateway.store.real.commit(Step(deliveries=[DeliveryChange(ready, intent)]))
        return self

    async def delivery(self) -> Delivery:
        return (await self.gateway.case(KEY)).deliveries[-1]

    async def answered(
        self, result: Result, text: str = "the payer's words", before: Delivery | None = None
    ) -> Delivery:
        before = before or await self.delivery()
        now = self.gateway.clock.now()
        outcome = Outcome(result=result, text=text)
        after = settled(before, outcome, now=now, due=now)
        event = changed_event(before, after, actor="gateway")
        await self.settlement.delivery_changed(before, after, outcome, [event])
        return after


async def sending(gateway: World) -> Sending:
    return await Sending(gateway).begin()


async def test_an_accepted_claim_is_at_its_end(gateway: World) -> None:
    claim = await sending(gateway)
    after = await claim.answered(Result.ACCEPTED)
    assert await claim.delivery() == after
    assert await gateway.stage(KEY) == "accepted"
    assert open_rules(await gateway.case(KEY)) == set()
    (told,) = [e.event async for e in gateway.store.events() if e.event.action is Action.DELIVERY_CHANGED]
    assert (told.detail["from"], told.detail["to"]) == ("intent", "accepted")


async def test_a_refused_claim_is_held_for_a_person(gateway: World) -> None:
    claim = await sending(gateway)
    after = await claim.answered(Result.REJECTED, "subscriber not found")
    case = await gateway.case(KEY)
    (hold,) = open_holds(case)
    assert (hold.kind, hold.rule, hold.subject) == (HoldKind.DELIVERY, "claim-refused", str(after.id))
    assert hold.evidence == ("subscriber not found",)
    assert case.claims[0].number in hold.text
    assert await gateway.stage(KEY) == "rejected"
    assert "hold.opened delivery claim-refused" in await gateway.told(KEY)


async def test_a_lost_claim_is_held_until_it_is_known_what_became_of_it(gateway: World) -> None:
    claim = await sending(gateway)
    await claim.answered(Result.UNKNOWN)
    assert open_rules(await gateway.case(KEY)) == {"delivery-unknown"}
    assert await gateway.stage(KEY) == "unknown"
    await claim.answered(Result.ACCEPTED)
    case = await gateway.case(KEY)
    assert [(h.rule, h.state) for h in case.holds if h.kind is HoldKind.DELIVERY] == [
        ("delivery-unknown", HoldState.CLEARED)
    ]
    assert await gateway.stage(KEY) == "accepted"
    assert "hold.ended delivery delivery-unknown" in await gateway.told(KEY)


async def test_a_lost_claim_that_turns_out_refused_is_held_for_that(gateway: World) -> None:
    claim = await sending(gateway)
    await claim.answered(Result.UNKNOWN)
    await claim.answered(Result.REJECTED)
    assert open_rules(await gateway.case(KEY)) == {"claim-refused"}


async def test_a_resolved_refusal_stays_resolved_while_the_same_would_be_billed(gateway: World) -> None:
    claim = await sending(gateway)
    await claim.answered(Result.REJECTED)
    (hold,) = open_holds(await gateway.case(KEY))
    await gateway.desk.resolve(KEY, hold.id, SUPERVISOR, "written off")
    await gateway.register(visit_number(1), "A08")
    await gateway.work()
    assert open_rules(await gateway.case(KEY)) == set()
    assert await gateway.stage(KEY) == "rejected"


async def test_nothing_is_released_again_after_a_refusal(gateway: World) -> None:
    claim = await sending(gateway)
    await claim.answered(Result.REJECTED)
    await gateway.tell(visit_number(1))
    await gateway.work()
    assert len((await gateway.case(KEY)).claims) == 1


async def test_a_case_that_changed_meanwhile_is_decided_again(gateway: World) -> None:
    claim = await sending(gateway)

    async def message(_: Step) -> None:
        await gateway.charge(visit_number(1, items=visit_number(1).items[:1]))
        await gateway.code(visit_number(1), ("I10",))
        await gateway.work()

    gateway.store.next_commits = [message]
    await claim.answered(Result.REJECTED)
    assert open_rules(await gateway.case(KEY)) >= {"claim-refused", "changed-after-release"}


async def test_a_message_that_comes_while_a_delivery_settles_loses_neither(gateway: World) -> None:
    claim = await sending(gateway)
    await gateway.register(visit_number(1, location="WARD-7"), "A08")

    async def settles(_: Step) -> None:
        await claim.answered(Result.ACCEPTED)

    gateway.store.next_commits = [settles]
    await gateway.work()
    assert (await claim.delivery()).state is DeliveryState.ACCEPTED
    assert (await gateway.encounter(KEY)).visit.location == "WARD-7"
    assert await gateway.stage(KEY) == "accepted"


async def test_a_delivery_that_has_moved_is_not_moved_again(gateway: World) -> None:
    claim = await sending(gateway)
    intent = await claim.delivery()
    await claim.answered(Result.ACCEPTED)
    with pytest.raises(Conflict, match="no longer intent"):
        await claim.answered(Result.UNKNOWN, before=intent)
    assert (await claim.delivery()).state is DeliveryState.ACCEPTED


async def test_an_answer_to_an_earlier_attempt_is_refused(gateway: World) -> None:
    claim = await sending(gateway)
    first = await claim.delivery()
    lost = await claim.answered(Result.UNKNOWN)
    again = intended(lost, b"the claim", epoch=1, now=gateway.clock.now())
    await gateway.store.real.commit(Step(deliveries=[DeliveryChange(lost, again)]))
    with pytest.raises(Conflict):
        await claim.answered(Result.REJECTED, before=first)


async def test_a_case_that_never_rests_is_a_conflict_and_changes_nothing(gateway: World) -> None:
    claim = await sending(gateway)
    gateway.store.next_commits = [Conflict("case")] * TRIES
    with pytest.raises(Conflict, match="changes too fast"):
        await claim.answered(Result.ACCEPTED)
    assert (await claim.delivery()).state is DeliveryState.INTENT
    assert not [e async for e in gateway.store.events() if e.event.action is Action.DELIVERY_CHANGED]


async def test_a_store_that_fails_is_the_callers_to_try_again(gateway: World) -> None:
    claim = await sending(gateway)
    gateway.store.next_commits = [StoreFault("disk")]
    with pytest.raises(StoreFault):
        await claim.answered(Result.ACCEPTED)
    await claim.answered(Result.ACCEPTED)
    assert await gateway.stage(KEY) == "accepted"
