"""The service that seals: what it writes, what it resumes from, when it refuses."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from memory_trail import MemoryTrail, Sealing

from gateway.audit import merkle
from gateway.audit.anchor import AnchorFile
from gateway.audit.bookmark import Bookmark
from gateway.audit.faults import FaultKind
from gateway.audit.keys import SealKey, trusted
from gateway.audit.seals import BLOCK, Head
from gateway.store.interface import Conflict
from gateway.trail.sealing import LIMIT, Sealer, TrailBroken, verify


async def test_a_seal_covers_all_that_waits_and_is_signed_and_anchored(sealing: Sealing) -> None:
    sealing.trail.write(7)
    seal = await sealing.sealer().seal()
    assert seal is not None
    assert (seal.id, seal.size, seal.last_seq, seal.sealed) == (1, 7, 7, sealing.clock.moment)
    assert seal.root == merkle.root(line.hash for line in sealing.trail.lines)
    assert Head.of(seal).signed_by(sealing.key.public)
    assert AnchorFile(sealing.anchor).last() == Head.of(seal)
    assert sealing.trail.sealed == [seal]


async def test_nothing_new_is_not_sealed(sealing: Sealing) -> None:
    sealer = sealing.sealer()
    assert await sealer.seal() is None
    sealing.trail.write(1)
    await sealer.seal()
    assert await sealer.seal() is None
    assert len(sealing.trail.sealed) == 1


async def test_a_long_backlog_is_sealed_in_bounded_parts(sealing: Sealing) -> None:
    sealing.trail.write(LIMIT + 5)
    seal = await sealing.sealer().seal()
    assert seal is not None
    assert [there.size for there in sealing.trail.sealed] == [LIMIT, LIMIT + 5]
    assert seal.root == merkle.root(line.hash for line in sealing.trail.lines)


async def test_another_process_goes_on_from_what_is_stored(sealing: Sealing) -> None:
    for _ in range(3):
        sealing.trail.write(BLOCK - 3)
        await sealing.sealer().seal()
    seal = sealing.trail.sealed[-1]
    assert seal.id == 3
    assert seal.root == merkle.root(line.hash for line in sealing.trail.lines)
    report = await verify(sealing.trail, trusted([sealing.key.public]), sealing.anchor)
    assert report.intact
    assert report.sealed == 3 * (BLOCK - 3)


async def test_a_start_reads_only_the_end_of_the_record(sealing: Sealing) -> None:
    sealing.trail.write(4 * BLOCK)
    await sealing.sealer().seal()
    sealing.trail.blocks_read = 0
    sealing.trail.write(1)
    await sealing.sealer().seal()
    assert sealing.trail.blocks_read == 0


@pytest.mark.parametrize("content", [None, b"nonsense", b'{"size":0,"peaks":[],"tail":"","last_seq":5}'])
async def test_without_a_good_bookmark_the_record_is_read(sealing: Sealing, content: bytes | None) -> None:
    sealing.trail.write(2 * BLOCK + 1)
    await sealing.sealer().seal()
    bookmark = Bookmark(sealing.anchor).path
    bookmark.unlink()
    if content is not None:
        bookmark.write_bytes(content)
    sealing.trail.write(1)
    seal = await sealing.sealer().seal()
    assert seal is not None
    assert seal.root == merkle.root(line.hash for line in sealing.trail.lines)


async def test_two_gateways_seal_one_trail_in_turns(sealing: Sealing) -> None:
    other = Sealer(
        sealing.trail,
        SealKey.generate(),
        sealing.anchor.with_name("other.ndjson"),
        sealing.clock,
        public_keys=[sealing.key.public],
    )
    first = sealing.sealer()
    for sealer in (first, other, other, first, other):
        sealing.trail.write(700)
        assert await sealer.seal() is not None
    assert [seal.id for seal in sealing.trail.sealed] == [1, 2, 3, 4, 5]
    keys = trusted([sealing.key.public, other._key.public])
    assert (await verify(sealing.trail, keys, sealing.anchor)).intact


async def test_whoever_comes_second_reads_again(sealing: Sealing) -> None:
    sealing.trail.write(3)
    sealing.trail.refuse_seals = 2
    seal = await sealing.sealer().seal()
    assert seal is not None
    assert len(AnchorFile(sealing.anchor).path.read_bytes().splitlines()) == 1


async def test_whoever_is_always_second_says_so(sealing: Sealing) -> None:
    sealing.trail.write(3)
    sealing.trail.refuse_seals = 100
    with pytest.raises(Conflict):
        await sealing.sealer().seal()
    assert not sealing.anchor.exists()


async def test_calls_at_one_moment_seal_once(sealing: Sealing) -> None:
    sealing.trail.write(5)
    sealer = sealing.sealer()
    made = await asyncio.gather(*(sealer.seal() for _ in range(4)))
    assert [seal.id for seal in made if seal] == [1]


async def test_a_line_that_could_not_be_anchored_follows(sealing: Sealing) -> None:
    sealer = sealing.sealer()
    sealing.trail.write(1)
    await sealer.seal()
    shutil.move(sealing.anchor, sealing.anchor.with_name("kept"))
    sealing.anchor.mkdir()
    sealing.trail.write(1)
    with pytest.raises(OSError, match="directory"):
        await sealer.seal()
    sealing.anchor.rmdir()
    shutil.move(sealing.anchor.with_name("kept"), sealing.anchor)
    assert await sealer.seal() is None
    assert AnchorFile(sealing.anchor).last() == Head.of(sealing.trail.sealed[1])


async def test_it_refuses_to_seal_over_a_database_that_was_set_back(sealing: Sealing) -> None:
    sealer = sealing.sealer()
    sealing.trail.write(5)
    await sealer.seal()
    before = (list(sealing.trail.sealed), dict(sealing.trail.blocks))
    sealing.trail.write(5)
    await sealer.seal()
    sealing.trail.sealed, sealing.trail.blocks = before
    with pytest.raises(TrailBroken, match="lost seals that this gateway made"):
        await sealer.seal()
    with pytest.raises(TrailBroken, match="anchor file holds seal 2"):
        await sealing.sealer().seal()
    sealing.trail.sealed = []
    with pytest.raises(TrailBroken, match="lost all its seals"):
        await sealer.seal()


async def test_it_refuses_to_seal_over_an_edited_record(sealing: Sealing) -> None:
    sealing.trail.write(5)
    await sealing.sealer().seal()
    sealing.trail.blocks[0] = sealing.trail.blocks[0][:-1] + b"\x00"
    Bookmark(sealing.anchor).path.unlink()
    sealing.trail.write(5)
    with pytest.raises(TrailBroken, match="does not give the root of seal 1"):
        await sealing.sealer().seal()


async def test_seals_that_come_while_it_verifies_are_no_fault(sealing: Sealing) -> None:
    """The reader sees the old newest seal, and then a record that has grown."""
    sealer = sealing.sealer()
    sealing.trail.write(BLOCK + 10)
    await sealer.seal()

    class Growing(MemoryTrail):
        async def highest_event(self) -> int:
            sealing.trail.write(BLOCK)
            await sealer.seal()
            self.lines, self.sealed, self.blocks = trail.lines, trail.sealed, trail.blocks
            return trail.highest

    trail = sealing.trail
    growing = Growing(list(trail.lines), list(trail.sealed), dict(trail.blocks), trail.highest)
    report = await verify(growing, trusted([sealing.key.public]), sealing.anchor)
    assert report.intact
    assert (report.sealed, report.tail) == (BLOCK + 10, BLOCK)


async def test_leaves_past_every_seal_are_told(sealing: Sealing) -> None:
    sealer = sealing.sealer()
    for _ in range(2):
        sealing.trail.write(4)
        await sealer.seal()
    del sealing.trail.sealed[1]
    sealing.anchor.unlink()
    report = await verify(sealing.trail, trusted([sealing.key.public]), sealing.anchor)
    assert [(fault.kind, fault.spans) for fault in report.faults] == [(FaultKind.TRUNCATED, ((5, 8),))]
