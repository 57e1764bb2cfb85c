"""Clients that may see certain patients only (R4, the patient compartment).

A patient is told by number and authority, never by a resource's id: ids are each sender's own. What does not show whose
it is, is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, Self, cast

from gateway.access.scopes import Scopes

PATIENT_ELEMENT: Mapping[str, str] = {
    "Account": "subject",
    "Claim": "patient",
    "ClaimResponse": "patient",
    "Communication": "subject",
    "CommunicationRequest": "subject",
    "Condition": "subject",
    "Coverage": "beneficiary",
    "DocumentReference": "subject",
    "Encounter": "subject",
    "Observation": "subject",
    "Procedure": "subject",
    "QuestionnaireResponse": "subject",
    "RelatedPerson": "patient",
    "Task": "for",
}
"""The element that names the patient, by type (R4, compartment definition: patient)."""

IMPERSONAL = frozenset({"CapabilityStatement", "OperationOutcome"})
"""What is about no patient."""

VOUCHED = frozenset({"Questionnaire"})
"""Types that do not say whose they are, and whose service looks at the encounter behind them itself."""


class PatientNumber(NamedTuple):
    """A patient's number, and who gave it."""

    authority: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """`authority|value`; None for anything else."""
        authority, bar, value = text.partition("|")
        return cls(authority, value) if bar and authority and value and text.isprintable() else None


class Number(Protocol):
    """A number as the encounter's model has it."""

    @property
    def value(self) -> str: ...
    @property
    def authority(self) -> str | None: ...


class Limited(Protocol):
    """A caller who may be limited by scopes, and to certain patients; None is no limit."""

    @property
    def scopes(self) -> Scopes | None: ...
    @property
    def patients(self) -> frozenset[PatientNumber] | None: ...


def limits(caller: object) -> Limited | None:
    """`caller`, when it is limited in any way. Asked of every request: a protocol's `isinstance` would cost 6 us."""
    if getattr(caller, "scopes", None) is None and getattr(caller, "patients", None) is None:
        return None
    return cast(Limited, caller)


def limited(caller: object) -> bool:
    """Whether `caller` may see certain patients only."""
    found = limits(caller)
    return found is not None and found.patients is not None


def sees(caller: object, numbers: Iterable[Number]) -> bool:
    """Whether `caller` may see the data of a patient who has these numbers."""
    found = limits(caller)
    if found is None or found.patients is None:
        return True
    return any(PatientNumber(number.authority or "", number.value) in found.patients for number in numbers)


def shown(
    resource: Mapping[str, Any],
    patients: frozenset[PatientNumber] | None,
    scopes: Scopes | None = None,
    asked: str | None = None,
) -> dict[str, Any] | None:
    """The resource as a client that is limited to `patients` (None: to nobody) may have it: a Bundle without the
    entries that it may not have, None for what it may not have at all.

    With `scopes`, of what a search for the type `asked` brings along, only types that the client may read.
    """
    if resource.get("resourceType") == "Bundle":
        return _bundle(resource, patients, scopes, asked)
    return dict(resource) if patients is None or _within(resource, patients) else None


def _bundle(
    bundle: Mapping[str, Any], patients: frozenset[PatientNumber] | None, scopes: Scopes | None, asked: str | None
) -> dict[str, Any]:
    entries = _objects(bundle.get("entry"))
    kept = [left for entry in entries if (left := _entry(entry, patients, scopes, asked)) is not None]
    whole = {name: value for name, value in bundle.items() if name != "entry"}
    if kept:
        whole["entry"] = kept
    if _matches(kept) != _matches(entries):
        whole.pop("total", None)  # it would count what is not shown
    return whole


def _matches(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries that a total counts: not what a search brings along."""
    return [entry for entry in entries if entry.get("search") != {"mode": "include"}]


def _entry(
    entry: dict[str, Any], patients: frozenset[PatientNumber] | None, scopes: Scopes | None, asked: str | None
) -> dict[str, Any] | None:
    """An entry without a resource is an answer to one of a batch, and tells of nobody."""
    if "resource" not in entry:
        return entry
    resource = entry["resource"]
    type_ = str(resource.get("resourceType")) if isinstance(resource, dict) else ""
    if not type_ or (scopes is not None and type_ not in IMPERSONAL | {asked} and not scopes.allow(type_, "r")):
        return None
    left = shown(resource, patients, scopes, asked)
    return {**entry, "resource": left} if left is not None else None


def _within(resource: Mapping[str, Any], patients: frozenset[PatientNumber]) -> bool:
    type_ = str(resource.get("resourceType"))
    if type_ in VOUCHED | IMPERSONAL:
        return True
    if type_ == "Patient":
        return any(number in patients for number in _numbers(resource.get("identifier")))
    named = _objects(resource.get(PATIENT_ELEMENT[type_])) if type_ in PATIENT_ELEMENT else []
    return bool(named) and all(_named(reference, resource, patients) for reference in named)


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list, or the one that stands in place of a list."""
    listed = value if isinstance(value, list) else [value]
    return [item for item in listed if isinstance(item, dict)]


def _named(reference: Mapping[str, Any], resource: Mapping[str, Any], patients: frozenset[PatientNumber]) -> bool:
    """Whether all that a reference says of a patient is of one of `patients`: its identifier, a contained Patient."""
    said = _numbers([reference.get("identifier")])
    text = reference.get("reference")
    if isinstance(text, str) and text.startswith("#"):
        inner = [one for one in _objects(resource.get("contained")) if one.get("id") == text[1:]]
        numbers = [number for one in inner for number in _numbers(one.get("identifier"))]
        if not any(number in patients for number in numbers):
            return False
        return not said or said[0] in patients
    return bool(said) and said[0] in patients


def _numbers(identifiers: object) -> list[PatientNumber]:
    """The numbers in a list of Identifiers; one without an authority is none."""
    found = []
    for item in identifiers if isinstance(identifiers, list) else ():
        if isinstance(item, dict) and isinstance(item.get("value"), str):
            assigner = item.get("assigner")
            authority = item.get("system") or (assigner.get("display") if isinstance(assigner, dict) else None)
            if isinstance(authority, str):
                found.append(PatientNumber(authority, item["value"]))
    return found
