"""The statements of searches over provider queries. Each way in has its own, so that it walks one index and looks at
nothing beside it: a search is then counted whole at little cost.

A statement names what it takes, as `<owners>`; the names become places once, at import.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.store.queries import QueryOrder
from gateway.store.statements import Read, read

_NAME = re.compile(r"<([a-z_]+)>")
_NUMBERS = ("limit", "after", "after_changed", "changed_from", "changed_before", "not_from", "not_before")
_TYPES = dict.fromkeys(_NUMBERS, "bigint") | {"ids": "bigint[]"}
"""What is no list of texts."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A statement, and the names of what it takes, in order."""

    read: Read
    takes: tuple[str, ...]


def _asking(*parts: str) -> Asking:
    text = " ".join(parts)
    takes = tuple(dict.fromkeys(_NAME.findall(text)))
    places = {name: f"${place}::{_TYPES.get(name, 'text[]')}" for place, name in enumerate(takes, start=1)}
    return Asking(read(_NAME.sub(lambda match: places[match[1]], text)), takes)


class Way(StrEnum):
    """Where a search begins."""

    ALL = "all"
    CHANGED = "changed"
    STATUSES = "statuses"
    OWNERS = "owners"
    OWNERS_STATUSES = "owners-statuses"
    ASKERS = "askers"
    ASKERS_STATUSES = "askers-statuses"
    IDS = "ids"
    NUMBERS = "numbers"
    ENCOUNTERS = "encounters"
    ASKED_BY = "asked-by"
    ANSWERED_BY = "answered-by"


_SPAN = (
    "q.changed >= <changed_from> AND q.changed < <changed_before> "
    "AND NOT (q.changed >= <not_from> AND q.changed < <not_before>)"
)
_ANY = {
    "ids": "q.id = ANY(<ids>)",
    "numbers": "q.number = ANY(<numbers>)",
    "encounters": "q.encounter = ANY(<encounters>)",
    "owners": "q.provider = ANY(<owners>)",
    "statuses": "q.status = ANY(<statuses>)",
    "asked_by": "q.asked_by = ANY(<asked_by>)",
    "answered_by": "q.answered_by = ANY(<answered_by>)",
}
_EVERY = " AND ".join([_SPAN, *(f"(<{name}> IS NULL OR {test})" for name, test in _ANY.items())])


def _of(*first: str) -> str:
    """Begins at these, and looks at everything else that was asked for."""
    return " AND ".join([*(_ANY[name] for name in first), _EVERY])


_WAYS: Mapping[Way, str] = {
    Way.ALL: "1 = 1",
    Way.CHANGED: _SPAN,
    Way.STATUSES: f"{_ANY['statuses']} AND {_SPAN}",
    Way.OWNERS: f"{_ANY['owners']} AND {_SPAN}",
    Way.OWNERS_STATUSES: f"{_ANY['owners']} AND {_ANY['statuses']} AND {_SPAN}",
    Way.ASKERS: f"{_ANY['asked_by']} AND {_SPAN}",
    Way.ASKERS_STATUSES: f"{_ANY['asked_by']} AND {_ANY['statuses']} AND {_SPAN}",
    Way.IDS: _of("ids"),
    Way.NUMBERS: _of("numbers"),
    Way.ENCOUNTERS: _of("encounters"),
    Way.ASKED_BY: _of("asked_by"),
    Way.ANSWERED_BY: _of("answered_by"),
}

_PLACES: Mapping[QueryOrder, tuple[str, str]] = {
    QueryOrder.ASKED: ("q.id > <after>", "{}.id"),
    QueryOrder.ASKED_DOWN: ("q.id < <after>", "{}.id DESC"),
    QueryOrder.CHANGED: ("(q.changed, q.id) > (<after_changed>, <after>)", "{0}.changed, {0}.id"),
    QueryOrder.CHANGED_DOWN: ("(q.changed, q.id) < (<after_changed>, <after>)", "{0}.changed DESC, {0}.id DESC"),
}
"""Where a page begins, and how it is ordered."""


def _page(way: Way, order: QueryOrder) -> Asking:
    """The keys first, out of an index alone; then the queries of the page."""
    begins, ordered = _PLACES[order]
    keys = ("SELECT q.id, q.changed FROM queries AS q WHERE", _WAYS[way], "AND", begins)
    limited = ("ORDER BY", ordered.format("q"), "LIMIT <limit>")
    joined = ("AS p JOIN queries AS w ON w.id = p.id ORDER BY", ordered.format("p"))
    return _asking("SELECT unpacked(w.body) FROM (", *keys, *limited, ")", *joined)


PAGES: Mapping[tuple[Way, QueryOrder], Asking] = {
    (way, order): _page(way, order) for way in Way for order in QueryOrder
}
COUNTS: Mapping[Way, Asking] = {
    way: _asking("SELECT count(*) FROM queries AS q WHERE", test) for way, test in _WAYS.items()
}

VERSIONS = read("SELECT unpacked(body) FROM query_versions WHERE query = $1 ORDER BY version DESC")
VERSION = read("SELECT unpacked(body) FROM query_versions WHERE query = $1 AND version = $2")

_NUMBERED = "SELECT DISTINCT encounter FROM identifiers WHERE value = $1 AND ($2::text IS NULL OR authority = $2::text)"
OF_PATIENT = read(_NUMBERED, "AND type NOT IN ('AN', 'VN')")
OF_VISIT = read(_NUMBERED, "AND type IN ('AN', 'VN') ORDER BY encounter")
OF_CLAIM = read(
    "SELECT DISTINCT c.encounter FROM claims AS c WHERE c.number = $1",
    "AND NOT EXISTS (SELECT 1 FROM claims AS n WHERE n.encounter = c.encounter AND n.id > c.id AND n.number <> $1)",
)
_NEWEST_CLAIM = "(SELECT c.number FROM claims AS c WHERE c.encounter = e.key ORDER BY c.id DESC LIMIT 1)"
_ENCOUNTERS = "FROM encounters AS e WHERE e.key"
SUBJECTS = Read(
    sqlite=" ".join(
        (
            "SELECT e.key,",
            "json_extract(CAST(unpacked(e.body) AS TEXT),",
            "'$.patient.identifiers', '$.visit.account', '$.visit.number'),",
            _NEWEST_CLAIM,
            _ENCOUNTERS,
            "IN (SELECT value FROM json_each(?1))",
        )
    ),
    postgres=" ".join(
        (
            "SELECT e.key, json_build_array(b.j -> 'patient' -> 'identifiers', b.j -> 'visit' -> 'account',",
            "b.j -> 'visit' -> 'number')::text,",
            _NEWEST_CLAIM,
            "FROM encounters AS e, LATERAL (SELECT convert_from(e.body, 'UTF8')::json AS j) AS b",
            "WHERE e.key = ANY($1::text[])",
        )
    ),
)
"""The few values that a Task shows of an encounter, taken out of its body where it stands: a page of Tasks would wait
for fifty whole ones.
"""
