"""Searches over resources go by indexes, and pages come in their order without sorting a whole type."""

from __future__ import annotations

import pytest

from gateway.store import open_store
from gateway.store import resource_statements as asked
from gateway.store.resources import ResourceOrder
from gateway.store.statements import Read

_PAGES = [(f"{order}-{'narrow' if narrow else 'wide'}", page) for (order, narrow), page in asked.PAGES.items()]
_OTHERS = [(name, read) for name, read in vars(asked).items() if isinstance(read, Read) and not name.startswith("_")]


async def plan(read: Read, *values: int) -> list[str]:
    store = open_store("sqlite://")
    await store.open()
    marks = max(int("".join(c for c in part[:2] if c.isdigit())) for part in read.sqlite.split("?")[1:])
    given = values or (None,) * marks
    rows = store._writer.execute("EXPLAIN QUERY PLAN " + read.sqlite, given)  # type: ignore[attr-defined]
    steps = [row[3] for row in rows]
    await store.close()
    return steps


@pytest.mark.parametrize(("name", "read"), [*_PAGES, *_OTHERS], ids=[name for name, _ in [*_PAGES, *_OTHERS]])
async def test_no_table_is_walked(name: str, read: Read) -> None:
    steps = await plan(read)
    short = ("json_each", "found", "SCAN u")  # a list, a page, the last that is yet to be catalogued
    walks = [step for step in steps if step.startswith("SCAN") and not any(one in step for one in short)]
    assert not walks, steps


@pytest.mark.parametrize("order", ResourceOrder)
async def test_a_page_of_a_whole_type_is_not_sorted(order: ResourceOrder) -> None:
    steps = await plan(asked.PAGES[order, False])
    assert not [step for step in steps if "TEMP B-TREE FOR ORDER" in step], steps


async def test_what_is_to_be_catalogued_is_looked_up_from_its_own_few_rows() -> None:
    """However many resources are kept: each search and each batch of the pipeline asks. SQLite looks at the limit when
    it plans."""
    steps = await plan(asked.UNCATALOGUED, 64, 2**63 - 1)
    assert steps[0].split()[1] == "u", steps
    assert not [step for step in steps if "TEMP B-TREE" in step or step.startswith("SCAN")], steps
