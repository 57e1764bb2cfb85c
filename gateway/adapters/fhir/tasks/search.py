"""The grammar of searches over queries: parameters into the store's words, and back into links (R4, search)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

from multidict import MultiDict, MultiMapping

from gateway.adapters.fhir.search_dates import MILLISECOND, PREFIXES, SearchedDate, searched_date
from gateway.adapters.http.exchange import Call, Fault, own_id
from gateway.review.model import Query
from gateway.store.queries import QueryOrder, QuerySearch

DEFAULT_COUNT = 50
MAX_COUNT = 100
MAX_VALUES = 50
MAX_PARAMETERS = 50

CHANGING = frozenset({QueryOrder.CHANGED, QueryOrder.CHANGED_DOWN})
"""Orders by the time of the last change."""

_CURSOR = re.compile(r"(?:(\d{1,17})\.)?(\d{1,19})")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z_-]{0,40}")
"""The name of a parameter that may be repeated in a refusal."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Searching:
    """What to look for. `used` are the parameters that were understood, for the links."""

    search: QuerySearch
    nothing: bool = False
    """Nothing can match."""
    used: tuple[tuple[str, str], ...] = ()
    includes: tuple[str, ...] = ()
    """What `_include` asks for, as `Task:patient`."""
    counted: bool = True
    """Whether the total is wanted."""
    elements: tuple[str, ...] = ()
    """The elements that are wanted; all when empty."""

    def link(self, address: str) -> str:
        """The search's own address, the page that it is of included."""
        return _written(address, self.used)

    def first(self, address: str) -> str:
        """The address of its first page."""
        return _written(address, self._unplaced())

    def next(self, address: str, last: Query) -> str:
        """The address of the page that begins after `last`."""
        place = str(last.id)
        if self.search.order in CHANGING:
            past = last.changed - _EPOCH
            place = f"{past // timedelta(microseconds=1)}.{place}"
        return _written(address, (*self._unplaced(), ("_after", place)))

    def _unplaced(self) -> tuple[tuple[str, str], ...]:
        return tuple(pair for pair in self.used if pair[0] != "_after")

    def restricted(self, name: str, values: Iterable[str | int]) -> Self:
        """One of `values` must fit as well: what was asked for before, and is not among them, no longer does."""
        before = getattr(self.search, name)
        left = tuple(dict.fromkeys(value for value in values if not before or value in before))
        found: dict[str, Any] = {name: left}
        return replace(self, search=replace(self.search, **found), nothing=self.nothing or not left)

    def started(self, search: QuerySearch) -> Self:
        return replace(self, search=search)


def _written(address: str, pairs: Iterable[tuple[str, str]]) -> str:
    query = urlencode(list(pairs))
    return f"{address}?{query}" if query else address


Reader = Callable[[Searching, str, str], Searching]
"""Reads a parameter of this name and value. Fault 400 for a value that is not understood."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """The parameters of one type, by name with modifier. `repeated` may stand several times: all must hold.

    A parameter that is not here is left aside, as R4 asks, and missing from the links; refused when the client asked
    for strict handling. One that is known, with a modifier that is not, is refused always.
    """

    type: str
    parameters: Mapping[str, Reader]
    repeated: frozenset[str] = frozenset()

    def read(self, query: MultiMapping[str], *, strict: bool = False) -> Searching:
        """The search that `query` asks for. Fault 400."""
        found = Searching(QuerySearch(limit=DEFAULT_COUNT))
        seen: set[str] = set()
        for name, value in query.items():
            reader = self.parameters.get(name) or COMMON.get(name)
            if reader is None:
                self._unknown(name, strict=strict)
                continue
            if name in seen and name not in self.repeated | _REPEATED:
                raise Fault(400, "Give this parameter once, its values separated by commas", where=name)
            seen.add(name)
            after = reader(found, name, value)
            if after is found and name in _OPTIONAL and strict:
                raise Fault(400, "This value is not supported", code="not-supported", where=name)
            found = after if after is found and name in _OPTIONAL else replace(after, used=(*found.used, (name, value)))
        return _placed(found)

    def _unknown(self, name: str, *, strict: bool) -> None:
        base = re.split(r"[:.]", name, maxsplit=1)[0]
        if base != name and (base in self.parameters or base in COMMON):
            raise Fault(400, "This modifier is not supported here", code="not-supported", where=base)
        if strict and name not in _IGNORED:
            text = f"A search parameter is not supported for {self.type}"
            raise Fault(400, text, code="not-supported", where=name if _PLAIN.fullmatch(name) else self.type)


def _placed(found: Searching) -> Searching:
    """A place in a page fits the order of the search."""
    search = found.search
    if search.after and (search.after_changed is not None) != (search.order in CHANGING):
        raise Fault(400, "Follow the next link as it was given", where="_after")
    return found


# ---- values


def values(name: str, value: str) -> list[str]:
    """The values of a parameter, one to `MAX_VALUES`. Fault 400."""
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts or len(parts) > MAX_VALUES or not value.isprintable():
        raise Fault(400, f"Give 1 to {MAX_VALUES} values", where=name)
    return parts


def code(token: str) -> str:
    """The code of `system|code`, or the code alone."""
    return token.rpartition("|")[2]


def changed(found: Searching, name: str, value: str) -> Searching:
    """A date with its prefix. Fault 400. After `gt`, a time is the instant itself: who asks for what came since, misses
    nothing.
    """
    date = searched_date(value, name)
    try:
        return found.started(_SPANS[date.prefix](found.search, date))
    except OverflowError:
        raise Fault(400, "There is no such date or time", where=name) from None


Spanning = Callable[[QuerySearch, SearchedDate], QuerySearch]


def _from(search: QuerySearch, moment: datetime) -> QuerySearch:
    earlier = search.changed_from
    return replace(search, changed_from=max(moment, earlier) if earlier else moment)


def _before(search: QuerySearch, moment: datetime) -> QuerySearch:
    later = search.changed_before
    return replace(search, changed_before=min(moment, later) if later else moment)


def _within(search: QuerySearch, date: SearchedDate) -> QuerySearch:
    begins, ends = date.bounds()
    if begins is not None:
        search = _from(search, begins)
    return _before(search, ends) if ends is not None else search


def _after(search: QuerySearch, date: SearchedDate) -> QuerySearch:
    return _from(search, min(date.ends, date.begins + MILLISECOND) if date.timed else date.ends)


def _except(search: QuerySearch, date: SearchedDate) -> QuerySearch:
    if search.changed_not is not None:
        raise Fault(400, "Give ne once", where="_lastUpdated")
    return replace(search, changed_not=(date.begins, date.ends))


def _about(search: QuerySearch, date: SearchedDate) -> QuerySearch:
    """R4 leaves open how near is near: a day either side."""
    return _before(_from(search, date.begins - timedelta(days=1)), date.ends + timedelta(days=1))


_SPANS: Mapping[str, Spanning] = dict.fromkeys(PREFIXES, _within) | {
    "ne": _except,
    "gt": _after,
    "sa": _after,
    "ap": _about,
}


# ---- what every type has


def _ids(found: Searching, name: str, value: str) -> Searching:
    return found.restricted("ids", (id_ for part in values(name, value) if (id_ := own_id(part)) is not None))


def _count(found: Searching, name: str, value: str) -> Searching:
    count = own_id(value)
    if count is None:
        raise Fault(400, "_count takes a number", where="_count")
    return found.started(replace(found.search, limit=min(count, MAX_COUNT if found.search.limit else 0)))


def _place(found: Searching, name: str, value: str) -> Searching:
    match = _CURSOR.fullmatch(value)
    after = own_id(match[2]) if match else None
    if match is None or not after:
        raise Fault(400, "Follow the next link as it was given", where="_after")
    moment = _EPOCH + timedelta(microseconds=int(match[1])) if match[1] else None
    return found.started(replace(found.search, after=after, after_changed=moment))


_SORTS = {
    "_id": QueryOrder.ASKED,
    "authored-on": QueryOrder.ASKED,
    "-_id": QueryOrder.ASKED_DOWN,
    "-authored-on": QueryOrder.ASKED_DOWN,
    "_lastUpdated": QueryOrder.CHANGED,
    "-_lastUpdated": QueryOrder.CHANGED_DOWN,
    "authored": QueryOrder.CHANGED,
    "-authored": QueryOrder.CHANGED_DOWN,
}


def _sort(found: Searching, name: str, value: str) -> Searching:
    """An order that is not offered is left aside."""
    order = _SORTS.get(value)
    return found if order is None else found.started(replace(found.search, order=order))


def _summary(found: Searching, name: str, value: str) -> Searching:
    if value == "count":
        return found.started(replace(found.search, limit=0))
    return replace(found) if value == "false" else found


def _total(found: Searching, name: str, value: str) -> Searching:
    if value not in ("none", "estimate", "accurate"):
        return found
    return replace(found, counted=value != "none")


def _elements(found: Searching, name: str, value: str) -> Searching:
    return replace(found, elements=tuple(values(name, value)))


COMMON: Mapping[str, Reader] = {
    "_id": _ids,
    "_lastUpdated": changed,
    "_count": _count,
    "_after": _place,
    "_sort": _sort,
    "_summary": _summary,
    "_total": _total,
    "_elements": _elements,
}
_REPEATED = frozenset({"_id", "_lastUpdated"})
_OPTIONAL = frozenset({"_sort", "_summary", "_total", "_include"})
"""Their values that are not supported count as parameters that are not."""
_IGNORED = frozenset({"_format", "_pretty"})


def parameters(call: Call) -> MultiMapping[str]:
    """The search parameters of the address, and with POST those of the body too (R4, search by POST). Fault 400."""
    if not call.body:
        return call.query
    try:
        pairs = parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Fault(400, "The body is no form, or has too many fields", code="structure", where="_search") from None
    return MultiDict([*call.query.items(), *pairs])


def subset(resource: Mapping[str, object], wanted: tuple[str, ...], mandatory: frozenset[str]) -> dict[str, object]:
    """The resource with the `wanted` and the mandatory elements only, marked as such (R4, search, elements)."""
    kept = mandatory | {"resourceType", "id", "meta", *wanted}
    left = {name: value for name, value in resource.items() if name in kept}
    meta = resource.get("meta")
    tag = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
    return {**left, "meta": {**(meta if isinstance(meta, dict) else {}), "tag": [tag]}}
