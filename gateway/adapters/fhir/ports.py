"""What the facade asks of the services, declared where it is used."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from gateway.adapters.http.exchange import Caller
from gateway.encounter.change import Change
from gateway.encounter.identity import Identifier
from gateway.message import Message, Received
from gateway.review.model import Query
from gateway.store.interface import QuerySearch, ResourceVersion


class Intake(Protocol):
    """Keeps what was received, durably, before it is acknowledged."""

    def new_id(self) -> int: ...

    def accept(
        self, received: Received, resource: ResourceVersion | None = None, message_id: int | None = None
    ) -> Awaitable[Message]:
        """The message that stands. Raises the store's Conflict when the resource's version stands already."""
        ...


class Congestion(Protocol):
    """Whether so much waits to be processed that nothing more is taken for now."""

    @property
    def congested(self) -> bool: ...


class Resources(Protocol):
    """What clients wrote: the store's part that is asked here."""

    async def resource(self, type: str, id: str, version: int | None = None) -> ResourceVersion | None: ...

    async def message(self, id: int) -> Message | None: ...


class AskedQuery(Protocol):
    """A provider query with what its Task must name."""

    @property
    def query(self) -> Query: ...
    @property
    def patient(self) -> Identifier | None: ...
    @property
    def account(self) -> Identifier | None: ...
    @property
    def visit(self) -> Identifier | None: ...
    @property
    def claim(self) -> str | None: ...


class Queries(Protocol):
    """Provider queries, as a provider's system may see and answer them.

    All raise the desk's `Refusal`. What a caller may not see does not exist for them.
    """

    def new_id(self) -> int:
        """An id for a message about to be kept."""
        ...

    async def find(self, search: QuerySearch, caller: Caller) -> Sequence[AskedQuery]: ...

    async def get(self, query_id: int, caller: Caller) -> AskedQuery: ...

    async def by_number(self, number: str, caller: Caller) -> AskedQuery: ...

    async def respond(
        self,
        query_id: int,
        caller: Caller,
        change: Change,
        received: Received,
        expected_version: int | None = None,
    ) -> AskedQuery:
        """The query after the provider's word: `change` has one answer with the status that is asked for, and its
        document when it is complete. `received` is kept as message `change.message` in the same commit."""
        ...
