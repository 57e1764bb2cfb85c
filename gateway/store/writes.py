"""Every statement that writes, in two forms built once, at import, from constants: row by row for SQLite (the driver
repeats it over many rows), and all rows in one statement for PostgreSQL (`unnest` of one array a column).

A column of the type `packed` is `bytea`, and large: SQLite keeps it packed (`packing`), and what reads it says
`unpacked(body)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

SqlValue = str | int | bytes | None
Row = tuple[SqlValue, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """A statement, and what it means when it changes fewer rows than it was given."""

    name: str
    sqlite: str
    postgres: str
    guarded: bool
    """Fewer rows changed than sent: somebody else changed one of them, and the step is a `Conflict`."""
    singly: bool = False
    """Each row is a statement of its own: it must see what the rows before it wrote."""
    packed: tuple[int, ...] = ()
    """The places in a row, from 0, of what SQLite keeps packed."""


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: str
    packed: bool = False


def _column(name: str, type_: str) -> _Column:
    return _Column(name, "bytea", packed=True) if type_ == "packed" else _Column(name, type_)


def _columns(text: str) -> tuple[_Column, ...]:
    """`id bigint, body packed` -> its columns."""
    return tuple(_column(*part.split()) for part in text.split(",") if part.strip())


def _packed(columns: Sequence[_Column]) -> tuple[int, ...]:
    return tuple(place for place, column in enumerate(columns) if column.packed)


def _names(columns: Sequence[_Column]) -> str:
    return ", ".join(column.name for column in columns)


def _arrays(columns: Sequence[_Column]) -> str:
    """`$1::bigint[], $2::bytea[]`"""
    return ", ".join(f"${place}::{column.type}[]" for place, column in enumerate(columns, start=1))


def _marks(columns: Sequence[_Column]) -> str:
    """`?1, ?2`"""
    return ", ".join(f"?{place}" for place, _ in enumerate(columns, start=1))


def _insert(table: str, columns: str, then: str = "", *, guarded: bool = True) -> Write:
    """Rows in the order sent. `then` is an ON CONFLICT clause; without one a row that stands already is an error."""
    into = " ".join(("INSERT INTO", table, "(", _names(_columns(columns)), ")"))
    return Write(
        name=table,
        sqlite=" ".join((into, "VALUES (", _marks(_columns(columns)), ")", then)).strip(),
        postgres=" ".join((into, "SELECT * FROM unnest(", _arrays(_columns(columns)), ")", then)).strip(),
        guarded=guarded,
        packed=_packed(_columns(columns)),
    )


def _change(table: str, keys: str, expected: str, new: str) -> Write:
    """One UPDATE a row: `new` columns are set where `keys` and `expected` columns still have the given values.

    Parameters come in the order keys, expected, new. An expected column is given by its old value.
    """
    found, old, fresh = _columns(keys), _columns(expected), _columns(new)
    where = (*found, *old)
    marks = {column.name: f"?{place}" for place, column in enumerate(where, start=1)}
    first = len(where) + 1
    given = [_Column("w" + str(place), column.type) for place, column in enumerate((*where, *fresh), start=1)]
    return Write(
        name=table,
        sqlite=" ".join(
            (
                "UPDATE",
                table,
                "SET",
                ", ".join(f"{column.name} = ?{place}" for place, column in enumerate(fresh, start=first)),
                "WHERE",
                " AND ".join(f"{name} = {mark}" for name, mark in marks.items()),
            )
        ),
        postgres=" ".join(
            (
                "UPDATE",
                table,
                "AS t SET",
                ", ".join(f"{column.name} = w.w{place}" for place, column in enumerate(fresh, start=first)),
                "FROM unnest(",
                _arrays(given),
                ") AS w (",
                _names(given),
                ") WHERE",
                " AND ".join(f"t.{column.name} = w.w{place}" for place, column in enumerate(where, start=1)),
            )
        ),
        guarded=True,
        packed=_packed((*where, *fresh)),
    )


def _remove(table: str, keys: str) -> Write:
    """Rows that need not be there any more."""
    columns = _columns(keys)
    marks = " AND ".join(f"{column.name} = ?{place}" for place, column in enumerate(columns, start=1))
    among = (_names(columns), ") IN (SELECT * FROM unnest(", _arrays(columns), "))")
    return Write(
        name=table,
        sqlite=" ".join(("DELETE FROM", table, "WHERE", marks)),
        postgres=" ".join(("DELETE FROM", table, "WHERE (", *among)),
        guarded=False,
    )


def _expire(table: str) -> Write:
    """Rows that expired before a given moment. Those that another gateway is removing are left to it."""
    gone = " ".join(("DELETE FROM", table, "WHERE"))
    return Write(
        name=table,
        sqlite=" ".join((gone, "expires < ?1")),
        postgres=" ".join(
            (
                gone,
                "ctid = ANY(ARRAY(SELECT ctid FROM",
                table,
                "WHERE expires < (SELECT max(w.w1) FROM unnest($1::bigint[]) AS w (w1)) FOR UPDATE SKIP LOCKED))",
            )
        ),
        guarded=False,
    )


_NEW = "WHERE w.w1 = ANY(ARRAY(SELECT id FROM kept))"
_REPEAT = "ON CONFLICT (control, feed, digest) DO NOTHING"
_STANDS = "ON CONFLICT DO NOTHING"

_MESSAGE = (
    "id bigint, feed text, format text, type text, control text, digest bytea, state text, reason text, "
    "encounter text, received bigint, replay_of bigint"
)
_EVENT = "at bigint, actor text, action text, subject text, encounter text, message bigint, detail bytea, hash bytea"

MESSAGES = _insert("messages", _MESSAGE)
KEPT = _insert("messages", _MESSAGE, _REPEAT, guarded=False)
"""A repeat is left out, not an error: its sender is told what it was told before."""
_PAYLOAD = "id bigint, payload packed, reply bytea"
PAYLOADS = _insert("payloads", _PAYLOAD)


def _keep() -> str:
    """PostgreSQL's whole `keep`: messages, and for those that are new their bytes and events, in one statement and so
    in one round trip. Parameters: a message's columns, its payload and reply, its event's columns. Gives the new ids.
    """
    message, payload, event = _columns(_MESSAGE), _columns(_PAYLOAD)[1:], _columns(_EVENT)
    sent = [_Column("w" + str(place), column.type) for place, column in enumerate((*message, *payload, *event), 1)]
    own, bytes_, told = (
        ", ".join("w." + column.name for column in part)
        for part in (
            sent[: len(message)],
            (sent[0], *sent[len(message) : len(message) + len(payload)]),
            sent[len(message) + len(payload) :],
        )
    )
    return " ".join(
        (
            "WITH w AS MATERIALIZED (SELECT * FROM unnest(",
            _arrays(sent),
            ") WITH ORDINALITY AS w (",
            _names(sent),
            ", place)), kept AS (INSERT INTO messages (",
            _names(message),
            ") SELECT",
            own,
            "FROM w ORDER BY w.place",
            _REPEAT,
            "RETURNING id), bytes AS (INSERT INTO payloads (",
            _names(_columns(_PAYLOAD)),
            ") SELECT",
            bytes_,
            "FROM w",
            _NEW,
            "ORDER BY w.place), told AS (INSERT INTO events (",
            _names(event),
            ") SELECT",
            told,
            "FROM w",
            _NEW,
            "ORDER BY w.place) SELECT id FROM kept",
        )
    )


KEEP_POSTGRES = _keep()
_VERSION = "client text, type text, id text, version bigint, message bigint, written bigint, newest bigint"
RESOURCE_VALUES = _insert(
    "resource_values", "client text, name text, token text, type text, message bigint", _STANDS, guarded=False
)
UNCATALOGUED = _insert("uncatalogued", "message bigint")
CATALOGUED = _remove("uncatalogued", "message bigint")
RESOURCES = _insert("resources", _VERSION)
RESOURCES_SUPERSEDED = _change("resources", "client text, type text, id text, version bigint", "", "newest bigint")
"""The version before, which must stand."""


def _insert_unless() -> Write:
    """A new resource, unless one stands that meets three conditions, each a name and a JSON array of tokens. What one
    of the same commit has written before counts: its values are written first.
    """
    columns = _columns(_VERSION)
    names = [f"name{place} text, tokens{place} text" for place in (1, 2, 3)]
    sent = _columns(", ".join((_VERSION, *names)))

    def having(mark: Callable[[str], str], listed: str) -> str:
        def values(place: int) -> str:
            return " ".join(
                (
                    "(SELECT v.message FROM resource_values AS v WHERE v.client =",
                    mark("client"),
                    "AND v.name =",
                    mark(f"name{place}"),
                    "AND v.token IN (",
                    listed.replace("tokens", mark(f"tokens{place}")),
                    ") AND v.type =",
                    mark("type"),
                    ")",
                )
            )

        return " ".join(
            (
                "WHERE NOT EXISTS (SELECT 1 FROM resources AS r WHERE r.message IN",
                values(1),
                "AND r.newest = 1",
                *(f"AND ({mark(f'name{place}')} IS NULL OR r.message IN {values(place)})" for place in (2, 3)),
                ")",
            )
        )

    into = " ".join(("INSERT INTO resources (", _names(columns), ") SELECT"))
    places = {column.name: f"?{place}" for place, column in enumerate(sent, start=1)}
    sqlite = having(places.__getitem__, "SELECT value FROM json_each( tokens )")
    postgres = having("w.{}".format, "SELECT jsonb_array_elements_text(tokens::jsonb)")
    own = ", ".join(f"w.{column.name}" for column in columns)
    unnested = " ".join(("FROM unnest(", _arrays(sent), ") AS w (", _names(sent), ")"))
    return Write(
        name="resources",
        sqlite=" ".join((into, _marks(columns), sqlite)),
        postgres=" ".join((into, own, unnested, postgres)),
        guarded=True,
        singly=True,
    )


RESOURCES_UNLESS = _insert_unless()
RESOURCES_LOCKED = Write(
    name="resources",
    sqlite="SELECT ?1",
    postgres=(
        "SELECT pg_advisory_xact_lock(k) FROM (SELECT DISTINCT k FROM unnest($1::bigint[]) AS w (k) ORDER BY k) AS l"
    ),
    guarded=False,
)
"""Of those that write what must not stand yet, one at a time. SQLite has one writer anyway."""
OUTCOMES = _change("messages", "id bigint", "state text", "state text, reason text, encounter text")
MESSAGE_NUMBERS = _insert("message_numbers", "value text, message bigint", _STANDS, guarded=False)
CONTENTS = _insert("documents", "encounter text, digest text, content_type text, body packed", _STANDS, guarded=False)

_LISTED = "stage text, total text, class text, payer text, coder text, changed bigint, due bigint"
NEW_ENCOUNTERS = _insert("encounters", "key text, version bigint, body packed, fingerprint text, " + _LISTED)
ENCOUNTERS = _change(
    "encounters", "key text", "version bigint", "version bigint, body packed, fingerprint text, " + _LISTED
)
ENCOUNTERS_REVIEWED = _change(
    "encounters", "key text", "version bigint", "version bigint, fingerprint text, " + _LISTED
)
"""What was decided about the encounter changed, the encounter itself did not: its body is not written again."""
_NUMBER = "value text, type text, authority text, facility text, encounter text"
IDENTIFIERS_GONE = _remove("identifiers", _NUMBER)
"""A number that was corrected: it must lead nobody here any more."""
IDENTIFIERS = _insert("identifiers", _NUMBER, _STANDS, guarded=False)
NEW_HOLDS = _insert("holds", "id bigint, encounter text, kind text, rule text, state text, body bytea")
HOLDS = _change("holds", "id bigint", "encounter text", "state text, body bytea")
NEW_QUERIES = _insert(
    "queries",
    "id bigint, number text, encounter text, provider text, status text, changed bigint, look bigint, body packed, "
    "asked_by text, answered_by text",
)
QUERIES = _change(
    "queries",
    "id bigint",
    "encounter text",
    "status text, changed bigint, look bigint, body packed, answered_by text",
)
QUERY_VERSIONS = _insert("query_versions", "query bigint, version bigint, body packed")
NEW_QUERY_DELIVERIES = _insert(
    "query_deliveries", "query bigint, ehr text, state text, attempts bigint, due bigint, body packed"
)
QUERY_DELIVERIES = _change(
    "query_deliveries",
    "query bigint",
    "state text, attempts bigint",
    "state text, attempts bigint, due bigint, body packed",
)
LOOKUPS = _insert(
    "lookups",
    "feed text, name text, code text, value text, actor text, changed bigint",
    "ON CONFLICT (feed, name, code) DO UPDATE SET value = excluded.value, actor = excluded.actor, "
    "changed = excluded.changed",
)
_UNMAPPED = "feed text, name text, code text, encounter text"
UNMAPPED = _insert("unmapped", _UNMAPPED, _STANDS, guarded=False)
UNMAPPED_GONE = _remove("unmapped", _UNMAPPED)
DECISIONS = _insert("decisions", "id bigint, encounter text, body bytea")
DRAWS = _insert("draws", "sample text, frame text, position bigint, encounter text, chosen bigint")
CLAIMS = _insert("claims", "id bigint, number text, version bigint, destination text, encounter text, body packed")
NEW_DELIVERIES = _insert(
    "deliveries",
    "id bigint, claim bigint, encounter text, destination text, state text, attempts bigint, due bigint, "
    "payload packed, body packed",
)
DELIVERIES = _change(
    "deliveries",
    "id bigint",
    "state text, attempts bigint",
    "state text, attempts bigint, due bigint, payload packed, body packed",
)
ATTEMPTS = _insert(
    "attempts", "delivery bigint, number bigint, owner text, epoch bigint, payload_hash text, started bigint"
)
SUSPENSIONS = _insert("suspensions", "destination text, since bigint, actor text, reason text", _STANDS, guarded=False)
RESUMPTIONS = _remove("suspensions", "destination text")
CONFIGURATIONS = _insert(
    "configurations",
    "number bigint, node bigint, digest text, state text, actor text, written bigint, body packed",
)
ALERTS = _insert(
    "alerts",
    "node bigint, name text, subject text, state text, since bigint, said text, told bigint",
    "ON CONFLICT (node, name, subject) DO UPDATE SET state = excluded.state, since = excluded.since, "
    "said = excluded.said, told = excluded.told",
)
PASSES = _insert(
    "passes",
    "name text, about text, place text, done bigint, changed bigint",
    "ON CONFLICT (name) DO UPDATE SET about = excluded.about, place = excluded.place, done = excluded.done, "
    "changed = excluded.changed",
)
MESSAGES_PRUNED = _change("messages", "id bigint", "state text", "reason text")
PAYLOADS_PRUNED = _change("payloads", "id bigint", "", "payload packed")
NUMBERS_PRUNED = _remove("message_numbers", "message bigint")
VALUES_PRUNED = _remove("resource_values", "message bigint")
RESOURCES_PRUNED = replace(_change("resources", "message bigint", "", "newest bigint"), guarded=False)
"""Most messages are no resources. What has lost its content is found by its id only."""
ENCOUNTERS_PRUNED = _change("encounters", "key text", "version bigint", "pruned bigint")
ACCESS_TOKENS = _insert("access_tokens", "digest bytea, client text, scope text, expires bigint")
ASSERTIONS = _insert("assertions", "client text, digest bytea, expires bigint")
ACCESS_TOKENS_EXPIRED = _expire("access_tokens")
ASSERTIONS_EXPIRED = _expire("assertions")
FETCHES = _insert(
    "fetches",
    "client text, id text, state text, attempts bigint, due bigint, body bytea",
    "ON CONFLICT (client, id) DO UPDATE SET state = excluded.state, attempts = excluded.attempts, due = excluded.due, "
    "body = excluded.body",
)
FETCHES_MOVED = _change(
    "fetches",
    "client text, id text",
    "state text, attempts bigint",
    "state text, attempts bigint, due bigint, body bytea",
)
TRAIL_EXPORTS = _insert(
    "trail_exports", "id bigint, client text, requested bigint, expires bigint, last bigint, body bytea"
)
TRAIL_EXPORTS_ENDED = _remove("trail_exports", "id bigint")
TRAIL_EXPORTS_EXPIRED = _expire("trail_exports")
EVENTS = _insert("events", _EVENT)
SEALS = _insert(
    "seals",
    "id bigint, size bigint, last_seq bigint, root bytea, sealed bigint, key_id text, signature bytea",
)
LEAF_BLOCKS = _insert(
    "leaf_blocks", "number bigint, leaves bytea", "ON CONFLICT (number) DO UPDATE SET leaves = excluded.leaves"
)

IN_ORDER: tuple[Write, ...] = (
    MESSAGES,
    PAYLOADS,
    RESOURCES_LOCKED,
    RESOURCE_VALUES,
    CATALOGUED,
    RESOURCES,
    RESOURCES_UNLESS,
    RESOURCES_SUPERSEDED,
    OUTCOMES,
    MESSAGE_NUMBERS,
    CONTENTS,
    NEW_ENCOUNTERS,
    ENCOUNTERS,
    ENCOUNTERS_REVIEWED,
    IDENTIFIERS_GONE,
    IDENTIFIERS,
    NEW_HOLDS,
    HOLDS,
    NEW_QUERIES,
    QUERIES,
    QUERY_VERSIONS,
    NEW_QUERY_DELIVERIES,
    QUERY_DELIVERIES,
    LOOKUPS,
    UNMAPPED_GONE,
    UNMAPPED,
    DECISIONS,
    DRAWS,
    CLAIMS,
    NEW_DELIVERIES,
    DELIVERIES,
    ATTEMPTS,
    SUSPENSIONS,
    RESUMPTIONS,
    CONFIGURATIONS,
    ALERTS,
    PASSES,
    MESSAGES_PRUNED,
    PAYLOADS_PRUNED,
    NUMBERS_PRUNED,
    VALUES_PRUNED,
    RESOURCES_PRUNED,
    ENCOUNTERS_PRUNED,
    ASSERTIONS_EXPIRED,
    ASSERTIONS,
    ACCESS_TOKENS_EXPIRED,
    ACCESS_TOKENS,
    FETCHES,
    FETCHES_MOVED,
    TRAIL_EXPORTS_EXPIRED,
    TRAIL_EXPORTS_ENDED,
    TRAIL_EXPORTS,
    SEALS,
    LEAF_BLOCKS,
    EVENTS,
)
"""The order in which a commit runs them. Events are last: a step that conflicts has taken no place in the trail."""
