"""The tables, as numbered migrations. Both engines run the same text; only the names of three types differ.

Ids are the gateway's own (`clock.Ids`), instants are microseconds, bodies are the records' JSON. What a table's columns
repeat of a body is what look-ups need. A migration that has been released is never edited: the next one mends it. From
the 12th on, SQLite's part reads a body or a payload as `unpacked(body)`: large ones are packed there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import Template

_TYPES_SQLITE = {
    "bytes": "BLOB",
    "place": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "end": "STRICT",
    "keyed": "WITHOUT ROWID, STRICT",
    "id": "INTEGER",
}
_TYPES_POSTGRES = {
    "bytes": "BYTEA",
    "place": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "end": "",
    "keyed": "",
    "id": "BIGINT",
}

_FIRST = """
CREATE TABLE messages (
    id $id PRIMARY KEY, feed TEXT NOT NULL, format TEXT NOT NULL, type TEXT NOT NULL, control TEXT NOT NULL,
    digest $bytes, state TEXT NOT NULL, reason TEXT, encounter TEXT, received $id NOT NULL, replay_of $id
) $end;
-- A replay has no digest, and NULLs are distinct: only what a feed sent is recognised as a repeat.
CREATE UNIQUE INDEX messages_repeat ON messages (control, feed, digest);
CREATE INDEX messages_state ON messages (state, id);
CREATE INDEX messages_encounter ON messages (encounter, id) WHERE encounter IS NOT NULL;

-- Beside `messages`, so that a change of state does not write the bytes again.
CREATE TABLE payloads (id $id PRIMARY KEY, payload $bytes NOT NULL, reply $bytes NOT NULL) $end;

CREATE TABLE resources (
    type TEXT NOT NULL, id TEXT NOT NULL, version $id NOT NULL, client TEXT NOT NULL, message $id NOT NULL,
    written $id NOT NULL, PRIMARY KEY (type, id, version)
) $end;

CREATE TABLE encounters (
    key TEXT PRIMARY KEY, version $id NOT NULL, body $bytes, fingerprint TEXT NOT NULL, stage TEXT NOT NULL,
    total TEXT NOT NULL, class TEXT, payer TEXT, coder TEXT, changed $id NOT NULL, due $id
) $end;
CREATE INDEX encounters_stage ON encounters (stage, key);
CREATE INDEX encounters_due ON encounters (due) WHERE due IS NOT NULL;

CREATE TABLE identifiers (
    value TEXT NOT NULL, type TEXT NOT NULL, authority TEXT NOT NULL, facility TEXT NOT NULL, encounter TEXT NOT NULL,
    PRIMARY KEY (value, type, authority, facility, encounter)
) $keyed;

CREATE TABLE documents (
    encounter TEXT NOT NULL, digest TEXT NOT NULL, content_type TEXT NOT NULL, body $bytes NOT NULL,
    PRIMARY KEY (encounter, digest)
) $end;

CREATE TABLE holds (
    id $id PRIMARY KEY, encounter TEXT NOT NULL, kind TEXT NOT NULL, rule TEXT NOT NULL, state TEXT NOT NULL,
    body $bytes NOT NULL
) $end;
CREATE INDEX holds_encounter ON holds (encounter);
CREATE INDEX holds_open ON holds (kind, encounter) WHERE state = 'open';

CREATE TABLE queries (
    id $id PRIMARY KEY, number TEXT NOT NULL UNIQUE, encounter TEXT NOT NULL, provider TEXT NOT NULL,
    status TEXT NOT NULL, changed $id NOT NULL, body $bytes NOT NULL
) $end;
CREATE INDEX queries_encounter ON queries (encounter);
CREATE INDEX queries_provider ON queries (provider, id);

CREATE TABLE decisions (id $id PRIMARY KEY, encounter TEXT NOT NULL, body $bytes NOT NULL) $end;
CREATE INDEX decisions_encounter ON decisions (encounter);

CREATE TABLE draws (
    sample TEXT NOT NULL, frame TEXT NOT NULL, position $id NOT NULL, encounter TEXT NOT NULL, chosen $id NOT NULL,
    PRIMARY KEY (sample, frame, position)
) $end;
CREATE INDEX draws_encounter ON draws (encounter);

CREATE TABLE claims (
    id $id PRIMARY KEY, number TEXT NOT NULL, version $id NOT NULL, destination TEXT NOT NULL, encounter TEXT NOT NULL,
    body $bytes NOT NULL, UNIQUE (number, version, destination)
) $end;
CREATE INDEX claims_encounter ON claims (encounter);

CREATE TABLE deliveries (
    id $id PRIMARY KEY, claim $id NOT NULL UNIQUE REFERENCES claims (id), encounter TEXT NOT NULL,
    destination TEXT NOT NULL, state TEXT NOT NULL, attempts $id NOT NULL, due $id NOT NULL, payload $bytes,
    body $bytes NOT NULL
) $end;
CREATE INDEX deliveries_encounter ON deliveries (encounter);
CREATE INDEX deliveries_due ON deliveries (destination, due, id) WHERE state = 'ready';
CREATE INDEX deliveries_state ON deliveries (state, id);

CREATE TABLE attempts (
    delivery $id NOT NULL REFERENCES deliveries (id), number $id NOT NULL, owner TEXT NOT NULL, epoch $id NOT NULL,
    payload_hash TEXT NOT NULL, started $id NOT NULL, PRIMARY KEY (delivery, number)
) $end;

CREATE TABLE events (
    seq $place, at $id NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, encounter TEXT,
    message $id, detail $bytes NOT NULL, hash $bytes NOT NULL
) $end;
CREATE INDEX events_encounter ON events (encounter, seq) WHERE encounter IS NOT NULL;

CREATE TABLE seals (
    id $id PRIMARY KEY, size $id NOT NULL, last_seq $id NOT NULL, root $bytes NOT NULL, sealed $id NOT NULL,
    key_id TEXT NOT NULL, signature $bytes NOT NULL
) $end;
CREATE TABLE leaf_blocks (number $id PRIMARY KEY, leaves $bytes NOT NULL) $end;
"""

_LOOKUPS = """
-- What analysts mapped, beside the dialects' own tables. A row without a value was taken back.
CREATE TABLE lookups (
    feed TEXT NOT NULL, name TEXT NOT NULL, code TEXT NOT NULL, value TEXT, actor TEXT NOT NULL, changed $id NOT NULL,
    PRIMARY KEY (feed, name, code)
) $end;

-- Codes that no table has, with the encounters that wait for them.
CREATE TABLE unmapped (
    feed TEXT NOT NULL, name TEXT NOT NULL, code TEXT NOT NULL, encounter TEXT NOT NULL,
    PRIMARY KEY (feed, name, code, encounter)
) $end;
"""

_UPKEEP = """
-- What people wrote, as it came into force at a node.
CREATE TABLE configurations (
    number $id PRIMARY KEY, node $id NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL, actor TEXT NOT NULL,
    written $id NOT NULL, body $bytes NOT NULL
) $end;
CREATE INDEX configurations_in_force ON configurations (node, number) WHERE state = 'activated';

CREATE TABLE alerts (
    node $id NOT NULL, name TEXT NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL, since $id NOT NULL,
    said TEXT NOT NULL, told $id NOT NULL, PRIMARY KEY (node, name, subject)
) $end;

-- How far work has come that goes on over many steps.
CREATE TABLE passes (
    name TEXT PRIMARY KEY, about TEXT NOT NULL, place TEXT NOT NULL, done $id NOT NULL, changed $id NOT NULL
) $end;

-- When an encounter's messages were pruned; what changed since may be pruned again. `stage ||` keeps the look-up
-- off the index by stage, where all that were ever accepted would be sorted.
ALTER TABLE encounters ADD COLUMN pruned $id;
CREATE INDEX encounters_settled ON encounters (changed, key)
    WHERE stage || '' = 'accepted' AND (pruned IS NULL OR pruned <= changed);
-- What was pruned is found by no number any more.
CREATE INDEX message_numbers_message ON message_numbers (message);
"""

_SUSPENSIONS = """
CREATE TABLE suspensions (
    destination TEXT PRIMARY KEY, since $id NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL
) $end;
"""

_ACCESS = """
-- Access tokens that were given out, and the assertions that they were given for: pruned when they have expired.
CREATE TABLE access_tokens (
    digest $bytes PRIMARY KEY, client TEXT NOT NULL, scope TEXT NOT NULL, expires $id NOT NULL
) $end;
CREATE INDEX access_tokens_expires ON access_tokens (expires);
CREATE TABLE assertions (
    client TEXT NOT NULL, digest $bytes NOT NULL, expires $id NOT NULL, PRIMARY KEY (client, digest)
) $end;
CREATE INDEX assertions_expires ON assertions (expires);
"""

_QUERIES = """
-- When the clock must look at a query; nothing once it is over.
ALTER TABLE queries ADD COLUMN look $id;
CREATE INDEX queries_look ON queries (look) WHERE look IS NOT NULL;

-- A query on its way to the inbox of an EHR, and what stands there.
CREATE TABLE query_deliveries (
    query $id PRIMARY KEY REFERENCES queries (id), ehr TEXT NOT NULL, state TEXT NOT NULL, attempts $id NOT NULL,
    due $id NOT NULL, body $bytes NOT NULL
) $end;
CREATE INDEX query_deliveries_due ON query_deliveries (ehr, due) WHERE state <> 'ended';
"""

# What is written for each message stays in its row, uncompressed: neither the ACK nor the pipeline waits for a codec.
_FIRST_POSTGRES = """
ALTER TABLE payloads ALTER COLUMN payload SET STORAGE EXTERNAL;
ALTER TABLE payloads SET (toast_tuple_target = 8160);
ALTER TABLE encounters ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE encounters SET (toast_tuple_target = 8160);
"""

_MESSAGE_TOOLS = """
-- A FHIR message's type holds its id: seven characters tell the kind, and there are few of them.
CREATE INDEX messages_kind ON messages (feed, substr(type, 1, 7), id);
CREATE INDEX messages_attempts ON messages (replay_of) WHERE replay_of IS NOT NULL;

-- The numbers in a message that no encounter has: those of the others lead there by way of their encounter.
CREATE TABLE message_numbers (
    value TEXT NOT NULL, message $id NOT NULL, PRIMARY KEY (value, message)
) $end;
"""

_RESOURCES = """
-- Ids are each client's own. `newest` is 1 for the version that stands, 0 for one that was superseded or pruned.
ALTER TABLE resources RENAME TO resources_of_all;
CREATE TABLE resources (
    client TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, version $id NOT NULL, message $id NOT NULL,
    written $id NOT NULL, newest $id NOT NULL, PRIMARY KEY (client, type, id, version)
) $keyed;
INSERT INTO resources
    SELECT client, type, id, version, message, written,
        CASE WHEN version = (SELECT max(o.version) FROM resources_of_all AS o WHERE o.type = b.type AND o.id = b.id)
            THEN 1 ELSE 0 END
    FROM resources_of_all AS b;
DROP TABLE resources_of_all;
CREATE INDEX resources_written ON resources (client, type, written, id, version);
CREATE INDEX resources_message ON resources (message);

-- What resources are found by. The rows of a version that was superseded stay until its message is pruned.
CREATE TABLE resource_values (
    client TEXT NOT NULL, name TEXT NOT NULL, token TEXT NOT NULL, type TEXT NOT NULL, message $id NOT NULL,
    PRIMARY KEY (client, token, name, type, message)
) $keyed;
CREATE INDEX resource_values_message ON resource_values (message);
"""

_QUERY_SEARCH = """
-- Who asked and who answered, for searches over Tasks.
ALTER TABLE queries ADD COLUMN asked_by TEXT;
ALTER TABLE queries ADD COLUMN answered_by TEXT;

-- Each version of a query, as it stood. Of queries that were made by an earlier release, the versions since then.
CREATE TABLE query_versions (
    query $id NOT NULL, version $id NOT NULL, body $bytes NOT NULL, PRIMARY KEY (query, version)
) $keyed;

-- Each holds all that a search over Tasks looks at: its rows are then counted without reading a query.
DROP INDEX queries_provider;
CREATE INDEX queries_of_owner ON queries (provider, status, changed, id);
CREATE INDEX queries_asked_by ON queries (asked_by, status, changed, id);
CREATE INDEX queries_of_status ON queries (status, changed, id);
CREATE INDEX queries_changed ON queries (changed, id);
CREATE INDEX queries_answered_by ON queries (answered_by) WHERE answered_by IS NOT NULL;
"""

_QUERY_SEARCH_SQLITE = """
UPDATE queries SET asked_by = json_extract(CAST(body AS TEXT), '$$.asked_by'),
    answered_by = json_extract(CAST(body AS TEXT), '$$.answered_by');
INSERT INTO query_versions
    SELECT id, coalesce(json_extract(CAST(body AS TEXT), '$$.version'), 1), body FROM queries;
"""

_QUERY_SEARCH_POSTGRES = """
UPDATE queries SET asked_by = convert_from(body, 'UTF8')::json ->> 'asked_by',
    answered_by = convert_from(body, 'UTF8')::json ->> 'answered_by';
INSERT INTO query_versions
    SELECT id, coalesce((convert_from(body, 'UTF8')::json ->> 'version')::bigint, 1), body FROM queries;
"""

_TRAIL = """
-- Exports of the trail that clients ordered: each is a part of it by place, so that no file need be kept.
CREATE TABLE trail_exports (
    id $id PRIMARY KEY, client TEXT NOT NULL, requested $id NOT NULL, expires $id NOT NULL, last $id NOT NULL,
    body $bytes NOT NULL
) $end;
CREATE INDEX trail_exports_client ON trail_exports (client, id);
CREATE INDEX trail_exports_expires ON trail_exports (expires);
-- The first seal that covers a place: there is one seal a minute, so this costs nothing.
CREATE INDEX seals_last_seq ON seals (last_seq);
"""

_FETCHES = """
-- Attachments that come as an address: the Binary that will hold each, and when it is tried again.
CREATE TABLE fetches (
    client TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, attempts $id NOT NULL, due $id NOT NULL,
    body $bytes NOT NULL, PRIMARY KEY (client, id)
) $end;
CREATE INDEX fetches_due ON fetches (due) WHERE state = 'waiting';
"""

_CATALOGUE_SQLITE = """
-- Messages whose resources are kept, and not yet entered among `resource_values`.
CREATE TABLE uncatalogued (message INTEGER PRIMARY KEY) STRICT;
"""

_TEXT = re.compile(r"\bTEXT\b")
"""Text is compared byte by byte, as SQLite does: pages of a list then follow one order on every server."""

_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. Statements run in order, all in the transaction that also records the number."""

    number: int
    sqlite: tuple[str, ...]
    postgres: tuple[str, ...]


def _statements(text: str, types: dict[str, str]) -> tuple[str, ...]:
    whole = Template(_COMMENT.sub("", text)).substitute(types)
    return tuple(part.strip() for part in whole.split(";") if part.strip())


def _migration(number: int, text: str, postgres: str = "", sqlite: str = "") -> Migration:
    bytewise = _TEXT.sub('TEXT COLLATE "C"', text)
    return Migration(
        number, _statements(text + sqlite, _TYPES_SQLITE), _statements(bytewise + postgres, _TYPES_POSTGRES)
    )


MIGRATIONS: tuple[Migration, ...] = (
    _migration(1, _FIRST, _FIRST_POSTGRES),
    _migration(2, _LOOKUPS),
    _migration(3, _MESSAGE_TOOLS),
    _migration(4, _UPKEEP),
    _migration(5, _SUSPENSIONS),
    _migration(6, _ACCESS),
    _migration(7, _QUERIES),
    _migration(8, _RESOURCES),
    _migration(9, _QUERY_SEARCH, _QUERY_SEARCH_POSTGRES, _QUERY_SEARCH_SQLITE),
    _migration(10, _FETCHES),
    _migration(11, _TRAIL),
    _migration(12, "", sqlite=_CATALOGUE_SQLITE),
)
LATEST = MIGRATIONS[-1].number

VERSION_TABLE = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)"
READ_VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"
WRITE_VERSION = "INSERT INTO schema_version (version) VALUES ($1)"

NEWER = (
    "the database's schema is version {found}, this gateway knows up to {known}: "
    "it was opened by a newer release; start that release, or restore the backup from before it"
)


def missing(found: int) -> tuple[Migration, ...]:
    """The migrations that a database of schema `found` still needs. ValueError when it is newer than this code."""
    if found > LATEST:
        raise ValueError(NEWER.format(found=found, known=LATEST))
    return tuple(m for m in MIGRATIONS if m.number > found)
