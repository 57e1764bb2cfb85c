"""Encounters and contexts for the tests of review: a clean one from a fixture, then changed where the test says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.encounter.billable import billable
from gateway.encounter.model import Charge, Encounter
from gateway.reference.icd10cm import Icd10Cm, Release
from gateway.reference.icd10cm_files import flagged
from gateway.review.assess import assess
from gateway.review.edits.context import EditContext
from gateway.review.model import Finding
from gateway.review.policy import Policy

FIXTURES = Path(__file__).parents[2] / "fixtures" / "review"
CHICAGO = ZoneInfo("America/Chicago")
TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
ICD10 = Icd10Cm(
    [
        Release(
            "ICD-10-CM FY2026 (test)",
            "2026-04",
            date(2025, 10, 1),
            flagged(["A00", "A000", "E11", "E119", "I10", "K80", "K8000", "R05", "R059", "S020", "S020XXA"]),
        )
    ]
)


def load(name: str) -> Encounter:
    return Encounter.from_json((FIXTURES / f"{name}.json").read_bytes())


def change(encounter: Encounter, group: str, **update: Any) -> Encounter:
    """With other values in the visit, the coding or another group."""
    return encounter.model_copy(update={group: getattr(encounter, group).model_copy(update=update)})


def change_item(encounter: Encounter, group: str, index: int = 0, **update: Any) -> Encounter:
    """With other values in one item of a list."""
    items = list(getattr(encounter, group))
    items[index] = items[index].model_copy(update=update)
    return encounter.model_copy(update={group: tuple(items)})


def add(encounter: Encounter, group: str, *items: Any) -> Encounter:
    return encounter.model_copy(update={group: (*getattr(encounter, group), *items)})


def without(encounter: Encounter, *groups: str) -> Encounter:
    return encounter.model_copy(update=dict.fromkeys(groups, ()))


def charges(encounter: Encounter, count: int) -> Encounter:
    """With `count` different lines like the first."""
    like = encounter.charges[0]
    made = tuple(like.model_copy(update={"id": f"n{n}", "modifiers": ("59",)}) for n in range(count))
    return encounter.model_copy(update={"charges": made})


def moved(encounter: Encounter, day: date) -> Encounter:
    """The whole visit on another day."""
    at = datetime(day.year, day.month, day.day, 15, tzinfo=UTC)
    moved_charges = tuple(c.model_copy(update={"start": day}) for c in encounter.charges)
    return change(encounter, "visit", admitted=at, discharged=at).model_copy(update={"charges": moved_charges})


def context(encounter: Encounter, **update: Any) -> EditContext:
    made = EditContext(icd10=ICD10, today=TODAY, billable=billable(encounter), zone=CHICAGO)
    return replace(made, **update)


def found(encounter: Encounter, policy: Policy | None = None, **update: Any) -> tuple[Finding, ...]:
    """All findings on the encounter."""
    return assess(encounter, policy or Policy(), context(encounter, **update))


def rules(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.rule for finding in findings]


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, rules(findings)
    return findings[0]


def charge(**said: Any) -> Charge:
    return Charge.model_validate(said)
