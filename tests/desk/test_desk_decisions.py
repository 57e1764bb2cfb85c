"""What a reviewer decides: approve, return, resolve; each committed once, with its events, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from desk_world import CODER, KEY, NOTE, SUPERVISOR, World, draft, world

from gateway.desk.desk import Filters
from gateway.desk.refusals import Reason, Refusal
from gateway.review.model import DecisionKind, HoldKind, HoldState, Severity
from gateway.review.policy import PolicyRule
from gateway.store.interface import Conflict, Step


@pytest.fixture
async def here() -> AsyncIterator[World]:
    made = await world()
    yield made
    await made.store.close()


async def test_the_encounter_is_shown_with_what_holds_it_and_the_reading_is_told(here: World) -> None:
    shown = await here.desk.show(KEY, CODER)
    assert [hold.rule for hold in shown.case.holds] == ["always"]
    assert (str(shown.total), shown.stage) == ("162.00", "held")
    last = (await here.told())[-1].event
    assert (last.action, last.actor, last.subject) == ("encounter.read", "user:cora", f"encounter/{KEY}")


async def test_a_documents_content_is_given_and_its_reading_told(here: World) -> None:
    document, content = await here.desk.document(KEY, "n1", CODER)
    assert (document.id, content.body) == ("n1", NOTE)
    assert (await here.told())[-1].event.subject == f"document/{content.digest}"
    with pytest.raises(Refusal):
        await here.desk.document(KEY, "n2", CODER)


async def test_the_worklist_shows_what_is_held(here: World) -> None:
    assert [item.key for item in await here.desk.worklist(Filters(stages=("held",)))] == [KEY]
    assert await here.desk.worklist(Filters(stages=("accepted",))) == []


async def test_an_approval_ends_the_review_and_the_claim_leaves(here: World) -> None:
    seen = await here.desk.show(KEY, SUPERVISOR)
    ruling = await here.desk.approve(KEY, SUPERVISOR, seen.fingerprint, "as documented")
    assert ruling.open_holds == ()
    assert ruling.released is not None
    assert ruling.released.approved_by == "user:sam"
    assert here.released == [ruling.released]
    case = await here.case()
    assert [d.kind for d in case.decisions] == [DecisionKind.APPROVE]
    assert (case.holds[0].state, case.holds[0].ended_by) == (HoldState.RESOLVED, "user:sam")
    assert len(case.deliveries) == 1
    told = await here.actions()
    assert told.index("encounter.approved") < told.index("hold.resolved") < told.index("claim.released")


async def test_an_approval_of_what_is_no_longer_billed_is_refused(here: World) -> None:
    seen = await here.desk.show(KEY, SUPERVISOR)
    first = seen.encounter.charges[0]
    dearer = first.model_copy(update={"amount": (first.amount or 0) + 1})
    await here.feed(charges=(dearer, *seen.encounter.charges[1:]))
    with pytest.raises(Refusal) as refused:
        await here.desk.approve(KEY, SUPERVISOR, seen.fingerprint)
    assert refused.value.reason is Reason.STALE
    assert (await here.case()).claims == ()


async def test_who_may_not_approve_does_not(here: World) -> None:
    seen = await here.desk.show(KEY, CODER)
    with pytest.raises(Refusal) as refused:
        await here.desk.approve(KEY, CODER, seen.fingerprint)
    assert refused.value.reason is Reason.NOT_ALLOWED


async def test_an_unknown_encounter_is_refused(here: World) -> None:
    with pytest.raises(Refusal) as refused:
        await here.desk.show("MAIN::NONE", CODER)
    assert refused.value.reason is Reason.UNKNOWN


async def test_what_is_returned_is_held_until_the_codes_change(here: World) -> None:
    ruling = await here.desk.return_to_coder(KEY, SUPERVISOR, "The note supports 99212.")
    assert {hold.kind for hold in ruling.open_holds} == {HoldKind.REVIEW, HoldKind.RETURNED}
    seen = await here.desk.show(KEY, SUPERVISOR)
    approved = await here.desk.approve(KEY, SUPERVISOR, seen.fingerprint)
    assert [hold.kind for hold in approved.open_holds] == [HoldKind.RETURNED]
    assert approved.released is None
    assert seen.encounter is not None
    recoded = seen.encounter.charges[0].model_copy(update={"code": "99212"})
    await here.feed(charges=(recoded, *seen.encounter.charges[1:]))
    case = await here.case()
    returned = next(hold for hold in case.holds if hold.kind is HoldKind.RETURNED)
    assert returned.state is HoldState.CLEARED
    assert [hold.rule for hold in case.holds if hold.state is HoldState.OPEN] == ["always"]


async def test_a_return_takes_back_the_approval_before_it(here: World) -> None:
    _, asked = await here.queries.ask(KEY, CODER, draft())
    await here.desk.approve(KEY, SUPERVISOR, asked.fingerprint)
    ruling = await here.desk.return_to_coder(KEY, SUPERVISOR, "On second thoughts, look again.")
    assert {hold.kind for hold in ruling.open_holds} == {HoldKind.QUERY, HoldKind.RETURNED, HoldKind.REVIEW}
    returned = next(hold for hold in ruling.open_holds if hold.kind is HoldKind.RETURNED)
    ruling = await here.desk.resolve(KEY, returned.id, CODER, "The codes are right.")
    assert {hold.kind for hold in ruling.open_holds} == {HoldKind.QUERY, HoldKind.REVIEW}
    ruling = await here.desk.approve(KEY, SUPERVISOR, asked.fingerprint)
    assert {hold.kind for hold in ruling.open_holds} == {HoldKind.QUERY}


async def test_a_released_claim_is_not_returned(here: World) -> None:
    seen = await here.desk.show(KEY, SUPERVISOR)
    await here.desk.approve(KEY, SUPERVISOR, seen.fingerprint)
    with pytest.raises(Refusal) as refused:
        await here.desk.return_to_coder(KEY, SUPERVISOR, "too late")
    assert refused.value.reason is Reason.IMPOSSIBLE


async def test_a_hold_is_ended_by_whom_it_is_left_to(here: World) -> None:
    hold = (await here.case()).holds[0]
    with pytest.raises(Refusal) as refused:
        await here.desk.resolve(KEY, hold.id, CODER, "fine")
    assert refused.value.reason is Reason.NOT_ALLOWED
    ruling = await here.desk.resolve(KEY, hold.id, SUPERVISOR, "looked at on paper")
    assert ruling.released is not None
    assert (await here.case()).holds[0].ended_reason == "looked at on paper"
    with pytest.raises(Refusal) as again:
        await here.desk.resolve(KEY, hold.id, SUPERVISOR, "again")
    assert again.value.reason is Reason.IMPOSSIBLE
    with pytest.raises(Refusal) as unknown:
        await here.desk.resolve(KEY, 1, SUPERVISOR, "?")
    assert unknown.value.reason is Reason.UNKNOWN


async def test_an_approval_leaves_an_error_standing() -> None:
    made = await world(
        PolicyRule(name="always", when="total > 0.0", reason="Every claim is reviewed."),
    )
    case = await made.case()
    assert case.encounter is not None
    await made.feed(documents=())
    seen = await made.desk.show(KEY, SUPERVISOR)
    standing = [
        hold for hold in seen.case.holds if hold.severity is Severity.ERROR and hold.kind is not HoldKind.REVIEW
    ]
    assert standing
    ruling = await made.desk.approve(KEY, SUPERVISOR, seen.fingerprint)
    assert [hold.id for hold in ruling.open_holds] == [hold.id for hold in standing]
    assert ruling.released is None
    await made.store.close()


async def test_a_decision_that_meets_another_is_taken_again_on_what_stands_then(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = await here.desk.show(KEY, SUPERVISOR)
    commit = here.store.commit
    met = 0

    async def late(step: Step) -> None:
        nonlocal met
        if step.cases and met < 2:
            met += 1
            raise Conflict
        await commit(step)

    monkeypatch.setattr(here.store, "commit", late)
    ruling = await here.desk.approve(KEY, SUPERVISOR, seen.fingerprint)
    assert (met, ruling.released is not None) == (2, True)
    assert (await here.actions()).count("encounter.approved") == 1


async def test_after_three_conflicts_the_desk_gives_up(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = await here.desk.show(KEY, SUPERVISOR)

    async def never(step: Step) -> None:
        raise Conflict

    monkeypatch.setattr(here.store, "commit", never)
    with pytest.raises(Refusal) as refused:
        await here.desk.approve(KEY, SUPERVISOR, seen.fingerprint)
    assert refused.value.reason is Reason.BUSY
