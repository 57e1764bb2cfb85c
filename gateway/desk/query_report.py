"""How provider queries fare: how long answers take, and whether they agree with what the cited facts support."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Protocol

from gateway.review.model import Query
from gateway.review.queries import FINAL
from gateway.store.queries import QuerySearch

PAGE = 1_000
MOST = 50_000
"""Queries that one report looks at."""
BY_HAND = "none"
"""The template of a query that was made without one."""
SECONDS_AN_HOUR = 3600.0


class Queries(Protocol):
    async def queries(self, search: QuerySearch) -> list[Query]: ...


@dataclass(frozen=True, slots=True)
class QueryFigures:
    """The queries of one provider and template that were asked in a period. Hours run from asking to the answer."""

    provider: str
    template: str
    asked: int
    open: int
    answered: int
    agreed: int
    disagreed: int
    """Answered with a choice that no cited indicator supports: other, undetermined, no."""
    escalated: int
    """Asked because another provider had not answered."""
    median_hours: float | None
    longest_hours: float | None

    @property
    def agreement(self) -> float | None:
        """The part of the answers by choice that agreed, 0 to 1."""
        measured = self.agreed + self.disagreed
        return self.agreed / measured if measured else None


async def asked_between(store: Queries, since: datetime, until: datetime) -> list[Query]:
    """The queries asked from `since` on and before `until`, the first `MOST` of them."""
    found: list[Query] = []
    after = 0
    while len(found) < MOST:
        page = await store.queries(QuerySearch(changed_from=since, after=after, limit=PAGE))
        found += [query for query in page if since <= query.asked < until]
        if len(page) < PAGE:
            break
        after = page[-1].id
    return found[:MOST]


def figures(queries: Iterable[Query]) -> list[QueryFigures]:
    """A line for each provider and template, in their order."""
    groups: dict[tuple[str, str], list[Query]] = {}
    for query in queries:
        groups.setdefault((query.draft.provider, template_of(query)), []).append(query)
    return [_figures(provider, template, group) for (provider, template), group in sorted(groups.items())]


def by_template(queries: Iterable[Query]) -> list[QueryFigures]:
    """A line for each template, whoever was asked."""
    groups: dict[str, list[Query]] = {}
    for query in queries:
        groups.setdefault(template_of(query), []).append(query)
    return [_figures("", template, group) for template, group in sorted(groups.items())]


def template_of(query: Query) -> str:
    return query.draft.template or BY_HAND


def _figures(provider: str, template: str, queries: Sequence[Query]) -> QueryFigures:
    hours = [(q.answered - q.asked).total_seconds() / SECONDS_AN_HOUR for q in queries if q.answered and not q.verbal]
    return QueryFigures(
        provider=provider,
        template=template,
        asked=len(queries),
        open=sum(query.status not in FINAL for query in queries),
        answered=sum(query.answered is not None for query in queries),
        agreed=sum(query.agreed is True for query in queries),
        disagreed=sum(query.agreed is False for query in queries),
        escalated=sum(query.escalated > 0 for query in queries),
        median_hours=round(median(hours), 2) if hours else None,
        longest_hours=round(max(hours), 2) if hours else None,
    )
