"""Every statement of the search over messages. One page statement for each way in; all take the same values:

$1 before, $2 floor (ids), $3 limit, $4 state, $5 feed, $6 kind, $7 type's beginning, $8 control's beginning,
$9 encounter, $10 since, $11 until, $12 reason's beginning, $13 ids; those that look into payloads $14 and $15, the text
in two encodings.
"""

from __future__ import annotations

from gateway.store.statements import MESSAGE_COLUMNS, Read, read

_FILTER = (
    "m.id < $1 AND m.id >= $2 "
    "AND ($4::text IS NULL OR m.state = $4::text) AND ($5::text IS NULL OR m.feed = $5::text) "
    "AND ($6::text IS NULL OR substr(m.type, 1, 7) = $6::text) "
    "AND ($7::text IS NULL OR substr(m.type, 1, length($7::text)) = $7::text) "
    "AND ($8::text IS NULL OR substr(m.control, 1, length($8::text)) = $8::text) "
    "AND ($9::text IS NULL OR m.encounter = $9::text) "
    "AND ($10::bigint IS NULL OR m.received >= $10::bigint) AND ($11::bigint IS NULL OR m.received < $11::bigint) "
    "AND ($12::text IS NULL OR substr(m.reason, 1, length($12::text)) = $12::text) "
    "AND ($13::bigint[] IS NULL OR m.id = ANY($13::bigint[]))"
)
_NEWEST = "ORDER BY m.id DESC LIMIT $3"
_MESSAGES = " ".join(("SELECT", MESSAGE_COLUMNS, "FROM messages AS m WHERE"))
_CONTENTS = " ".join(("SELECT", MESSAGE_COLUMNS, "FROM messages AS m JOIN payloads AS p ON p.id = m.id WHERE"))

_BY_STATE = "m.state = $4::text AND"
_BY_KIND = "m.feed = $5::text AND substr(m.type, 1, 7) = $6::text AND"
_BY_IDS = "m.id = ANY($13::bigint[]) AND"

PAGE_OF_ALL = read(_MESSAGES, _FILTER, _NEWEST)
PAGE_OF_STATE = read(_MESSAGES, _BY_STATE, _FILTER, _NEWEST)
PAGE_OF_KIND = read(_MESSAGES, _BY_KIND, _FILTER, _NEWEST)
PAGE_OF_IDS = read(_MESSAGES, _BY_IDS, _FILTER, _NEWEST)

_SQLITE_TEXT = (
    "AND (instr(lower(CAST(unpacked(p.payload) AS TEXT)), lower(CAST(?14 AS TEXT))) > 0 "
    "OR (?15 IS NOT NULL AND instr(lower(CAST(unpacked(p.payload) AS TEXT)), lower(CAST(?15 AS TEXT))) > 0))"
)
# `escape` turns any bytes into ASCII, NUL and half characters too; `lower` then finds nothing to stumble over.
_POSTGRES_TEXT = (
    "AND (position(lower(encode($14::bytea, 'escape')) in lower(encode(p.payload, 'escape'))) > 0 "
    "OR ($15::bytea IS NOT NULL "
    "AND position(lower(encode($15::bytea, 'escape')) in lower(encode(p.payload, 'escape'))) > 0))"
)


def _within(way: str) -> Read:
    """The page statement of a way in that looks into payloads."""
    plain = read(_CONTENTS, way, _FILTER)
    newest = read(_NEWEST)
    return Read(
        sqlite=" ".join((plain.sqlite, _SQLITE_TEXT, newest.sqlite)),
        postgres=" ".join((plain.postgres, _POSTGRES_TEXT, newest.postgres)),
    )


TEXT_OF_ALL = _within("")
TEXT_OF_STATE = _within(_BY_STATE)
TEXT_OF_KIND = _within(_BY_KIND)
TEXT_OF_IDS = _within(_BY_IDS)

_EDGE = "m.id < $1 AND m.id >= $2 ORDER BY m.id DESC LIMIT 1 OFFSET $3"
EDGE_OF_ALL = read("SELECT m.id FROM messages AS m WHERE", _EDGE)
EDGE_OF_STATE = read("SELECT m.id FROM messages AS m WHERE m.state = $4::text AND", _EDGE)
EDGE_OF_KIND = read(
    "SELECT m.id FROM messages AS m WHERE m.feed = $4::text AND substr(m.type, 1, 7) = $5::text AND", _EDGE
)
"""Where a page of so many messages ends: a search looks at no more of them in one statement."""

_KIND_NEXT = "ORDER BY substr(m.type, 1, 7) LIMIT 1)"
KINDS = read(
    "WITH RECURSIVE feeds (feed) AS (SELECT min(m.feed) FROM messages AS m",
    "UNION ALL SELECT (SELECT m.feed FROM messages AS m WHERE m.feed > f.feed ORDER BY m.feed LIMIT 1)",
    "FROM feeds AS f WHERE f.feed IS NOT NULL),",
    "kinds (feed, kind) AS (SELECT f.feed,",
    "(SELECT substr(m.type, 1, 7) FROM messages AS m WHERE m.feed = f.feed",
    _KIND_NEXT,
    "FROM feeds AS f WHERE f.feed IS NOT NULL UNION ALL SELECT k.feed,",
    "(SELECT substr(m.type, 1, 7) FROM messages AS m WHERE m.feed = k.feed AND substr(m.type, 1, 7) > k.kind",
    _KIND_NEXT,
    "FROM kinds AS k WHERE k.kind IS NOT NULL)",
    "SELECT feed, kind FROM kinds WHERE kind IS NOT NULL LIMIT $1",
)
"""The kinds of message that each feed has sent: from one to the next along the index, never over the messages."""

IDS_OF_NUMBER = read(
    "SELECT m.id FROM messages AS m WHERE m.encounter = ANY($1::text[]) AND m.id < $3 AND m.id >= $4",
    "UNION SELECT n.message FROM message_numbers AS n WHERE n.value = $2 AND n.message < $3 AND n.message >= $4",
    "ORDER BY 1 DESC LIMIT $5",
)
IDS_OF_ENCOUNTER = read(
    "SELECT id FROM messages WHERE encounter = $1 AND id < $2 AND id >= $3 ORDER BY id DESC LIMIT $4"
)
IDS_OF_CONTROL = read("SELECT id FROM messages WHERE control >= $1 AND control < $2 LIMIT $3")

ATTEMPTS = read("SELECT id FROM messages WHERE replay_of IS NOT NULL AND replay_of = $1 ORDER BY id LIMIT 1000")
ENCOUNTERS_WITH = read(
    "SELECT DISTINCT encounter FROM identifiers",
    "WHERE value = ANY($1::text[]) AND ($2::text IS NULL OR authority = $2::text) ORDER BY encounter LIMIT 1000",
)
ASIDE = read(
    "SELECT m.feed, m.reason, count(*), min(m.id), max(m.id), min(m.received), max(m.received)",
    "FROM messages AS m WHERE m.state = 'set-aside' GROUP BY m.feed, m.reason ORDER BY max(m.id) DESC LIMIT $1",
)
