"""A message: one thing received, its bytes kept as they came. Its state and its acknowledgement are two axes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final


class MessageState(StrEnum):
    RECEIVED = "received"
    PROCESSED = "processed"
    UNUSED = "unused"
    """Kept and acknowledged; nothing in the gateway uses its type."""
    SET_ASIDE = "set-aside"
    REPLAYED = "replayed"
    """Was set aside or processed; a later attempt, linked to it, took its place."""


MESSAGE_TRANSITIONS: dict[tuple[MessageState, str], MessageState] = {
    (MessageState.RECEIVED, "process"): MessageState.PROCESSED,
    (MessageState.RECEIVED, "pass-over"): MessageState.UNUSED,
    (MessageState.RECEIVED, "set-aside"): MessageState.SET_ASIDE,
    (MessageState.SET_ASIDE, "replay"): MessageState.REPLAYED,
    (MessageState.PROCESSED, "replay"): MessageState.REPLAYED,
    (MessageState.UNUSED, "replay"): MessageState.REPLAYED,
}
"""A missing key is the error."""


class Format(StrEnum):
    HL7V2 = "hl7v2"
    FHIR = "fhir"


# Final, not frozen: one is made for every message, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class Received:
    """What an adapter hands to intake. `control` is MSH-10, or the request's id over HTTP."""

    feed: Final[str]
    format: Final[Format]
    type: Final[str]
    """`DFT^P03`, or `PUT Claim/123`."""
    control: Final[str]
    payload: Final[bytes] = field(repr=False)
    reply: Final[bytes] = field(repr=False)
    """The acknowledgement to give once the message is kept, and again to a retransmission."""
    address: Final[str | None] = None
    """The address at the other end, of what came over HTTP."""

    def digest(self) -> bytes:
        """SHA-256 of the payload."""
        return hashlib.sha256(self.payload).digest()


# Final, not frozen: one is made for every message, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class Message:
    """A kept message."""

    id: Final[int]
    feed: Final[str]
    format: Final[Format]
    type: Final[str]
    control: Final[str]
    received: Final[datetime]
    state: Final[MessageState]
    payload: Final[bytes] = field(repr=False)
    reply: Final[bytes] = field(repr=False, default=b"")
    reason: Final[str | None] = None
    encounter: Final[str | None] = None
    replay_of: Final[int | None] = None
    digest: Final[bytes | None] = field(repr=False, default=None)
    """SHA-256 of the payload, where it is known already."""
