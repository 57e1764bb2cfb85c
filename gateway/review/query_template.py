"""Templates of provider queries: what is asked, of which kind, and which facts of the record it takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.encounter.record import Record
from gateway.review.edits.context import Rule
from gateway.review.model import Finding, HoldKind, Indicator, Need, Option, QueryDraft, QueryKind, Severity
from gateway.review.query_checks import YES_NO_SUBJECTS
from gateway.review.query_words import leading_words, payment_words, quality_words
from gateway.yamlfile import NAME

WAYS_OUT = ("Other", "Unable to determine")
"""What every list of choices ends with (AHIMA/ACDIS practice brief)."""

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_WORD = r"^[a-z][a-z0-9_]*$"
LONGEST = 1_000

Text = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Word = Annotated[str, Field(pattern=_WORD)]
Line = Annotated[str, Field(min_length=1, max_length=200)]


class Family(StrEnum):
    """What a template asks about."""

    MISSING_DIAGNOSIS = "missing-diagnosis"
    SPECIFICITY = "specificity"
    LATERALITY = "laterality"
    ACUITY = "acuity"
    CLINICAL_VALIDITY = "clinical-validity"
    CONFLICTING_DOCUMENTATION = "conflicting-documentation"
    PRESENT_ON_ADMISSION = "present-on-admission"
    CAUSE_AND_EFFECT = "cause-and-effect"
    PROCEDURE_DETAIL = "procedure-detail"
    EM_SUPPORT = "em-support"


class TemplateValue(Record):
    """Words that the asker fills in."""

    name: Word
    meaning: Line


class TemplateIndicator(Record):
    """A kind of fact that the query must cite."""

    name: Word
    meaning: Line
    at_least: Annotated[int, Field(ge=0, le=10)] = 1


class TemplateOption(Record):
    """An answer that is offered where a fact of each of `supported_by` is cited."""

    text: Line
    supported_by: Annotated[tuple[Word, ...], Field(min_length=1)]


class QueryTemplate(Record):
    """A template. `{name}` in its texts stands for the value of that name."""

    version: Literal[1] = 1
    name: Annotated[str, Field(pattern=NAME)]
    about: Family
    kind: QueryKind
    subject: str | None = None
    """For yes/no: what the rules allow it to ask about."""
    title: Line
    question: Text
    values: tuple[TemplateValue, ...] = ()
    indicators: Annotated[tuple[TemplateIndicator, ...], Field(min_length=1)]
    options: tuple[TemplateOption, ...] = ()
    own_options: bool = False
    """The asker says which answers the cited facts support."""

    @model_validator(mode="after")
    def _whole(self) -> QueryTemplate:
        for test in (_kind_fits, _names_differ, _names_known, _words_clean):
            test(self)
        return self


def _mistake(text: str, remedy: str, *at: str | int) -> PydanticCustomError:
    return PydanticCustomError("query_template", "{text}", {"text": text, "remedy": remedy, "at": at})


def _kind_fits(template: QueryTemplate) -> None:
    choices = bool(template.options) or template.own_options
    if (template.kind is QueryKind.MULTIPLE_CHOICE) != choices:
        remedy = "offer options only in a multiple-choice template, and always there (or own_options: true)"
        raise _mistake("its kind does not fit its options", remedy, "kind")
    if template.kind is QueryKind.YES_NO and template.subject not in YES_NO_SUBJECTS:
        remedy = f"write one of: {', '.join(sorted(YES_NO_SUBJECTS))}; or ask a multiple-choice query"
        raise _mistake("yes or no may not be asked about this", remedy, "subject" if template.subject else "kind")
    if all(indicator.at_least == 0 for indicator in template.indicators):
        raise _mistake("asks for no fact of the record", "let one indicator have at_least: 1", "indicators")


def _names_differ(template: QueryTemplate) -> None:
    for group, items in (("values", template.values), ("indicators", template.indicators)):
        names = [item.name for item in items]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise _mistake(f"{name} stands there already", "give each its own name", group, index, "name")


def _names_known(template: QueryTemplate) -> None:
    values = {value.name for value in template.values}
    for at, text in _texts(template):
        unknown = [name for name in _PLACE.findall(text) if name not in values]
        if unknown:
            raise _mistake(f"there is no value {unknown[0]}", "list it under values, or take it out", *at)
    needed = {indicator.name for indicator in template.indicators}
    for index, option in enumerate(template.options):
        strange = [name for name in option.supported_by if name not in needed]
        if strange:
            remedy = "name indicators of this template"
            raise _mistake(f"there is no indicator {strange[0]}", remedy, "options", index, "supported_by")


def _words_clean(template: QueryTemplate) -> None:
    for at, text in (*_texts(template), (("name",), template.name)):
        found = (*payment_words(text), *quality_words(text), *leading_words(text))
        if found:
            remedy = "ask openly about the clinical picture alone"
            raise _mistake(f"says {found[0]!r}, which no provider query may", remedy, *at)


def _texts(template: QueryTemplate) -> Iterator[tuple[tuple[str | int, ...], str]]:
    yield ("title",), template.title
    yield ("question",), template.question
    for index, option in enumerate(template.options):
        yield ("options", index, "text"), option.text


class Passage(Record):
    """A fact as the asker cites it: the document or result, and its words."""

    document: str
    quote: Text
    text: Text | None = None
    """How it is told; the quote itself when it is not said."""
    encounter: str | None = None
    relevance: Text | None = None


class OwnOption(Record):
    """An answer that the asker offers, and the template's indicators that support it."""

    text: Line
    supported_by: tuple[Word, ...] = ()


class Filling(Record):
    """A template with what is filled into it."""

    template: str
    provider: str
    values: Annotated[Mapping[str, Line], Field(max_length=50)] = Field(default_factory=dict)
    indicators: Annotated[Mapping[str, tuple[Passage, ...]], Field(max_length=50)] = Field(default_factory=dict)
    options: Annotated[tuple[OwnOption, ...], Field(max_length=20)] = ()
    due_days: int | None = None
    tags: Annotated[tuple[Line, ...], Field(max_length=20)] = ()
    need: Need | None = None


def _rule(name: str, remedy: str) -> Rule:
    return Rule(name, Severity.ERROR, "the query's template", remedy, HoldKind.QUERY, fixed=True)


VALUE_MISSING = _rule("query-value-missing", "Fill it in, in the words of the record.")
FACT_MISSING = _rule("query-fact-missing", "Quote the passage or result; without it this template may not be used.")
NAME_UNKNOWN = _rule("query-name-unknown", "Use the names that the template lists.")
OPTIONS_FIXED = _rule("query-options-fixed", "Leave out options: the template has its own.")


def draft_of(template: QueryTemplate, filling: Filling, due_days: int) -> tuple[QueryDraft, tuple[Finding, ...]]:
    """The query, and what is wrong with how the template was filled in; the query's own checks come on top.

    Options of the template whose facts are not all cited are left out: no indicator would support them.
    """
    found = tuple(_misfilled(template, filling))
    positions, indicators = _cited(template, filling)
    draft = QueryDraft(
        kind=template.kind,
        title=_filled(template.title, filling.values),
        question=_filled(template.question, filling.values),
        indicators=indicators,
        options=tuple(_offered(template, filling, positions)),
        provider=filling.provider,
        due_days=filling.due_days if filling.due_days is not None else due_days,
        subject=template.subject,
        template=template.name,
        tags=filling.tags,
        need=filling.need,
    )
    return draft, found


def _misfilled(template: QueryTemplate, filling: Filling) -> Iterator[Finding]:
    for value in template.values:
        if not filling.values.get(value.name, "").strip():
            yield VALUE_MISSING.finding(f"values.{value.name}", f"{value.meaning}.", subject=value.name)
    for needed in template.indicators:
        cited = len(filling.indicators.get(needed.name, ()))
        if cited < needed.at_least:
            text = f"{needed.meaning}: {cited} of {needed.at_least}."
            yield FACT_MISSING.finding(f"indicators.{needed.name}", text, subject=needed.name)
    facts = {needed.name for needed in template.indicators}
    yield from _unknown("values", filling.values, {value.name for value in template.values})
    yield from _unknown("indicators", filling.indicators, facts)
    for index, option in enumerate(filling.options):
        yield from _unknown(f"options[{index}].supported_by", option.supported_by, facts)
    if filling.options and not template.own_options:
        yield OPTIONS_FIXED.finding("options", "The template offers its own.")


def _unknown(where: str, names: Iterable[str], known: set[str]) -> Iterator[Finding]:
    for name in sorted(set(names) - known):
        yield NAME_UNKNOWN.finding(where, "The template has no such name.", subject=f"{where}.{name}"[:80])


def _cited(template: QueryTemplate, filling: Filling) -> tuple[dict[str, tuple[int, ...]], tuple[Indicator, ...]]:
    """The indicators, and the positions of those of each name."""
    positions: dict[str, tuple[int, ...]] = {}
    indicators: list[Indicator] = []
    for needed in template.indicators:
        passages = filling.indicators.get(needed.name, ())
        positions[needed.name] = tuple(range(len(indicators), len(indicators) + len(passages)))
        indicators += [_indicator(passage) for passage in passages]
    return positions, tuple(indicators)


def _indicator(passage: Passage) -> Indicator:
    return Indicator(
        text=passage.text or passage.quote,
        document=passage.document,
        quote=passage.quote,
        encounter=passage.encounter,
        relevance=passage.relevance,
    )


def _offered(template: QueryTemplate, filling: Filling, positions: Mapping[str, tuple[int, ...]]) -> Iterator[Option]:
    if template.kind is not QueryKind.MULTIPLE_CHOICE:
        return
    for option in template.options:
        if all(positions[name] for name in option.supported_by):
            yield _option(_filled(option.text, filling.values), option.supported_by, positions)
    for own in filling.options:
        yield _option(own.text, own.supported_by, positions)
    for way_out in WAYS_OUT:
        yield Option(text=way_out)


def _option(text: str, names: Iterable[str], positions: Mapping[str, tuple[int, ...]]) -> Option:
    return Option(text=text, indicators=tuple(place for name in names for place in positions.get(name, ())))


def _filled(text: str, values: Mapping[str, str]) -> str:
    """One pass: what is filled in is never taken for a place to fill. A value that begins the text is capitalised."""
    filled = _PLACE.sub(lambda match: values.get(match[1], match[0]), text)
    return filled[:1].upper() + filled[1:]
