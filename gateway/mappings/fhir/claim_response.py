"""ClaimResponse: what became of a Claim that was submitted for review (R4, Claim/$submit)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.mappings.fhir.literals import reference_token
from gateway.mappings.fhir.questionnaire import stamp
from gateway.mappings.fhir.reference_targets import TARGETS

_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

QUEUED, FAILED = "queued", "error"
"""RemittanceOutcome: it waits in review, or it cannot be taken into it. Whether it is paid, a payer says."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What is told of a Claim. `error` is the reason why it cannot be reviewed; `notes` are good to know besides."""

    claim: str
    """`Claim/7`, as it is kept."""
    disposition: str
    error: str | None = None
    notes: Sequence[str] = ()


def claim_response(claim: dict[str, Any], told: Submitted, created: datetime) -> dict[str, Any]:
    """The response to a Claim. It names no patient but as the Claim does, and no amount."""
    response: dict[str, Any] = {
        "resourceType": "ClaimResponse",
        "status": "active",
        "type": claim["type"],
        "use": claim["use"],
        "patient": _outward(claim, "patient"),
        "created": stamp(created),
        "insurer": _outward(claim, "insurer"),
        "request": {"reference": told.claim},
        "outcome": FAILED if told.error is not None else QUEUED,
        "disposition": told.disposition,
    }
    if told.notes:
        notes = enumerate(told.notes, start=1)
        response["processNote"] = [{"number": number, "type": "display", "text": note} for number, note in notes]
    if told.error is not None:
        response["error"] = [{"code": {"text": told.error}}]
    return response


def response_bundle(response: dict[str, Any]) -> dict[str, Any]:
    """The response, as a Bundle in which a Claim came is answered."""
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": response}]}


def _outward(claim: dict[str, Any], name: str) -> dict[str, Any]:
    """The Claim's reference as it can be read outside the Claim: of what is contained, the identifier. One to another
    type than it should be is not repeated.
    """
    said = claim.get(name)
    reference = dict(said) if isinstance(said, dict) else {}
    text = reference.get("reference")
    if isinstance(text, str) and text.startswith("#"):
        del reference["reference"]
        identifier = _identifier(claim, text[1:])
        if identifier is not None:
            reference.setdefault("identifier", identifier)
    elif isinstance(text, str):
        token = reference_token(text)
        if token is None or token.partition("/")[0] not in TARGETS["Claim"][name]:
            del reference["reference"]
    reference.pop("type", None)
    return reference or {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}


def _identifier(claim: dict[str, Any], id: str) -> dict[str, Any] | None:
    contained = claim.get("contained")
    for each in contained if isinstance(contained, list) else ():
        if isinstance(each, dict) and each.get("id") == id:
            numbers = each.get("identifier")
            first = numbers[0] if isinstance(numbers, list) and numbers else None
            return first if isinstance(first, dict) else None
    return None
