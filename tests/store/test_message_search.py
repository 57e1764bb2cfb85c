"""The search's bounds, and that each of its statements goes by an index."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from conformance.store_search import BEGAN, kept
from gateway.clock import Ids, first_id, moment_of
from gateway.store import message_search, search_statements
from gateway.store.interface import MessageSearch, Step
from gateway.store.message_search import rule_of
from gateway.store.sqlite import SqliteStore
from gateway.store.statements import Read

MEANT_TO_WALK = {"ASIDE"}
"""Walks all that is set aside, along its index, and groups it."""


@pytest_asyncio.fixture
async def store() -> AsyncIterator[SqliteStore]:
    made = SqliteStore(None)
    await made.open()
    yield made
    await made.close()


def reads() -> dict[str, Read]:
    return {name: read for name, read in vars(search_statements).items() if isinstance(read, Read) and name[0] != "_"}


@pytest.mark.parametrize("name", reads())
async def test_each_statement_goes_by_an_index_in_its_order(store: SqliteStore, name: str) -> None:
    read = reads()[name]
    marks = max(int(number) for number in re.findall(r"\?(\d+)", read.sqlite))
    assert store._writer is not None
    plan = [row[3] for row in store._writer.execute("EXPLAIN QUERY PLAN " + read.sqlite, (None,) * marks)]
    tables = [step for step in plan if re.search(r"\b[mpni]\b|messages|identifiers|payloads", step)]
    assert tables
    assert not [step for step in tables if step.startswith("SCAN")], plan
    if name not in MEANT_TO_WALK and name.startswith(("PAGE", "TEXT", "EDGE", "IDS_OF_ENCOUNTER", "KINDS")):
        assert not [step for step in plan if "TEMP B-TREE" in step], plan


@pytest.mark.parametrize("page", [1, 2, 3, 7])
@pytest.mark.parametrize("search", [{"text": "|0|", "since": BEGAN}, {"control": "C", "type": "ADT^A0"}, {"rule": "x"}])
async def test_a_search_that_ends_at_its_bounds_goes_on_where_it_stopped(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, page: int, search: dict[str, object]
) -> None:
    messages = kept()
    await store.commit(Step(messages=messages))
    whole = await store.search_messages(MessageSearch(**search, limit=100))  # type: ignore[arg-type]
    assert whole.next is None
    monkeypatch.setattr(message_search, "PAGE", page)
    monkeypatch.setattr(message_search, "PAGE_OF_TEXT", page)
    monkeypatch.setattr(message_search, "MOST_IDS", 5)
    found, before, asked = [], None, 0
    while True:
        part = await store.search_messages(MessageSearch(**search, before=before, limit=3, scan=1))  # type: ignore[arg-type]
        found += part.items
        asked += 1
        assert asked < 100
        if part.next is None:
            break
        assert before is None or part.next < before
        before = part.next
    assert found == list(whole.items)
    assert asked > 1


async def test_a_patient_of_more_messages_than_fit_is_read_page_by_page(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.message import MessageState
    from gateway.store.interface import MessageOutcome

    messages = kept()
    await store.commit(Step(messages=messages))
    outcomes = [MessageOutcome(m.id, MessageState.UNUSED, numbers=("P1",)) for m in messages[::2]]
    await store.commit(Step(outcomes=outcomes))
    monkeypatch.setattr(message_search, "MOST_IDS", 6)
    found, before = [], None
    while True:
        page = await store.search_messages(MessageSearch(number="P1", feed="feed0", before=before, limit=4))
        found += [message.id for message in page.items]
        if page.next is None:
            break
        before = page.next
    assert found == [m.id for m in messages[::2]][::-1]


def test_ids_and_moments_go_together() -> None:
    before = datetime.now(UTC)
    given = Ids().next()
    assert first_id(before) <= given
    assert abs((moment_of(given) - before).total_seconds()) < 5
    assert first_id(datetime.min.replace(tzinfo=UTC)) == 0
    assert first_id(datetime.max.replace(tzinfo=UTC)) == 2**63 - 1


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        ("charge-unmapped at FT1[1]-7: the charge has no code", "charge-unmapped"),
        ("internal: KeyError while processing; see the log", "internal"),
        ("", ""),
        (None, ""),
    ],
)
def test_the_rule_is_the_beginning_of_the_reason(reason: str | None, rule: str) -> None:
    assert rule_of(reason) == rule
