"""A provider query from the desk to its answer: held, seen, worked on, answered, kept with the record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise

import pytest
from desk_world import CODER, KEY, NPI, PROVIDER, STRANGER, SUPERVISOR, World, draft, world

from gateway.desk.query_reading import Found
from gateway.desk.refusals import Reason, Refusal
from gateway.encounter.change import Answer, Change
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import DocumentKind
from gateway.mappings.fhir.mapping import map_resource
from gateway.mappings.fhir.source import FhirSource
from gateway.message import Format, MessageState, Received
from gateway.review.model import HoldKind, HoldState, Query, QueryStatus
from gateway.review.queries import QUERY_TRANSITIONS, Party, steps_to
from gateway.store.queries import QuerySearch


@pytest.fixture
async def here() -> AsyncIterator[World]:
    made = await world()
    yield made
    await made.store.close()


def received(control: str = "request-1", payload: bytes = b"{}") -> Received:
    return Received("inbox", Format.FHIR, "PUT Task/1", control, payload, b"")


def word(query: Query, status: str, text: str = "", message: int = 501) -> Change:
    answer = Answer(query=query.number, text=text, status=status)
    return Change(message=message, key=EncounterKey.parse(KEY), answers=(answer,))


def answered(query: Query, message: int = 600) -> Change:
    """What the facade makes of a QuestionnaireResponse."""
    response = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"http://gateway/fhir/Questionnaire/{query.number}|1",
        "status": "completed",
        "author": {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": NPI}},
        "item": [{"linkId": "question", "answer": [{"valueCoding": {"code": "option-1"}}]}],
    }
    change = map_resource(response, FhirSource("inbox", "", queries={query.number: query}), message)
    assert isinstance(change, Change)
    return change


async def test_a_query_holds_the_claim(here: World) -> None:
    query, ruling = await here.queries.ask(KEY, CODER, draft())
    held = next(hold for hold in ruling.open_holds if hold.kind is HoldKind.QUERY)
    assert (held.query, held.due) == (query.id, query.due)
    assert (query.status, query.asked_by) == (QueryStatus.REQUESTED, "user:cora")
    assert "query.asked" in await here.actions()
    seen = await here.desk.show(KEY, SUPERVISOR)
    approved = await here.desk.approve(KEY, SUPERVISOR, seen.fingerprint)
    assert ([hold.kind for hold in approved.open_holds], approved.released) == ([HoldKind.QUERY], None)
    with pytest.raises(Refusal) as refused:
        await here.desk.resolve(KEY, held.id, SUPERVISOR, "no need")
    assert refused.value.reason is Reason.NOT_ALLOWED


async def test_a_query_that_leads_or_speaks_of_money_is_not_asked(here: World) -> None:
    with pytest.raises(Refusal) as refused:
        await here.queries.ask(KEY, CODER, draft(indicators=(), title="To improve reimbursement"))
    assert refused.value.reason is Reason.UNACCEPTABLE
    assert any(detail.startswith("indicators") for detail in refused.value.details)
    assert any(detail.startswith("title") for detail in refused.value.details)
    assert (await here.case()).queries == ()


async def test_a_reader_is_named_by_its_role_not_by_whom_it_speaks_for(here: World) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    await here.queries.get(query.id, replace(PROVIDER, npi=()))
    assert (await here.told())[-1].event.actor == "client:inbox"
    await here.queries.get(query.id, CODER)
    assert (await here.told())[-1].event.actor == "user:cora"


async def test_the_provider_finds_and_reads_its_query_and_no_other_does(here: World) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    found = await here.queries.find(QuerySearch(owners=(NPI,)), PROVIDER)
    assert [one.query.id for one in found.items] == [query.id]
    assert (found.total, found.more) == (1, False)
    asked = await here.queries.get(query.id, PROVIDER)
    assert asked.query == query
    assert (await here.queries.by_number(query.number, PROVIDER)).query == query
    assert (await here.told())[-1].event.actor == "client:inbox"
    assert await here.queries.find(QuerySearch(), STRANGER) == Found([], 0)
    for reading in (here.queries.get(query.id, STRANGER), here.queries.by_number(query.number, STRANGER)):
        with pytest.raises(Refusal) as refused:
            await reading
        assert refused.value.reason is Reason.UNKNOWN


async def test_an_answer_ends_the_hold_and_is_kept_with_the_record(here: World) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    seen = await here.desk.show(KEY, SUPERVISOR)
    await here.desk.approve(KEY, SUPERVISOR, seen.fingerprint)
    asked = await here.queries.respond(query.id, PROVIDER, answered(query), received(payload=b'{"x":1}'))
    assert (asked.query.status, asked.query.answer_option) == (QueryStatus.COMPLETED, "Acute blood loss anaemia")
    assert asked.query.answered_by == NPI
    case = await here.case()
    assert all(hold.state is not HoldState.OPEN for hold in case.holds)
    assert case.encounter is not None
    document = next(d for d in case.encounter.documents if d.kind is DocumentKind.QUERY_ANSWER)
    _, content = await here.desk.document(KEY, document.id, CODER)
    assert b"Acute blood loss anaemia" in content.body
    message = await here.store.message(600)
    assert message is not None
    assert (message.state, message.payload, message.encounter) == (MessageState.PROCESSED, b'{"x":1}', KEY)
    told = await here.actions()
    assert {"message.received", "message.processed", "query.answered"} <= set(told)
    assert len(here.released) == 1, "the approval was of the same codes: the claim leaves with the answer"


async def test_the_provider_works_through_the_tasks_states(here: World) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    for version, status in enumerate(("accepted", "in-progress", "on-hold", "in-progress"), start=1):
        control = f"request-{version}"
        asked = await here.queries.respond(
            query.id, PROVIDER, word(query, status, message=700 + version), received(control), version
        )
        assert (asked.query.status, asked.query.version) == (status, version + 1)
    assert (await here.actions()).count("query.changed") == 4


async def test_the_same_word_again_changes_nothing(here: World) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    asked = await here.queries.respond(query.id, PROVIDER, word(query, "requested"), received(), 1)
    assert asked.query == query
    assert await here.store.message(501) is None


@pytest.mark.parametrize(
    ("status", "text", "version", "reason"),
    [
        ("accepted", "", 2, Reason.STALE),
        ("in-progress", "", 1, Reason.IMPOSSIBLE),
        ("completed", "yes", 1, Reason.IMPOSSIBLE),
        ("cancelled", "", 1, Reason.IMPOSSIBLE),
        ("draft", "", 1, Reason.IMPOSSIBLE),
        ("rejected", "", 1, Reason.UNACCEPTABLE),
    ],
)
async def test_what_the_table_of_states_does_not_allow_is_refused_and_not_kept(
    here: World, status: str, text: str, version: int, reason: Reason
) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    with pytest.raises(Refusal) as refused:
        await here.queries.respond(query.id, PROVIDER, word(query, status, text), received(), version)
    assert refused.value.reason is reason
    assert await here.store.message(501) is None


async def test_a_query_that_is_declined_becomes_a_dispute_for_a_reviewer(here: World) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    await here.queries.respond(query.id, PROVIDER, word(query, "rejected", "Not my patient"), received(), 1)
    case = await here.case()
    standing = [hold for hold in case.holds if hold.state is HoldState.OPEN]
    assert {hold.kind for hold in standing} == {HoldKind.REVIEW, HoldKind.DISPUTE}
    dispute = next(hold for hold in standing if hold.kind is HoldKind.DISPUTE)
    ruling = await here.desk.resolve(KEY, dispute.id, SUPERVISOR, "asked by telephone")
    assert [hold.kind for hold in ruling.open_holds] == [HoldKind.REVIEW]


async def test_a_withdrawn_query_holds_no_more_and_takes_no_answer(here: World) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    after, ruling = await here.queries.withdraw(query.id, CODER, "the note was found")
    assert (after.status, after.status_reason) == (QueryStatus.CANCELLED, "the note was found")
    assert [hold.kind for hold in ruling.open_holds] == [HoldKind.REVIEW]
    with pytest.raises(Refusal) as refused:
        await here.queries.respond(query.id, PROVIDER, answered(query), received())
    assert refused.value.reason is Reason.IMPOSSIBLE
    with pytest.raises(Refusal):
        await here.queries.withdraw(query.id, CODER, "again")


async def test_a_stranger_neither_answers_nor_withdraws(here: World) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    with pytest.raises(Refusal) as unknown:
        await here.queries.respond(query.id, STRANGER, answered(query), received())
    assert unknown.value.reason is Reason.UNKNOWN
    with pytest.raises(Refusal) as forbidden:
        await here.queries.withdraw(query.id, PROVIDER, "no")
    assert forbidden.value.reason is Reason.NOT_ALLOWED


def test_the_implied_steps_are_steps_of_the_table() -> None:
    for first in {before for before, _ in QUERY_TRANSITIONS} - {QueryStatus.DRAFT}:
        path = (first, *steps_to(first, QueryStatus.COMPLETED))
        assert path[-1] is QueryStatus.COMPLETED
        assert all(QUERY_TRANSITIONS[pair] is Party.PROVIDER for pair in pairwise(path))
