"""What leaves: claims, their deliveries, and the attempts of a delivery."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from gateway.encounter.billable import Billable
from gateway.encounter.model import ClaimKind
from gateway.encounter.record import Record


class Claim(Record):
    """A frozen version: what was released, under which number, to whom, on whose approval."""

    id: int
    number: str
    """CLM01: at most 20 characters, unique; a new version keeps it."""
    version: int
    frequency: str = "1"
    """1 original, 7 replacement, 8 void."""
    replaces: str | None = None
    """The payer's own control number of the claim that a replacement or void is about (REF*F8)."""
    encounter: str
    kind: ClaimKind
    destination: str
    fingerprint: str
    billed: Billable
    approved_by: str
    """Who approved, or `policy` when nothing asked for a review."""
    released: datetime


class DeliveryState(StrEnum):
    READY = "ready"
    INTENT = "intent"
    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


DELIVERY_TRANSITIONS: dict[tuple[DeliveryState, str], DeliveryState] = {
    (DeliveryState.READY, "intend"): DeliveryState.INTENT,
    (DeliveryState.READY, "reject"): DeliveryState.REJECTED,
    (DeliveryState.INTENT, "not-sent"): DeliveryState.READY,
    (DeliveryState.INTENT, "send"): DeliveryState.SENT,
    (DeliveryState.INTENT, "accept"): DeliveryState.ACCEPTED,
    (DeliveryState.INTENT, "reject"): DeliveryState.REJECTED,
    (DeliveryState.INTENT, "lose"): DeliveryState.UNKNOWN,
    (DeliveryState.SENT, "accept"): DeliveryState.ACCEPTED,
    (DeliveryState.SENT, "reject"): DeliveryState.REJECTED,
    (DeliveryState.SENT, "lose"): DeliveryState.UNKNOWN,
    (DeliveryState.UNKNOWN, "intend"): DeliveryState.INTENT,
    (DeliveryState.UNKNOWN, "accept"): DeliveryState.ACCEPTED,
    (DeliveryState.UNKNOWN, "reject"): DeliveryState.REJECTED,
}
"""A missing key is the error. `not-sent` is for a fault that is known to precede the first byte on the wire.
`intend` from unknown sends the same bytes under the same key again: only where the receiver removes duplicates.
`reject` from ready is for a claim that cannot be written in the destination's form: nothing was sent.
"""


class Delivery(Record):
    """A claim on its way to a destination: one row of the outbox."""

    id: int
    claim: int
    encounter: str
    destination: str
    key: str
    """The idempotency key: the same for every attempt."""
    state: DeliveryState = DeliveryState.READY
    payload: bytes | None = None
    """The exact bytes, fixed at the first intent; an attempt repeats them."""
    attempts: int = 0
    parked: bool = False
    """Nothing goes on with it but a person's word, whatever the receiver recognises."""
    first_attempt: datetime | None = None
    """When the first attempt began that may have reached the receiver: its window for duplicates runs from here."""
    due: datetime
    epoch: int = 0
    """The owner's epoch at the last intent; another owner treats the intent as unknown."""
    outcome: str | None = None
    reference: str | None = None
    """The destination's own name for what it took: a file, a resource, a control number."""
    changed: datetime


class Suspension(Record):
    """A destination that is sent nothing until an operator lets it go on."""

    destination: str
    since: datetime
    actor: str
    reason: str
    """What it answered, or what the operator said: no patient's data."""


class Result(StrEnum):
    """What an attempt came to, as the destination tells it."""

    ACCEPTED = "accepted"
    SENT = "sent"
    REJECTED = "rejected"
    NOT_SENT = "not-sent"
    UNKNOWN = "unknown"


class Outcome(Record):
    """A destination's report of one attempt. `text` is for people: no patient's data."""

    result: Result
    text: str
    reference: str | None = None
    retry_after: float | None = None
    """Seconds, when the destination asked for a pause."""
    parked: bool = False
    """With UNKNOWN: a person decides."""
    suspends: bool = False
    """It would be the same for every claim: the lane stops until an operator resumes it."""
