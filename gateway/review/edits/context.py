"""What an edit is given, and how it says what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any

from gateway.encounter.billable import Billable
from gateway.encounter.model import Encounter, EncounterClass
from gateway.encounter.problem import Problem
from gateway.reference.icd10cm import Icd10Cm
from gateway.review.model import Finding, HoldKind, Severity


@dataclass(frozen=True, slots=True)
class Limits:
    """What the site's policy sets for the edits."""

    bill_hold_days: int = 0
    bill_hold_days_by_class: Mapping[EncounterClass, int] = field(default_factory=dict)
    documentation: bool = True
    max_line_amount: Decimal = Decimal(1_000_000)
    max_line_units: Decimal = Decimal(9_999)

    def bill_hold(self, encounter_class: EncounterClass | None) -> int:
        """The days between the end of a visit and its bill."""
        if encounter_class is None:
            return self.bill_hold_days
        return self.bill_hold_days_by_class.get(encounter_class, self.bill_hold_days)


NO_LIMITS_SET = Limits()
"""What holds where the site's policy says nothing."""


@dataclass(frozen=True, slots=True)
class EditContext:
    """All that an edit may look at beside the encounter. `today` and `zone` are the facility's."""

    icd10: Icd10Cm
    today: date
    billable: Billable
    problems: tuple[Problem, ...] = ()
    """Problems beside those that the encounter carries."""
    zone: tzinfo = UTC
    limits: Limits = NO_LIMITS_SET
    kept: dict[object, tuple[Encounter, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was derived from an encounter with this context, by the function that derived it."""

    def day(self, instant: datetime | None) -> date | None:
        """The facility's calendar day of an instant."""
        return None if instant is None else instant.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """When `day` begins at the facility."""
        return datetime.combine(day, time.min, tzinfo=self.zone)

    def service_days(self) -> tuple[date, date] | None:
        """The first and the last day of service of what would be billed."""
        lines = self.billable.lines
        starts = [line.start for line in lines if line.start is not None]
        if not starts:
            return None
        return min(starts), max(starts + [line.end for line in lines if line.end is not None])


Edit = Callable[[Encounter, EditContext], Iterable[Finding]]
"""A pure function from an encounter to what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule of an edit. `fixed`: a site's policy may not change its severity."""

    name: str
    severity: Severity
    source: str
    remedy: str
    kind: HoldKind = HoldKind.EDIT
    fixed: bool = False

    def finding(
        self,
        where: str,
        text: str,
        *,
        subject: str = "",
        evidence: tuple[str, ...] = (),
        severity: Severity | None = None,
        until: datetime | None = None,
    ) -> Finding:
        """What this rule found at `where`."""
        return Finding.unchecked(
            {
                "rule": self.name,
                "severity": severity or self.severity,
                "kind": self.kind,
                "where": where,
                "text": text,
                "remedy": self.remedy,
                "source": self.source,
                "subject": subject,
                "evidence": evidence,
                "until": until,
            }
        )
