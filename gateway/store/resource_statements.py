"""Every statement that finds kept resources. A condition that is not asked for has no name; all take the same values:

$1 client, $2 type, $3 limit, $4 ids, $5 and $6 written from and before, then names with their tokens: $7 to $14 four
conditions, $15 to $18 two exclusions; $19 to $21 a range; in pages $22 and $23 the place after which they begin.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.store.resources import ResourceOrder
from gateway.store.statements import Read, read

_COLUMNS = "SELECT r.type, r.id, r.version, r.client, r.message, r.written FROM resources AS r"

_OF_TYPE = "WHERE r.client = $1 AND r.type = $2 AND r.newest = 1"
_OF_FIRST = (
    "WHERE r.message IN (SELECT v.message FROM resource_values AS v WHERE v.client = $1 AND v.name = $7 "
    "AND v.token = ANY($8::text[]) AND v.type = $2) AND r.newest = 1"
)
"""Two ways in: along all of the type, or from the few that the first condition finds."""


def _has(name: str, tokens: str) -> str:
    return (
        f"EXISTS (SELECT 1 FROM resource_values AS v WHERE v.client = $1 AND v.name = {name}::text "  # noqa: S608
        f"AND v.token = ANY({tokens}::text[]) AND v.type = $2 AND v.message = r.message)"
    )


def _slot(name: str, tokens: str, negation: str = "") -> str:
    return f"AND ({name}::text IS NULL OR {negation} {_has(name, tokens)})"


_FILTER = " ".join(
    (
        "AND ($4::text[] IS NULL OR r.id = ANY($4::text[]))",
        "AND ($5::bigint IS NULL OR r.written >= $5::bigint) AND ($6::bigint IS NULL OR r.written < $6::bigint)",
        _slot("$7", "$8"),
        _slot("$9", "$10"),
        _slot("$11", "$12"),
        _slot("$13", "$14"),
        _slot("$15", "$16", "NOT"),
        _slot("$17", "$18", "NOT"),
        "AND ($19::text IS NULL OR EXISTS (SELECT 1 FROM resource_values AS v WHERE v.client = $1",
        "AND v.name = $19::text AND v.token >= $20::text AND v.token < $21::text AND v.type = $2",
        "AND v.message = r.message))",
    )
)

# The first condition of each is what an index can begin at, the second what the page begins behind.
_ORDERS: Mapping[ResourceOrder, str] = {
    ResourceOrder.ID: (
        "AND r.id >= coalesce($23::text, '') AND ($22::bigint IS NULL OR r.id > $23::text) ORDER BY r.id LIMIT $3"
    ),
    ResourceOrder.ID_DESCENDING: (
        "AND r.id <= coalesce($23::text, '~') AND ($22::bigint IS NULL OR r.id < $23::text) ORDER BY r.id DESC LIMIT $3"
    ),
    ResourceOrder.WRITTEN: (
        "AND r.written >= coalesce($22::bigint, 0) "
        "AND ($22::bigint IS NULL OR r.written > $22::bigint OR r.id > $23::text) ORDER BY r.written, r.id LIMIT $3"
    ),
    ResourceOrder.WRITTEN_DESCENDING: (
        "AND r.written <= coalesce($22::bigint, 9223372036854775807) "
        "AND ($22::bigint IS NULL OR r.written < $22::bigint OR r.id < $23::text) "
        "ORDER BY r.written DESC, r.id DESC LIMIT $3"
    ),
}

PAGES: Mapping[tuple[ResourceOrder, bool], Read] = {
    (order, narrow): read(_COLUMNS, _OF_FIRST if narrow else _OF_TYPE, _FILTER, page)
    for order, page in _ORDERS.items()
    for narrow in (False, True)
}
"""By order, and whether the search begins with its first condition."""

COUNTS: Mapping[bool, Read] = {
    narrow: read(
        "SELECT count(*) FROM (SELECT r.id FROM resources AS r",
        _OF_FIRST if narrow else _OF_TYPE,
        _FILTER,
        "LIMIT $3) AS found",
    )
    for narrow in (False, True)
}

UNCATALOGUED = read(
    "SELECT r.type, r.id, r.version, r.client, r.message, r.written, unpacked(p.payload), r.newest",
    "FROM uncatalogued AS u CROSS JOIN resources AS r ON r.message = u.message JOIN payloads AS p ON p.id = u.message",
    "WHERE u.message <= $2 ORDER BY u.message LIMIT $1",
)
"""On SQLite, whose CROSS JOIN goes from left to right: left to itself it walks all resources there are. Versions with
their bytes, and whether each is the newest still; up to the message $2."""

LAST_UNCATALOGUED = read("SELECT u.message FROM uncatalogued AS u ORDER BY u.message DESC LIMIT $1")

_RESOURCE = f"{_COLUMNS} WHERE r.client = $1 AND r.type = $2 AND r.id = $3"
NEWEST = read(_RESOURCE, "ORDER BY r.version DESC LIMIT 1")
VERSION = read(_RESOURCE, "AND r.version = $4")

HISTORY_OF_ONE = read(
    _RESOURCE,
    "AND r.version < $4 AND r.written >= $5 ORDER BY r.version DESC LIMIT $6",
)
HISTORY_OF_TYPE = read(
    _COLUMNS,
    "WHERE r.client = $1 AND r.type = $2 AND r.written >= $3 AND r.written <= $4",
    "AND (r.written < $4 OR r.id < $5 OR (r.id = $5 AND r.version < $6))",
    "ORDER BY r.written DESC, r.id DESC, r.version DESC LIMIT $7",
)

REFERRING = read(
    _COLUMNS,
    "WHERE r.message IN (SELECT v.message FROM resource_values AS v WHERE v.client = $1 AND v.token = $2)",
    "AND r.newest = 1 ORDER BY r.message DESC LIMIT $3",
)
"""Under whichever name the reference stands. Of very many, those that were written last."""
