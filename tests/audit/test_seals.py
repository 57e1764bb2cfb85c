"""Blocks, heads and keys."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import merkle
from gateway.audit.keys import KeyFault, PublicKey, SealKey, load_public_keys
from gateway.audit.seals import BLOCK, LEAF_SIZE, Block, Head, State, extend, leaves_in, resume

MOMENT = datetime(2026, 3, 1, 8, 0, 0, 120, tzinfo=UTC)


def numbered(first: int, count: int) -> list[tuple[int, bytes]]:
    return [(number, merkle.leaf(str(number).encode())) for number in range(first, first + count)]


@given(st.lists(st.integers(0, 2100), min_size=1, max_size=4))
def test_however_events_are_sealed_the_record_and_the_root_are_the_same(counts: list[int]) -> None:
    leaves = numbered(1, sum(counts))
    state, record = State(), {}
    start = 0
    for count in counts:
        growth = extend(state, leaves[start : start + count])
        record.update({block.number: block.leaves for block in growth.blocks})
        state, start = growth.state, start + count
    assert [leaf for number in sorted(record) for leaf in leaves_in(record[number])] == leaves
    assert all(len(record[number]) == BLOCK * LEAF_SIZE for number in sorted(record)[:-1])
    assert state.frontier.root() == merkle.root(digest for _, digest in leaves)
    assert resume(State(), [Block(number, record[number]) for number in sorted(record)]) == state


def test_sealing_one_more_event_writes_one_block_whatever_was_sealed() -> None:
    state = extend(State(), numbered(1, 5 * BLOCK + 3)).state
    growth = extend(state, numbered(5 * BLOCK + 4, 1))
    assert [(block.number, len(block.leaves)) for block in growth.blocks] == [(5, 4 * LEAF_SIZE)]
    assert (growth.size, growth.last_seq) == (5 * BLOCK + 4, 5 * BLOCK + 4)


def test_a_full_block_is_not_written_again() -> None:
    state = extend(State(), numbered(1, BLOCK)).state
    assert state.tail == b""
    assert [block.number for block in extend(state, numbered(BLOCK + 1, 1)).blocks] == [1]


def test_nothing_to_seal_writes_nothing() -> None:
    assert extend(State(), []).blocks == ()


@pytest.mark.parametrize("leaves", [numbered(3, 1), [*numbered(6, 1), *numbered(5, 1)], [(9, b"short")]])
def test_an_event_is_sealed_once_and_in_order(leaves: list[tuple[int, bytes]]) -> None:
    state = extend(State(), numbered(1, 3)).state
    with pytest.raises(ValueError, match="once"):
        extend(state, leaves)


def test_a_record_that_does_not_continue_is_refused() -> None:
    state = extend(State(), numbered(1, 3)).state
    with pytest.raises(ValueError, match="continue"):
        resume(state, [Block(1, b"")])
    with pytest.raises(ValueError, match="continue"):
        resume(state, [Block(0, b"\x00" * 4 * LEAF_SIZE)])
    with pytest.raises(ValueError, match="whole leaves"):
        list(leaves_in(b"x" * 41))


def head(**changes: object) -> Head:
    said = {"id": 1, "size": 3, "last_seq": 4, "root": b"\x01" * 32, "sealed": MOMENT, "key_id": "k"} | changes
    return Head(**said)  # type: ignore[arg-type]


def test_a_signature_holds_for_its_seal_only() -> None:
    key = SealKey.generate()
    signature = key.sign(head().content())
    assert head(signature=signature).signed_by(key.public)
    assert not head(signature=signature).signed_by(SealKey.generate().public)
    assert not head(signature=b"").signed_by(key.public)
    changed = [
        {"id": 2},
        {"size": 4},
        {"last_seq": 5},
        {"root": b"\x02" * 32},
        {"sealed": MOMENT + timedelta(microseconds=1)},
        {"key_id": "j"},
    ]
    assert not [change for change in changed if head(signature=signature, **change).signed_by(key.public)]


def test_one_moment_is_signed_alike_in_every_zone() -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=-6)))
    assert head(sealed=elsewhere).content() == head().content()


def test_a_keys_id_is_the_same_wherever_it_is_read_from() -> None:
    key = SealKey.generate()
    assert len(key.id) == 16
    assert SealKey.load(key.pem()).id == PublicKey.load(key.public.pem()).id == key.id
    assert repr(key) == f"SealKey({key.id})"


def test_a_key_is_made_at_the_first_start_for_its_owner_only_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "var" / "audit.key"
    made = SealKey.load_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SealKey.load_or_make(path).id == made.id
    assert sorted(file.name for file in path.parent.iterdir()) == ["audit.key", "audit.key.pub"]
    assert list(load_public_keys([path.with_name("audit.key.pub")])) == [made.id]


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_told_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audit.key"
    path.write_bytes(content)
    with pytest.raises(KeyFault, match="openssl genpkey"):
        SealKey.load_or_make(path)
    assert path.read_bytes() == content


def test_a_private_key_is_no_public_key_and_its_file_is_named(tmp_path: Path) -> None:
    key = SealKey.generate()
    path = tmp_path / "wrong.pub"
    path.write_bytes(key.pem())
    with pytest.raises(KeyFault, match=r"wrong\.pub: the public key"):
        load_public_keys([path])
    with pytest.raises(KeyFault, match="cannot be read"):
        load_public_keys([tmp_path / "absent.pub"])
    with pytest.raises(KeyFault, match="audit key is not readable"):
        SealKey.load(key.public.pem())
