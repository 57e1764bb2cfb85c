"""A Task by which a system asks a provider query: a template and what is filled into it, or the query written out, as
inputs.

Each input says by its type's coding what it is; what one of them means nothing to is refused, never passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.encounter.identity import EncounterKey
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.element import Element
from gateway.mappings.fhir.parties import codings
from gateway.mappings.fhir.source import Named, logical_identifier
from gateway.mappings.fhir.task import TASK_CODE

INPUT = systems.OWN + "query-input"
"""Codes `template`, or `kind`, `title`, `question` and `subject` of a query written out (valueString); `due-days`
(valuePositiveInt)."""
VALUE = systems.OWN + "query-value"
"""The code is the name of one of the template's values; valueString."""
INDICATOR = systems.OWN + "query-indicator"
"""The code is the name of one of the template's indicators, or any name that choices refer to; valueReference:
`identifier` is the document or result, `display` the passage."""
OPTION = systems.OWN + "query-option"
"""A choice of the asker's own, valueString; the codes name the indicators that support it."""
RULE = systems.OWN + "rule"
"""In reasonCode: the open finding that is asked for; its text is the finding's subject."""

TEMPLATE = "template"
_WRITTEN = ("kind", "title", "question")
_SUBJECT = "subject"

_UNDERSTOOD = frozenset(
    {
        "resourceType", "id", "meta", "text", "language", "status", "intent", "code", "for", "encounter", "owner",
        "requester", "authoredOn", "lastModified", "reasonCode", "input",
    }
)  # fmt: skip


class CitedPassage(NamedTuple):
    """The id of a document or result, and its words."""

    document: str
    quote: str


@dataclass(slots=True)
class TaskAsked:
    """What is to be asked. `encounter` is a key, or without `keyed` an account or visit number (`authority|value`)."""

    encounter: str
    keyed: bool
    provider: str
    patient: Named | None = None
    words: dict[str, str] = field(default_factory=dict)
    """`template`; or `kind`, `title`, `question` and `subject`."""
    due_days: int | None = None
    values: dict[str, str] = field(default_factory=dict)
    indicators: dict[str, list[CitedPassage]] = field(default_factory=dict)
    options: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    need: tuple[str, str] | None = None
    tags: tuple[str, ...] = ()

    @property
    def template(self) -> str | None:
        """None for a query written out."""
        return self.words.get(TEMPLATE)


def read_asked(resource: dict[str, Any]) -> TaskAsked:
    """What a Task asks. MappingError for what is missing, for an element or input that would not be heeded, and for a
    status or code other than a request's.
    """
    task = Element(resource, "Task")
    _fixed(task)
    number = _required(task.one("encounter"), "names the encounter by its number or key")
    keyed = number.system == systems.ENCOUNTER_KEY
    owner = _required(task.one("owner"), "names the provider by the NPI")
    if owner.system != systems.NPI:
        raise MappingError("value", "Task.owner.identifier.system", "names the provider by the NPI")
    said = TaskAsked(
        encounter=_key(number.value) if keyed else _token(number),
        keyed=keyed,
        provider=owner.value,
        patient=_required(task.one("for"), "names the patient by a number") if task.one("for") else None,
        need=_need(task),
        tags=tuple(code for tag in task.one("meta").many("tag") if (code := tag.text("code"))),
    )
    for given in task.many("input"):
        _read_input(said, given)
    _whole(said)
    return said


def _whole(said: TaskAsked) -> None:
    """A template has its words; a query written out has no values to fill in."""
    if said.template is not None:
        if len(said.words) > 1:
            raise MappingError("conflict", "Task.input", "a template has its own kind, title, question and subject")
        return
    missing = [name for name in _WRITTEN if name not in said.words]
    if missing:
        raise MappingError("required", "Task.input", f"needs a template, or else {', '.join(missing)}, of type {INPUT}")
    if said.values:
        raise MappingError("conflict", "Task.input", "values are for a template")


def _fixed(task: Element) -> None:
    for name in task.data:
        if name not in _UNDERSTOOD and not name.startswith("_"):
            place = task.place(name) if name.isascii() and name.isalpha() else "Task"
            raise MappingError("unsupported", place, "can't be said of a query: see the documentation of its form")
    if task.text("status") != "requested":
        raise MappingError("value", "Task.status", "is requested when a query is asked")
    if task.text("intent") != "order":
        raise MappingError("value", "Task.intent", "is order")
    said = codings(task.one("code"))
    if said and (systems.CDEX, TASK_CODE) not in said:
        raise MappingError("value", "Task.code", f"is {TASK_CODE}")


def _required(reference: Element, text: str) -> Named:
    named = logical_identifier(reference)
    if named is None:
        raise MappingError("required", reference.place("identifier"), text)
    return named


def _key(text: str) -> str:
    try:
        return str(EncounterKey.parse(text))
    except ValueError:
        raise MappingError("value", "Task.encounter.identifier.value", "is no key of an encounter") from None


def _token(number: Named) -> str:
    return f"{number.system}|{number.value}" if number.system else number.value


def _need(task: Element) -> tuple[str, str] | None:
    reason = task.one("reasonCode")
    rule = next((code for system, code in codings(reason) if system == RULE), None)
    return (rule, reason.text("text") or "") if rule else None


# ---- inputs


def _read_input(said: TaskAsked, given: Element) -> None:
    kinds = codings(given.one("type"))
    readers = {_READERS[system] for system, _ in kinds if system in _READERS}
    if len(readers) != 1:
        raise MappingError("unsupported", given.place("type"), "is no input of a query")
    readers.pop()(said, tuple(code for system, code in kinds if system in _READERS), given)


def _text(given: Element) -> str:
    text = given.text("valueString")
    if text is None:
        raise MappingError("required", given.place("valueString"), "is required")
    return text


def _one(codes: tuple[str, ...], given: Element) -> str:
    if len(codes) != 1:
        raise MappingError("value", given.place("type"), "has one code of ours")
    return codes[0]


def _of_query(said: TaskAsked, codes: tuple[str, ...], given: Element) -> None:
    name = _one(codes, given)
    if name in (TEMPLATE, *_WRITTEN, _SUBJECT) and name not in said.words:
        said.words[name] = _text(given)
    elif name == "due-days" and said.due_days is None:
        days = given.integer("valuePositiveInt")
        said.due_days = days if days is not None else given.integer("valueInteger")
        if said.due_days is None:
            raise MappingError("required", given.place("valuePositiveInt"), "is required")
    else:
        raise MappingError(
            "value", given.place("type"), "is template, kind, title, question, subject or due-days, each once"
        )


def _value(said: TaskAsked, codes: tuple[str, ...], given: Element) -> None:
    name = _one(codes, given)
    if name in said.values:
        raise MappingError("value", given.place("type"), "is given twice")
    said.values[name] = _text(given)


def _indicator(said: TaskAsked, codes: tuple[str, ...], given: Element) -> None:
    cited = given.one("valueReference")
    document, quote = cited.one("identifier").text("value"), cited.text("display")
    if not document or not quote:
        raise MappingError("required", cited.path, "names the document by its identifier, and quotes it in display")
    said.indicators.setdefault(_one(codes, given), []).append(CitedPassage(document, quote))


def _option(said: TaskAsked, codes: tuple[str, ...], given: Element) -> None:
    said.options.append((_text(given), codes))


_READERS: Mapping[str | None, Callable[[TaskAsked, tuple[str, ...], Element], None]] = {
    INPUT: _of_query,
    VALUE: _value,
    INDICATOR: _indicator,
    OPTION: _option,
}
"""By the system of the type's coding."""
