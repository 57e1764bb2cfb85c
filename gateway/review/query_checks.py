"""Whether a draft may be asked: the rules of a compliant provider query, each by its name. Every breach is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from gateway.encounter.model import DocumentStatus, Encounter
from gateway.reference.npi import npi_is_valid
from gateway.review.edits.context import Rule
from gateway.review.model import Finding, HoldKind, Indicator, Option, QueryDraft, QueryKind, Severity
from gateway.review.query_words import leading_words, payment_words, quality_words

Kept = Mapping[tuple[str, str], str | None]
"""(encounter's key, document's id) -> the document's text as it is kept; None where it is none that can be read."""
NOTHING_KEPT: Kept = MappingProxyType({})

_BRIEF = "AHIMA/ACDIS, Guidelines for Achieving a Compliant Query Practice"


def _rule(name: str, remedy: str, source: str = _BRIEF) -> Rule:
    return Rule(name, Severity.ERROR, source, remedy, HoldKind.QUERY, fixed=True)


NO_INDICATOR = _rule("query-no-indicator", "Cite at least one clinical fact of this encounter.")
INDICATOR_UNLINKED = _rule("query-indicator-unlinked", "Name the document of this encounter in which the fact stands.")
PRIOR_UNEXPLAINED = _rule(
    "query-prior-unexplained", "Say why a fact of a prior encounter matters in this one, or cite this encounter."
)
UNQUOTED = _rule("query-indicator-unquoted", "Quote the passage of the document or result, word for word.")
PASSAGE_ABSENT = _rule("query-passage-absent", "Quote the document word for word, as it is kept now.")
PASSAGE_UNREADABLE = _rule(
    "query-passage-unreadable", "Quote a document that is kept as text; this one is a file, or was only announced."
)
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


def check(draft: QueryDraft, encounter: Encounter, kept: Kept = NOTHING_KEPT) -> tuple[Finding, ...]:
    """Why the draft may not be asked, all of it; nothing when it may. `kept` has the documents that it quotes, and
    those that it cites of prior encounters.
    """
    found = [finding for test in _TESTS for finding in test(draft, encounter)]
    return (*found, *_passages(draft, encounter, kept))


def cited(draft: QueryDraft, encounter: str) -> Iterator[tuple[str, str]]:
    """(encounter's key, document's id) of each document whose content must be looked into."""
    for indicator in draft.indicators:
        if indicator.document is not None:
            yield indicator.encounter or encounter, indicator.document


def _indicators(draft: QueryDraft, _encounter: Encounter) -> Iterator[Finding]:
    if not draft.indicators:
        yield NO_INDICATOR.finding("indicators", "The query cites no clinical indicator.")
    for index, indicator in enumerate(draft.indicators):
        if draft.template is not None and not (indicator.quote or "").strip():
            where = f"indicators[{index}].quote"
            yield UNQUOTED.finding(where, "It quotes nothing of the record.", subject=str(index))


def _passages(draft: QueryDraft, encounter: Encounter, kept: Kept) -> Iterator[Finding]:
    """Where each indicator stands: in a document of this encounter, or of another one whose relevance is said."""
    own = str(encounter.key)
    here = {d.id for d in encounter.documents if d.status is not DocumentStatus.CANCELLED}
    for index, indicator in enumerate(draft.indicators):
        place, subject = f"indicators[{index}]", str(index)
        key = indicator.encounter or own
        if key != own and not (indicator.relevance or "").strip():
            yield PRIOR_UNEXPLAINED.finding(f"{place}.relevance", "It is of another encounter.", subject=subject)
        stands = indicator.document in here if key == own else (key, indicator.document or "") in kept
        if not stands:
            text = "It stands in no document of this encounter."
            yield INDICATOR_UNLINKED.finding(f"{place}.document", text, subject=subject)
        elif indicator.quote is not None:
            yield from _quoted(indicator, kept.get((key, indicator.document or "")), place, subject)


def _quoted(indicator: Indicator, text: str | None, place: str, subject: str) -> Iterator[Finding]:
    if text is None:
        yield PASSAGE_UNREADABLE.finding(f"{place}.quote", "The document's text is not kept here.", subject=subject)
    elif not (wanted := _flat(indicator.quote or "")) or wanted not in _flat(text):
        yield PASSAGE_ABSENT.finding(f"{place}.quote", "The passage does not stand in the document.", subject=subject)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _texts(draft: QueryDraft) -> Iterator[tuple[str, str]]:
    """Everything that the provider reads, with its place."""
    yield "title", draft.title
    yield "question", draft.question
    for index, indicator in enumerate(draft.indicators):
        yield f"indicators[{index}].text", indicator.text
        for name, text in (("quote", indicator.quote), ("relevance", indicator.relevance)):
            if text:
                yield f"indicators[{index}].{name}", text
    for index, option in enumerate(draft.options):
        yield f"options[{index}].text", option.text


def _hidden(draft: QueryDraft) -> Iterator[tuple[str, str]]:
    """What goes with the query unseen: it must be as clean."""
    for index, tag in enumerate(draft.tags):
        yield f"tags[{index}]", tag
    if draft.template is not None:
        yield "template", draft.template


_WORDS: tuple[tuple[Rule, Callable[[str], tuple[str, ...]]], ...] = (
    (PAYMENT_WORD, payment_words),
    (QUALITY_WORD, quality_words),
    (LEADING_WORD, leading_words),
)


def _words(draft: QueryDraft, _encounter: Encounter) -> Iterator[Finding]:
    """An indicator is quoted from the record as it stands: what leads there, its author wrote."""
    for where, text in (*_texts(draft), *_hidden(draft)):
        if not text.strip():
            yield EMPTY_TEXT.finding(where, "It is empty.", subject=where)
        for rule, find in _WORDS:
            found = find(text)
            if found and not (rule is LEADING_WORD and where.endswith((".text", ".quote")) and where[0] == "i"):
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
