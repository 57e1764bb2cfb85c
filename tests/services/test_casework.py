"""One decision over one case: holds open and end by themselves, approvals bind, claims leave."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from services_world import SUPERVISOR, World, key_of, open_holds, open_rules, visit_number, world

from conformance.hospital import Item, Visit
from gateway.audit.events import Action
from gateway.case import Case
from gateway.encounter.billable import fingerprint
from gateway.release.model import DeliveryState
from gateway.review.model import DecisionKind, HoldKind, HoldState
from gateway.review.policy import Policy
from gateway.rules import Rules

REVIEWED = Policy.model_validate(
    {"rules": [{"name": "always", "when": "total > 0.0", "reason": "Every claim is reviewed."}]}
)


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
