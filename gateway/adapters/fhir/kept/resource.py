"""A resource that a client has written, as it is told: what was acknowledged, and what is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from gateway.adapters.fhir.outcomes import etag
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import reread, write
from gateway.message import Message
from gateway.store.interface import ResourceVersion


# Final, not frozen: one is made for every resource, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class Accepted:
    """What was acknowledged: the same for a retransmission as for the first time."""

    status: Final[int]
    type: Final[str]
    id: Final[str]
    version: Final[int]
    written: Final[datetime]

    @property
    def name(self) -> str:
        return f"{self.type}/{self.id}"

    @property
    def location(self) -> str:
        """The version's address below the base: `Claim/7/_history/1`."""
        return f"{self.name}/_history/{self.version}"

    def told(self) -> dict[str, Any]:
        """The version in the response of a Bundle's entry."""
        return {"etag": etag(self.version), "lastModified": self.written.isoformat(timespec="milliseconds")}

    def to_reply(self) -> bytes:
        """The form that is kept with the message."""
        return orjson.dumps([self.status, self.type, self.id, self.version, self.written.isoformat()])

    @classmethod
    def from_reply(cls, reply: bytes) -> Accepted:
        """What `to_reply` wrote."""
        status, type_, id_, version, written = orjson.loads(reply)
        return cls(status, type_, id_, version, datetime.fromisoformat(written))

    @classmethod
    def standing(cls, version: ResourceVersion) -> Accepted:
        """What stands already."""
        return cls(200, version.type, version.id, version.version, version.written)


def numbered(body: dict[str, Any], accepted: Accepted) -> dict[str, Any]:
    """The resource with the id, version and time that the gateway gave it. What else it holds is as it came."""
    meta = body.get("meta")
    written = accepted.written.isoformat(timespec="milliseconds")
    said = {"versionId": str(accepted.version), "lastUpdated": written}
    return {**body, "id": accepted.id, "meta": {**(meta if isinstance(meta, dict) else {}), **said}}


# Final, not frozen: one is made for every resource, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class Written:
    """A resource that a client wants kept: its bytes, and what was read out of them. `id` is the address that it is
    for; None for a new one.

    The resource as it was read is not held while the commit is waited for. Measured: where many wait together, what
    they hold drives each other's memory out of the processor's cache, which costs a fifth of a request.
    """

    type: Final[str]
    id: Final[str | None]
    payload: Final[bytes]
    method: Final[str]
    control: Final[str]
    own_id: Final[str | None]
    """The id that it says itself."""
    own_meta: Final[bool]
    message: Final[int | None] = None
    """The id of the message that it is to be, when that is given already."""

    @classmethod
    def of(
        cls,
        type: str,
        id: str | None,
        body: Mapping[str, Any],
        payload: bytes,
        method: str,
        control: str,
        message: int | None = None,
    ) -> Written:
        """`body` is what `payload` says."""
        return cls(type, id, payload, method, control, body.get("id"), "meta" in body, message)

    @property
    def new(self) -> bool:
        """Nothing stands under its id yet: the gateway has chosen it, or will."""
        return self.method == "POST"


def representation(written: Written, accepted: Accepted) -> bytes:
    """`numbered`, as JSON. The bytes that came are repeated, not written anew, when they say nothing of the version."""
    if written.own_meta or written.own_id not in (None, accepted.id):
        return write(numbered(reread(written.payload), accepted))
    said = numbered({}, accepted)
    if written.own_id is not None:
        del said["id"]
    return orjson.dumps(said)[:-1] + b"," + written.payload.lstrip()[1:]


def content(version: ResourceVersion, message: Message | None) -> dict[str, Any] | None:
    """The resource of a version, from the message that holds it; None when its bytes are no longer kept, or cannot be
    shown.
    """
    if message is None or not message.payload:
        return None
    try:
        return numbered(reread(message.payload), Accepted.standing(version))
    except MappingError:
        return None  # Its message was set aside, with the reason.
