"""How SQLite goes about a search for queries: along an index that holds all it looks at, never over the queries."""

from __future__ import annotations

import apsw
import pytest

from gateway.store import query_statements, schema
from gateway.store.queries import QueryOrder
from gateway.store.query_statements import COUNTS, PAGES, Asking, Way
from gateway.store.sqlite_file import connect

COVERED = {
    Way.CHANGED: "queries_changed",
    Way.STATUSES: "queries_of_status",
    Way.OWNERS: "queries_of_owner",
    Way.OWNERS_STATUSES: "queries_of_owner",
    Way.ASKERS: "queries_asked_by",
    Way.ASKERS_STATUSES: "queries_asked_by",
}
NARROW = {
    Way.IDS: "INTEGER PRIMARY KEY",
    Way.NUMBERS: "sqlite_autoindex_queries_1",
    Way.ENCOUNTERS: "queries_encounter",
    Way.ASKED_BY: "queries_asked_by",
    Way.ANSWERED_BY: "queries_answered_by",
}


@pytest.fixture(scope="module")
def db() -> apsw.Connection:
    made = connect(None, None)
    for migration in schema.MIGRATIONS:
        for statement in migration.sqlite:
            made.execute(statement)
    return made


def first_step(db: apsw.Connection, asking: Asking) -> str:
    """How the queries are come by."""
    plan = db.execute("EXPLAIN QUERY PLAN " + asking.read.sqlite, (None,) * len(asking.takes))
    return next(row[3] for row in plan if " q USING " in row[3])


@pytest.mark.parametrize("way", COVERED)
def test_broad_searches_read_an_index_alone(db: apsw.Connection, way: Way) -> None:
    for asking in (COUNTS[way], *(PAGES[way, order] for order in QueryOrder)):
        assert first_step(db, asking).startswith(f"SEARCH q USING COVERING INDEX {COVERED[way]} "), asking


@pytest.mark.parametrize("way", NARROW)
def test_narrow_searches_begin_at_what_they_name(db: apsw.Connection, way: Way) -> None:
    for asking in (COUNTS[way], *(PAGES[way, order] for order in QueryOrder)):
        assert NARROW[way] in first_step(db, asking), asking


def test_a_page_of_all_stops_where_it_ends(db: apsw.Connection) -> None:
    for order in QueryOrder:
        asking = PAGES[Way.ALL, order]
        plan = db.execute("EXPLAIN QUERY PLAN " + asking.read.sqlite, (None,) * len(asking.takes))
        assert not [row for row in plan if "TEMP B-TREE" in row[3]], order


def test_a_statement_takes_each_name_once() -> None:
    for asking in (*PAGES.values(), *COUNTS.values()):
        assert len(set(asking.takes)) == len(asking.takes)
        assert f"${len(asking.takes)}::" in asking.read.postgres or not asking.takes
    assert query_statements.SUBJECTS.sqlite.count("?1") == 1
