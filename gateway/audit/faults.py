"""What verification finds: faults, each with the places in the trail that it concerns, and the report of them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Span = tuple[int, int]
"""First and last place in the trail, both included."""

LIMIT = 10_000
"""Faults told one by one; more of them are only counted."""


class FaultKind(StrEnum):
    EDITED = "edited"
    """An event's content is not what was sealed, whatever its hash column says."""
    HASH_EDITED = "hash-edited"
    """An event's hash column alone is not what was sealed."""
    SWAPPED = "swapped"
    """Events carry each other's content."""
    DELETED = "deleted"
    INSERTED = "inserted"
    """An event stands among sealed ones and was never sealed."""
    TRUNCATED = "truncated"
    """Events, leaves or seals were cut from the end."""
    LEAVES_EDITED = "leaves-edited"
    """The record of leaves does not give the root that was signed."""
    SEAL_MISSING = "seal-missing"
    REWRITTEN = "rewritten"
    """The database holds another history than the one that was anchored."""
    BAD_SIGNATURE = "bad-signature"
    UNKNOWN_KEY = "unknown-key"
    ANCHOR_EDITED = "anchor-edited"


@dataclass(frozen=True, slots=True)
class Fault:
    """`spans` are the places in the trail, rising; none when the fault is about no event."""

    kind: FaultKind
    spans: tuple[Span, ...]
    text: str

    def names(self, seq: int) -> bool:
        """Whether the fault concerns the event at this place."""
        return any(first <= seq <= last for first, last in self.spans)

    def __str__(self) -> str:
        where = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in self.spans)
        return f"{self.kind} {where}: {self.text}" if where else f"{self.kind}: {self.text}"


@dataclass(frozen=True, slots=True)
class Report:
    """How the trail was found. `intact` only when nothing at all was found."""

    faults: tuple[Fault, ...]
    more: int
    """Faults past the limit, counted only."""
    events: int
    sealed: int
    """Leaves that signed seals cover and that were checked."""
    tail: int
    """Events after the newest seal: nothing but their number is protected yet."""
    seals: int
    anchored: int
    """Seals that the anchor file confirms."""
    newest: datetime | None
    """When the newest seal was made."""

    @property
    def intact(self) -> bool:
        return not self.faults

    def of(self, kind: FaultKind) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.kind is kind)


@dataclass(slots=True)
class Faults:
    """Collects faults in bounded space: the same fault at the next place lengthens the last one."""

    found: list[Fault] = field(default_factory=list)
    more: int = 0

    def add(self, kind: FaultKind, text: str, *spans: Span) -> None:
        last = self.found[-1] if self.found else None
        if last and len(spans) == 1 == len(last.spans) and (last.kind, last.text) == (kind, text):
            (first, end), (start, stop) = last.spans[0], spans[0]
            if start == end + 1:
                self.found[-1] = Fault(kind, ((first, stop),), text)
                return
        if len(self.found) >= LIMIT:
            self.more += 1
            return
        self.found.append(Fault(kind, spans, text))

    def in_order(self) -> tuple[Fault, ...]:
        """By place in the trail; those of no place first."""
        return tuple(sorted(self.found, key=lambda fault: fault.spans[0][0] if fault.spans else 0))
