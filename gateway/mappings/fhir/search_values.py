"""What a kept resource is found by: for each search parameter that is offered, the tokens of its values.

A code gives `code`, and with its system `system|code`; an identifier likewise, `|value` when it has no system. A
reference gives `Type/id`, and under `name:identifier` the tokens of its identifier. A date gives the moment at which it
begins, in UTC: dates are compared as texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.mappings.fhir.capability import DATE, KEPT, REFERENCE, TOKEN, Parameter
from gateway.mappings.fhir.literals import first_moment, reference_token
from gateway.mappings.fhir.source import binary_id

REFERENCES = "_reference"
"""The name under which each literal reference of a resource stands."""

MAX_VALUES = 500
"""Of one resource: a claim of a thousand lines names few parties."""
MAX_TOKEN = 512
"""Characters: what is longer is found by nothing."""

_LITERAL = re.compile(rb'"(?:reference"\s*:\s*"|url"\s*:\s*"(?=(?:[^"\\#?]*/)?Binary/))([^"\\#?]{3,512})"')
"""References, and addresses of a Binary: those of attachments are no Reference by type, and name it all the same."""
_ONE_OF = re.compile(r"\.where\(resolve\(\) is ([A-Za-z]+)\)$")
_FIRST = "0000-01-01T00:00:00"

Value = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one parameter's tokens come out of a resource. `kinds`: the types that a reference may be of; none is any."""

    name: str
    steps: tuple[str, ...]
    tokens: Callable[[Any, _Rule], Iterator[Value]]
    kinds: tuple[str, ...] = ()


def search_values(resource: Mapping[str, Any], payload: bytes | None = None) -> tuple[Value, ...]:
    """`(name, token)`, each once, as `resource.read` gives the resource: of one that has other shapes than R4's, what
    can be told. `payload`, its bytes, when they are at hand, are quicker to look through for references.
    """
    kind = str(resource.get("resourceType"))
    found: dict[Value, None] = {}
    for rule in _RULES.get(kind, ()):
        values = _at(resource, rule.steps)
        for value in values if len(values) < 2 else _distinct(values):
            for one in rule.tokens(value, rule):
                found[one] = None
    for name in literal_references(resource, payload):
        found[REFERENCES, name] = None
    for name in _fetched(resource) if kind == "DocumentReference" else ():
        found[REFERENCES, name] = None
    return tuple([one for one in found if len(one[1]) <= MAX_TOKEN][:MAX_VALUES])


def _distinct(values: list[Any]) -> list[Any]:
    """Without the references that say the same: each line of a claim names its encounter."""
    seen: set[str] = set()
    kept = []
    for value in values:
        if type(value) is dict and len(value) == 1 and type(text := value.get("reference")) is str:
            if text in seen:
                continue
            seen.add(text)
        kept.append(value)
    return kept


def literal_references(resource: Mapping[str, Any], payload: bytes | None = None) -> list[str]:
    """Each `Type/id` that the resource refers to, wherever in it, once."""
    if payload is None or b"\\u" in payload:
        texts: Iterable[str] = _texts(resource)
    else:
        texts = [text.decode() for text in dict.fromkeys(_LITERAL.findall(payload))]
    return list(dict.fromkeys([name for text in texts if (name := reference_token(text)) is not None]))


def _fetched(resource: Mapping[str, Any]) -> Iterator[str]:
    """The Binaries that will hold what a document's contents have at an address."""
    for attachment in _at(resource, ("content", "attachment")):
        url = attachment.get("url") if isinstance(attachment, dict) else None
        if isinstance(url, str) and not attachment.get("data"):
            yield f"Binary/{binary_id(url)}"


def _at(value: Any, steps: tuple[str, ...]) -> list[Any]:
    """The values at a path, through every list on the way."""
    level = [value]
    for step in steps:
        following: list[Any] = []
        for one in level:
            inner = one.get(step) if type(one) is dict else None
            if type(inner) is list:
                following += inner
            elif inner is not None:
                following.append(inner)
        if not following:
            return following
        level = following
    return level


def _token_values(value: Any, rule: _Rule) -> Iterator[Value]:
    if isinstance(value, bool):
        yield rule.name, "true" if value else "false"
    elif isinstance(value, str):
        yield rule.name, value
    elif isinstance(value, dict):
        coding = value.get("coding")
        for one in coding if isinstance(coding, list) else (value,):
            if isinstance(one, dict):
                yield from _coded(rule.name, one)


def _coded(name: str, one: dict[str, Any]) -> Iterator[Value]:
    """A Coding or Identifier."""
    code, system = one.get("code", one.get("value")), one.get("system")
    if isinstance(code, str) and code:
        yield name, code
        yield name, f"{system}|{code}" if isinstance(system, str) else f"|{code}"


def _reference_values(value: Any, rule: _Rule) -> Iterator[Value]:
    if not isinstance(value, dict):
        return
    text, identifier = value.get("reference"), value.get("identifier")
    name = reference_token(text) if isinstance(text, str) else None
    if name is not None and (not rule.kinds or name.partition("/")[0] in rule.kinds):
        yield rule.name, name
    if isinstance(identifier, dict) and (not rule.kinds or value.get("type") in (None, *rule.kinds)):
        yield from _coded(f"{rule.name}:identifier", identifier)


def _date_values(value: Any, rule: _Rule) -> Iterator[Value]:
    """Of a Period its start; one without a start begins before all others."""
    if isinstance(value, dict):
        value = value.get("start") or (_FIRST if value.get("end") else None)
    moment = first_moment(value) if isinstance(value, str) and value is not _FIRST else value
    if isinstance(moment, str):
        yield rule.name, moment


_TOKENS: Mapping[str, Callable[[Any, _Rule], Iterator[Value]]] = {
    TOKEN: _token_values,
    REFERENCE: _reference_values,
    DATE: _date_values,
}


def _rule(kind: str, name: str, parameter: Parameter) -> _Rule:
    expression = parameter.expression
    only = _ONE_OF.search(expression)
    path = expression[: only.start()] if only else expression
    steps = tuple(path.removeprefix(f"{kind}.").split("."))
    kinds = (only[1],) if only else parameter.target if len(parameter.target) == 1 else ()
    return _Rule(name, steps, _TOKENS[parameter.type], kinds)


_CHOICES: Mapping[str, tuple[str, ...]] = {"performed": ("performedDateTime", "performedPeriod")}
"""An element of several types, as JSON names it (R4, JSON, choice of data types)."""


def _rules(kind: str, search: Mapping[str, Parameter]) -> tuple[_Rule, ...]:
    rules = []
    for name, parameter in search.items():
        if name.startswith("_"):
            continue
        rule = _rule(kind, name, parameter)
        for last in _CHOICES.get(rule.steps[-1], (rule.steps[-1],)):
            rules.append(_Rule(rule.name, (*rule.steps[:-1], last), rule.tokens, rule.kinds))
    return tuple(rules)


_RULES: Mapping[str, tuple[_Rule, ...]] = {kind: _rules(kind, offer.search) for kind, offer in KEPT.items()}


def _texts(value: Any) -> Iterator[str]:
    """The texts of all elements named `reference`, and the addresses of Binaries; as deep as they may lie."""
    following: list[Iterator[tuple[str, Any]]] = [iter((("", value),))]
    while following:
        name, inner = next(following[-1], _END)
        if name is None:
            following.pop()
        elif isinstance(inner, dict):
            following.append(iter(inner.items()))
        elif isinstance(inner, list):
            following.append(iter([("", item) for item in inner]))
        elif isinstance(inner, str) and _leads(name, inner):
            yield inner


_END: tuple[None, None] = (None, None)


def _leads(name: str, text: str) -> bool:
    if name == "reference":
        return not text.startswith("#") and "?" not in text
    return name == "url" and "Binary/" in text and "?" not in text
