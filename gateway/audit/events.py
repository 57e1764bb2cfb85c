"""An event: one line of the audit trail, committed with what it tells."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import orjson


class Action(StrEnum):
    """What can be said in the audit trail. A closed set, so that reports and exports can rely on it."""

    MESSAGE_RECEIVED = "message.received"
    MESSAGE_PROCESSED = "message.processed"
    MESSAGE_UNUSED = "message.unused"
    MESSAGE_SET_ASIDE = "message.set-aside"
    MESSAGE_REPLAYED = "message.replayed"
    ENCOUNTER_CHANGED = "encounter.changed"
    SAMPLE_DRAWN = "sample.drawn"
    HOLD_OPENED = "hold.opened"
    HOLD_ENDED = "hold.ended"
    ENCOUNTER_READ = "encounter.read"
    ENCOUNTER_APPROVED = "encounter.approved"
    ENCOUNTER_RETURNED = "encounter.returned"
    HOLD_RESOLVED = "hold.resolved"
    QUERY_ASKED = "query.asked"
    QUERY_CHANGED = "query.changed"
    QUERY_ANSWERED = "query.answered"
    QUERY_READ = "query.read"
    CLAIM_RELEASED = "claim.released"
    DELIVERY_CHANGED = "delivery.changed"
    AUDIT_EXPORTED = "audit.exported"
    GATEWAY_STARTED = "gateway.started"
    GATEWAY_STOPPED = "gateway.stopped"
    ACCESS_REFUSED = "access.refused"


@dataclass(frozen=True, slots=True)
class Event:
    """Who did what to what. `subject` is `kind/id`; `detail` says how, in codes and numbers, without free text of
    the record. The store gives each event its place in the trail.
    """

    at: datetime
    actor: str
    """`feed:NAME`, `user:NAME`, `client:NAME`, or `gateway`."""
    action: Action
    subject: str
    encounter: str | None = None
    message: int | None = None
    detail: dict[str, object] = field(default_factory=dict)

    def content(self) -> bytes:
        """The canonical bytes that are hashed: a JSON array of the fields, the detail's keys sorted."""
        return orjson.dumps(
            [self.at.isoformat(), self.actor, self.action, self.subject, self.encounter, self.message, self.detail],
            option=orjson.OPT_SORT_KEYS,
        )

    def digest(self) -> bytes:
        """The event's Merkle leaf: SHA-256 over 0x00 and the content (RFC 6962, section 2.1)."""
        return hashlib.sha256(b"\x00" + self.content()).digest()
