"""The whole way on a real file: events committed, sealed, tampered with in SQL, and the report names what was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from gateway.audit.events import Action, Event
from gateway.audit.faults import Report
from gateway.audit.keys import SealKey, trusted
from gateway.audit.merkle import leaf
from gateway.clock import SystemClock
from gateway.store.interface import Step
from gateway.store.sqlite import SqliteStore
from gateway.trail.sealing import Sealer, TrailBroken, verify

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
Told = list[tuple[str, tuple[tuple[int, int], ...]]]


@dataclass
class Site:
    """A database file and its anchor, with twenty events under two seals and three that wait."""

    database: Path
    anchor: Path
    key: SealKey

    async def tampered(self, *statements: str, values: tuple[object, ...] = ()) -> Report:
        """Verify after someone with the file wrote to it."""
        connection = apsw.Connection(str(self.database))
        for statement in statements:
            connection.execute(statement, values)  # type: ignore[arg-type]
        connection.close()
        return await self.verified()

    async def verified(self) -> Report:
        store = SqliteStore(self.database)
        await store.open()
        try:
            return await verify(store, trusted([self.key.public]), self.anchor)
        finally:
            await store.close()

    async def sealed_again(self) -> None:
        store = SqliteStore(self.database)
        await store.open()
        try:
            await Sealer(store, self.key, self.anchor, SystemClock()).seal()
        finally:
            await store.close()


def events(first: int, count: int) -> list[Event]:
    return [
        Event(
            START + timedelta(seconds=number),
            "feed:adt",
            Action.MESSAGE_RECEIVED,
            f"message/{number}",
            encounter=f"MAIN|AN|{number}",
            message=number,
            detail={"type": "ADT^A01", "segments": number},
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
async def site(tmp_path: Path, seal_key: SealKey) -> Site:
    place = Site(tmp_path / "gateway.db", tmp_path / "anchor" / "seals.ndjson", seal_key)
    store = SqliteStore(place.database)
    await store.open()
    sealer = Sealer(store, seal_key, place.anchor, SystemClock())
    for first in (1, 11):
        await store.commit(Step(events=events(first, 10)))
        await sealer.seal()
    await store.commit(Step(events=events(21, 3)))
    await store.close()
    return place


def told(report: Report) -> Told:
    return [(fault.kind.value, fault.spans) for fault in report.faults]


async def test_an_untouched_database_is_intact(site: Site) -> None:
    report = await site.verified()
    assert report.intact
    assert (report.events, report.sealed, report.tail, report.seals, report.anchored) == (23, 20, 3, 2, 2)


CASES: dict[str, tuple[list[str], Told]] = {
    "an actor": (["UPDATE events SET actor = 'user:x' WHERE seq = 5"], [("edited", ((5, 5),))]),
    "a moment": (["UPDATE events SET at = at + 1 WHERE seq = 5"], [("edited", ((5, 5),))]),
    "a detail": (
        ["UPDATE events SET detail = CAST('{}' AS BLOB) WHERE seq = 5"],
        [("edited", ((5, 5),))],
    ),
    "an action that there is not": (["UPDATE events SET action = 'nothing' WHERE seq = 5"], [("edited", ((5, 5),))]),
    "a detail that is no JSON": (["UPDATE events SET detail = x'FF' WHERE seq IN (5, 6)"], [("edited", ((5, 6),))]),
    "an impossible moment": (["UPDATE events SET at = 9000000000000000000 WHERE seq = 5"], [("edited", ((5, 5),))]),
    "a hash": (["UPDATE events SET hash = zeroblob(32) WHERE seq = 5"], [("hash-edited", ((5, 5),))]),
    "a hash of one byte": (["UPDATE events SET hash = zeroblob(1) WHERE seq = 5"], [("hash-edited", ((5, 5),))]),
    "one deleted": (["DELETE FROM events WHERE seq = 5"], [("deleted", ((5, 5),))]),
    "several deleted": (
        ["DELETE FROM events WHERE seq IN (1, 9, 10, 11)"],
        [("deleted", ((1, 1),)), ("deleted", ((9, 11),))],
    ),
    "two exchanged": (
        [
            "UPDATE events SET seq = 99 WHERE seq = 5",
            "UPDATE events SET seq = 5 WHERE seq = 17",
            "UPDATE events SET seq = 17 WHERE seq = 99",
        ],
        [("swapped", ((5, 5), (17, 17)))],
    ),
    "the tail cut": (["DELETE FROM events WHERE seq > 21"], [("truncated", ((22, 23),))]),
    "sealed ones cut with the tail": (
        ["DELETE FROM events WHERE seq > 15", "UPDATE sqlite_sequence SET seq = 15 WHERE name = 'events'"],
        [("truncated", ((16, 20),))],
    ),
    "events, record and seals cut": (
        [
            "DELETE FROM events WHERE seq > 10",
            "UPDATE leaf_blocks SET leaves = substr(leaves, 1, 400)",
            "DELETE FROM seals WHERE id = 2",
            "UPDATE sqlite_sequence SET seq = 10 WHERE name = 'events'",
        ],
        [("truncated", ((11, 20),))],
    ),
    "everything gone": (
        ["DELETE FROM events", "DELETE FROM seals", "DELETE FROM leaf_blocks", "DELETE FROM sqlite_sequence"],
        [("truncated", ((1, 20),))],
    ),
    "the record cut": (["UPDATE leaf_blocks SET leaves = substr(leaves, 1, 600)"], [("truncated", ((16, 20),))]),
    "the record gone": (["DELETE FROM leaf_blocks"], [("truncated", ((1, 20),))]),
    "a sealed event after the end": (
        ["UPDATE events SET seq = 50 WHERE seq = 5"],
        [("deleted", ((5, 5),))],
    ),
    "a seal's root": (["UPDATE seals SET root = zeroblob(32) WHERE id = 1"], [("bad-signature", ((1, 10),))]),
    "a seal's moment": (["UPDATE seals SET sealed = sealed + 1 WHERE id = 2"], [("bad-signature", ((11, 20),))]),
    "a seal deleted": (["DELETE FROM seals WHERE id = 1"], [("seal-missing", ((1, 20),))]),
    "a leaf": (
        [
            "UPDATE leaf_blocks SET leaves = CAST("
            "unhex(substr(hex(leaves), 1, 336) || hex(zeroblob(32)) || substr(hex(leaves), 401)) AS BLOB)"
        ],
        [("leaves-edited", ((5, 5),))],
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_tampering_is_found_and_named(site: Site, case: str) -> None:
    statements, expected = CASES[case]
    assert told(await site.tampered(*statements)) == expected


async def test_an_event_edited_with_its_hash_recomputed_is_named(site: Site) -> None:
    edited = events(5, 1)[0]
    forged = Event(edited.at, "user:x", edited.action, edited.subject, edited.encounter, edited.message, edited.detail)
    report = await site.tampered(
        "UPDATE events SET actor = 'user:x', hash = ? WHERE seq = 5", values=(leaf(forged.content()),)
    )
    assert told(report) == [("edited", ((5, 5),))]
    assert "recomputed" in report.faults[0].text


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM seals WHERE id = 2", "UPDATE seals SET root = zeroblob(32)", "DELETE FROM seals"],
)
async def test_sealing_stops_where_the_trail_is_broken(site: Site, statement: str) -> None:
    await site.tampered(statement)
    with pytest.raises(TrailBroken, match="audit verify"):
        await site.sealed_again()


async def test_sealing_goes_on_after_a_restart(site: Site) -> None:
    await site.sealed_again()
    report = await site.verified()
    assert report.intact
    assert (report.sealed, report.tail, report.seals) == (23, 0, 3)
