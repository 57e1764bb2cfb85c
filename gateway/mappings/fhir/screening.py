"""The quick check before a resource is acknowledged: its type is taken, what R4 requires is there, its status is a
status. About 10 us; the whole validation follows off the hot path.

One that names no encounter is a resource all the same: it is taken with a warning, and set aside when it is processed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.mappings.fhir import systems
from gateway.mappings.fhir.outcome import ERROR, FATAL, WARNING, Issue

_WORDS: dict[type, str] = {str: "a string", dict: "an object", list: "a list"}


@dataclass(frozen=True, slots=True)
class _Screen:
    """What a resource type must show. `codes` are required value sets, `takes` the codes of them that are taken here;
    `names_encounter` says how the encounter is found.
    """

    required: tuple[tuple[str, type], ...] = ()
    codes: tuple[tuple[str, frozenset[str]], ...] = ()
    takes: tuple[tuple[str, frozenset[str]], ...] = ()
    names_encounter: Callable[[dict[str, Any]], bool] | None = None
    where: str = ""
    remedy: str = field(default="")


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _points(reference: object) -> bool:
    return isinstance(reference, dict) and bool(reference.get("reference") or reference.get("identifier"))


def _encounter_is_named(resource: dict[str, Any]) -> bool:
    return bool(_objects(resource.get("identifier"))) or any(map(_points, _objects(resource.get("account"))))


def _claim_names_encounter(resource: dict[str, Any]) -> bool:
    for item in _objects(resource.get("item")):
        if any(map(_points, _objects(item.get("encounter")))):
            return True
    return any(
        _points(info.get("valueReference")) or info.get("valueString")
        for info in _objects(resource.get("supportingInfo"))
    )


def _document_names_encounter(resource: dict[str, Any]) -> bool:
    context = resource.get("context")
    return isinstance(context, dict) and any(map(_points, _objects(context.get("encounter"))))


_SCREENS: Mapping[str, _Screen] = {
    "Encounter": _Screen(
        required=(("status", str), ("class", dict)),
        codes=(("status", frozenset(systems.ENCOUNTER_STATUS)),),
        names_encounter=_encounter_is_named,
        where="Encounter.identifier",
        remedy="give the visit number as identifier, or the account by its identifier",
    ),
    "Claim": _Screen(
        required=(
            ("status", str),
            ("type", dict),
            ("use", str),
            ("patient", dict),
            ("created", str),
            ("provider", dict),
            ("priority", dict),
            ("insurance", list),
        ),
        codes=(("status", systems.CLAIM_STATUS), ("use", systems.CLAIM_USE)),
        names_encounter=_claim_names_encounter,
        where="Claim.item.encounter",
        remedy="name the encounter in item.encounter, or the account number in supportingInfo",
    ),
    "DocumentReference": _Screen(
        required=(("status", str), ("content", list)),
        codes=(("status", systems.DOCUMENT_STATUS), ("docStatus", systems.COMPOSITION_STATUS)),
        names_encounter=_document_names_encounter,
        where="DocumentReference.context.encounter",
        remedy="name the encounter in context.encounter",
    ),
    "QuestionnaireResponse": _Screen(
        required=(("status", str), ("questionnaire", str)), codes=(("status", systems.RESPONSE_STATUS),)
    ),
    "Task": _Screen(
        required=(("status", str), ("intent", str)),
        codes=(("status", systems.TASK_STATUS), ("intent", systems.TASK_INTENT)),
    ),
    "Bundle": _Screen(required=(("type", str), ("entry", list)), takes=(("type", systems.BUNDLE_TYPE),)),
    "Patient": _Screen(),
    "Coverage": _Screen(required=(("status", str), ("beneficiary", dict), ("payor", list))),
    "Condition": _Screen(required=(("subject", dict),)),
    "Procedure": _Screen(required=(("status", str), ("subject", dict))),
    "Practitioner": _Screen(),
    "PractitionerRole": _Screen(),
    "Organization": _Screen(),
    "Location": _Screen(),
    "Account": _Screen(required=(("status", str),)),
    "RelatedPerson": _Screen(required=(("patient", dict),)),
    "Binary": _Screen(required=(("contentType", str),)),
}

TAKEN = frozenset(_SCREENS)
"""The resource types that are taken at all."""


def screen(resource: dict[str, Any]) -> list[Issue]:
    """What stands against acknowledging the resource, and what to warn of; empty when nothing does."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str):
        return [Issue(FATAL, "structure", "resourceType", "is required")]
    rules = _SCREENS.get(kind)
    if rules is None:
        return [Issue(ERROR, "not-supported", "resourceType", "this resource type is not taken here")]
    issues = []
    for name, wanted in rules.required:
        value = resource.get(name)
        if not value:
            issues.append(Issue(ERROR, "required", f"{kind}.{name}", "is required"))
        elif not isinstance(value, wanted):
            issues.append(Issue(ERROR, "structure", f"{kind}.{name}", f"should be {_WORDS[wanted]}"))
    for name, allowed in rules.codes:
        value = resource.get(name)
        if isinstance(value, str) and value and value not in allowed:
            issues.append(Issue(ERROR, "code-invalid", f"{kind}.{name}", "is not in the required value set"))
    for name, taken in rules.takes:
        value = resource.get(name)
        if isinstance(value, str) and value and value not in taken:
            issues.append(Issue(ERROR, "not-supported", f"{kind}.{name}", "is not taken here"))
    if rules.names_encounter is not None and not rules.names_encounter(resource):
        issues.append(Issue(WARNING, "required", rules.where, rules.remedy))
    return issues
