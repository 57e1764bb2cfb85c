"""What a resource refers to, put into it: as kept by the same client, and as if it had come contained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.mappings.fhir.literals import reference_token
from gateway.mappings.fhir.search_values import literal_references

SUPPORTING = frozenset(
    {
        "Account",
        "Binary",
        "Condition",
        "Coverage",
        "Location",
        "Organization",
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "Procedure",
        "RelatedPerson",
    }
)
"""Types that say nothing by themselves."""

DRAWN = (SUPPORTING | {"Encounter"}) - {"Binary"}
"""Types that are put into what refers to them. The content of a Binary stands beside it (`FhirSource.contents`)."""

ATTACHED = frozenset({"Condition", "Procedure"})
"""Types that name their Encounter, and belong to it though it need not name them."""

_FOLLOWED: Mapping[str, tuple[str, ...]] = {
    "Account": ("coverage", "guarantor"),
    "Coverage": ("payor", "subscriber"),
    "Encounter": ("account",),
    "PractitionerRole": ("practitioner", "organization"),
    "Procedure": ("performer",),
}
"""Of a resource that is drawn in, where it is followed further; elsewhere it refers to nothing that is mapped."""


def followed(resource: Mapping[str, Any], *, main: bool) -> list[str]:
    """The names (`Patient/5`) of what is drawn in because of the resource, each once."""
    kind = str(resource.get("resourceType"))
    part = resource if main else {name: resource.get(name) for name in _FOLLOWED.get(kind, ())}
    return [name for name in literal_references(part) if name.partition("/")[0] in DRAWN]


def named_encounter(resource: Mapping[str, Any]) -> str | None:
    """`Encounter/7`, of a Condition or Procedure that names it."""
    encounter = resource.get("encounter")
    text = encounter.get("reference") if isinstance(encounter, dict) else None
    name = reference_token(text) if isinstance(text, str) and not text.startswith("#") else None
    return name if name is not None and name.startswith("Encounter/") else None


def drawn(resource: dict[str, Any], kept: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The resource with all of `kept`, by name, among its contained ones, and the references turned to them.

    A kept resource brings what it contains itself: contained resources do not contain others (R4, references).
    """
    if not kept:
        return resource
    contained = [each for each in _list(resource.get("contained")) if isinstance(each, dict)]
    prefix = _free_prefix(contained)
    ids = {name: f"{prefix}{number}" for number, name in enumerate(kept, start=1)}
    whole: dict[str, Any] = _turned(resource, ids, {})
    inner = [*_list(whole.get("contained"))]
    for name, each in kept.items():
        inner += _flat(each, ids[name], ids)
    return {**whole, "contained": inner}


def _flat(kept: Mapping[str, Any], new_id: str, ids: Mapping[str, str]) -> list[dict[str, Any]]:
    """The kept resource under its new id, and what it contains under ids of their own."""
    contained = [each for each in _list(kept.get("contained")) if isinstance(each, dict)]
    own = {f"#{each.get('id')}": f"#{new_id}-{number}" for number, each in enumerate(contained, start=1)}
    outer = _turned({name: value for name, value in kept.items() if name != "contained"}, ids, own)
    inner = [{**_turned(each, ids, own), "id": own[f"#{each.get('id')}"][1:]} for each in contained]
    return [{**outer, "id": new_id}, *inner]


def _free_prefix(contained: Sequence[Mapping[str, Any]]) -> str:
    prefix = "kept-"
    while any(str(each.get("id")).startswith(prefix) for each in contained):
        prefix += "-"
    return prefix


def _turned(value: Any, ids: Mapping[str, str], own: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _reference(name, inner, ids, own) for name, inner in value.items()}
    return [_turned(each, ids, own) for each in value] if isinstance(value, list) else value


def _reference(name: str, inner: Any, ids: Mapping[str, str], own: Mapping[str, str]) -> Any:
    if name != "reference" or not isinstance(inner, str):
        return _turned(inner, ids, own)
    if inner.startswith("#"):
        return own.get(inner, inner)
    token = reference_token(inner)
    return f"#{ids[token]}" if token is not None and token in ids else inner


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
