"""What a policy's conditions may speak of: each fact with its type, its meaning, and how it is read. Plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from gateway.encounter.billable import Billable
from gateway.encounter.model import Coverage, Encounter
from gateway.encounter.record import Record
from gateway.review.edits.context import EditContext
from gateway.review.model import Finding

Value = str | int | float | bool | list[str] | list[dict[str, str]] | dict[str, str | int | bool]


class Coder(Record):
    """A coder known to the site; experience counts from `since`."""

    since: date


@dataclass(frozen=True, slots=True)
class Subject:
    """An encounter, what the edits found on it, and who the site's coders are."""

    encounter: Encounter
    context: EditContext
    findings: Sequence[Finding]
    coders: Mapping[str, Coder]

    @property
    def billable(self) -> Billable:
        return self.context.billable

    @property
    def coverage(self) -> Coverage | None:
        """The one that is billed first."""
        return self.billable.coverages[0] if self.billable.coverages else None


class Fact(NamedTuple):
    """`typical` and `bare` are what a condition is tried on when a policy is loaded."""

    type: str
    meaning: str
    read: Callable[[Subject], Value]
    typical: Value
    bare: Value


def _coder(subject: Subject) -> dict[str, str | int | bool]:
    name = subject.encounter.coding.coder
    known = subject.coders.get(name) if name else None
    days = (subject.context.today - known.since).days if known else 0
    return {"id": name or "", "known": known is not None, "days": days}


def _los_days(subject: Subject) -> int:
    visit, day = subject.encounter.visit, subject.context.day
    admitted, discharged = day(visit.admitted), day(visit.discharged)
    return (discharged - admitted).days if admitted and discharged else -1


def _payer(subject: Subject) -> str:
    coverage = subject.coverage
    return coverage.payer.value if coverage and coverage.payer else ""


def _payer_name(subject: Subject) -> str:
    return (subject.coverage.payer_name or "") if subject.coverage else ""


def _providers(subject: Subject) -> list[str]:
    """Each NPI once, the encounter's own first."""
    everybody = (*subject.encounter.providers, *(line.rendering for line in subject.billable.lines))
    return list(dict.fromkeys(provider.npi for provider in everybody if provider and provider.npi))


def _feeds(subject: Subject) -> list[str]:
    encounter = subject.encounter
    said = {charge.source for charge in encounter.charges} | {document.source for document in encounter.documents}
    said |= {diagnosis.source for diagnosis in encounter.diagnoses}
    said |= {procedure.source for procedure in encounter.procedures}
    return sorted(feed for feed in said if feed)


_FOUND: list[dict[str, str]] = [{"rule": "charge-duplicate", "severity": "warning", "kind": "edit"}]

FACTS: dict[str, Fact] = {
    "total": Fact("double", "the claim's whole amount", lambda s: float(s.billable.total), 25_000.0, 0.0),
    "lines": Fact("int", "how many lines would be billed", lambda s: len(s.billable.lines), 12, 0),
    "codes": Fact(
        "list of string",
        "the CPT and HCPCS codes of the lines",
        lambda s: [line.code for line in s.billable.lines if line.code],
        ["99285", "36415"],
        [],
    ),
    "modifiers": Fact(
        "list of string",
        "the modifiers of all lines",
        lambda s: [modifier for line in s.billable.lines for modifier in line.modifiers],
        ["25"],
        [],
    ),
    "diagnoses": Fact(
        "list of string",
        "the final diagnosis codes, the principal one first",
        lambda s: [diagnosis.code for diagnosis in s.billable.diagnoses],
        ["I10", "E119"],
        [],
    ),
    "principal": Fact(
        "string",
        "the principal diagnosis, or empty",
        lambda s: s.billable.diagnoses[0].code if s.billable.diagnoses else "",
        "I10",
        "",
    ),
    "procedures": Fact(
        "list of string",
        "the codes of the procedures beside the charges",
        lambda s: [procedure.code for procedure in s.billable.procedures],
        ["0DTJ4ZZ"],
        [],
    ),
    "drg": Fact("string", "the DRG that the encoder gave, or empty", lambda s: s.billable.drg or "", "470", ""),
    "claim_kind": Fact(
        "string", "professional or institutional", lambda s: s.billable.kind.value, "institutional", "professional"
    ),
    "encounter_class": Fact(
        "string",
        "inpatient, outpatient, emergency, observation, preadmit, recurring, other, or empty",
        lambda s: s.encounter.visit.encounter_class or "",
        "inpatient",
        "",
    ),
    "los_days": Fact("int", "days from admission to discharge; -1 when either is not known", _los_days, 4, -1),
    "disposition": Fact(
        "string", "the discharge disposition, or empty", lambda s: s.encounter.visit.disposition or "", "01", ""
    ),
    "payer": Fact("string", "the identifier of the payer that is billed first, or empty", _payer, "MEDICARE", ""),
    "payer_name": Fact("string", "that payer's name, or empty", _payer_name, "MEDICARE", ""),
    "coder": Fact(
        "map",
        "id (string), known (bool: in the policy's list), days (int: of experience, 0 when not known)",
        _coder,
        {"id": "jdoe", "known": True, "days": 400},
        {"id": "", "known": False, "days": 0},
    ),
    "providers": Fact("list of string", "the NPIs of all providers", _providers, ["1234567893"], []),
    "facility": Fact("string", "the facility", lambda s: s.encounter.key.facility, "MAIN", ""),
    "feeds": Fact("list of string", "the feeds that said anything of it", _feeds, ["encoder", "epic-adt"], []),
    "findings": Fact(
        "list of map",
        "what the edits found: rule, severity and kind (strings)",
        lambda s: [{"rule": f.rule, "severity": f.severity.value, "kind": f.kind.value} for f in s.findings],
        _FOUND,
        [],
    ),
}
"""The table that the documentation of policies is made from."""


def read_facts(names: Iterable[str], subject: Subject) -> dict[str, Value]:
    """The named facts of an encounter."""
    return {name: FACTS[name].read(subject) for name in names}
