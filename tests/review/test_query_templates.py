"""Templates of provider queries: each of ours makes a query that passes every check, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from review_making import load

from gateway.encounter.model import DocumentStatus
from gateway.review.model import QueryKind
from gateway.review.query_checks import YES_NO_SUBJECTS, check
from gateway.review.query_template import WAYS_OUT, Family, Filling, OwnOption, Passage, QueryTemplate, draft_of
from gateway.review.query_template_file import TemplateMistakes, load_templates

NPI = "1234567893"
TEXT = "Heart failure, worse than in May. EF 30 %.\n  Furosemide given."
OURS = load_templates()
HERE = load("outpatient")
KEY = str(HERE.key)
NOTE = HERE.documents[0].id
KEPT = {(KEY, NOTE): TEXT}


def filled(template: QueryTemplate, **changes: Any) -> Filling:
    """All that the template takes."""
    passages = {need.name: (Passage(document=NOTE, quote="EF 30 %"),) for need in template.indicators}
    own = (OwnOption(text="Systolic heart failure", supported_by=(template.indicators[0].name,)),)
    made = Filling(
        template=template.name,
        provider=NPI,
        values={value.name: f"heart failure, {value.name}" for value in template.values},
        indicators=passages,
        options=own if template.own_options else (),
    )
    return made.model_copy(update=changes)


def rules(template: QueryTemplate, filling: Filling, kept: dict[tuple[str, str], str | None] = KEPT) -> set[str]:
    draft, wrong = draft_of(template, filling, 7)
    return {finding.rule for finding in (*wrong, *check(draft, HERE, kept))}


def test_there_is_one_of_each_family() -> None:
    assert {template.about for template in OURS.values()} == set(Family)


@pytest.mark.parametrize("template", OURS.values(), ids=lambda t: t.name)
def test_each_of_ours_makes_a_compliant_query(template: QueryTemplate) -> None:
    draft, wrong = draft_of(template, filled(template), 5)
    assert (wrong, check(draft, HERE, KEPT)) == ((), ())
    assert (draft.template, draft.due_days) == (template.name, 5)
    assert "{" not in draft.title + draft.question
    if template.kind is QueryKind.MULTIPLE_CHOICE:
        assert tuple(option.text for option in draft.options[-2:]) == WAYS_OUT
        assert all(option.indicators for option in draft.options[:-2])
    if template.kind is QueryKind.YES_NO:
        assert draft.subject in YES_NO_SUBJECTS


@pytest.mark.parametrize("template", OURS.values(), ids=lambda t: t.name)
def test_what_is_not_filled_in_is_named(template: QueryTemplate) -> None:
    needed = {need.name for need in template.indicators if need.at_least}
    wrong = draft_of(template, Filling(template=template.name, provider=NPI), 7)[1]
    missing = {finding.where for finding in wrong}
    assert {f"indicators.{name}" for name in needed} | {f"values.{value.name}" for value in template.values} == missing


def test_an_option_that_nothing_supports_is_left_out() -> None:
    template = OURS["laterality"]
    passage = (Passage(document=NOTE, quote="EF 30 %"),)
    filling = filled(template, indicators={"condition": passage, "left": passage})
    assert [option.text for option in draft_of(template, filling, 7)[0].options] == ["Left", *WAYS_OUT]
    bare = filled(template, indicators={"condition": passage})
    assert rules(template, bare) == {"query-options-missing"}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"values": {"condition": "heart failure", "drug": "x"}}, "query-name-unknown"),
        ({"options": (OwnOption(text="Reimbursed failure", supported_by=("condition",)),)}, "query-payment-word"),
        ({"options": (OwnOption(text="Diastolic heart failure"),)}, "query-option-unsupported"),
        ({"tags": ("risk-adjustment",)}, "query-payment-word"),
        ({"tags": ("severity of illness",)}, "query-quality-word"),
        ({"values": {"condition": "heart failure, please document"}}, "query-leading-word"),
        ({"provider": "1234567890"}, "query-provider-npi"),
        ({"due_days": 0}, "query-due-days"),
    ],
)
def test_what_is_filled_in_is_checked_like_the_rest(changes: dict[str, Any], rule: str) -> None:
    template = OURS["specificity"]
    assert rule in rules(template, filled(template, **changes))


def quoting(quote: str, **passage: Any) -> Filling:
    template = OURS["procedure-detail"]
    cited = Passage(document=passage.pop("document", NOTE), quote=quote, **passage)
    return filled(template, indicators={"procedure": (cited,)})


@pytest.mark.parametrize(
    ("filling", "kept", "rule"),
    [
        (quoting("EF 55 %"), KEPT, "query-passage-absent"),
        (quoting("EF 30 %", document="other"), KEPT, "query-indicator-unlinked"),
        (quoting("EF 30 %"), {(KEY, NOTE): None}, "query-passage-unreadable"),
        (quoting("EF 30 %"), {}, "query-passage-unreadable"),
        (quoting("EF 30 %", encounter="MAIN:MAIN:A9"), {("MAIN:MAIN:A9", NOTE): TEXT}, "query-prior-unexplained"),
        (
            quoting("EF 30 %", encounter="MAIN:MAIN:A9", relevance="It is the baseline."),
            KEPT,
            "query-indicator-unlinked",
        ),
    ],
)
def test_a_quote_must_stand_in_the_kept_content(
    filling: Filling, kept: dict[tuple[str, str], str | None], rule: str
) -> None:
    assert rules(OURS["procedure-detail"], filling, kept) == {rule}


def test_white_space_does_not_count_and_a_prior_encounter_may_be_cited_with_its_relevance() -> None:
    assert rules(OURS["procedure-detail"], quoting("EF 30 %. Furosemide   given.")) == set()
    prior = quoting("EF 30 %", encounter="MAIN:MAIN:A9", relevance="It is the baseline of the ejection fraction.")
    assert rules(OURS["procedure-detail"], prior, {("MAIN:MAIN:A9", NOTE): TEXT}) == set()


def test_a_cancelled_document_supports_nothing() -> None:
    gone = HERE.documents[0].model_copy(update={"status": DocumentStatus.CANCELLED})
    draft, _ = draft_of(OURS["procedure-detail"], quoting("EF 30 %"), 7)
    found = check(draft, HERE.model_copy(update={"documents": (gone,)}), KEPT)
    assert {finding.rule for finding in found} == {"query-indicator-unlinked"}


def test_what_is_filled_in_is_no_template_itself() -> None:
    template = OURS["cause-and-effect"]
    filling = filled(template, values={"effect": "{cause}", "cause": "sepsis"})
    assert draft_of(template, filling, 7)[0].title == "Relationship between {cause} and sepsis"


SITE = """\
name: site-specific
about: specificity
kind: multiple-choice
title: Type of {condition}
question: Which type of {condition} is it?
values: [{name: condition, meaning: The condition}]
indicators: [{name: fact, meaning: A passage}]
own_options: true
"""


def test_a_site_adds_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SITE)
    (tmp_path / "b.yaml").write_text(SITE.replace("site-specific", "acuity"))
    (tmp_path / "note.txt").write_text("not a template")
    found = load_templates(tmp_path)
    assert found.keys() == OURS.keys() | {"site-specific"}
    assert found["acuity"].title == "Type of {condition}"


@pytest.mark.parametrize(
    ("old", "new", "line", "key"),
    [
        ("Type of {condition}", "Type of {illness}", 4, "title"),
        ("Which type", "Please confirm which type", 5, "question"),
        ("Type of", "DRG of", 4, "title"),
        ("own_options: true", "", 3, "kind"),
        ("own_options: true", "own_option: true", 8, "own_option"),
        ("multiple-choice", "yes-no", 3, "kind"),
        ("about: specificity", "about: severity", 2, "about"),
        ("meaning: A passage}", "meaning: A passage, at_least: 0}", 7, "indicators"),
        ("own_options: true", "options: [{text: A, supported_by: [x]}]", 8, "options[0].supported_by"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, key: str) -> None:
    (tmp_path / "a.yaml").write_text(SITE.replace(old, new))
    with pytest.raises(TemplateMistakes) as told:
        load_templates(tmp_path)
    assert (line, key) in [(mistake.line, mistake.key) for mistake in told.value.mistakes]


def test_two_of_one_name_and_no_directory(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(SITE)
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(TemplateMistakes):
            load_templates(directory)
