"""Other ways of a provider query: by a template, by mouth, replaced, reminded, escalated, answered in the record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from desk_world import CODER, DIGEST, KEY, NPI, SUPERVISOR, World, draft, world

from gateway.desk.chasing import Chasing
from gateway.desk.queries import QueryDesk
from gateway.desk.query_placing import Placement
from gateway.desk.query_report import asked_between, figures
from gateway.desk.refusals import Reason, Refusal
from gateway.desk.verbal import SpokenAnswer, VerbalQueries
from gateway.encounter.model import Document, DocumentKind, DocumentStatus, Provider, ProviderRole, VisitStatus
from gateway.pipeline.reading import FhirReader
from gateway.review.model import HoldKind, HoldState, Indicator, Need, Query, QueryStatus
from gateway.review.policy import Policy, PolicyRule
from gateway.review.query_delivery import InboxState
from gateway.review.query_template import Filling, OwnOption, Passage
from gateway.review.query_template_file import load_templates
from gateway.review.query_timing import Calendar, EscalationStep, QueryPolicy
from gateway.store.queries import QuerySearch

ADVISER, SECOND = "1528000148", "1987654328"
FILLING = Filling(
    template="missing-diagnosis",
    provider=NPI,
    indicators={"finding": (Passage(document="n1", quote="HGB 6.9 g/dL"),)},
    options=(OwnOption(text="Acute blood loss anaemia", supported_by=("finding",)),),
)


@dataclass
class Ways:
    world: World
    placement: Placement
    queries: QueryDesk
    verbal: VerbalQueries
    chasing: Chasing

    async def query(self, id_: int) -> Query:
        found = await self.world.store.query(id_)
        assert found is not None
        return found

    async def open_holds(self) -> list[HoldKind]:
        return [hold.kind for hold in (await self.world.case()).holds if hold.state is HoldState.OPEN]

    def pass_until(self, moment: datetime) -> None:
        self.world.work.clock.at = moment  # type: ignore[attr-defined]

    def rule(self, **queries: Any) -> None:
        casework = self.world.casework
        review = PolicyRule(name="always", when="total > 0.0", reason="Every claim is reviewed.")
        policy = Policy(queries=QueryPolicy(**queries), rules=(review,))
        casework.rule_by(policy, casework._edit_context, casework._routes)


@pytest.fixture
async def here() -> AsyncIterator[Ways]:
    made = await world()
    placement = Placement(inbox=lambda encounter: "epic", templates=load_templates, fhir_base=lambda: "http://g/fhir")
    queries = QueryDesk(made.work, placement)
    yield Ways(made, placement, queries, VerbalQueries(made.work, placement), Chasing(made.work, placement))
    await made.store.close()


# By a template


async def test_a_template_is_drafted_and_asked(here: Ways) -> None:
    made, breaches = await here.queries.drafted(KEY, CODER, FILLING)
    assert (breaches, (await here.world.case()).queries) == ([], ())
    query, _ = await here.queries.from_template(KEY, CODER, FILLING)
    assert query.draft == made
    row = await here.world.store.query_delivery(query.id)
    assert row is not None
    assert (row.ehr, row.state) == ("epic", InboxState.READY)


async def test_a_passage_that_does_not_stand_is_refused_with_the_rule(here: Ways) -> None:
    wrong = FILLING.model_copy(update={"indicators": {"finding": (Passage(document="n1", quote="HGB 5.0"),)}})
    _, breaches = await here.queries.drafted(KEY, CODER, wrong)
    assert ["query-passage-absent" in breach for breach in breaches] == [True]
    with pytest.raises(Refusal) as refused:
        await here.queries.from_template(KEY, CODER, wrong)
    assert refused.value.reason is Reason.UNACCEPTABLE
    assert "query-passage-absent" in refused.value.details[0]
    with pytest.raises(Refusal) as unknown:
        await here.queries.from_template(KEY, CODER, FILLING.model_copy(update={"template": "none"}))
    assert unknown.value.reason is Reason.UNKNOWN


async def test_a_prior_encounter_that_is_not_there_supports_nothing(here: Ways) -> None:
    cited = Indicator(text="HGB 12 in May", document="n1", encounter="MAIN:MAIN:A9", relevance="It is the baseline.")
    with pytest.raises(Refusal) as refused:
        await here.queries.ask(KEY, CODER, draft(indicators=(*draft().indicators, cited)))
    assert "query-indicator-unlinked" in refused.value.details[0]


# By mouth


async def test_a_spoken_query_is_checked_and_kept_like_a_sent_one(here: Ways) -> None:
    said = SpokenAnswer(option="Acute blood loss anaemia", answered_by=NPI)
    query, _ = await here.verbal.record(KEY, CODER, draft(), said)
    assert (query.status, query.verbal, query.answered_by, query.agreed) == (QueryStatus.COMPLETED, True, NPI, True)
    assert HoldKind.QUERY not in await here.open_holds()
    assert await here.world.store.query_delivery(query.id) is None
    case = await here.world.case()
    assert case.encounter is not None
    answer = next(d for d in case.encounter.documents if d.kind is DocumentKind.QUERY_ANSWER)
    _, content = await here.world.desk.document(KEY, answer.id, CODER)
    assert b"Acute blood loss anaemia" in content.body
    assert {"query.asked", "query.answered"} <= set(await here.world.actions())
    kept = await here.world.store.message(case.encounter.history[-1].message)
    assert kept is not None
    again = await FhirReader({}, here.world.store)(kept)
    assert again.documents is not None, "the encounter can be built again from what was kept"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ({"option": "Something else"}, {}),
        ({}, {}),
        ({"option": "Other"}, {}),
        ({"option": "Acute blood loss anaemia", "answered_by": "1"}, {}),
        ({"option": "Acute blood loss anaemia"}, {"title": "For the DRG"}),
        ({"option": "Acute blood loss anaemia", "at": datetime(2027, 1, 1, tzinfo=UTC)}, {}),
    ],
)
async def test_a_spoken_query_that_is_not_compliant_is_refused(
    here: Ways, said: dict[str, Any], changes: dict[str, Any]
) -> None:
    answer = SpokenAnswer(**{"answered_by": NPI, **said})
    with pytest.raises(Refusal) as refused:
        await here.verbal.record(KEY, CODER, draft(**changes), answer)
    assert refused.value.reason is Reason.UNACCEPTABLE
    assert (await here.world.case()).queries == ()


# Replaced, never edited


async def test_a_change_is_a_new_query_in_the_place_of_the_old(here: Ways) -> None:
    first, _ = await here.queries.ask(KEY, CODER, draft())
    second, _ = await here.queries.replace(first.id, CODER, draft(title="The blood count"), "the title was unclear")
    before = await here.query(first.id)
    assert (before.status, before.draft) == (QueryStatus.CANCELLED, first.draft)
    assert "the title was unclear" in (before.status_reason or "")
    assert (second.replaces, second.status) == (first.number, QueryStatus.REQUESTED)
    assert (await here.open_holds()).count(HoldKind.QUERY) == 1
    with pytest.raises(Refusal) as refused:
        await here.queries.replace(first.id, CODER, draft(), "the title was unclear")
    assert refused.value.reason is Reason.IMPOSSIBLE


# In the record


def addendum(query: Query, status: DocumentStatus = DocumentStatus.FINAL) -> Document:
    author = Provider(role=ProviderRole.AUTHOR, npi=NPI)
    return Document(id="add1", title="Addendum", status=status, author=author, answers=query.number, digest=DIGEST)


async def test_a_signed_addendum_answers_the_query_and_ends_its_hold(here: Ways) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    case = await here.world.case()
    assert case.encounter is not None
    documents = case.encounter.documents
    await here.world.feed(documents=(*documents, addendum(query, DocumentStatus.PRELIMINARY)))
    assert (await here.query(query.id)).status is QueryStatus.REQUESTED, "nobody has signed it"
    await here.world.feed(documents=(*documents, addendum(query)))
    after = await here.query(query.id)
    assert (after.status, after.answered_in, after.answered_by) == (QueryStatus.COMPLETED, "add1", NPI)
    assert HoldKind.QUERY not in await here.open_holds()
    assert (await here.world.actions()).count("query.answered") == 1
    seen = await here.world.desk.show(KEY, SUPERVISOR)
    assert seen.case.queries[0].answered_in == "add1"


# Needed no more


@pytest.mark.parametrize("changes", [{"merged_into": "MAIN:MAIN:A2"}, {"visit": VisitStatus.CANCELLED}])
async def test_a_voided_or_merged_encounter_needs_no_answer(here: Ways, changes: dict[str, Any]) -> None:
    query, _ = await here.queries.ask(KEY, CODER, draft())
    case = await here.world.case()
    assert case.encounter is not None
    if "visit" in changes:
        changes = {"visit": case.encounter.visit.model_copy(update={"status": VisitStatus.CANCELLED})}
    await here.world.feed(**changes)
    after = await here.query(query.id)
    assert (after.status, bool(after.status_reason), after.look) == (QueryStatus.CANCELLED, True, None)
    assert HoldKind.QUERY not in await here.open_holds()


async def test_a_query_ends_with_the_finding_that_it_was_asked_for(here: Ways) -> None:
    with pytest.raises(Refusal) as refused:
        await here.queries.ask(KEY, CODER, draft(need=Need(rule="no-such-rule")))
    assert "query-need-unknown" in refused.value.details[0]
    query, _ = await here.queries.ask(KEY, CODER, draft(need=Need(rule="always")))
    await here.world.feed()
    assert (await here.query(query.id)).status is QueryStatus.REQUESTED, "the finding still stands"
    casework = here.world.casework
    casework.rule_by(Policy(), casework._edit_context, casework._routes)
    await here.world.feed()
    assert (await here.query(query.id)).status is QueryStatus.CANCELLED


# In time


def test_business_days_skip_weekends_and_holidays_and_keep_the_hour() -> None:
    friday = datetime(2026, 10, 30, 14, 0, tzinfo=UTC)  # 9 in Chicago, two days before the clocks go back
    chicago = Calendar(ZoneInfo("America/Chicago"), frozenset({date(2026, 11, 3)}))
    assert chicago.after(friday, 1) == datetime(2026, 11, 2, 15, 0, tzinfo=UTC)
    assert chicago.after(friday, 2) == datetime(2026, 11, 4, 15, 0, tzinfo=UTC)
    assert chicago.after(chicago.after(friday, 3), -3) == friday


async def test_the_provider_is_reminded_then_another_one_asked_then_the_adviser(here: Ways) -> None:
    case = await here.world.case()
    assert case.encounter is not None
    await here.world.feed(providers=(Provider(role=ProviderRole.ATTENDING, npi=SECOND),))
    steps = (EscalationStep(to="attending", due_days=2), EscalationStep(to=ADVISER, due_days=1))
    here.rule(reminders=(2, 1), escalate=steps)
    query, _ = await here.queries.ask(KEY, CODER, draft(due_days=5))
    assert query.due - query.asked == timedelta(days=7), "five business days and a weekend"
    assert await here.chasing() == 0
    assert query.look is not None
    here.pass_until(query.look)
    assert await here.chasing() == 1
    reminded = await here.query(query.id)
    assert (reminded.reminders, reminded.version, reminded.draft) == (1, 2, query.draft)
    assert await here.chasing() == 0, "once each"
    here.pass_until(query.due)
    await here.chasing()
    over, second = (await here.world.case()).queries
    assert (over.status, second.draft.provider, second.escalated) == (QueryStatus.CANCELLED, SECOND, 1)
    assert (second.replaces, second.draft.question) == (query.number, query.draft.question)
    here.pass_until(second.due)
    await here.chasing()
    adviser = (await here.world.case()).queries[-1]
    assert (adviser.draft.provider, adviser.escalated) == (ADVISER, 2)
    here.pass_until(adviser.due)
    await here.chasing()
    assert await here.chasing() == 0
    last = (await here.world.case()).queries[-1]
    assert (last.id, last.status, last.look) == (adviser.id, QueryStatus.REQUESTED, None)
    assert (await here.open_holds()).count(HoldKind.QUERY) == 1
    told = await here.world.actions()
    assert [told.count(f"query.{name}") for name in ("reminded", "escalated", "overdue")] == [1, 2, 1]


# Measured


async def test_agreement_and_turnaround_by_provider_and_template(here: Ways) -> None:
    agreeing, _ = await here.queries.from_template(KEY, CODER, FILLING)
    await here.verbal.record(KEY, CODER, draft(), SpokenAnswer(option="Unable to determine", answered_by=NPI))
    now = here.world.work.clock.now()
    found = figures(await asked_between(here.world.store, now - timedelta(days=1), now))
    lines = [(line.provider, line.template, line.asked, line.open, line.agreed, line.disagreed) for line in found]
    assert lines == [(NPI, "missing-diagnosis", 1, 1, 0, 0), (NPI, "none", 1, 0, 0, 1)]
    assert [line.agreement for line in found] == [None, 0.0]
    assert await here.world.store.queries(QuerySearch(numbers=(agreeing.number,))) == [agreeing]
