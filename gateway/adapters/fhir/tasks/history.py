"""Which versions of a query a history shows (R4, history): since when, how many, before which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from urllib.parse import urlencode

from gateway.adapters.fhir.search_dates import searched_date
from gateway.adapters.http.exchange import Fault, own_id
from gateway.review.model import Query

MOST = 100


@dataclass(frozen=True, slots=True)
class HistoryPart:
    """`before`: the version that the page before ended with."""

    since: datetime | None = None
    count: int = MOST
    before: int | None = None
    used: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> Self:
        """Fault 400 for what is none."""
        since = parameters.get("_since")
        used = tuple((name, parameters[name]) for name in ("_since", "_count") if name in parameters)
        return cls(
            since=searched_date(since, "_since", ("eq",)).begins if since is not None else None,
            count=min(_number(parameters, "_count") or MOST, MOST),
            before=_number(parameters, "_before"),
            used=used,
        )

    def holds(self, query: Query) -> bool:
        """Whether this version of a query belongs to the page, or to one after it."""
        changed = max(query.changed, query.asked)
        return (self.since is None or changed >= self.since) and (self.before is None or query.version < self.before)

    def link(self, address: str, before: int | None = None) -> str:
        """The address of this page, or of the one that goes on before a version."""
        place = self.before if before is None else before
        pairs = [*self.used, *([("_before", str(place))] if place is not None else [])]
        return f"{address}?{urlencode(pairs)}" if pairs else address


def _number(parameters: Mapping[str, str], name: str) -> int | None:
    if name not in parameters:
        return None
    number = own_id(parameters[name])
    if not number:
        raise Fault(400, f"{name} takes a number, 1 or more", where=name)
    return number
