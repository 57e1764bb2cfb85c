"""What the R4B models do not catch: codes of required bindings, targets of references, JSON types that are read
leniently, contained resources, and the invariants of the types that are taken (R4, each type's constraints).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.mappings.fhir.invariants import DATA_TYPE_INVARIANTS, RESOURCE_INVARIANTS
from gateway.mappings.fhir.literals import reference_token
from gateway.mappings.fhir.outcome import ERROR, WARNING, Issue
from gateway.mappings.fhir.reference_targets import TARGETS
from gateway.mappings.fhir.required_codes import (
    AMOUNTS,
    CONCEPTS,
    DATA_TYPES,
    DECIMALS,
    FLAGS,
    INTEGERS,
    RESOURCES,
    STANDS_AT,
)

_NO_CODE = "is not in the required value set"


def post_check(resource: dict[str, Any]) -> Iterator[Issue]:
    """Everything that is wrong, with its place; warnings for what R4 asks and nobody is harmed by."""
    kind = str(resource.get("resourceType"))
    contained = {str(each.get("id")): str(each.get("resourceType")) for each in _objects(resource.get("contained"))}
    yield from _resource(resource, kind, kind, contained)
    for index, inner in enumerate(_objects(resource.get("contained"))):
        path = f"{kind}.contained[{index}]"
        yield from _resource(inner, path, str(inner.get("resourceType")), contained)
        yield from _within(inner, path)


def _within(inner: dict[str, Any], path: str) -> Iterator[Issue]:
    if inner.get("contained"):
        yield Issue(ERROR, "invariant", f"{path}.contained", "a contained resource contains no other (dom-2)")
    meta = inner.get("meta")
    if isinstance(meta, dict) and (meta.get("versionId") or meta.get("lastUpdated")):
        yield Issue(WARNING, "invariant", f"{path}.meta", "a contained resource has no version of its own (dom-4)")


def _resource(resource: dict[str, Any], path: str, kind: str, contained: Mapping[str, str]) -> Iterator[Issue]:
    for place, codes in RESOURCES.get(kind, {}).items():
        yield from _codes(resource, place, codes, path)
    for place, (system, codes) in CONCEPTS.get(kind, {}).items():
        yield from _concepts(resource, place, system, codes, path)
    for place, types in TARGETS.get(kind, {}).items():
        yield from _targets(resource, place, types, path, contained)
    for check in RESOURCE_INVARIANTS.get(kind, ()):
        yield from (Issue(s, "invariant", f"{path}{where}", text) for s, where, text in check(resource))
    yield from _elements(resource, path, contained)


def _codes(resource: dict[str, Any], place: str, codes: frozenset[str], path: str) -> Iterator[Issue]:
    for where, value in _at(resource, place, path):
        if isinstance(value, str) and value not in codes:
            yield Issue(ERROR, "code-invalid", where, _NO_CODE)


def _concepts(resource: dict[str, Any], place: str, system: str, codes: frozenset[str], path: str) -> Iterator[Issue]:
    for where, value in _at(resource, place, path):
        for index, coding in enumerate(_objects(value.get("coding") if isinstance(value, dict) else None)):
            if coding.get("system") == system and coding.get("code") not in codes:
                yield Issue(ERROR, "code-invalid", f"{where}.coding[{index}].code", _NO_CODE)


def _targets(
    resource: dict[str, Any], place: str, types: frozenset[str], path: str, contained: Mapping[str, str]
) -> Iterator[Issue]:
    for where, value in _at(resource, place, path):
        if not isinstance(value, dict):
            continue
        said = value.get("type")
        found = _kind(value.get("reference"), contained)
        named = {kind for kind in (said if isinstance(said, str) else None, found) if kind}
        if named - types:
            yield Issue(ERROR, "value", where, f"refers to none of {', '.join(sorted(types))}")


def _kind(reference: object, contained: Mapping[str, str]) -> str | None:
    """The type that a reference names; None for one that does not say it, as `urn:uuid:`."""
    if not isinstance(reference, str):
        return None
    if reference.startswith("#"):
        return contained.get(reference[1:])
    name, query, _ = reference.partition("?")
    if query:
        return name.rpartition("/")[2]
    token = reference_token(reference)
    return token.partition("/")[0] if token is not None else None


def _elements(value: dict[str, Any], path: str, contained: Mapping[str, str]) -> Iterator[Issue]:
    """What holds of elements wherever they stand. Contained resources are looked at by themselves."""
    for name, inner in value.items():
        where = f"{path}.{name}"
        if name == "contained":
            continue
        if name == "reference" and isinstance(inner, str):
            yield from _points_nowhere(inner, where, contained)
        yield from _json_type(name, inner, where)
        for place, each in _each(inner, where):
            if name in AMOUNTS:
                yield from _json_type("factor", each.get("value"), f"{place}.value")
            yield from _data_type(STANDS_AT.get(name), each, place)
            yield from _elements(each, place, contained)


def _points_nowhere(text: str, where: str, contained: Mapping[str, str]) -> Iterator[Issue]:
    if text.startswith("#") and len(text) > 1 and text[1:] not in contained:
        yield Issue(ERROR, "invariant", where, "refers to no contained resource (ref-1)")


def _json_type(name: str, value: Any, where: str) -> Iterator[Issue]:
    """A number or a truth value that is written as a text: the models read it, others do not."""
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, str) and name in _JSON:
            yield Issue(ERROR, "structure", where, f"should be {_JSON[name]}, not a string")


_JSON: Mapping[str, str] = {
    **dict.fromkeys(INTEGERS, "a whole number"),
    **dict.fromkeys(DECIMALS, "a number"),
    **dict.fromkeys(FLAGS, "true or false"),
}


def _data_type(kind: str | None, value: dict[str, Any], where: str) -> Iterator[Issue]:
    if kind is None:
        return
    for name, codes in DATA_TYPES.get(kind, {}).items():
        code = value.get(name)
        if isinstance(code, str) and code not in codes:
            yield Issue(ERROR, "code-invalid", f"{where}.{name}", _NO_CODE)
    for check in DATA_TYPE_INVARIANTS.get(kind, ()):
        yield from (Issue(s, "invariant", f"{where}{place}", text) for s, place, text in check(value))


def _at(value: Any, place: str, path: str) -> Iterator[tuple[str, Any]]:
    """The values at a path, through every list on the way, each with its own place."""
    name, _, rest = place.partition(".")
    inner = value.get(name) if isinstance(value, dict) else None
    where = f"{path}.{name}"
    listed = isinstance(inner, list)
    for index, each in enumerate(inner if isinstance(inner, list) else (inner,)):
        if each is None:
            continue
        own = f"{where}[{index}]" if listed else where
        if rest:
            yield from _at(each, rest, own)
        else:
            yield own, each


def _each(value: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield where, value
    elif isinstance(value, list):
        yield from ((f"{where}[{index}]", each) for index, each in enumerate(value) if isinstance(each, dict))


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
