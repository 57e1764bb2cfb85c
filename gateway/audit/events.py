"""An event: one line of the audit trail, committed with what it tells."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import orjson


class Action(StrEnum):
    """What can be said in the audit trail. A closed set, so that reports and exports can rely on it."""

    MESSAGE_RECEIVED = "message.received"
    MESSAGE_PROCESSED = "message.processed"
    MESSAGE_UNUSED = "message.unused"
    MESSAGE_SET_ASIDE = "message.set-aside"
    MESSAGE_REPLAYED = "message.replayed"
    LOOKUP_CHANGED = "lookup.changed"
    MESSAGE_READ = "message.read"
    MESSAGES_SEARCHED = "message.searched"
    ENCOUNTER_CHANGED = "encounter.changed"
    ENCOUNTER_MERGED = "encounter.merged"
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
    QUERY_REMINDED = "query.reminded"
    QUERY_ESCALATED = "query.escalated"
    QUERY_OVERDUE = "query.overdue"
    QUERY_DELIVERED = "query.delivered"
    CLAIM_RELEASED = "claim.released"
    DELIVERY_CHANGED = "delivery.changed"
    DESTINATION_SUSPENDED = "destination.suspended"
    DESTINATION_RESUMED = "destination.resumed"
    AUDIT_EXPORTED = "audit.exported"
    CONFIGURATION_ACTIVATED = "configuration.activated"
    CONFIGURATION_KEPT = "configuration.kept"
    CONFIGURATION_REFUSED = "configuration.refused"
    ENCOUNTER_REASSESSED = "encounter.reassessed"
    ALERT_RAISED = "alert.raised"
    ALERT_ENDED = "alert.ended"
    MESSAGES_PRUNED = "messages.pruned"
    GATEWAY_STARTED = "gateway.started"
    GATEWAY_STOPPED = "gateway.stopped"
    ACCESS_REFUSED = "access.refused"
    ACCESS_GRANTED = "access.granted"
    RESOURCE_READ = "resource.read"
    RESOURCE_VERSION_READ = "resource.version-read"
    RESOURCE_HISTORY_READ = "resource.history-read"
    RESOURCES_HISTORY_READ = "resources.history-read"
    RESOURCES_SEARCHED = "resource.searched"
    OPERATION_CALLED = "operation.called"
    REQUEST_FAILED = "request.failed"
    DESK_READ = "desk.read"


# Final, not frozen: one is made for every event, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class Event:
    """Who did what to what. `subject` is `kind/id`; `detail` says how, in codes and numbers, without free text of
    the record. The store gives each event its place in the trail.
    """

    at: Final[datetime]
    actor: Final[str]
    """`feed:NAME`, `user:NAME`, `client:NAME`, or `gateway`."""
    action: Final[Action]
    subject: Final[str]
    encounter: Final[str | None] = None
    message: Final[int | None] = None
    detail: Final[dict[str, object]] = field(default_factory=dict)

    def written_detail(self) -> bytes:
        """`detail` as JSON, its keys sorted: as it is kept and hashed."""
        return orjson.dumps(self.detail, option=orjson.OPT_SORT_KEYS) if self.detail else b"{}"

    def content(self, detail: bytes | None = None) -> bytes:
        """The canonical bytes that are hashed: a JSON array of the fields, the detail's keys sorted.

        `detail`: what `written_detail` gave, where it is known already.
        """
        at = self.at if self.at.tzinfo is UTC else self.at.isoformat()  # orjson writes an instant in UTC just so
        return orjson.dumps(
            [
                at,
                self.actor,
                self.action,
                self.subject,
                self.encounter,
                self.message,
                orjson.Fragment(self.written_detail() if detail is None else detail),
            ]
        )

    def digest(self, detail: bytes | None = None) -> bytes:
        """The event's Merkle leaf: SHA-256 over 0x00 and the content (RFC 6962, section 2.1)."""
        return hashlib.sha256(b"\x00" + self.content(detail)).digest()
