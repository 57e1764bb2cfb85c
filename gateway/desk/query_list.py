"""The worklist of provider queries: the oldest first, by provider, encounter, status, and what is overdue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from gateway.review.model import Query, QueryStatus
from gateway.review.queries import FINAL
from gateway.store.queries import QuerySearch

OPEN = tuple(status for status in QueryStatus if status not in FINAL)
LOOKED_AT = 500
"""Queries that are read at once where not each of them counts."""
MOST = 20_000
"""Queries that one page looks at."""


class Queries(Protocol):
    async def queries(self, search: QuerySearch) -> list[Query]: ...


@dataclass(frozen=True, slots=True)
class QueryFilters:
    """What is looked for; empty fields do not restrict. `overdue`: still open when its day is over."""

    statuses: tuple[QueryStatus, ...] = ()
    providers: tuple[str, ...] = ()
    """NPIs."""
    encounter: str | None = None
    overdue: bool = False
    after: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class QueryPage:
    """`next` is what to give as `after` to go on; None when nothing is left."""

    items: tuple[Query, ...]
    next: int | None


async def listed(store: Queries, filters: QueryFilters, now: datetime) -> QueryPage:
    """A page, the oldest query first. What is no longer open cannot be overdue."""
    search = _search(filters)
    if filters.overdue and not search.statuses:
        return QueryPage((), None)
    found: list[Query] = []
    after, looked = filters.after, 0
    size = LOOKED_AT if filters.overdue else filters.limit + 1
    while looked < MOST:
        page = await store.queries(replace(search, after=after, limit=size))
        looked += len(page)
        for query in page:
            if len(found) == filters.limit:
                return QueryPage(tuple(found), found[-1].id if found else None)
            if not filters.overdue or query.due < now:
                found.append(query)
        if len(page) < size:
            return QueryPage(tuple(found), None)
        after = page[-1].id
    return QueryPage(tuple(found), after)


def _search(filters: QueryFilters) -> QuerySearch:
    statuses = filters.statuses or (OPEN if filters.overdue else ())
    return QuerySearch(
        statuses=tuple(status.value for status in statuses if not filters.overdue or status in OPEN),
        owners=filters.providers,
        encounters=(filters.encounter,) if filters.encounter is not None else (),
    )
