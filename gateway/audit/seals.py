"""Seals: signed heads of the Merkle tree over the events' hashes, and the record of leaves that they cover.

The record is kept in blocks of 1,024 leaves. A leaf is 40 bytes: 8 of the event's place in the trail (big-endian) and
32 of its hash. Sealing n more events costs O(n), whatever was sealed before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from gateway.audit.keys import PublicKey
from gateway.audit.merkle import EMPTY, HASH_SIZE, Frontier

BLOCK = 1024
_LEAF = struct.Struct(f">Q{HASH_SIZE}s")
LEAF_SIZE = _LEAF.size
"""Bytes of a leaf in the record."""


class Sealed(Protocol):
    """What a seal says, whoever keeps it."""

    @property
    def id(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def last_seq(self) -> int: ...
    @property
    def root(self) -> bytes: ...
    @property
    def sealed(self) -> datetime: ...
    @property
    def key_id(self) -> str: ...
    @property
    def signature(self) -> bytes: ...


class LeafRecord(Protocol):
    """A block of the record, whoever keeps it."""

    @property
    def number(self) -> int: ...
    @property
    def leaves(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Block:
    """A block to write: new, or an unfinished one that grew."""

    number: int
    leaves: bytes


@dataclass(frozen=True, slots=True)
class State:
    """Where sealing stands: enough to seal on without the leaves behind it."""

    frontier: Frontier = EMPTY
    tail: bytes = b""
    """The leaves of the block that is not full."""
    last_seq: int = 0

    def __post_init__(self) -> None:
        if len(self.tail) != self.frontier.size % BLOCK * LEAF_SIZE:
            raise ValueError("the unfinished block does not belong to this frontier")

    @property
    def block(self) -> int:
        """The number of the block that the next leaf goes to."""
        return self.frontier.size // BLOCK


@dataclass(frozen=True, slots=True)
class Growth:
    """What a seal over more events is made of."""

    blocks: tuple[Block, ...]
    size: int
    last_seq: int
    root: bytes
    state: State


def extend(state: State, leaves: Sequence[tuple[int, bytes]]) -> Growth:
    """`leaves`, (place, hash) in the trail's order, appended to what is sealed.

    ValueError when their places do not rise, or do not follow the last one sealed.
    """
    last = state.last_seq
    packed = bytearray(state.tail)
    for seq, digest in leaves:
        if seq <= last or len(digest) != HASH_SIZE:
            raise ValueError("leaves are sealed once, in the trail's order, each with a hash of 32 bytes")
        packed += _LEAF.pack(seq, digest)
        last = seq
    width = BLOCK * LEAF_SIZE
    blocks = tuple(
        Block(state.block + start // width, bytes(packed[start : start + width]))
        for start in range(0, len(packed), width)
    )
    frontier = state.frontier.extend(digest for _, digest in leaves)
    rest = bytes(packed[len(packed) - frontier.size % BLOCK * LEAF_SIZE :])
    grown = State(frontier, rest, last)
    return Growth(blocks if leaves else (), frontier.size, last, frontier.root(), grown)


def leaves_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(place, hash) of each leaf of a block. ValueError when it is not made of whole leaves."""
    try:
        yield from _LEAF.iter_unpack(data)
    except struct.error as error:
        raise ValueError("a block of leaves is made of whole leaves of 40 bytes") from error


def resume(state: State, blocks: Iterable[LeafRecord]) -> State:
    """`state` brought up to what the record holds: `blocks` from `state.block` on, in order.

    ValueError when the record does not continue the state.
    """
    for block in blocks:
        if block.number != state.block or not block.leaves.startswith(state.tail):
            raise ValueError("the record of leaves does not continue where sealing stood")
        state = extend(state, list(leaves_in(block.leaves[len(state.tail) :]))).state
    return state


@dataclass(frozen=True, slots=True)
class Head:
    """A seal, out of the database or a line of the anchor file."""

    id: int
    size: int
    last_seq: int
    root: bytes
    sealed: datetime
    key_id: str
    signature: bytes = b""

    @classmethod
    def of(cls, seal: Sealed) -> Head:
        return cls(seal.id, seal.size, seal.last_seq, seal.root, seal.sealed, seal.key_id, seal.signature)

    def content(self) -> bytes:
        """The bytes that are signed: a fixed title and the fields, a line each, so that no two seals share them."""
        moment = self.sealed.astimezone(UTC).isoformat(timespec="microseconds")
        lines = (
            "coding-review-gateway seal 1",
            self.id,
            self.size,
            self.last_seq,
            self.root.hex(),
            moment,
            self.key_id,
        )
        return "".join(f"{line}\n" for line in lines).encode()

    def signed_by(self, key: PublicKey) -> bool:
        return key.signed(self.content(), self.signature)

    def agrees(self, other: Head) -> bool:
        """Whether both sign the same tree; the moment and the key may differ."""
        return (self.id, self.size, self.last_seq, self.root) == (other.id, other.size, other.last_seq, other.root)
