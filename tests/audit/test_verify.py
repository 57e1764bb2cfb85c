"""Tampering, kind by kind: the report says what was done and to which events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from memory_trail import Sealing

from gateway.audit.faults import FaultKind, Report
from gateway.audit.keys import PublicKey, SealKey, trusted
from gateway.audit.seals import LEAF_SIZE, Head
from gateway.trail.sealing import verify


@pytest.fixture
async def sealed(sealing: Sealing) -> Sealing:
    """Thirty events under three seals, and five that wait."""
    sealer = sealing.sealer()
    for _ in range(3):
        sealing.trail.write(10)
        await sealer.seal()
    sealing.trail.write(5)
    return sealing


async def check(sealing: Sealing, *, keys: dict[str, PublicKey] | None = None) -> Report:
    return await verify(sealing.trail, trusted([sealing.key.public]) if keys is None else keys, sealing.anchor)


def told(report: Report) -> list[tuple[str, tuple[tuple[int, int], ...]]]:
    return [(fault.kind.value, fault.spans) for fault in report.faults]


async def test_an_untouched_trail_is_intact(sealed: Sealing) -> None:
    report = await check(sealed)
    assert report.intact
    assert (report.events, report.sealed, report.tail, report.seals, report.anchored) == (35, 30, 5, 3, 3)
    assert report.newest == sealed.clock.moment


async def test_an_empty_trail_is_intact(sealing: Sealing) -> None:
    report = await check(sealing)
    assert report.intact
    assert report.events == 0


async def test_places_that_were_never_given_are_no_fault(sealing: Sealing) -> None:
    sealing.trail.write(5)
    sealing.trail.write(5, step=3)
    await sealing.sealer().seal()
    sealing.trail.write(2, step=2)
    assert (await check(sealing)).intact


@pytest.mark.parametrize("rehash", [False, True])
async def test_an_edited_event_is_named_whatever_its_hash_column_says(sealed: Sealing, rehash: bool) -> None:
    sealed.trail.edit(17, rehash=rehash)
    report = await check(sealed)
    assert told(report) == [("edited", ((17, 17),))]
    assert ("recomputed" in report.faults[0].text) is rehash


async def test_neighbours_edited_alike_are_told_together(sealed: Sealing) -> None:
    for seq in (4, 5, 6, 9):
        sealed.trail.edit(seq)
    report = await check(sealed)
    assert told(report) == [("edited", ((4, 6),)), ("edited", ((9, 9),))]
    assert report.faults[0].names(5)
    assert not report.faults[0].names(7)
    assert str(report.faults[0]).startswith("edited 4 to 6: ")


async def test_an_edited_hash_column_is_told_apart(sealed: Sealing) -> None:
    index = sealed.trail.at(12)
    sealed.trail.lines[index] = replace(sealed.trail.lines[index], hash=b"\x00" * 32)
    assert told(await check(sealed)) == [("hash-edited", ((12, 12),))]


async def test_a_deleted_event_is_named(sealed: Sealing) -> None:
    sealed.trail.delete(3, 20, 21)
    assert told(await check(sealed)) == [("deleted", ((3, 3),)), ("deleted", ((20, 21),))]


async def test_sealed_events_deleted_under_a_tail_are_deleted(sealed: Sealing) -> None:
    sealed.trail.delete(29, 30)
    assert told(await check(sealed)) == [("deleted", ((29, 30),))]


async def test_two_exchanged_events_are_both_named(sealed: Sealing) -> None:
    sealed.trail.swap(8, 23)
    report = await check(sealed)
    assert told(report) == [("swapped", ((8, 8), (23, 23)))]
    assert report.faults[0].text == "events 8 and 23 carry each other's content"


async def test_three_exchanged_events_are_all_named(sealed: Sealing) -> None:
    sealed.trail.swap(1, 2)
    sealed.trail.swap(2, 3)
    assert told(await check(sealed)) == [("swapped", ((1, 1), (2, 2), (3, 3)))]


async def test_content_copied_from_another_edited_event_is_said(sealed: Sealing) -> None:
    sealed.trail.swap(8, 23)
    sealed.trail.edit(23)
    report = await check(sealed)
    assert told(report) == [("edited", ((8, 8),)), ("edited", ((23, 23),))]
    assert "sealed for event 23" in report.faults[0].text


async def test_an_inserted_event_is_named(sealing: Sealing) -> None:
    sealing.trail.write(5)
    sealing.trail.write(5, step=2)
    await sealing.sealer().seal()
    sealing.trail.lines.insert(5, replace(sealing.trail.lines[0], seq=6))
    assert told(await check(sealing)) == [("inserted", ((6, 6),))]


async def test_a_tail_cut_off_before_it_was_sealed_is_found_by_the_highest_place(sealed: Sealing) -> None:
    sealed.trail.delete(34, 35)
    assert told(await check(sealed)) == [("truncated", ((34, 35),))]


async def test_sealed_events_cut_off_with_the_tail_are_found_by_the_newest_seal(sealed: Sealing) -> None:
    sealed.trail.delete(*range(28, 36))
    sealed.trail.highest = 27
    assert told(await check(sealed)) == [("truncated", ((28, 30),))]


async def test_a_record_of_leaves_cut_off_is_found_and_the_events_prove_themselves(sealed: Sealing) -> None:
    sealed.trail.blocks[0] = sealed.trail.blocks[0][: 24 * LEAF_SIZE]
    report = await check(sealed)
    assert told(report) == [("truncated", ((25, 30),))]
    assert report.sealed == 30


async def test_events_and_leaves_cut_off_are_found_by_the_newest_seal(sealed: Sealing) -> None:
    sealed.trail.blocks[0] = sealed.trail.blocks[0][: 24 * LEAF_SIZE]
    sealed.trail.delete(*range(25, 36))
    sealed.trail.highest = 0
    report = await check(sealed)
    assert told(report) == [("truncated", ((25, 30),))]
    assert "and the events with it" in report.faults[0].text


async def cut_everything(sealed: Sealing) -> None:
    """As one does who owns the whole database: events, leaves, seals and the counter go back to the second seal."""
    sealed.trail.delete(*range(21, 36))
    sealed.trail.blocks[0] = sealed.trail.blocks[0][: 20 * LEAF_SIZE]
    del sealed.trail.sealed[2]
    sealed.trail.highest = 20


async def test_a_database_set_back_whole_is_found_by_the_anchor(sealed: Sealing) -> None:
    await cut_everything(sealed)
    report = await check(sealed)
    assert told(report) == [("truncated", ((21, 30),))]
    assert "anchor file holds seal 3" in report.faults[0].text


async def test_without_its_anchor_it_is_not(sealed: Sealing) -> None:
    await cut_everything(sealed)
    sealed.anchor.unlink()
    report = await check(sealed)
    assert report.intact
    assert report.anchored == 0


async def test_a_history_written_anew_is_found_by_the_anchor(sealed: Sealing) -> None:
    await cut_everything(sealed)
    kept = sealed.anchor.read_bytes()
    sealed.anchor.unlink()
    sealed.trail.write(10, step=2)
    await sealed.sealer().seal()
    sealed.anchor.write_bytes(kept)
    report = await check(sealed)
    assert told(report) == [("rewritten", ((21, 40),))]


async def test_seals_cut_off_alone_are_found_by_the_leaves_and_by_the_anchor(sealed: Sealing) -> None:
    del sealed.trail.sealed[2]
    with_anchor = await check(sealed)
    sealed.anchor.unlink()
    without = await check(sealed)
    assert [fault.kind for fault in with_anchor.faults] == [FaultKind.TRUNCATED, FaultKind.TRUNCATED]
    assert all(fault.names(30) for fault in with_anchor.faults)
    assert told(without) == [("truncated", ((21, 30),))]


async def test_a_seal_missing_from_the_middle_is_found(sealed: Sealing) -> None:
    del sealed.trail.sealed[1]
    assert told(await check(sealed)) == [("seal-missing", ((11, 30),))]


def edit_leaf(sealed: Sealing, index: int, digest: bytes) -> None:
    block = bytearray(sealed.trail.blocks[0])
    block[index * LEAF_SIZE + 8 : (index + 1) * LEAF_SIZE] = digest
    sealed.trail.blocks[0] = bytes(block)


async def test_an_edited_leaf_is_told_from_an_edited_event(sealed: Sealing) -> None:
    edit_leaf(sealed, 14, b"\x01" * 32)
    report = await check(sealed)
    assert told(report) == [("leaves-edited", ((15, 15),))]
    assert report.sealed == 30


async def test_an_event_edited_with_its_leaf_is_found_by_the_root(sealed: Sealing) -> None:
    sealed.trail.edit(15)
    edit_leaf(sealed, 14, sealed.trail.lines[14].event.digest())
    report = await check(sealed)
    assert told(report) == [("leaves-edited", ((15, 15),)), ("edited", ((15, 15),))]


async def test_an_event_edited_with_its_leaf_and_its_hash_is_found_between_two_seals(sealed: Sealing) -> None:
    sealed.trail.edit(15, rehash=True)
    edit_leaf(sealed, 14, sealed.trail.lines[14].hash)
    report = await check(sealed)
    assert told(report) == [("leaves-edited", ((11, 20),))]
    assert report.sealed == 10


async def test_leaves_out_of_their_places_are_found(sealed: Sealing) -> None:
    block = sealed.trail.blocks[0]
    sealed.trail.blocks[0] = block[:-LEAF_SIZE] + (99).to_bytes(8, "big") + block[-32:]
    kinds = {fault.kind for fault in (await check(sealed)).faults}
    assert FaultKind.LEAVES_EDITED in kinds


async def test_an_edited_seal_has_a_bad_signature_and_the_anchor_stands_in(sealed: Sealing) -> None:
    sealed.trail.sealed[1] = replace(sealed.trail.sealed[1], root=b"\x05" * 32)
    report = await check(sealed)
    assert told(report) == [("bad-signature", ((11, 20),))]
    assert "seal 2 was edited" in report.faults[0].text
    assert report.sealed == 30


async def test_seals_of_a_key_that_is_not_trusted_prove_nothing(sealed: Sealing) -> None:
    report = await check(sealed, keys=trusted([SealKey.generate().public]))
    assert {fault.kind for fault in report.faults} == {FaultKind.UNKNOWN_KEY}
    assert sealed.key.id in report.faults[0].text
    assert report.sealed == 0


async def test_a_forger_without_the_key_is_found(sealed: Sealing) -> None:
    """A whole new tree, signed by another key that calls itself by the trusted one's id."""
    sealed.trail.edit(15, rehash=True)
    edit_leaf(sealed, 14, sealed.trail.lines[14].hash)
    forger = SealKey.generate()
    last = sealed.trail.sealed[2]
    sealed.trail.sealed[2] = replace(last, signature=forger.sign(Head.of(last).content()))
    kinds = [fault.kind for fault in (await check(sealed)).faults]
    assert FaultKind.BAD_SIGNATURE in kinds
    assert FaultKind.LEAVES_EDITED in kinds


async def test_an_edited_anchor_line_is_named(sealed: Sealing) -> None:
    lines = sealed.anchor.read_bytes().splitlines(keepends=True)
    sealed.anchor.write_bytes(lines[0] + lines[1].replace(b'"size":20', b'"size":21') + lines[2])
    report = await check(sealed)
    assert [fault.kind for fault in report.faults] == [FaultKind.BAD_SIGNATURE]
    assert "line 2 of the anchor file" in report.faults[0].text
    sealed.anchor.write_bytes(lines[0] + b"nonsense\n" + lines[2] + lines[0])
    texts = [fault.text for fault in (await check(sealed)).faults]
    assert texts == ["line 2 of the anchor file is not a seal", "line 4 of the anchor file is out of order"]


async def test_an_event_edited_before_it_was_sealed_is_found_by_its_own_hash(sealed: Sealing) -> None:
    sealed.trail.edit(33)
    assert told(await check(sealed)) == [("edited", ((33, 33),))]


async def test_damaged_rows_are_named_and_the_rest_is_checked(sealed: Sealing) -> None:
    sealed.trail.unreadable = {7, 8, 25}
    sealed.trail.edit(26)
    assert told(await check(sealed)) == [("edited", ((7, 8),)), ("edited", ((25, 26),))]


async def test_the_last_row_may_be_damaged_too(sealed: Sealing) -> None:
    sealed.trail.unreadable = {35}
    assert told(await check(sealed)) == [("edited", ((35, 35),))]


async def test_a_missing_block_of_the_record_is_found_and_the_events_fill_it(sealing: Sealing) -> None:
    sealer = sealing.sealer()
    for _ in range(4):
        sealing.trail.write(900)
        await sealer.seal()
    del sealing.trail.blocks[1]
    report = await check(sealing)
    assert [fault.kind for fault in report.faults] == [FaultKind.LEAVES_EDITED]
    assert report.faults[0].spans == ((1025, 2048),)
    assert report.sealed == 3600
    sealing.trail.edit(1500)
    report = await check(sealing)
    assert not report.intact
    assert any(fault.names(1500) for fault in report.faults)


async def test_a_block_cut_short_in_the_middle_is_found(sealing: Sealing) -> None:
    sealing.trail.write(2500)
    await sealing.sealer().seal()
    sealing.trail.blocks[0] = sealing.trail.blocks[0][: 1000 * LEAF_SIZE]
    report = await check(sealing)
    assert told(report) == [("leaves-edited", ((1001, 1024),))]
    assert report.sealed == 2500
    sealing.trail.blocks[0] = sealing.trail.blocks[0][:-7]
    report = await check(sealing)
    assert {fault.kind for fault in report.faults} == {FaultKind.LEAVES_EDITED}


async def test_everything_deleted_is_one_fault(sealed: Sealing) -> None:
    sealed.trail.lines.clear()
    report = await check(sealed)
    assert told(report) == [("truncated", ((1, 30),)), ("truncated", ((31, 35),))]
