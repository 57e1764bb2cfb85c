"""Provider queries: whether a draft may be asked, and the table of states that an asked one passes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum

from gateway.encounter.model import DocumentStatus, Encounter
from gateway.reference.npi import npi_is_valid
from gateway.review.edits.context import Rule
from gateway.review.model import Finding, HoldKind, Option, Query, QueryDraft, QueryKind, QueryStatus, Severity
from gateway.review.query_words import leading_words, payment_words, quality_words


class Party(StrEnum):
    """Who may take a step."""

    PROVIDER = "provider"
    REQUESTER = "requester"
    """The gateway's own desk."""


_STEPS: dict[QueryStatus, tuple[QueryStatus, ...]] = {
    QueryStatus.REQUESTED: (QueryStatus.RECEIVED, QueryStatus.ACCEPTED, QueryStatus.REJECTED),
    QueryStatus.RECEIVED: (QueryStatus.ACCEPTED, QueryStatus.REJECTED),
    QueryStatus.ACCEPTED: (QueryStatus.IN_PROGRESS,),
    QueryStatus.IN_PROGRESS: (QueryStatus.ON_HOLD, QueryStatus.COMPLETED, QueryStatus.FAILED),
    QueryStatus.ON_HOLD: (QueryStatus.IN_PROGRESS,),
}
"""The provider's steps (Da Vinci CDex, Task states; R4 Task for received). A status that is not here is final."""

QUERY_TRANSITIONS: dict[tuple[QueryStatus, QueryStatus], Party] = {
    **{(before, after): Party.PROVIDER for before, steps in _STEPS.items() for after in steps},
    **{
        (before, after): Party.REQUESTER
        for before in _STEPS
        for after in (QueryStatus.CANCELLED, QueryStatus.ENTERED_IN_ERROR)
    },
}
"""Who takes each step. A missing key is the error."""

FINAL = frozenset(QueryStatus) - _STEPS.keys()
"""Statuses that a query does not leave."""

NEEDS_REASON = frozenset({QueryStatus.REJECTED, QueryStatus.FAILED})
"""CDex: statusReason when rejected or failed."""
NEEDS_ANSWER = frozenset({QueryStatus.COMPLETED})
"""CDex: output when completed."""


class QueryRefused(Exception):
    """The step cannot be taken: `conflict` when the table has no such step, `incomplete` when something is missing."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def transition(
    query: Query,
    status: QueryStatus,
    *,
    now: datetime,
    by: Party = Party.PROVIDER,
    reason: str | None = None,
    answer: str | None = None,
    option: str | None = None,
    answered_by: str | None = None,
) -> Query:
    """The query in its new status, one version on. The same status with nothing new is the same query.

    Raises QueryRefused. An answer is taken with COMPLETED only; `option` is the text of a choice that was offered.
    """
    said = answer is not None or option is not None
    if status is query.status and not said and reason in (None, query.status_reason):
        return query
    party = QUERY_TRANSITIONS.get((query.status, status))
    if party is None:
        raise QueryRefused("conflict", f"a query that is {query.status} cannot become {status}")
    if party is not by:
        raise QueryRefused("conflict", f"only the {party} makes a query {status}")
    _complete(status, reason, answer, option)
    update: dict[str, object] = {
        "status": status,
        "status_reason": reason,
        "changed": now,
        "version": query.version + 1,
    }
    if said:
        update |= {"answer": answer, "answer_option": option, "answered_by": answered_by, "answered": now}
    return query.model_copy(update=update)


def _complete(status: QueryStatus, reason: str | None, answer: str | None, option: str | None) -> None:
    answered = bool((answer or "").strip() or (option or "").strip())
    if status in NEEDS_REASON and not (reason or "").strip():
        raise QueryRefused("incomplete", f"{status} needs a reason (statusReason)")
    if status in NEEDS_ANSWER and not answered:
        raise QueryRefused("incomplete", f"{status} needs an answer (output)")
    if answered and status not in NEEDS_ANSWER:
        raise QueryRefused("incomplete", f"an answer comes with {QueryStatus.COMPLETED}, not with {status}")


_BRIEF = "AHIMA/ACDIS, Guidelines for Achieving a Compliant Query Practice"


def _rule(name: str, remedy: str, source: str = _BRIEF) -> Rule:
    return Rule(name, Severity.ERROR, source, remedy, HoldKind.QUERY, fixed=True)


NO_INDICATOR = _rule("query-no-indicator", "Cite at least one clinical fact of this encounter.")
INDICATOR_UNLINKED = _rule("query-indicator-unlinked", "Name the document of this encounter in which the fact stands.")
PAYMENT_WORD = _rule("query-payment-word", "Ask about the clinical picture alone: take the word out.")
QUALITY_WORD = _rule("query-quality-word", "Ask about the clinical picture alone: take the word out.")
LEADING_WORD = _rule("query-leading-word", "Ask openly: take out what leads to an answer.")
EMPTY_TEXT = _rule("query-empty-text", "Write the title, the question and each indicator and option.")
OPTIONS_MISSING = _rule("query-options-missing", "Offer at least one clinically supported choice.")
OTHER_MISSING = _rule("query-other-missing", 'Add the option "Other".')
UNDETERMINED_MISSING = _rule("query-undetermined-missing", 'Add the option "Unable to determine".')
OPTION_UNSUPPORTED = _rule("query-option-unsupported", "Link the option to the indicators that support it, or drop it.")
OPTION_TWICE = _rule("query-option-twice", "Offer each choice once.")
OPTIONS_UNFIT = _rule("query-options-unfit", "Drop the options, or ask a multiple-choice query.")
YES_NO_SUBJECT = _rule(
    "query-yes-no-subject",
    "Ask a multiple-choice or open query: yes or no may only be asked of a documented condition, of presence on "
    "admission, or of cause and effect.",
)
PROVIDER_UNKNOWN = _rule("query-provider-npi", "Name the provider by the NPI.", "45 CFR 162.406")
DUE_DAYS = _rule("query-due-days", "Give the provider 1 to 90 days.", "the site's query policy")

YES_NO_SUBJECTS = frozenset({"documented-condition", "present-on-admission", "cause-and-effect"})
_OTHER = ("other",)
_UNDETERMINED = ("unable to determine", "clinically unable to determine", "clinically undetermined", "undetermined")
_YES_NO_TEXTS = ("yes", "no")
_MAX_DUE_DAYS = 90


def check(draft: QueryDraft, encounter: Encounter) -> tuple[Finding, ...]:
    """Why the draft may not be asked, all of it; nothing when it may."""
    return tuple(finding for test in _TESTS for finding in test(draft, encounter))


def _indicators(draft: QueryDraft, encounter: Encounter) -> Iterator[Finding]:
    if not draft.indicators:
        yield NO_INDICATOR.finding("indicators", "The query cites no clinical indicator.")
    here = {d.id for d in encounter.documents if d.status is not DocumentStatus.CANCELLED}
    for index, indicator in enumerate(draft.indicators):
        if indicator.document not in here:
            where = f"indicators[{index}].document"
            yield INDICATOR_UNLINKED.finding(where, "It stands in no document of this encounter.", subject=str(index))


def _texts(draft: QueryDraft) -> Iterator[tuple[str, str]]:
    """Everything that the provider reads, with its place."""
    yield "title", draft.title
    yield "question", draft.question
    for index, indicator in enumerate(draft.indicators):
        yield f"indicators[{index}].text", indicator.text
    for index, option in enumerate(draft.options):
        yield f"options[{index}].text", option.text


_WORDS: tuple[tuple[Rule, Callable[[str], tuple[str, ...]]], ...] = (
    (PAYMENT_WORD, payment_words),
    (QUALITY_WORD, quality_words),
    (LEADING_WORD, leading_words),
)


def _words(draft: QueryDraft, _encounter: Encounter) -> Iterator[Finding]:
    """An indicator is quoted from the record as it stands: what leads there, its author wrote."""
    for where, text in _texts(draft):
        if not text.strip():
            yield EMPTY_TEXT.finding(where, "It is empty.", subject=where)
        for rule, find in _WORDS:
            found = find(text)
            if found and not (rule is LEADING_WORD and where.startswith("indicators")):
                told = ", ".join(f'"{word}"' for word in dict.fromkeys(found))
                yield rule.finding(where, f"It says {told}.", subject=where, evidence=found)


def _normal(option: Option) -> str:
    return " ".join(option.text.casefold().split()).rstrip(".")


def _is_other(text: str) -> bool:
    return text in _OTHER or text.startswith(
        tuple(f"{word}{mark}" for word in _OTHER for mark in (" (", ":", ",", " -"))
    )


def _is_undetermined(text: str) -> bool:
    return text in _UNDETERMINED


def _options(draft: QueryDraft, encounter: Encounter) -> Iterator[Finding]:
    texts = [_normal(option) for option in draft.options]
    for index, text in enumerate(texts):
        if text in texts[:index]:
            yield OPTION_TWICE.finding(f"options[{index}]", "It stands there already.", subject=str(index))
    yield from _BY_KIND[draft.kind](draft, texts)


def _open(draft: QueryDraft, _texts: list[str]) -> Iterator[Finding]:
    if draft.options:
        yield OPTIONS_UNFIT.finding("options", "An open query offers no choices.")


def _multiple_choice(draft: QueryDraft, texts: list[str]) -> Iterator[Finding]:
    if not any(map(_is_other, texts)):
        yield OTHER_MISSING.finding("options", 'There is no "Other".')
    if not any(map(_is_undetermined, texts)):
        yield UNDETERMINED_MISSING.finding("options", 'There is no "Unable to determine".')
    clinical = [i for i, text in enumerate(texts) if not (_is_other(text) or _is_undetermined(text))]
    if not clinical:
        yield OPTIONS_MISSING.finding("options", "There is no clinical choice.")
    for index in clinical:
        supports = draft.options[index].indicators
        if not supports or any(not 0 <= position < len(draft.indicators) for position in supports):
            where = f"options[{index}].indicators"
            yield OPTION_UNSUPPORTED.finding(where, "No cited indicator supports it.", subject=str(index))


def _yes_no(draft: QueryDraft, texts: list[str]) -> Iterator[Finding]:
    if draft.subject not in YES_NO_SUBJECTS:
        text = f"It asks about {draft.subject or 'nothing that is named'}."
        yield YES_NO_SUBJECT.finding("subject", text)
    if any(not (text in _YES_NO_TEXTS or _is_other(text) or _is_undetermined(text)) for text in texts):
        yield OPTIONS_UNFIT.finding("options", "A yes/no query offers yes, no, other and unable to determine.")


_BY_KIND: dict[QueryKind, Callable[[QueryDraft, list[str]], Iterator[Finding]]] = {
    QueryKind.OPEN: _open,
    QueryKind.MULTIPLE_CHOICE: _multiple_choice,
    QueryKind.YES_NO: _yes_no,
}


def _addressed(draft: QueryDraft, _encounter: Encounter) -> Iterator[Finding]:
    if not npi_is_valid(draft.provider):
        yield PROVIDER_UNKNOWN.finding("provider", "It is not an NPI.")
    if not 1 <= draft.due_days <= _MAX_DUE_DAYS:
        yield DUE_DAYS.finding("due_days", f"{draft.due_days} days.")


_TESTS = (_indicators, _words, _options, _addressed)
