"""A released claim as a FHIR R4 Claim: self-contained, in codes without descriptors, money to the cent it was billed.

The same claim gives the same resource. Corrections name what they supersede in `related` (relationship `prior`); a
void is a `cancelled` Claim.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from gateway.config.model import Billing
from gateway.encounter.billable import Billable, Line
from gateway.encounter.model import ClaimKind, CodeSystem, Diagnosis, Procedure, Provider, ProviderRole
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir import systems
from gateway.mappings.fhir.coverage import coverage_json
from gateway.mappings.fhir.outcome import ERROR, Issue
from gateway.mappings.fhir.parties import concept, identifier_json, name_json, npi_json, person_json
from gateway.mappings.fhir.questionnaire import stamp

_VOID = "8"
_ORIGINAL = "1"
_CURRENCY = "USD"


class ReleasedClaim(Protocol):
    """A frozen claim, as `gateway.release.model.Claim` has it."""

    @property
    def number(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def frequency(self) -> str: ...
    @property
    def replaces(self) -> str | None: ...
    @property
    def billed(self) -> Billable: ...
    @property
    def released(self) -> datetime: ...


def claim_issues(billed: Billable) -> list[Issue]:
    """What R4 requires of a Claim and this encounter doesn't have; empty when it can be written."""
    issues = []
    if not billed.coverages:
        issues.append(Issue(ERROR, "required", "coverages", "a FHIR Claim names at least one coverage"))
    for index, cover in enumerate(billed.coverages):
        if cover.payer is None and not cover.payer_name:
            issues.append(Issue(ERROR, "required", f"coverages[{index}].payer", "a FHIR Coverage names its payer"))
    return issues


def claim_resource(claim: ReleasedClaim, billing: Billing) -> dict[str, Any]:
    """The Claim, with amounts as Decimal: `resource.write` keeps them exact. MappingError as `claim_issues` says."""
    billed = claim.billed
    issues = claim_issues(billed)
    if issues:
        raise MappingError("required", issues[0].expression, issues[0].diagnostics)
    team = _team(billed)
    resource: dict[str, Any] = {
        "resourceType": "Claim",
        "id": f"{claim.number}-{claim.version}",
        "contained": _contained(billed, billing, team),
        "identifier": [
            {"use": "official", "system": systems.CLAIM_NUMBER, "value": claim.number},
            {"use": "secondary", "system": systems.CLAIM_VERSION, "value": f"{claim.number}-{claim.version}"},
        ],
        "status": "cancelled" if claim.frequency == _VOID else "active",
        "type": concept(systems.CLAIM_TYPE, str(billed.kind)),
        "use": "claim",
        "patient": {"reference": "#patient"},
        "created": stamp(claim.released),
        "insurer": {"reference": "#payer-1"},
        "provider": {"reference": "#billing"},
        "priority": concept(systems.PROCESS_PRIORITY, "normal"),
        "insurance": [
            {"sequence": index, "focal": index == 1, "coverage": {"reference": f"#coverage-{index}"}}
            for index in range(1, len(billed.coverages) + 1)
        ],
        "total": _money(billed.total),
    }
    optional = {
        "billablePeriod": _period(billed),
        "related": _related(claim),
        "careTeam": [_member_json(member) for member in team],
        "supportingInfo": _supporting(billed),
        "diagnosis": [_diagnosis(billed, index, d) for index, d in enumerate(billed.diagnoses, start=1)],
        "procedure": [_procedure(index, p) for index, p in enumerate(billed.procedures, start=1)],
        "item": [_item(billed, index, line, team) for index, line in enumerate(billed.lines, start=1)],
    }
    return resource | {name: value for name, value in optional.items() if value}


def _money(amount: Decimal) -> dict[str, Any]:
    return {"value": amount, "currency": _CURRENCY}


# ---- who


class _Member(NamedTuple):
    sequence: int
    provider: Provider
    whole: bool
    """Of the whole claim, not of single lines only."""


def _team(billed: Billable) -> list[_Member]:
    """The claim's providers, then those that only lines name; each with its role once."""
    own = [p for p in billed.providers if p.role in systems.CARE_TEAM_WRITTEN]
    lines = [line.rendering for line in billed.lines if line.rendering and line.rendering not in own]
    everyone = [*own, *dict.fromkeys(lines)]
    return [_Member(index, who, index <= len(own)) for index, who in enumerate(everyone, start=1)]


def _member_json(member: _Member) -> dict[str, Any]:
    written: dict[str, Any] = {
        "sequence": member.sequence,
        "provider": {"reference": f"#provider-{member.sequence}"},
    }
    role = systems.CARE_TEAM_WRITTEN.get(member.provider.role)
    if role:
        written["role"] = concept(*role)
    return written


def _contained(billed: Billable, billing: Billing, team: Iterable[_Member]) -> list[dict[str, Any]]:
    patient = billed.patient
    parts: list[dict[str, Any]] = [
        {
            "resourceType": "Patient",
            "id": "patient",
            **person_json(
                patient.name,
                patient.birth_date.isoformat() if patient.birth_date else None,
                systems.SEX_WRITTEN.get(patient.sex or ""),
                patient.address,
            ),
        },
        _billing_json(billing),
    ]
    for index, cover in enumerate(billed.coverages, start=1):
        parts += coverage_json(cover, index)
    parts += [_provider_json(member) for member in team]
    return parts


def _billing_json(billing: Billing) -> dict[str, Any]:
    return {
        "resourceType": "Organization",
        "id": "billing",
        "identifier": [npi_json(billing.npi), {"system": systems.TAX_ID, "value": billing.tax_id}],
        "name": billing.name,
        "address": [
            {
                "line": [billing.line],
                "city": billing.city,
                "state": billing.state,
                "postalCode": billing.postal_code,
            }
        ],
    }


def _provider_json(member: _Member) -> dict[str, Any]:
    who = member.provider
    organization = who.name is None and who.organization is not None
    written: dict[str, Any] = {
        "resourceType": "Organization" if organization else "Practitioner",
        "id": f"provider-{member.sequence}",
    }
    if who.npi:
        written["identifier"] = [npi_json(who.npi)]
    if organization:
        written["name"] = who.organization
    elif who.name and (names := name_json(who.name)):
        written["name"] = names
    return written


# ---- what


def _period(billed: Billable) -> dict[str, str]:
    """From the first to the last day of service."""
    days: list[date] = [day for line in billed.lines for day in (line.start, line.end) if day]
    if billed.kind is ClaimKind.INSTITUTIONAL:
        days += [moment.date() for moment in (billed.visit.admitted, billed.visit.discharged) if moment]
    return {"start": min(days).isoformat(), "end": max(days).isoformat()} if days else {}


def _related(claim: ReleasedClaim) -> list[dict[str, Any]]:
    """What a replacement or void is about: our earlier version, and the payer's own number of it."""
    if claim.frequency == _ORIGINAL:
        return []
    earlier = {"system": systems.CLAIM_VERSION, "value": f"{claim.number}-{claim.version - 1}"}
    written: dict[str, Any] = {
        "claim": {"identifier": earlier},
        "relationship": concept(systems.RELATED_CLAIM, "prior"),
    }
    if claim.replaces:
        written["reference"] = {"value": claim.replaces}
    return [written]


def _supporting(billed: Billable) -> list[dict[str, Any]]:
    if billed.kind is not ClaimKind.INSTITUTIONAL or not billed.visit.disposition:
        return []
    return [
        {
            "sequence": 1,
            "category": concept(systems.CLAIM_INFORMATION, "discharge"),
            "code": concept(systems.PATIENT_STATUS, billed.visit.disposition),
        }
    ]


def _coded(code: str, system: CodeSystem | None) -> dict[str, Any]:
    dotted = system in systems.DOTTED and len(code) > 3 and "." not in code
    return concept(systems.CODE_SYSTEM.get(system) if system else None, f"{code[:3]}.{code[3:]}" if dotted else code)


def _diagnosis(billed: Billable, sequence: int, diagnosis: Diagnosis) -> dict[str, Any]:
    written: dict[str, Any] = {
        "sequence": sequence,
        "diagnosisCodeableConcept": _coded(diagnosis.code, diagnosis.system),
    }
    if sequence == 1:
        written["type"] = [concept(systems.DIAGNOSIS_TYPE, "principal")]
        if billed.drg:
            written["packageCode"] = concept(systems.MS_DRG, billed.drg)
    if diagnosis.present_on_admission:
        written["onAdmission"] = concept(systems.ON_ADMISSION, diagnosis.present_on_admission.lower())
    return written


def _procedure(sequence: int, procedure: Procedure) -> dict[str, Any]:
    written: dict[str, Any] = {
        "sequence": sequence,
        "procedureCodeableConcept": _coded(procedure.code, procedure.system),
    }
    if procedure.performed:
        written["date"] = procedure.performed.isoformat()
    return written


def _item(billed: Billable, sequence: int, line: Line, team: list[_Member]) -> dict[str, Any]:
    service = _coded(line.code, systems.service_system(line.code)) if line.code else None
    written: dict[str, Any] = {
        "sequence": sequence,
        "productOrService": service or concept(systems.DATA_ABSENT, "not-applicable"),
    }
    optional: dict[str, Any] = {
        "careTeamSequence": [member.sequence for member in team if _provided(member, line)],
        "diagnosisSequence": list(line.pointers),
        "revenue": concept(systems.REVENUE_CODE, line.revenue_code) if line.revenue_code else None,
        "modifier": [concept(None, modifier) for modifier in line.modifiers],
        **_serviced(line),
        "locationCodeableConcept": (
            concept(systems.PLACE_OF_SERVICE, line.place_of_service) if line.place_of_service else None
        ),
        "quantity": {"value": line.units} if line.units is not None else None,
        "net": _money(line.amount) if line.amount is not None else None,
        "encounter": _encounter(billed),
    }
    return written | {name: value for name, value in optional.items() if value}


def _provided(member: _Member, line: Line) -> bool:
    """Whether the member provided the line; where a line names nobody, the claim's own rendering provider did."""
    if line.rendering is not None:
        return member.provider == line.rendering
    return member.whole and member.provider.role is ProviderRole.RENDERING


def _serviced(line: Line) -> dict[str, Any]:
    if line.start and line.end and line.end != line.start:
        return {"servicedPeriod": {"start": line.start.isoformat(), "end": line.end.isoformat()}}
    return {"servicedDate": line.start.isoformat()} if line.start else {}


def _encounter(billed: Billable) -> list[dict[str, Any]]:
    number = billed.visit.account or billed.visit.number
    return [{"identifier": identifier_json(number)}] if number else []
