"""What a store keeps of access by SMART Backend Services, so that all gateways that share it know the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that was given out; the token itself is kept nowhere."""

    digest: bytes
    """SHA-256 of the token."""
    client: str
    scope: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class UsedAssertion:
    """A client's assertion was used: no gateway takes it again. Conflict when it was."""

    client: str
    digest: bytes
    """SHA-256 of its `jti`."""
    expires: datetime
    """When it is refused for its age alone."""


class Access(Protocol):
    """The part of a store that access is decided on. What it writes is part of a `Step`."""

    async def access_token(self, digest: bytes) -> AccessToken | None:
        """The token that has this digest, expired or not; None when there is none, or not any more."""
        ...
