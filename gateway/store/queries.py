"""Searches over provider queries, and what a store answers about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gateway.encounter.identity import Identifier
from gateway.review.model import Query


class QueryOrder(StrEnum):
    """The order of a page. Ids grow with the time of asking."""

    ASKED = "asked"
    ASKED_DOWN = "asked-down"
    CHANGED = "changed"
    CHANGED_DOWN = "changed-down"


@dataclass(frozen=True, slots=True)
class QuerySearch:
    """A search over provider queries (Task). Of each list one value must fit; empty fields do not restrict."""

    ids: tuple[int, ...] = ()
    statuses: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    """NPIs of providers who were asked."""
    numbers: tuple[str, ...] = ()
    asked_by: tuple[str, ...] = ()
    answered_by: tuple[str, ...] = ()
    encounters: tuple[str, ...] = ()
    """Keys. One of these or of `visits` must fit."""
    visits: tuple[str, ...] = ()
    """Account or visit numbers, as `value`, or with their authority as `authority|value`."""
    patients: tuple[str, ...] = ()
    """Numbers of a patient, as those of visits."""
    claims: tuple[str, ...] = ()
    """Numbers of the newest claim of an encounter."""
    changed_from: datetime | None = None
    changed_before: datetime | None = None
    """Last changed from the one and before the other; aware."""
    changed_not: tuple[datetime, datetime] | None = None
    """Not changed from the one and before the other."""
    order: QueryOrder = QueryOrder.ASKED
    after: int = 0
    """The id of the query after which the page begins; 0 for the first page."""
    after_changed: datetime | None = None
    """When that query had changed: for an order by changes."""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class QuerySubject:
    """What a query's Task must name: the numbers of its encounter as they are now, and the newest claim's."""

    patient: tuple[Identifier, ...] = ()
    account: Identifier | None = None
    visit: Identifier | None = None
    claim: str | None = None


class QueryShelf(Protocol):
    """The part of a store that keeps provider queries."""

    async def query(self, id: int) -> Query | None: ...

    async def queries(self, search: QuerySearch) -> list[Query]:
        """A page, in the order that is asked for. What changes between two pages is on neither or on both."""
        ...

    async def count_queries(self, search: QuerySearch) -> int:
        """How many a search finds on all its pages."""
        ...

    async def query_versions(self, id: int) -> list[Query]:
        """All versions that are kept, the newest first."""
        ...

    async def query_version(self, id: int, version: int) -> Query | None: ...

    async def query_subjects(self, keys: Iterable[str]) -> dict[str, QuerySubject]:
        """By encounter key; a key that is unknown is left out."""
        ...

    async def encounters_numbered(self, number: str) -> list[str]:
        """Keys of the encounters of an account or visit number, as `value` or `authority|value`."""
        ...
