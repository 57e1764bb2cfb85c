"""A Task that asks, in the desk's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from gateway.adapters.fhir.outcomes import Refused
from gateway.encounter.identity import Identifier
from gateway.mappings.fhir.outcome import ERROR, Issue
from gateway.mappings.fhir.task_asked import TaskAsked
from gateway.review.model import QueryDraft, QueryKind
from gateway.review.query_template import WAYS_OUT, Filling

_PLACES = {
    "template": "Task.input",
    "provider": "Task.owner",
    "values": "Task.input",
    "indicators": "Task.input",
    "options": "Task.input",
    "due_days": "Task.input",
    "kind": "Task.input",
    "title": "Task.input",
    "question": "Task.input",
    "need": "Task.reasonCode",
    "tags": "Task.meta.tag",
}


def wanted_of(said: TaskAsked) -> Filling | QueryDraft:
    """The filled-in template, or the query written out. Fault 422, an issue for each part that is too long or has
    another form.
    """
    try:
        return _filling(said) if said.template is not None else _draft(said)
    except ValidationError as error:
        kinds = {(_PLACES.get(str(item["loc"][0]), "Task"), str(item["type"])) for item in error.errors()}
        issues = [Issue(ERROR, "value", place, f"does not fit ({kind})") for place, kind in sorted(kinds)]
        raise Refused(422, issues) from None


def _filling(said: TaskAsked) -> Filling:
    passages = {
        name: [{"document": passage.document, "quote": passage.quote} for passage in cited]
        for name, cited in said.indicators.items()
    }
    filled = {
        "template": said.template,
        "provider": said.provider,
        "values": said.values,
        "indicators": passages,
        "options": [{"text": text, "supported_by": names} for text, names in said.options],
        "due_days": said.due_days,
        "tags": said.tags,
        "need": _need(said),
    }
    return Filling.model_validate(filled)


def _draft(said: TaskAsked) -> QueryDraft:
    """Choices end with the ways out, as those of templates do."""
    positions: dict[str, list[int]] = {}
    indicators: list[dict[str, str]] = []
    for name, cited in said.indicators.items():
        positions[name] = list(range(len(indicators), len(indicators) + len(cited)))
        indicators += [{"text": each.quote, "quote": each.quote, "document": each.document} for each in cited]
    options = [{"text": text, "indicators": _supporting(names, positions)} for text, names in said.options]
    if said.words["kind"] == QueryKind.MULTIPLE_CHOICE:
        options += [{"text": text, "indicators": []} for text in WAYS_OUT]
    written = {
        **said.words,
        "indicators": indicators,
        "options": options,
        "provider": said.provider,
        "tags": said.tags,
        "need": _need(said),
    }
    return QueryDraft.model_validate(written | ({"due_days": said.due_days} if said.due_days is not None else {}))


def _supporting(names: Iterable[str], positions: Mapping[str, list[int]]) -> list[int]:
    unknown = sorted(set(names) - set(positions))
    if unknown:
        raise Refused(
            422, [Issue(ERROR, "value", "Task.input", "a choice names an indicator that is not among the inputs")]
        )
    return [place for name in names for place in positions[name]]


def _need(said: TaskAsked) -> dict[str, str] | None:
    return {"rule": said.need[0], "subject": said.need[1]} if said.need else None


def patient_of(said: TaskAsked) -> Identifier | None:
    """The patient whom the Task names."""
    return Identifier(value=said.patient.value, authority=said.patient.system) if said.patient else None
