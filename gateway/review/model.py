"""What review works with: findings, holds, queries, decisions. Values only; the tables of states stand beside."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from gateway.encounter.record import Record


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"


class HoldKind(StrEnum):
    """Everything that can stop a claim."""

    WAITING = "waiting"
    """Not yet discharged, codes not yet final, bill-hold days not yet over."""
    EDIT = "edit"
    DOCUMENTATION = "documentation"
    REVIEW = "review"
    SAMPLE = "sample"
    QUERY = "query"
    RETURNED = "returned"
    DISPUTE = "dispute"
    UNMAPPED = "unmapped"
    ROUTING = "routing"
    """No destination takes the claim, or its form cannot carry it."""
    LATE_CHARGE = "late-charge"
    """Something billed changed after release."""
    DELIVERY = "delivery"
    """The destination refused the claim, or nobody knows whether it arrived."""


class Finding(Record):
    """What a check found. `rule` and `subject` name it: the same two are the same finding, assessed again.

    Severity `error` and `warning` hold the claim; `information` only tells. A person may resolve a hold whose
    finding is a warning; one of an error ends only when the encounter changes or a supervisor overrides it.
    """

    rule: str
    severity: Severity
    kind: HoldKind
    where: str
    """Canonical path, as `charges[0].code`."""
    text: str
    """What is wrong, for the person who must mend it. Codes and numbers, no names."""
    remedy: str
    source: str
    """The rule's source: a standard's section, a CMS file, the site's policy."""
    subject: str = ""
    """Tells apart several findings of one rule: a charge's or diagnosis' id."""
    evidence: tuple[str, ...] = ()
    until: datetime | None = None
    """When time alone will end it (bill-hold days)."""
    due_days: int | None = None
    """For a finding that people must act on: within how many days."""
    resolvable_by: tuple[str, ...] = ()
    """Roles of which one may resolve its hold; whoever has the permission when empty."""

    @property
    def identity(self) -> tuple[str, str]:
        return (self.rule, self.subject)


class HoldState(StrEnum):
    OPEN = "open"
    CLEARED = "cleared"
    """Its finding is gone: it ended by itself."""
    RESOLVED = "resolved"
    """A person ended it."""


class Hold(Record):
    """A reason why the claim must not leave, and how that reason ended."""

    id: int
    encounter: str
    kind: HoldKind
    rule: str
    subject: str = ""
    severity: Severity = Severity.ERROR
    where: str = ""
    text: str
    remedy: str = ""
    source: str = ""
    evidence: tuple[str, ...] = ()
    state: HoldState = HoldState.OPEN
    opened: datetime
    due: datetime | None = None
    ended: datetime | None = None
    ended_by: str | None = None
    ended_reason: str | None = None
    fingerprint: str | None = None
    """For a resolved hold: what was billed when it was resolved. With other codes it opens again. For a return to the
    coder: what was returned. With other codes it ends.
    """
    query: int | None = None
    resolvable_by: tuple[str, ...] = ()
    """Roles of which one may resolve it; whoever has the permission when empty."""

    @property
    def identity(self) -> tuple[str, str]:
        return (self.rule, self.subject)


class QueryStatus(StrEnum):
    """The statuses of a FHIR R4 Task that a provider query passes through."""

    REQUESTED = "requested"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    IN_PROGRESS = "in-progress"
    ON_HOLD = "on-hold"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ENTERED_IN_ERROR = "entered-in-error"


class QueryKind(StrEnum):
    OPEN = "open"
    MULTIPLE_CHOICE = "multiple-choice"
    YES_NO = "yes-no"


class Indicator(Record):
    """A clinical fact of this encounter that the query cites."""

    text: str
    document: str | None = None
    """The id of the document or result that it stands in."""


class Option(Record):
    text: str
    indicators: tuple[int, ...] = ()
    """Positions, from 0, of the indicators that support it."""


class QueryDraft(Record):
    """A query as the desk asks it, before it is checked."""

    kind: QueryKind
    title: str
    question: str
    indicators: tuple[Indicator, ...]
    options: tuple[Option, ...] = ()
    provider: str
    """NPI of the provider who is asked."""
    due_days: int = 7
    subject: str | None = None
    """For a yes/no query: what it asks about (documented-condition, present-on-admission, cause-and-effect)."""


class Query(Record):
    """A provider query: immutable once issued, but for its status and answer."""

    id: int
    number: str
    encounter: str
    version: int = 1
    draft: QueryDraft
    status: QueryStatus = QueryStatus.REQUESTED
    status_reason: str | None = None
    asked_by: str
    asked: datetime
    due: datetime
    changed: datetime
    answer: str | None = None
    answer_option: str | None = None
    answered_by: str | None = None
    answered: datetime | None = None


class DecisionKind(StrEnum):
    APPROVE = "approve"
    RETURN = "return"
    RESOLVE = "resolve"
    ASK = "ask"


class Decision(Record):
    """What a person did, and exactly what it was done to."""

    id: int
    encounter: str
    kind: DecisionKind
    actor: str
    at: datetime
    fingerprint: str
    comment: str | None = None
    holds: tuple[int, ...] = ()


class Stage(StrEnum):
    """Derived from holds and claims, for lists and counters; never decided by itself."""

    WAITING = "waiting"
    HELD = "held"
    RELEASED = "released"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    EMPTY = "empty"
    """Nothing to bill: no charge stands."""
    READY = "ready"
    """No hold stands; its claim leaves with the next commit."""
