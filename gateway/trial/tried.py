"""What a trial tells of one message. Its JSON form is `as_json`; docs/analysts.md says what each member means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.desk.acknowledged import Acknowledged
from gateway.encounter.problem import Problem
from gateway.review.model import Finding, Hold
from gateway.trial.values import Value


class Fate(StrEnum):
    """What would become of the message."""

    PROCESSED = "processed"
    UNUSED = "unused"
    SET_ASIDE = "set-aside"
    REFUSED = "refused"
    REPEAT = "repeat"
    """The same message was tried just before: it would be answered as then, and change nothing."""


FAILED = frozenset({Fate.SET_ASIDE, Fate.REFUSED})


@dataclass(frozen=True, slots=True)
class LeftOver:
    """Data that nothing uses: fields of one segment, as `FT1[1]` and 13. `whole`: nothing of the segment is used."""

    segment: str
    fields: tuple[int, ...]
    values: tuple[str, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class EncounterTried:
    """The encounter as it would be. `opened` and `ended` are holds, beside how it stands now."""

    key: str
    stage: str
    total: str
    findings: tuple[Finding, ...]
    opened: tuple[Hold, ...]
    ended: tuple[Hold, ...]
    standing: tuple[Hold, ...]
    """Holds that were open before, and would stay so."""
    released: str | None
    """The destination that a claim would go to at once."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One message of a file."""

    file: str
    number: int
    """Its place in the file, from 1."""
    type: str
    control: str
    fate: Fate
    acknowledged: Acknowledged | None
    reason: str | None = None
    mapping: str = ""
    """The version of the mapping that read it."""
    segments: tuple[tuple[str, int], ...] = ()
    values: tuple[Value, ...] = ()
    left_over: tuple[LeftOver, ...] = ()
    problems: tuple[Problem, ...] = ()
    encounter: EncounterTried | None = None
    numbers: tuple[Value, ...] = ()
    """Of a message that has no number for an encounter's key: those that it has, with their places."""

    @property
    def failed(self) -> bool:
        """Whether the message would not be used, though it should."""
        return self.fate in FAILED

    def as_json(self) -> dict[str, Any]:
        """Plain values only."""
        return {
            "file": self.file,
            "number": self.number,
            "type": self.type,
            "control": self.control,
            "outcome": self.fate.value,
            "failed": self.failed,
            "acknowledged": _acknowledged(self.acknowledged),
            "reason": self.reason,
            "mapping": self.mapping,
            "segments": [{"name": name, "count": count} for name, count in self.segments],
            "values": [{"path": v.path, "value": v.value, "place": v.place} for v in self.values],
            "not_used": [
                {
                    "segment": left.segment,
                    "whole": left.whole,
                    "fields": [{"field": n, "value": v} for n, v in zip(left.fields, left.values, strict=True)],
                }
                for left in self.left_over
            ],
            "problems": [{"rule": p.rule, "where": p.where, "text": p.text} for p in self.problems],
            "encounter": _encounter(self.encounter),
            "numbers": [{"value": v.value, "place": v.place} for v in self.numbers],
        }


def _acknowledged(said: Acknowledged | None) -> dict[str, Any] | None:
    return None if said is None else {"code": said.code, "text": said.text}


def _encounter(tried: EncounterTried | None) -> dict[str, Any] | None:
    if tried is None:
        return None
    return {
        "key": tried.key,
        "stage": tried.stage,
        "total": tried.total,
        "findings": [_finding(finding) for finding in tried.findings],
        "holds_opened": [_hold(hold) for hold in tried.opened],
        "holds_ended": [_hold(hold) for hold in tried.ended],
        "holds_standing": [_hold(hold) for hold in tried.standing],
        "released_to": tried.released,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "where": finding.where,
        "text": finding.text,
        "remedy": finding.remedy,
    }


def _hold(hold: Hold) -> dict[str, Any]:
    return {
        "kind": hold.kind.value,
        "rule": hold.rule,
        "where": hold.where,
        "text": hold.text,
        "remedy": hold.remedy,
    }
