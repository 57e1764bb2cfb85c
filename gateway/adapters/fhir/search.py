"""A Task search: its parameters into the store's words, and back into links (R4, search; Task, search parameters)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from multidict import MultiMapping

from gateway.adapters.http.exchange import Fault, own_id
from gateway.encounter.identity import EncounterKey
from gateway.review.model import Query, QueryStatus
from gateway.store.interface import QuerySearch

NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"
DEFAULT_COUNT = 50
MAX_COUNT = 100
MAX_VALUES = 50

_NPI = re.compile(r"\d{10}")
_MOMENT = re.compile(
    r"(?P<prefix>eq|ne|gt|lt|ge|le|sa|eb|ap)?"
    r"(?P<moment>\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?)"
)


@dataclass(frozen=True, slots=True)
class TaskSearch:
    """What to look for, and the parameters that were understood, for the self link. `nothing`: no Task can match."""

    search: QuerySearch
    ids: tuple[int, ...] = ()
    nothing: bool = False
    used: tuple[tuple[str, str], ...] = field(default=())

    def link(self, address: str, after: int | None = None) -> str:
        """The search's own address, or the next page's, which begins after the query with the id `after`."""
        pairs = [pair for pair in self.used if pair[0] != "_after"]
        if after is not None:
            pairs.append(("_after", str(after)))
        elif self.search.after:
            pairs.append(("_after", str(self.search.after)))
        return f"{address}?{urlencode(pairs)}" if pairs else address

    def with_one_more(self) -> QuerySearch:
        """The search for one more than the page holds: whether there is a next page."""
        return replace(self.search, limit=self.search.limit + 1)

    def holds(self, query: Query) -> bool:
        """Whether a query that was read by its id fits the other parameters. A patient can't be told from the query."""
        search = self.search
        return (
            (not search.statuses or query.status in search.statuses)
            and (not search.owners or query.draft.provider in search.owners)
            and search.encounter in (None, query.encounter)
            and search.number in (None, query.number)
            and search.patient is None
            and (search.changed_from is None or query.changed >= search.changed_from)
        )


def _statuses(found: TaskSearch, value: str) -> TaskSearch:
    known = {status.value for status in QueryStatus}
    wanted = tuple(_code(part) for part in _values("status", value))
    kept = tuple(status for status in wanted if status in known)
    merged = kept if not found.search.statuses else tuple(s for s in kept if s in found.search.statuses)
    return replace(found, search=replace(found.search, statuses=merged), nothing=found.nothing or not merged)


def _owners(found: TaskSearch, value: str) -> TaskSearch:
    owners = tuple(npi for npi in map(_npi, _values("owner", value)) if npi is not None)
    return replace(found, search=replace(found.search, owners=owners), nothing=found.nothing or not owners)


def _ids(found: TaskSearch, value: str) -> TaskSearch:
    ids = tuple(id_ for part in _values("_id", value) if (id_ := own_id(part)) is not None)
    return replace(found, ids=ids, nothing=found.nothing or not ids)


def _identifier(found: TaskSearch, value: str) -> TaskSearch:
    return replace(found, search=replace(found.search, number=_one("identifier", value).rpartition("|")[2]))


def _patient(found: TaskSearch, value: str) -> TaskSearch:
    return replace(found, search=replace(found.search, patient=_one("patient", value).removeprefix("Patient/")))


def _encounter(found: TaskSearch, value: str) -> TaskSearch:
    key = _one("encounter", value).removeprefix("Encounter/").rpartition("|")[2]
    try:
        return replace(found, search=replace(found.search, encounter=str(EncounterKey.parse(key))))
    except ValueError:
        return replace(found, nothing=True)


def _last_updated(found: TaskSearch, value: str) -> TaskSearch:
    match = _MOMENT.fullmatch(value.replace(" ", "+"))
    if match is None or match["prefix"] not in ("gt", "ge", "sa"):
        raise Fault(400, "_lastUpdated takes ge, gt or sa and a date, or a time with its zone", where="_lastUpdated")
    try:
        moment = _first_moment(match["moment"], whole=match["prefix"] != "ge")
    except (ValueError, OverflowError):
        raise Fault(400, "There is no such date or time", where="_lastUpdated") from None
    earlier = found.search.changed_from
    return replace(found, search=replace(found.search, changed_from=max(moment, earlier) if earlier else moment))


def _first_moment(text: str, *, whole: bool) -> datetime:
    """The first moment that belongs to what is looked for: from `text` on, or after the `whole` of it."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC) + timedelta(days=1 if whole else 0)
    return moment.astimezone(UTC) + timedelta(microseconds=1 if whole else 0)


def _count(found: TaskSearch, value: str) -> TaskSearch:
    count = own_id(value)
    if count is None:
        raise Fault(400, "_count takes a number", where="_count")
    return replace(found, search=replace(found.search, limit=max(1, min(count, MAX_COUNT))))


def _after(found: TaskSearch, value: str) -> TaskSearch:
    after = own_id(value)
    if after is None:
        raise Fault(400, "Follow the next link as it was given", where="_after")
    return replace(found, search=replace(found.search, after=after))


PARAMETERS: dict[str, Callable[[TaskSearch, str], TaskSearch]] = {
    "status": _statuses,
    "owner": _owners,
    "owner:identifier": _owners,
    "owner.identifier": _owners,
    "_id": _ids,
    "identifier": _identifier,
    "patient": _patient,
    "patient:identifier": _patient,
    "patient.identifier": _patient,
    "encounter": _encounter,
    "encounter:identifier": _encounter,
    "_lastUpdated": _last_updated,
    "_count": _count,
    "_after": _after,
}
"""A parameter that is not here is left aside, as R4 asks, and missing from the self link; refused when the client asked
for strict handling."""

_IGNORED = frozenset({"_format", "_pretty"})
_REPEATABLE = frozenset({"_lastUpdated"})


def task_search(query: MultiMapping[str], *, strict: bool = False) -> TaskSearch:
    """The search that `query` asks for. Fault 400 for a value or, when strict, a parameter that is not understood."""
    found = TaskSearch(QuerySearch(limit=DEFAULT_COUNT))
    seen: set[str] = set()
    for name, value in query.items():
        read = PARAMETERS.get(name)
        if read is None:
            if strict and name not in _IGNORED:
                raise Fault(400, "A search parameter is not supported for Task", code="not-supported")
            continue
        if name in seen and name not in _REPEATABLE:
            raise Fault(400, "Give this parameter once, its values separated by commas", where=name)
        seen.add(name)
        found = replace(read(found, value), used=(*found.used, (name, value)))
    return found


def visible(found: TaskSearch, npi: tuple[str, ...]) -> TaskSearch:
    """The same search, over the queries addressed to `npi` only; over all when the caller speaks for nobody."""
    if not npi:
        return found
    asked = found.search.owners
    owners = tuple(owner for owner in npi if not asked or owner in asked)
    return replace(found, search=replace(found.search, owners=owners), nothing=found.nothing or not owners)


def _values(name: str, value: str) -> Iterable[str]:
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts or len(parts) > MAX_VALUES or not value.isprintable():
        raise Fault(400, f"Give 1 to {MAX_VALUES} values", where=name)
    return parts


def _one(name: str, value: str) -> str:
    parts = list(_values(name, value))
    if len(parts) != 1:
        raise Fault(400, "Give one value", where=name)
    return parts[0]


def _code(token: str) -> str:
    return token.rpartition("|")[2]


def _npi(token: str) -> str | None:
    """`system|npi`, `Practitioner/npi` or the NPI alone; None when it can be no NPI."""
    system, bar, value = token.rpartition("|")
    if bar and system not in ("", NPI_SYSTEM):
        return None
    npi = value.rpartition("/")[2] if not bar else value
    return npi if _NPI.fullmatch(npi) else None
