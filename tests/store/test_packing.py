"""Large values stand packed in the SQLite file, and nobody who reads them can tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any
from zlib import crc32

import apsw
import lz4.block
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import gateway.store as store_package
from conformance.store_messages import refused
from conformance.store_samples import BYTES, Samples, change, creation, event, next_version, sent
from gateway.encounter.change import Content
from gateway.message import MessageState
from gateway.store import open_store, packing, schema, writes
from gateway.store.interface import Attempt, DeliveryChange, Step, StoreFault
from gateway.store.packing import MARK, THRESHOLD, packed, unpacked
from gateway.store.query_statements import Asking
from gateway.store.rows import message_row
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite_file import connect, create_private
from gateway.store.statements import Read

LARGE = b"OBX|1|TX|NOTE||The patient was seen today.||||||F\r" * 140
CHOSEN = {
    "the mark": MARK,
    "the mark and more": MARK + b"\x00" * 8,
    "the mark and much": MARK + LARGE,
    "the mark and noise": MARK + os.urandom(2_000),
    "a packed value": packed(LARGE),
    "a value packed twice": packed(packed(LARGE)),
    "a packed value, cut": packed(LARGE)[:-1],
}
"""What a sender might choose to send."""

SIZES = st.one_of(st.integers(0, 40), st.integers(THRESHOLD - 2, THRESHOLD + 2), st.integers(0, 5_000))
BLOCKS = st.builds(lambda part, size: (part * size)[:size], st.binary(min_size=1, max_size=30), SIZES)
VALUES = st.one_of(
    st.binary(max_size=1_500),
    BLOCKS,
    st.builds(bytes.__add__, st.binary(max_size=600), BLOCKS),
    st.builds(lambda value: MARK + value, st.one_of(st.binary(max_size=50), BLOCKS)),
    st.builds(lambda value: packed(MARK + value), BLOCKS),
    st.builds(lambda size: MARK[:size], st.integers(0, len(MARK))),
)


# The codec


@given(VALUES)
@example(b"\x00" * 10_000_000)
@example(MARK)
def test_what_is_read_back_is_what_was_written(value: bytes) -> None:
    once = packed(value)
    twice = packed(once)
    assert unpacked(once) == value
    assert unpacked(twice) == once
    assert len(once) <= len(value) or value.startswith(MARK)
    assert once == value or once.startswith(MARK)


@pytest.mark.parametrize("value", CHOSEN.values(), ids=CHOSEN)
def test_what_begins_with_the_mark_is_packed_whatever_it_is(value: bytes) -> None:
    assert packed(value) != value
    assert packed(value).startswith(MARK)
    assert unpacked(packed(value)) == value


def test_small_values_and_those_that_do_not_shrink_stay_as_they_are() -> None:
    for value in (b"", LARGE[: THRESHOLD - 1], os.urandom(100_000)):
        assert packed(value) is value
    assert len(packed(LARGE[:THRESHOLD])) < THRESHOLD
    assert len(packed(LARGE)) < len(LARGE) // 20


def test_the_mark_begins_no_text() -> None:
    for size in range(1, len(MARK) + 1):
        with pytest.raises(UnicodeDecodeError):
            MARK[:size].decode()


@given(st.one_of(BLOCKS.filter(lambda value: len(value) > THRESHOLD), st.just(MARK)), st.data())
def test_damage_is_a_fault_and_never_other_bytes(value: bytes, data: st.DataObject) -> None:
    whole = packed(value)
    place = data.draw(st.integers(len(MARK), len(whole) - 1))
    flipped = whole[place] ^ data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(len(MARK), len(whole) - 1))
    for damaged in (whole[:place] + bytes([flipped]) + whole[place + 1 :], whole[:cut], whole + b"\x00"):
        with pytest.raises(StoreFault, match="restore the latest backup"):
            unpacked(damaged)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\x01\x00",
        (2**31 - 1).to_bytes(4, "little") + lz4.block.compress(LARGE)[4:],
        (len(LARGE) + 1).to_bytes(4, "little") + lz4.block.compress(LARGE)[4:],
        (len(LARGE) - 1).to_bytes(4, "little") + lz4.block.compress(LARGE)[4:],
        (255 * 8).to_bytes(4, "little") + b"\xff" * 4,
    ],
    ids=["nothing", "half a size", "two gigabytes", "a byte more", "a byte less", "no block"],
)
def test_a_block_that_cannot_be_is_a_fault_though_its_sum_is_right(block: bytes) -> None:
    with pytest.raises(StoreFault, match="damaged"):
        unpacked(MARK + crc32(block).to_bytes(4, "big") + block)


# What is written and read


def _reads(found: object) -> Iterator[Read]:
    if isinstance(found, Read):
        yield found
    elif isinstance(found, Asking):
        yield found.read
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from _reads(value)


MODULES = [import_module(found.name) for found in iter_modules(store_package.__path__, "gateway.store.")]
READS = {read.sqlite: read for module in MODULES for value in vars(module).values() for read in _reads(value)}
UNPACKED = re.compile(r"\bunpacked\([\w.]+\)")
LARGE_COLUMN = re.compile(r"\b(?:body|payload)\b")
PLAIN_TABLES = re.compile(r"\bFROM (?:holds|decisions|fetches|trail_exports)\b")


@pytest.mark.parametrize("sqlite", READS)
def test_every_statement_unpacks_what_it_reads_and_postgres_knows_nothing_of_it(sqlite: str) -> None:
    assert "unpacked" not in READS[sqlite].postgres
    for part in sqlite.split("UNION ALL"):
        if PLAIN_TABLES.search(part):
            assert not UNPACKED.search(part)
        else:
            assert not LARGE_COLUMN.search(UNPACKED.sub("", part))


PACKED_COLUMNS = {
    "payloads": {"payload"},
    "documents": {"body"},
    "encounters": {"body"},
    "queries": {"body"},
    "query_versions": {"body"},
    "query_deliveries": {"body"},
    "claims": {"body"},
    "deliveries": {"payload", "body"},
    "configurations": {"body"},
}


def _columns(write: writes.Write) -> list[str]:
    """The names of the places of a row."""
    inserted = re.match(r"INSERT INTO \w+ \( (.*?) \)", write.sqlite)
    if inserted:
        return inserted[1].split(", ")
    places = sorted((int(place), name) for name, place in re.findall(r"(\w+) (?:=|<) \?(\d+)", write.sqlite))
    return [name for _, name in places]


@pytest.mark.parametrize("write", [w for w in writes.IN_ORDER if w.name in PACKED_COLUMNS], ids=lambda w: w.sqlite[:40])
def test_every_statement_packs_what_it_writes(write: writes.Write) -> None:
    columns = _columns(write)
    assert {columns[place] for place in write.packed} == PACKED_COLUMNS[write.name] & set(columns)
    assert "packed" not in write.sqlite
    assert "packed" not in write.postgres


def test_nothing_else_is_packed() -> None:
    others = [write for write in writes.IN_ORDER if write.name not in PACKED_COLUMNS]
    assert [write.name for write in (*others, writes.KEPT) if write.packed] == []
    assert "packed" not in writes.KEEP_POSTGRES


# On each engine


@pytest.mark.parametrize("payload", CHOSEN.values(), ids=CHOSEN)
async def test_whatever_a_sender_chose_comes_back(place: Any, payload: bytes) -> None:
    store, samples = await place.open(), Samples()
    kept, committed = samples.message(payload=payload), samples.message(control="M2", payload=payload)
    await store.keep(kept, event())
    await store.commit(Step(messages=[committed]))
    assert [message.payload for message in await store.pending(10)] == [payload, payload]
    assert await store.message(committed.id) == committed
    assert await store.whole_messages([kept.id]) == {kept.id: kept}
    repeat = await store.keep(samples.message(payload=payload), event())
    assert repeat == kept
    sizes = [one.size for one in await store.prunable(MessageState.RECEIVED, 0, 2**62, 10)]
    assert sizes == [len(payload), len(payload)]


@pytest.mark.parametrize("chosen", [*CHOSEN.values(), LARGE, BYTES, b""], ids=[*CHOSEN, "large", "small", "nothing"])
async def test_documents_and_deliveries_come_back(place: Any, chosen: bytes) -> None:
    store, samples = await place.open(), Samples()
    case = samples.full_case("1")
    content = Content("ab", "application/pdf", chosen)
    await store.commit(replace(creation(case), contents=[(case.key, content)]))
    assert await store.content(case.key, "ab") == content
    ready = case.deliveries[0]
    begun = sent(ready).model_copy(update={"payload": chosen})
    attempt = Attempt(begun.id, begun.attempts, "node", 7, "00", begun.changed)
    await store.commit(Step(deliveries=[DeliveryChange(ready, begun)], attempts=[attempt]))
    assert (await store.cases([case.key]))[case.key].deliveries == (begun,)
    assert await store.deliveries([begun.state]) == [begun]


async def test_a_large_case_comes_back_and_changes(place: Any) -> None:
    store, samples = await place.open(), Samples()
    case = samples.full_case("1")
    await store.commit(creation(case))
    assert (await store.cases([case.key]))[case.key] == case
    longer = case.queries[0].model_copy(update={"version": 2, "reason": LARGE.decode()})
    after = next_version(case, queries=(longer,))
    await store.commit(Step(cases=[change(case, after)]))
    assert (await store.cases([case.key]))[case.key] == after
    assert await store.query_versions(longer.id) == [longer, case.queries[0]]
    assert (await store.query_subjects([case.key]))[case.key].claim == "C1"
    await refused(store, Step(cases=[change(case, after)]))


# The file


async def _open(path: Path) -> SqliteStore:
    store = open_store(f"sqlite:///{path}")
    assert isinstance(store, SqliteStore)
    await store.open()
    return store


def _claim(number: int) -> bytes:
    """What a client sends, with 30 services."""
    item = (
        b'{"sequence":%d,"productOrService":{"coding":[{"system":"urn:oid:2.16.840.1.113883.6.12","code":"%05d"}]},'
        b'"servicedDate":"2026-03-%02d","quantity":{"value":%d},"net":{"value":%d.10,"currency":"USD"},'
        b'"diagnosisSequence":[1,%d]}'
    )
    items = b",".join(
        item % (n, n * number % 99_999, n % 28 + 1, n % 3 + 1, n * number % 997, n % 5) for n in range(1, 31)
    )
    return b'{"resourceType":"Claim","id":"%d","status":"active","item":[%s]}' % (number, items)


async def test_the_file_is_smaller_by_far(tmp_path: Path) -> None:
    path, samples = tmp_path / "gateway.db", Samples()
    await (await _open(path)).close()
    empty = path.stat().st_size
    store = await _open(path)
    payloads = [_claim(number) for number in range(200)]
    for number, payload in enumerate(payloads):
        await store.keep(samples.message(control=str(number), payload=payload), event())
    await store.close()
    assert min(map(len, payloads)) > 6_000
    assert path.stat().st_size - empty < sum(map(len, payloads)) / 3


async def test_what_an_earlier_release_wrote_is_read_as_before(tmp_path: Path) -> None:
    path, samples = tmp_path / "store" / "gateway.db", Samples()
    create_private(path)
    case = samples.full_case("1")
    assert case.encounter is not None
    old = [samples.message(payload=LARGE), samples.message(control="M2"), samples.message(control="M3", payload=b"")]
    with connect(path, None) as db:
        db.execute(schema.VERSION_TABLE)
        for migration in schema.MIGRATIONS[:11]:
            for statement in migration.sqlite:
                db.execute(statement)
            db.execute(schema.WRITE_VERSION, (migration.number,))
        db.executemany(writes.MESSAGES.sqlite, [message_row(message) for message in old])
        db.executemany(writes.PAYLOADS.sqlite, [(m.id, m.payload, m.reply) for m in old])
        claim = case.claims[0]
        row = (claim.id, claim.number, claim.version, claim.destination, case.key, claim.as_json())
        db.execute(writes.CLAIMS.sqlite, row)
        encounter = (case.key, 1, case.encounter.to_json(), "f" * 64, "held", "1.00", None, None, None, 5, None)
        db.execute(writes.NEW_ENCOUNTERS.sqlite, encounter)
    store = await _open(path)
    new = samples.message(control="M4", payload=LARGE)
    await store.keep(new, event())
    assert await store.pending(10) == [*old, new]
    assert await store.keep(replace(samples.message(), payload=LARGE), event()) == old[0]
    found = (await store.cases([case.key]))[case.key]
    assert (found.encounter, found.claims) == (case.encounter, case.claims)
    assert [one.size for one in await store.prunable(MessageState.RECEIVED, 0, 2**62, 10)] == [
        len(message.payload) for message in (*old, new)
    ]
    await store.close()
    with apsw.Connection(str(path)) as db:
        lengths = [row[0] for row in db.execute("SELECT length(payload) FROM payloads ORDER BY id")]
    assert lengths[:3] == [len(message.payload) for message in old]
    assert lengths[3] < len(LARGE) // 20


async def test_a_damaged_value_says_what_to_do_and_harms_nothing_else(tmp_path: Path) -> None:
    path, samples = tmp_path / "gateway.db", Samples()
    store = await _open(path)
    damaged, whole = samples.message(payload=LARGE), samples.message(control="M2", payload=LARGE * 2)
    for message in (damaged, whole):
        await store.keep(message, event())
    with apsw.Connection(str(path)) as db:
        db.execute("UPDATE payloads SET payload = substr(payload, 1, 60) WHERE id = ?", (damaged.id,))
    with pytest.raises(StoreFault, match=re.escape(packing.DAMAGED)):
        await store.message(damaged.id)
    with pytest.raises(StoreFault, match="damaged"):
        await store.keep(samples.message(payload=LARGE), event())
    assert await store.message(whole.id) == whole
    third = samples.message(control="M3")
    assert await store.keep(third, event()) == third
    await store.close()
