"""A query reaches the inbox once, whatever is retried or lost, and the answer comes back from there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from desk_world import CODER
from ehr_world import BASE, EhrWorld, SmallEhr, asking, completed, response

from gateway.encounter.model import DocumentKind
from gateway.review.model import HoldKind, HoldState, QueryStatus
from gateway.review.query_delivery import (
    FIRST_POLL,
    INBOX_TRANSITIONS,
    IllegalInboxMove,
    InboxState,
    QueryDelivery,
    moved,
    next_poll,
    pause,
)
from gateway.store.interface import Step

URL = "http://ehr.test/ehr"


@pytest.fixture
def ehr() -> SmallEhr:
    return SmallEhr()


@pytest.fixture
async def here(ehr: SmallEhr) -> AsyncIterator[EhrWorld]:
    async with asking(URL, httpx.MockTransport(ehr)) as made:
        yield made


async def test_the_task_and_its_form_stand_in_the_inbox_without_our_work_queues(here: EhrWorld, ehr: SmallEhr) -> None:
    query = await here.ask(tags=("second-look-team",))
    await here.turns()
    (task,), (form,) = ehr.of("Task"), ehr.of("Questionnaire")
    assert (task["status"], task["identifier"][0]["value"]) == ("requested", query.number)
    assert (
        task["input"][0]["valueCanonical"]
        == f"{form['url']}|{form['version']}"
        == f"{BASE}/Questionnaire/{query.number}|1"
    )
    assert "second-look-team" not in str(ehr.kept)
    row = await here.row(query)
    assert (row.state, row.reference) == (InboxState.STANDING, "Task/2")
    assert "query.delivered" in await here.world.actions()


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("kind", ["Task", "Questionnaire"])
async def test_a_lost_answer_leaves_one_query_in_the_inbox(conditional: bool, kind: str) -> None:
    ehr = SmallEhr(conditional=conditional)
    async with asking(URL, httpx.MockTransport(ehr)) as here:
        query = await here.ask()
        here.wire.lose_next("POST", kind)
        await here.turns()
        assert (await here.row(query)).state is InboxState.UNKNOWN
        await here.turns(3)
        assert (await here.row(query)).state is InboxState.STANDING
        assert len(ehr.of("Task")) == 1


async def test_an_intent_that_was_left_behind_is_searched_for_first(here: EhrWorld, ehr: SmallEhr) -> None:
    query = await here.ask()
    await here.turns()
    row = await here.row(query)
    left = row.model_copy(
        update={"state": InboxState.INTENT, "reference": None, "epoch": 3, "attempts": row.attempts + 1}
    )
    await here.world.store.commit(Step(query_delivery_moves=[(row, left)]))
    await here.turns(3)
    assert (await here.row(query)).reference == "Task/2"
    assert len(ehr.of("Task")) == 1


async def test_a_second_copy_that_came_late_is_withdrawn(here: EhrWorld, ehr: SmallEhr) -> None:
    query = await here.ask()
    here.wire.lose_next("POST", "Task")
    await here.turns(2)
    ehr.kept["Task/9"] = {
        **ehr.kept["Task/2"],
        "id": "9",
        "meta": {"versionId": "1", "lastUpdated": "2026-11-21T00:00:00Z"},
    }
    await here.turns()
    assert [task["status"] for task in ehr.of("Task")] == ["requested", "cancelled"]
    assert not (await here.row(query)).doubtful


@pytest.mark.parametrize(
    ("status", "state"), [(429, InboxState.READY), (503, InboxState.UNKNOWN), (422, InboxState.REFUSED)]
)
async def test_what_the_ehr_answers_decides_what_is_tried_next(
    here: EhrWorld, ehr: SmallEhr, status: int, state: InboxState
) -> None:
    query = await here.ask()
    ehr.answers = [status]
    await here.turns()
    row = await here.row(query)
    assert (row.state, row.failures, row.outcome) == (state, 1, str(status))
    calls = len(ehr.calls)
    await here.turns(later=timedelta(seconds=60))
    assert len(ehr.calls) == calls, "it asked for two minutes"
    await here.turns(2)
    assert (await here.row(query)).state is InboxState.STANDING


async def test_an_answer_in_the_task_completes_the_query(here: EhrWorld, ehr: SmallEhr) -> None:
    query = await here.ask()
    await here.turns()
    ehr.put("Task/2", {**ehr.kept["Task/2"], "status": "in-progress"})
    await here.turns()
    assert (await here.query(query.id)).status is QueryStatus.IN_PROGRESS
    ehr.put("Task/2", completed(ehr.kept["Task/2"], {"valueString": "Acute blood loss anaemia"}))
    await here.turns(2)
    after = await here.query(query.id)
    assert (after.status, after.answer_option, after.agreed) == (
        QueryStatus.COMPLETED,
        "Acute blood loss anaemia",
        True,
    )
    assert (await here.row(query)).state is InboxState.ENDED
    case = await here.world.case()
    assert case.encounter is not None
    assert any(d.kind is DocumentKind.QUERY_ANSWER for d in case.encounter.documents)
    assert all(hold.kind is not HoldKind.QUERY for hold in case.holds if hold.state is HoldState.OPEN)


async def test_an_answer_by_a_form_completes_the_query(here: EhrWorld, ehr: SmallEhr) -> None:
    query = await here.ask()
    await here.turns()
    task = ehr.kept["Task/2"]
    ehr.kept["QuestionnaireResponse/r1"] = {
        **response(task["input"][0]["valueCanonical"]),
        "id": "r1",
        "meta": {"versionId": "1"},
    }
    ehr.put("Task/2", completed(task, {"valueReference": {"reference": "QuestionnaireResponse/r1"}}))
    await here.turns(2)
    after = await here.query(query.id)
    assert (after.status, after.answered_by) == (QueryStatus.COMPLETED, "1234567893")
    assert (await here.row(query)).state is InboxState.ENDED


@pytest.mark.parametrize("update", [{"status": "completed"}, {"status": "rejected"}, {"status": "cancelled"}])
async def test_what_breaks_the_rules_is_not_taken_over(here: EhrWorld, ehr: SmallEhr, update: dict[str, str]) -> None:
    query = await here.ask()
    await here.turns()
    ehr.put("Task/2", {**ehr.kept["Task/2"], **update})
    await here.turns()
    assert (await here.query(query.id)).status is QueryStatus.REQUESTED
    row = await here.row(query)
    assert row.state is InboxState.STANDING
    assert row.outcome is not None


async def test_a_withdrawn_query_leaves_the_inbox(here: EhrWorld, ehr: SmallEhr) -> None:
    query = await here.ask()
    await here.turns()
    await here.desk.withdraw(query.id, CODER, "the note was found")
    ehr.answers = [200, 412]
    await here.turns(3, later=timedelta(minutes=30))
    task = ehr.of("Task")[0]
    assert (task["status"], task["statusReason"]["text"]) == ("cancelled", "the note was found")
    assert (await here.row(query)).state is InboxState.ENDED


async def test_one_that_was_withdrawn_before_it_left_is_never_sent(here: EhrWorld, ehr: SmallEhr) -> None:
    query = await here.ask()
    await here.desk.withdraw(query.id, CODER, "the note was found")
    await here.turns()
    assert (ehr.calls, (await here.row(query)).state) == ([], InboxState.ENDED)


async def test_a_communication_points_at_our_task_and_is_sent_once() -> None:
    ehr = SmallEhr(conditional=False)
    async with asking(URL, httpx.MockTransport(ehr), communication=True) as here:
        query = await here.ask()
        here.wire.lose_next("POST", "Communication")
        await here.turns(4)
        (sent,) = ehr.of("Communication")
        assert sent["basedOn"][0]["reference"] == f"{BASE}/Task/{query.id}"
        assert any(f"Query {query.number}" in part.get("contentString", "") for part in sent["payload"])
        assert (await here.row(query)).state is InboxState.STANDING


async def test_polling_keeps_its_manners(here: EhrWorld, ehr: SmallEhr) -> None:
    await here.ask()
    await here.turns(later=timedelta(0))
    calls = len(ehr.calls)
    await here.turns(later=timedelta(seconds=50))
    assert len(ehr.calls) == calls
    await here.turns(later=timedelta(seconds=15))
    assert len(ehr.calls) == calls + 1
    await here.turns(4, later=timedelta(minutes=1))
    assert len(ehr.calls) == calls + 1
    await here.turns(later=timedelta(minutes=1))
    assert len(ehr.calls) == calls + 2


def test_the_pauses_grow_and_the_table_has_no_other_moves() -> None:
    assert [pause(n).total_seconds() for n in (0, 1, 2, 20)] == [10, 20, 40, 900]
    assert {state for state, _ in INBOX_TRANSITIONS} == set(InboxState) - {InboxState.ENDED}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert next_poll(now, now) == now + FIRST_POLL
    row = QueryDelivery(query=1, number="Q1", encounter="M::1", ehr="epic", due=now, since=now)
    with pytest.raises(IllegalInboxMove):
        moved(row, "stand", now=now, due=now)
