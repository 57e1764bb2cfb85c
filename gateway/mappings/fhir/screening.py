"""The quick check before a resource is acknowledged: its type is taken, what R4 requires is there, its status is a
status. Some microseconds; the whole validation follows off the hot path.

One that names no encounter is a resource all the same: it is taken, and set aside when it is processed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.mappings.fhir import systems
from gateway.mappings.fhir.outcome import ERROR, FATAL, Issue

_WORDS: dict[type, str] = {str: "a string", dict: "an object", list: "a list"}


@dataclass(frozen=True, slots=True)
class _Screen:
    """What a resource type must show. `codes` are required value sets, `takes` those codes that are taken here."""

    required: tuple[tuple[str, type], ...] = ()
    codes: tuple[tuple[str, frozenset[str]], ...] = ()
    takes: tuple[tuple[str, frozenset[str]], ...] = ()


_SCREENS: Mapping[str, _Screen] = {
    "Encounter": _Screen(
        required=(("status", str), ("class", dict)),
        codes=(("status", frozenset(systems.ENCOUNTER_STATUS)),),
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
    ),
    "DocumentReference": _Screen(
        required=(("status", str), ("content", list)),
        codes=(("status", systems.DOCUMENT_STATUS), ("docStatus", systems.COMPOSITION_STATUS)),
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


def looked_at(kind: str) -> tuple[str, ...]:
    """The members of a resource of `kind` that can speak against acknowledging it."""
    rules = _SCREENS.get(kind, _Screen())
    return tuple(name for name, _ in (*rules.required, *rules.codes, *rules.takes))


def screen(resource: dict[str, Any]) -> list[Issue]:
    """What stands against acknowledging the resource; empty when nothing does."""
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
    return issues
