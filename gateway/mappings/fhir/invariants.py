"""Invariants of R4's data types and of the types that are taken, by the keys of the standard.

Each check gives, for what is wrong, its severity, its place below the object, and a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.mappings.fhir.literals import first_moment
from gateway.mappings.fhir.outcome import ERROR, WARNING

Wrong = Iterator[tuple[str, str, str]]
Check = Callable[[dict[str, Any]], Wrong]


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


# ---- data types


def _period(period: dict[str, Any]) -> Wrong:
    start, end = (_moment(period.get(name)) for name in ("start", "end"))
    if start is not None and end is not None and start[: len(end)] > end:
        yield ERROR, ".end", "is before the start (per-1)"


def _moment(value: object) -> str | None:
    """Comparable: as far as it is written when it is a date alone, else the instant in UTC."""
    if not isinstance(value, str):
        return None
    return value if len(value) <= len("2026-01-01") else first_moment(value)


def _day_or_instant(period: dict[str, Any]) -> Wrong:
    """A date and an instant are compared by their days, which may differ by the zone: only the sure is said."""
    start, end = period.get("start"), period.get("end")
    if isinstance(start, str) and isinstance(end, str) and (len(start) > 10) == (len(end) > 10):
        yield from _period(period)
    elif isinstance(start, str) and isinstance(end, str) and start[:7] > end[:7]:
        yield ERROR, ".end", "is before the start (per-1)"


def _attachment(attachment: dict[str, Any]) -> Wrong:
    if attachment.get("data") and not attachment.get("contentType"):
        yield ERROR, ".contentType", "is required where there is data (att-1)"


def _quantity(quantity: dict[str, Any]) -> Wrong:
    if quantity.get("code") and not quantity.get("system"):
        yield ERROR, ".system", "is required where there is a code (qty-3)"


def _contact_point(contact: dict[str, Any]) -> Wrong:
    if contact.get("value") and not contact.get("system"):
        yield ERROR, ".system", "is required where there is a value (cpt-2)"


def _extension(extension: dict[str, Any]) -> Wrong:
    values = [name for name in extension if name.startswith("value")]
    if bool(values) == bool(extension.get("extension")):
        yield ERROR, "", "has either a value or extensions of its own (ext-1)"


DATA_TYPE_INVARIANTS: Mapping[str, tuple[Check, ...]] = {
    "Period": (_day_or_instant,),
    "Attachment": (_attachment,),
    "Quantity": (_quantity,),
    "ContactPoint": (_contact_point,),
    "Extension": (_extension,),
}


# ---- resources


def _patient(patient: dict[str, Any]) -> Wrong:
    for index, contact in enumerate(_objects(patient.get("contact"))):
        if not any(contact.get(name) for name in ("name", "telecom", "address", "organization")):
            yield ERROR, f".contact[{index}]", "has a name, a telecom, an address or an organization (pat-1)"


def _organization(organization: dict[str, Any]) -> Wrong:
    if not organization.get("identifier") and not organization.get("name"):
        yield ERROR, "", "has an identifier or a name (org-1)"
    for key, name in (("org-2", "address"), ("org-3", "telecom")):
        for index, each in enumerate(_objects(organization.get(name))):
            if each.get("use") == "home":
                yield ERROR, f".{name}[{index}].use", f"an organization has no home ({key})"


def _condition(condition: dict[str, Any]) -> Wrong:
    verified, clinical = (_codes(condition.get(name)) for name in ("verificationStatus", "clinicalStatus"))
    if "entered-in-error" in verified and clinical:
        yield ERROR, ".clinicalStatus", "is left out of what was entered in error (con-5)"
    abated = any(name.startswith("abatement") for name in condition)
    if abated and not clinical & {"inactive", "resolved", "remission"}:
        yield ERROR, ".clinicalStatus", "says that an abated condition is inactive (con-4)"


def _codes(concept: object) -> set[str]:
    codings = _objects(concept.get("coding")) if isinstance(concept, dict) else []
    return {str(coding.get("code")) for coding in codings}


_SEQUENCED = ("careTeam", "supportingInfo", "diagnosis", "procedure", "insurance", "item")
_POINTERS = {
    "careTeamSequence": "careTeam",
    "informationSequence": "supportingInfo",
    "diagnosisSequence": "diagnosis",
    "procedureSequence": "procedure",
}


def _sequences(claim: dict[str, Any]) -> Wrong:
    """R4 says of a sequence that it uniquely identifies the entry: what points to it must find one."""
    for name in _SEQUENCED:
        taken: set[int] = set()
        for index, each in enumerate(_objects(claim.get(name))):
            number = each.get("sequence")
            if isinstance(number, int) and number in taken:
                yield ERROR, f".{name}[{index}].sequence", "stands twice"
            elif isinstance(number, int):
                taken.add(number)


def _pointers(claim: dict[str, Any]) -> Wrong:
    known = {name: {each.get("sequence") for each in _objects(claim.get(target))} for name, target in _POINTERS.items()}
    for index, item in enumerate(_objects(claim.get("item"))):
        for name, numbers in known.items():
            pointed = item.get(name)
            if isinstance(pointed, list) and any(isinstance(n, int) and n not in numbers for n in pointed):
                # A warning: the claim is taken, and held by the problem that its mapping makes of it.
                yield WARNING, f".item[{index}].{name}", f"points to no {_POINTERS[name]} of the claim"


def _task(task: dict[str, Any]) -> Wrong:
    authored, modified = (task.get(name) for name in ("authoredOn", "lastModified"))
    if isinstance(authored, str) and isinstance(modified, str):
        begun, changed = _moment(authored), _moment(modified)
        alike = (len(authored) > 10) == (len(modified) > 10)
        if alike and begun is not None and changed is not None and changed < begun:
            yield ERROR, ".lastModified", "is before authoredOn (inv-1)"


def _answers(response: dict[str, Any], path: str = "") -> Wrong:
    for index, item in enumerate(_objects(response.get("item"))):
        where = f"{path}.item[{index}]"
        answers = _objects(item.get("answer"))
        if answers and item.get("item"):
            yield ERROR, where, "has items below it or below its answer, not both (qrs-1)"
        yield from _answers(item, where)
        for number, answer in enumerate(answers):
            yield from _answers(answer, f"{where}.answer[{number}]")


RESOURCE_INVARIANTS: Mapping[str, tuple[Check, ...]] = {
    "Claim": (_sequences, _pointers),
    "Condition": (_condition,),
    "Organization": (_organization,),
    "Patient": (_patient,),
    "QuestionnaireResponse": (_answers,),
    "Task": (_task,),
}
