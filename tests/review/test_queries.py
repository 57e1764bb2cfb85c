from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from review_making import change_item, load

from gateway.encounter.model import DocumentStatus, Encounter
from gateway.review.model import Indicator, Option, Query, QueryDraft, QueryKind, QueryStatus
from gateway.review.queries import (
    FINAL,
    QUERY_TRANSITIONS,
    Party,
    QueryRefused,
    transition,
)
from gateway.review.query_checks import YES_NO_SUBJECTS, check
from gateway.review.query_words import (
    LEADING_WORDS,
    PAYMENT_WORDS,
    QUALITY_WORDS,
    leading_words,
    payment_words,
    quality_words,
)

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
S = QueryStatus

CHOICE = QueryDraft(
    kind=QueryKind.MULTIPLE_CHOICE,
    title="Kidney function",
    question="Please clarify the condition that was monitored and treated.",
    indicators=(Indicator(text="Creatinine 3.1 mg/dL, 0.9 last month", document="n1"),),
    options=(
        Option(text="Acute kidney injury", indicators=(0,)),
        Option(text="Other (please specify)"),
        Option(text="Unable to determine"),
    ),
    provider="1234567893",
)
YES_NO = CHOICE.model_copy(update={"kind": QueryKind.YES_NO, "options": (), "subject": "present-on-admission"})
OPEN = CHOICE.model_copy(update={"kind": QueryKind.OPEN, "options": ()})


def asked(status: QueryStatus = S.REQUESTED) -> Query:
    return Query(
        id=1, number="Q1", encounter="M::1", draft=CHOICE, status=status, asked_by="user:c", asked=NOW,
        due=NOW + timedelta(7), changed=NOW,
    )  # fmt: skip


def refused(draft: QueryDraft, encounter: Encounter | None = None) -> list[tuple[str, str]]:
    return [(finding.rule, finding.where) for finding in check(draft, encounter or load("outpatient"))]


def draft(base: QueryDraft = CHOICE, **update: object) -> QueryDraft:
    return base.model_copy(update=update)


# The table of states


@pytest.mark.parametrize("by", Party)
@pytest.mark.parametrize("after", S)
@pytest.mark.parametrize("before", S)
def test_every_step(before: QueryStatus, after: QueryStatus, by: Party) -> None:
    given_ = {"reason": "because"} if after in (S.REJECTED, S.FAILED) else {}
    if after is S.COMPLETED:
        given_ = {"answer": "AKI"}
    query = asked(before)
    if QUERY_TRANSITIONS.get((before, after)) is not by:
        if before is after and not given_:
            assert transition(query, after, now=LATER, by=by) is query
            return
        with pytest.raises(QueryRefused) as refusal:
            transition(query, after, now=LATER, by=by, **given_)
        assert refusal.value.code == "conflict"
        return
    step = transition(query, after, now=LATER, by=by, **given_)
    assert (step.status, step.version, step.changed) == (after, 2, LATER)
    assert step.draft is query.draft


def test_the_steps_of_the_standard() -> None:
    """Da Vinci CDex, Task states, with FHIR's `received` and `ready`; a draft may only be issued or dropped."""
    provider = {step for step, party in QUERY_TRANSITIONS.items() if party is Party.PROVIDER}
    assert provider == {
        (S.REQUESTED, S.RECEIVED),
        (S.REQUESTED, S.ACCEPTED),
        (S.REQUESTED, S.REJECTED),
        (S.RECEIVED, S.ACCEPTED),
        (S.RECEIVED, S.REJECTED),
        (S.ACCEPTED, S.READY),
        (S.READY, S.IN_PROGRESS),
        (S.ACCEPTED, S.IN_PROGRESS),
        (S.IN_PROGRESS, S.ON_HOLD),
        (S.ON_HOLD, S.IN_PROGRESS),
        (S.IN_PROGRESS, S.COMPLETED),
        (S.IN_PROGRESS, S.FAILED),
    }
    assert {S.REJECTED, S.COMPLETED, S.FAILED, S.CANCELLED, S.ENTERED_IN_ERROR} == FINAL
    assert QUERY_TRANSITIONS[S.DRAFT, S.REQUESTED] is Party.REQUESTER
    for status in set(S) - FINAL:
        assert QUERY_TRANSITIONS[status, S.CANCELLED] is Party.REQUESTER
        assert QUERY_TRANSITIONS[status, S.ENTERED_IN_ERROR] is Party.REQUESTER


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (S.REQUESTED, S.REJECTED, {}),
        (S.REQUESTED, S.REJECTED, {"reason": "  "}),
        (S.IN_PROGRESS, S.FAILED, {}),
        (S.IN_PROGRESS, S.COMPLETED, {}),
        (S.IN_PROGRESS, S.COMPLETED, {"answer": " "}),
        (S.REQUESTED, S.ACCEPTED, {"answer": "AKI"}),
    ],
)
def test_what_a_step_must_carry(before: QueryStatus, after: QueryStatus, said: dict[str, str]) -> None:
    with pytest.raises(QueryRefused) as refusal:
        transition(asked(before), after, now=LATER, **said)  # type: ignore[arg-type]
    assert refusal.value.code == "incomplete"


def test_an_answer_is_kept_with_who_gave_it() -> None:
    query = transition(
        asked(S.IN_PROGRESS), S.COMPLETED, now=LATER, answer="As charted", option="Acute kidney injury",
        answered_by="client:inbasket",
    )  # fmt: skip
    assert (query.answer, query.answer_option) == ("As charted", "Acute kidney injury")
    assert (query.answered, query.answered_by) == (LATER, "client:inbasket")


def test_a_second_answer_is_refused() -> None:
    done = transition(asked(S.IN_PROGRESS), S.COMPLETED, now=LATER, answer="AKI")
    with pytest.raises(QueryRefused):
        transition(done, S.COMPLETED, now=LATER, answer="Something else")
    assert transition(done, S.COMPLETED, now=LATER) is done


# Compliance


@pytest.mark.parametrize("compliant", [CHOICE, YES_NO, OPEN])
def test_a_compliant_query(compliant: QueryDraft) -> None:
    assert refused(compliant) == []


def test_an_indicator_is_needed() -> None:
    assert refused(draft(OPEN, indicators=())) == [("query-no-indicator", "indicators")]


@pytest.mark.parametrize("document", [None, "", "n9"])
def test_an_indicator_stands_in_a_document_of_this_encounter(document: str | None) -> None:
    unlinked = draft(OPEN, indicators=(Indicator(text="Creatinine 3.1", document=document),))
    assert refused(unlinked) == [("query-indicator-unlinked", "indicators[0].document")]


def test_a_cancelled_document_holds_no_indicator() -> None:
    encounter = change_item(load("outpatient"), "documents", 0, status=DocumentStatus.CANCELLED)
    assert refused(OPEN, encounter) == [("query-indicator-unlinked", "indicators[0].document")]


PLACES = ["title", "question", "indicators[0].text", "options[0].text"]


def saying(place: str, text: str) -> QueryDraft:
    """A compliant query that says `text` in one place."""
    if place.startswith("indicators"):
        return draft(indicators=(Indicator(text=text, document="n1"),))
    if place.startswith("options"):
        return draft(options=(Option(text=text, indicators=(0,)), *CHOICE.options[1:]))
    return draft(**{place: text})


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "text", ["It raises the DRG.", "a higher drg", "MS-DRG 291", "an MCC", "cc/mcc", "Reimbursement"]
)
def test_words_of_payment_are_refused_everywhere(place: str, text: str) -> None:
    assert refused(saying(place, text)) == [("query-payment-word", place)]


@pytest.mark.parametrize("place", PLACES)
def test_words_of_quality_scores_are_refused_everywhere(place: str) -> None:
    assert refused(saying(place, "It counts in the Quality\u00a0Score.")) == [("query-quality-word", place)]


def test_leading_words_are_refused_where_the_asker_writes() -> None:
    assert refused(saying("question", "Don\u2019t you agree that it is AKI?")) == [("query-leading-word", "question")]
    assert refused(saying("indicators[0].text", "Note: please document urine output")) == []


@pytest.mark.parametrize("word", [*PAYMENT_WORDS, *QUALITY_WORDS, *LEADING_WORDS])
def test_each_word_of_the_lists_is_found(word: str) -> None:
    find = payment_words if word in PAYMENT_WORDS else quality_words if word in QUALITY_WORDS else leading_words
    for written in (word, word.upper(), f"It says {word}.", word.replace(" ", "\n"), f"({word})"):
        assert find(written), written
    assert not find(f"x{word}x")


@pytest.mark.parametrize(
    "text",
    [
        "Quality of the pain: sharp",
        "Patient denies chest pain and denied fever",
        "Given 500 cc of saline, then 1.5cc",
        "Hepatocellular carcinoma (HCC)",
        "Range of motion (ROM) is full",
        "Costochondritis; account of the fall; repayable; indrgx",
        "The wound was billowing",
        "Patient claims that he fell",
    ],
)
def test_clinical_words_are_not_taken_for_them(text: str) -> None:
    assert refused(saying("indicators[0].text", text)) == []


@given(st.text(max_size=60))
def test_any_text_can_be_checked(text: str) -> None:
    for finding in check(draft(question=text), load("outpatient")):
        assert finding.where == "question"


def test_a_multiple_choice_has_its_ways_out() -> None:
    clinical, other, undetermined = CHOICE.options
    assert refused(draft(options=(clinical, undetermined))) == [("query-other-missing", "options")]
    assert refused(draft(options=(clinical, other))) == [("query-undetermined-missing", "options")]
    assert refused(draft(options=(other, undetermined))) == [("query-options-missing", "options")]
    other_disease = Option(text="Otherwise healthy", indicators=(0,))
    assert refused(draft(options=(other_disease, undetermined))) == [("query-other-missing", "options")]


@pytest.mark.parametrize("supports", [(), (1,), (-1,), (0, 5)])
def test_an_option_without_support_is_refused(supports: tuple[int, ...]) -> None:
    unsupported = draft(options=(Option(text="Sepsis", indicators=supports), *CHOICE.options))
    assert refused(unsupported) == [("query-option-unsupported", "options[0].indicators")]


def test_an_option_is_offered_once() -> None:
    twice = draft(options=(*CHOICE.options, Option(text="acute  kidney INJURY.", indicators=(0,))))
    assert refused(twice) == [("query-option-twice", "options[3]")]


@pytest.mark.parametrize("subject", [*sorted(YES_NO_SUBJECTS), None, "new-diagnosis"])
def test_yes_or_no_is_asked_of_three_subjects_only(subject: str | None) -> None:
    expected = [] if subject in YES_NO_SUBJECTS else [("query-yes-no-subject", "subject")]
    assert refused(draft(YES_NO, subject=subject)) == expected


def test_options_that_do_not_fit_the_kind() -> None:
    assert refused(draft(OPEN, options=CHOICE.options)) == [("query-options-unfit", "options")]
    assert refused(draft(YES_NO, options=CHOICE.options)) == [("query-options-unfit", "options")]
    said = tuple(Option(text=text) for text in ("Yes", "No", "Other", "Clinically unable to determine"))
    assert refused(draft(YES_NO, options=said)) == []


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_left_empty(place: str) -> None:
    assert ("query-empty-text", place) in refused(saying(place, " \n"))


def test_who_is_asked_and_until_when() -> None:
    assert refused(draft(provider="1234567890")) == [("query-provider-npi", "provider")]
    assert refused(draft(due_days=0)) == [("query-due-days", "due_days")]
    assert refused(draft(due_days=91)) == [("query-due-days", "due_days")]


def test_all_refusals_at_once() -> None:
    bad = draft(title="DRG", question="Please document sepsis", indicators=(), options=(), provider="x")
    assert {rule for rule, _ in refused(bad)} == {
        "query-no-indicator",
        "query-payment-word",
        "query-leading-word",
        "query-other-missing",
        "query-undetermined-missing",
        "query-options-missing",
        "query-provider-npi",
    }
