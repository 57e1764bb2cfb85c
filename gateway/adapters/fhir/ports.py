"""What the facade asks of the services, declared where it is used."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Protocol

from gateway.adapters.http.exchange import Caller
from gateway.case import Case
from gateway.encounter.change import Change
from gateway.encounter.identity import Identifier
from gateway.encounter.model import Encounter
from gateway.message import Message, Received
from gateway.release.model import Claim
from gateway.review.asked import AskedQuery
from gateway.review.model import QueryDraft
from gateway.review.query_template import Filling
from gateway.store.interface import MessageQuery, ResourceVersion
from gateway.store.queries import QuerySearch
from gateway.store.resources import HistorySearch, ResourceSearch


class Intake(Protocol):
    """Keeps what was received, durably, before it is acknowledged."""

    def new_id(self) -> int: ...

    def accept(
        self, received: Received, resource: ResourceVersion | None = None, message_id: int | None = None
    ) -> Awaitable[Message]:
        """The message that stands. Raises the store's Conflict when the resource's version stands already."""
        ...

    async def accept_together(self, kept: Sequence[tuple[int, Received, ResourceVersion | None]]) -> None:
        """Keep all or nothing: each with the id that it was given. Conflict when one of them stands already, or a
        resource stands that one of them must not meet.
        """
        ...


class Congestion(Protocol):
    """Whether so much waits to be processed that nothing more is taken for now."""

    @property
    def congested(self) -> bool: ...


class Resources(Protocol):
    """What clients wrote: the store's part that is asked here."""

    async def resource(self, client: str, type: str, id: str, version: int | None = None) -> ResourceVersion | None: ...

    async def message(self, id: int) -> Message | None: ...

    async def messages(self, query: MessageQuery) -> list[Message]:
        """Newest first, without payloads."""
        ...

    async def whole_messages(self, ids: Sequence[int]) -> dict[int, Message]: ...

    async def attempts(self, message: int) -> list[int]: ...

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]: ...

    async def resources(self, search: ResourceSearch) -> list[ResourceVersion]: ...

    async def count_resources(self, search: ResourceSearch, most: int) -> int: ...

    async def resource_history(self, search: HistorySearch) -> list[ResourceVersion]: ...


class FoundQueries(Protocol):
    """A page of a search."""

    @property
    def items(self) -> Sequence[AskedQuery]: ...
    @property
    def total(self) -> int | None:
        """On all pages; None when it was not asked for, or cannot be told."""
        ...

    @property
    def more(self) -> bool: ...


class QuerySurroundings(Protocol):
    """What a search for a query may bring along."""

    @property
    def encounter(self) -> Encounter: ...
    @property
    def claim(self) -> Claim | None: ...


class Queries(Protocol):
    """Provider queries, as a provider's system may see and answer them, and others ask them.

    All raise the desk's `Refusal`. What a caller may not see does not exist for them.
    """

    def new_id(self) -> int:
        """An id for a message about to be kept."""
        ...

    async def find(self, search: QuerySearch, caller: Caller, *, counted: bool = True) -> FoundQueries: ...

    async def surroundings(self, keys: Iterable[str]) -> Mapping[str, QuerySurroundings]:
        """Of queries that the caller was shown, by encounter key."""
        ...

    async def get(self, query_id: int, caller: Caller) -> AskedQuery: ...

    async def by_number(self, number: str, caller: Caller) -> AskedQuery: ...

    async def versions(self, query_id: int, caller: Caller) -> Sequence[AskedQuery]:
        """All that are kept, the newest first."""
        ...

    async def version(self, query_id: int, number: int, caller: Caller) -> AskedQuery: ...

    async def encounter_numbered(self, number: str) -> str:
        """The key of the encounter with an account or visit number, `value` or `authority|value`."""
        ...

    async def ask_once(
        self,
        key: str,
        caller: Caller,
        wanted: Filling | QueryDraft,
        patient: Identifier | None = None,
        *,
        anew: bool = False,
    ) -> tuple[AskedQuery, bool]:
        """The query, and whether it is new: the same one, asked by the caller, is not asked again while it is open, nor
        once it is answered unless `anew`.

        Refused when the encounter is of another patient than the one who is named.
        """
        ...

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
