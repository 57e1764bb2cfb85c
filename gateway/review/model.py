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
    """The statuses of a FHIR R4 Task, all twelve."""

    DRAFT = "draft"
    REQUESTED = "requested"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    READY = "ready"
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
    quote: str | None = None
    """The passage as it stands in the document's content, word for word; white space does not count."""
    encounter: str | None = None
    """The key of the prior encounter that the document is of; the query's own when it is not said."""
    relevance: str | None = None
    """Why a fact of a prior encounter matters in this one."""


class Need(Record):
    """The finding that a query was asked for: when it ends, so does the query."""

    rule: str
    subject: str = ""


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
    template: str | None = None
    """The template that it was made from."""
    tags: tuple[str, ...] = ()
    """The work queues that it is for. The provider never sees them; they are checked like all that is seen."""
    need: Need | None = None


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
    answered_in: str | None = None
    """The id of the document that the answer stands in, where it is an addendum."""
    verbal: bool = False
    """Asked and answered by word of mouth, and recorded here."""
    replaces: str | None = None
    """The number of the query that it took the place of."""
    look: datetime | None = None
    """When the clock looks at it next; None when nothing more comes by itself."""
    reminders: int = 0
    """How often the provider was reminded."""
    escalated: int = 0
    """How many steps of the site's escalation led to it."""

    @property
    def agreed(self) -> bool | None:
        """Whether the answer is one that the cited indicators support; None of an open or unanswered query."""
        if self.answered is None or self.draft.kind is QueryKind.OPEN or self.answer_option is None:
            return None
        picked = self.answer_option.casefold()
        if self.draft.kind is QueryKind.YES_NO:
            return picked == "yes"
        return any(option.indicators and option.text.casefold() == picked for option in self.draft.options)


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
