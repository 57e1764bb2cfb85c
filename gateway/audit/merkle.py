"""The Merkle tree of RFC 6962, section 2: roots, proofs, and a frontier that grows without the leaves behind it.

Everything here takes *leaf hashes* (`Event.digest()`, SHA-256 over 0x00 and the content), 32 bytes each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf(content: bytes) -> bytes:
    """The hash of one leaf: SHA-256 over 0x00 and the content."""
    return hashlib.sha256(b"\x00" + content).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256 over 0x01 and its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of the perfect subtrees that the leaves so far make up, largest first: one for each 1 bit of `size`.

    Appending n leaves costs O(n), whatever the size; the root costs O(log size).
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if len(self.peaks) != self.size.bit_count() or any(len(peak) != HASH_SIZE for peak in self.peaks):
            raise ValueError("a frontier has one hash of 32 bytes for each 1 bit of its size")

    def extend(self, hashes: Iterable[bytes]) -> Frontier:
        """This frontier with more leaves after it."""
        size, peaks = self.size, list(self.peaks)
        for digest in hashes:
            carry = size
            while carry & 1:
                digest = node(peaks.pop(), digest)
                carry >>= 1
            peaks.append(digest)
            size += 1
        return Frontier(size, tuple(peaks))

    def root(self) -> bytes:
        """The tree's head; of no leaves, the hash of the empty string."""
        if not self.peaks:
            return EMPTY_ROOT
        head = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            head = node(peak, head)
        return head


EMPTY = Frontier()


def root(hashes: Iterable[bytes]) -> bytes:
    """The head of the tree over these leaves."""
    return EMPTY.extend(hashes).root()


def _split(size: int) -> int:
    """The largest power of two that is smaller than `size` (size >= 2)."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path PATH(index, D[n]) of section 2.1.1, nearest sibling first. IndexError outside the tree."""
    if not 0 <= index < len(hashes):
        raise IndexError("no such leaf")
    path: list[bytes] = []
    while len(hashes) > 1:
        middle = _split(len(hashes))
        left, right = hashes[:middle], hashes[middle:]
        sibling, hashes = (right, left) if index < middle else (left, right)
        path.append(root(sibling))
        index -= 0 if index < middle else middle
    path.reverse()
    return path


def consistency_proof(hashes: Sequence[bytes], first: int) -> list[bytes]:
    """PROOF(first, D[n]) of section 2.1.2: that the tree of the first leaves is the beginning of the whole one.

    ValueError unless 0 < first <= n.
    """
    if not 0 < first <= len(hashes):
        raise ValueError("the earlier tree has at least one leaf and no more than the later")
    path: list[bytes] = []
    whole = True
    while first != len(hashes):
        middle = _split(len(hashes))
        left, right = hashes[:middle], hashes[middle:]
        if first <= middle:
            path.append(root(right))
            hashes = left
        else:
            path.append(root(left))
            hashes, first, whole = right, first - middle, False
    if not whole:
        path.append(root(hashes))
    path.reverse()
    return path


def includes(head: bytes, size: int, index: int, digest: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that `digest` is leaf `index` of the tree of that size and head."""
    if not 0 <= index < size:
        return False
    last = size - 1
    for sibling in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            digest = node(sibling, digest)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            digest = node(digest, sibling)
        index >>= 1
        last >>= 1
    return last == 0 and digest == head


def is_consistent(first: int, first_head: bytes, size: int, head: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree of `first` leaves is the beginning of the tree of `size` leaves."""
    if not 0 < first <= size:
        return False
    if first == size:
        return not proof and first_head == head
    path = [first_head, *proof] if first.bit_count() == 1 else list(proof)
    if not path:
        return False
    index, last = first - 1, size - 1
    while index & 1:
        index >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            old, new = node(sibling, old), node(sibling, new)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            new = node(new, sibling)
        index >>= 1
        last >>= 1
    return last == 0 and old == first_head and new == head
