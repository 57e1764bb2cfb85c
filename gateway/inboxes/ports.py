"""What the inboxes ask of an EHR, declared where it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from gateway.review.asked import AskedQuery


class Fault(StrEnum):
    NOT_SENT = "not-sent"
    """It is known that nothing was done: try again later."""
    UNKNOWN = "unknown"
    """It may have been done."""
    REFUSED = "refused"
    """The EHR does not take it as it is."""
    STALE = "stale"
    """Somebody changed it meanwhile: look again."""
    GONE = "gone"
    """It is not there."""


class InboxFault(Exception):
    """An EHR did not do what it was asked. `text` has codes only: no patient's data."""

    def __init__(self, fault: Fault, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.fault = fault
        self.text = text
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Posted:
    """What was put into an inbox: its address there, as `Task/7`, and that of its form."""

    reference: str
    form: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """How a query stands in the inbox: `resource` as the EHR has it, and the answer that it refers to."""

    resource: dict[str, Any]
    version: str | None
    response: dict[str, Any] | None = None

    @property
    def status(self) -> str:
        return str(self.resource.get("status", ""))


class Inbox(Protocol):
    """One EHR's inboxes. All raise InboxFault."""

    @property
    def name(self) -> str: ...

    @property
    def is_read_back(self) -> bool:
        """Whether how a query stands can be heard here, or comes by another way."""
        ...

    async def find(self, number: str) -> Sequence[str]:
        """The references of what stands there under our number, the oldest first."""
        ...

    async def put(self, asked: AskedQuery) -> Posted:
        """Put the query there, unless it stands there under our number."""
        ...

    async def look(self, reference: str) -> Heard: ...

    async def remind(self, reference: str, heard: Heard) -> None:
        """Show that the provider was reminded. STALE when it has changed since it was heard."""
        ...

    async def withdraw(self, reference: str, heard: Heard, reason: str) -> None:
        """Take it out of what is to be done. STALE when it has changed since it was heard."""
        ...

    async def close(self) -> None: ...
