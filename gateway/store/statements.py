"""Every statement that reads. Written once, for PostgreSQL; SQLite's form is made from it at import by three rules:
`$1` is `?1`, a cast falls away, and `= ANY($1::text[])` looks into a JSON array. What SQLite keeps packed is read as
`unpacked(body)`, a function of its connections; for PostgreSQL that is `body`. Nothing is built at run time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ANY = re.compile(r"= ANY\(\$(\d+)::\w+\[\]\)")
_CAST = re.compile(r"::\w+(?:\[\])?")
_MARK = re.compile(r"\$(\d+)")
_UNPACKED = re.compile(r"\bunpacked\(([\w.]+)\)")


@dataclass(frozen=True, slots=True)
class Read:
    """A statement in both engines' forms."""

    sqlite: str
    postgres: str


def read(*parts: str) -> Read:
    """A statement from its parts, in PostgreSQL's form. For constants, at import."""
    text = " ".join(parts)
    listed = _ANY.sub(r"IN (SELECT value FROM json_each($\1))", text)
    return Read(sqlite=_MARK.sub(r"?\1", _CAST.sub("", listed)), postgres=_UNPACKED.sub(r"\1", text))


MESSAGE_COLUMNS = "m.id, m.feed, m.format, m.type, m.control, m.received, m.state, m.reason, m.encounter, m.replay_of"
_MESSAGE = " ".join(("SELECT", MESSAGE_COLUMNS, "FROM messages AS m"))
_MESSAGE_WHOLE = " ".join(
    ("SELECT", MESSAGE_COLUMNS, ", unpacked(p.payload), p.reply FROM messages AS m JOIN payloads AS p ON p.id = m.id")
)

MESSAGE = read(_MESSAGE_WHOLE, "WHERE m.id = $1")
MESSAGES_WHOLE = read(_MESSAGE_WHOLE, "WHERE m.id = ANY($1::bigint[])")
MESSAGES_PENDING = read(_MESSAGE_WHOLE, "WHERE m.state = 'received' ORDER BY m.id LIMIT $1")
BACKLOG = read("SELECT count(*) FROM messages WHERE state = 'received'")
CONTROLS_REUSED = read(
    "SELECT m.id FROM messages AS m WHERE m.id = ANY($1::bigint[]) AND m.digest IS NOT NULL AND m.control <> ''",
    "AND EXISTS (SELECT 1 FROM messages AS o WHERE o.control = m.control AND o.feed = m.feed AND o.id < m.id",
    "AND o.digest IS NOT NULL)",
)

MESSAGES_STANDING = Read(
    sqlite=" ".join(
        (
            "SELECT",
            MESSAGE_COLUMNS,
            ", unpacked(p.payload), p.reply, m.digest",
            "FROM messages AS m JOIN payloads AS p ON p.id = m.id",
            "WHERE m.control = ?1 AND m.feed = ?2 AND m.digest = ?3",
        )
    ),
    postgres=" ".join(
        (
            "SELECT",
            MESSAGE_COLUMNS,
            ", p.payload, p.reply, m.digest",
            "FROM unnest($1::text[], $2::text[], $3::bytea[]) AS w (control, feed, digest)",
            "JOIN messages AS m ON m.control = w.control AND m.feed = w.feed AND m.digest = w.digest",
            "JOIN payloads AS p ON p.id = m.id",
        )
    ),
)
"""What stands in the place of repeats. SQLite is asked for one at a time, PostgreSQL for all at once."""

IDS_STANDING = read("SELECT id FROM messages WHERE id = ANY($1::bigint[])")

_NEWEST = "AND m.id < $1 ORDER BY m.id DESC LIMIT $2"
_SEARCH = (
    "($3::text IS NULL OR m.state = $3::text) AND ($4::text IS NULL OR m.feed = $4::text) "
    "AND ($5::text IS NULL OR m.control = $5::text) AND ($6::text IS NULL OR m.encounter = $6::text)"
)
MESSAGES_NEWEST = read(_MESSAGE, "WHERE", _SEARCH, _NEWEST)
MESSAGES_OF_STATE = read(_MESSAGE, "WHERE m.state = $3::text AND", _SEARCH, _NEWEST)
MESSAGES_OF_CONTROL = read(_MESSAGE, "WHERE m.control = $5::text AND", _SEARCH, _NEWEST)
MESSAGES_OF_ENCOUNTER = read(_MESSAGE, "WHERE m.encounter = $6::text AND", _SEARCH, _NEWEST)
"""One search, four ways in: each starts at the index of the narrowest field that was given."""

_THEIRS = "WHERE encounter = ANY($1::text[])"
CASE_BODIES = read(
    "SELECT 'encounters', key, version, unpacked(body) FROM encounters WHERE key = ANY($1::text[])",
    "UNION ALL SELECT 'holds', encounter, id, body FROM holds",
    _THEIRS,
    "UNION ALL SELECT 'queries', encounter, id, unpacked(body) FROM queries",
    _THEIRS,
    "UNION ALL SELECT 'decisions', encounter, id, body FROM decisions",
    _THEIRS,
    "UNION ALL SELECT 'claims', encounter, id, unpacked(body) FROM claims",
    _THEIRS,
)
"""In one statement: the encounter's version and all that it guards are of one moment."""
CASE_DRAWS = read(
    "SELECT encounter, sample, frame, position, chosen FROM draws", _THEIRS, "ORDER BY sample, frame, position"
)

_DELIVERY = "SELECT encounter, unpacked(body), unpacked(payload) FROM deliveries"
CASE_DELIVERIES = read(_DELIVERY, _THEIRS, "ORDER BY id")
DELIVERIES_DUE = read(_DELIVERY, "WHERE destination = $1 AND state = 'ready' AND due <= $2 ORDER BY due, id LIMIT $3")
DELIVERIES_OF_STATE = read(_DELIVERY, "WHERE state = $1 ORDER BY id LIMIT $2")

SUSPENSIONS = read("SELECT destination, since, actor, reason FROM suspensions ORDER BY destination")

ENCOUNTERS_BY_NUMBER = read(
    "SELECT facility, type, authority, value, encounter FROM identifiers",
    "WHERE value = ANY($1::text[]) AND type IN ('AN', 'VN') ORDER BY encounter",
)
ENCOUNTERS_HAVING = read(
    "SELECT encounter FROM identifiers WHERE value = $1 AND type = $2 AND authority = $3 AND facility = $4",
    "ORDER BY encounter LIMIT $5",
)
ENCOUNTERS_DUE = read("SELECT key FROM encounters WHERE due IS NOT NULL AND due <= $1 ORDER BY due LIMIT $2")
CONTENT = read("SELECT digest, content_type, unpacked(body) FROM documents WHERE encounter = $1 AND digest = $2")

_LINE = "SELECT e.key, e.stage, e.class, e.payer, e.coder, e.total, e.changed FROM encounters AS e"
_PAGE = "e.key > $1 ORDER BY e.key LIMIT $2"
_HELD = "EXISTS (SELECT 1 FROM holds AS h WHERE h.encounter = e.key AND h.state = 'open' AND h.kind = ANY($4::text[]))"
WORKLIST = read(_LINE, "WHERE", _PAGE)
WORKLIST_OF_STAGE = read(_LINE, "WHERE e.stage = $3 AND", _PAGE)
WORKLIST_HELD = read(
    _LINE,
    "WHERE e.key IN (SELECT h.encounter FROM holds AS h WHERE h.state = 'open' AND h.kind = ANY($3::text[])) AND",
    _PAGE,
)
WORKLIST_HELD_OF_STAGE = read(_LINE, "WHERE e.stage = $3 AND", _HELD, "AND", _PAGE)
OPEN_HOLDS = read(
    "SELECT encounter, kind, rule FROM holds WHERE encounter = ANY($1::text[]) AND state = 'open' ORDER BY id"
)

QUERY = read("SELECT unpacked(body) FROM queries WHERE id = $1")
QUERIES_TO_LOOK_AT = read(
    "SELECT unpacked(body) FROM queries WHERE look IS NOT NULL AND look <= $1 ORDER BY look LIMIT $2"
)
QUERY_DELIVERY = read("SELECT unpacked(body) FROM query_deliveries WHERE query = $1")
QUERY_DELIVERIES_DUE = read(
    "SELECT unpacked(body) FROM query_deliveries",
    "WHERE ehr = $1 AND state <> 'ended' AND due <= $2 ORDER BY due LIMIT $3",
)
QUERY_DELIVERIES_OVER = read(
    "SELECT unpacked(d.body) FROM query_deliveries AS d JOIN queries AS q ON q.id = d.query",
    "WHERE d.ehr = $1 AND d.state <> 'ended' AND d.due > $2 AND d.state IN ('ready', 'standing', 'refused')",
    "AND q.status IN ('cancelled', 'entered-in-error', 'completed', 'rejected', 'failed') ORDER BY d.query LIMIT $3",
)
DRAW_COUNTS = read("SELECT sample, frame, count(*) FROM draws GROUP BY sample, frame")
COUNTS = read(
    "SELECT 'messages', state, count(*) FROM messages GROUP BY state",
    "UNION ALL SELECT 'holds', kind, count(*) FROM holds WHERE state = 'open' GROUP BY kind",
    "UNION ALL SELECT 'deliveries', state, count(*) FROM deliveries GROUP BY state",
    "UNION ALL SELECT 'encounters', stage, count(*) FROM encounters GROUP BY stage",
)

_EVENT = "SELECT seq, hash, at, actor, action, subject, encounter, message, detail FROM events"
EVENTS_PAGE = read(_EVENT, "WHERE seq > $1 AND seq <= $2 AND at >= $3 ORDER BY seq")
EVENTS_OF_ENCOUNTER = read(_EVENT, "WHERE encounter = $1 AND seq > $2 AND at >= $3 ORDER BY seq LIMIT $4")
LAST_EVENT = read("SELECT coalesce(max(seq), 0) FROM events")
UNSEALED = read("SELECT seq, hash FROM events WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3")
HIGHEST_EVENT = Read(
    sqlite="SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'",
    postgres="SELECT greatest((SELECT max(seq) FROM events), (SELECT max(last_seq) FROM seals), 0)",
)

_SEAL = "SELECT id, size, last_seq, root, sealed, key_id, signature FROM seals"
LAST_SEAL = read(_SEAL, "ORDER BY id DESC LIMIT 1")
SEALS_PAGE = read(_SEAL, "WHERE id > $1 ORDER BY id LIMIT $2")
LEAF_BLOCKS_PAGE = read("SELECT number, leaves FROM leaf_blocks WHERE number >= $1 ORDER BY number LIMIT $2")
