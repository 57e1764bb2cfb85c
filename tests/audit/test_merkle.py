"""The tree against RFC 6962's known answers and its own recursive definition."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import merkle

KNOWN_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
KNOWN_HEADS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf(str(number).encode()) for number in range(count)]


def by_definition(hashes: list[bytes]) -> bytes:
    """MTH(D[n]) as section 2.1 writes it."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    middle = 1
    while middle * 2 < len(hashes):
        middle *= 2
    return hashlib.sha256(b"\x01" + by_definition(hashes[:middle]) + by_definition(hashes[middle:])).digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_heads_are_those_that_certificate_transparency_publishes(size: int) -> None:
    hashes = [merkle.leaf(bytes.fromhex(text)) for text in KNOWN_LEAVES[:size]]
    assert merkle.root(hashes).hex() == KNOWN_HEADS[size - 1]


def test_no_leaves_hash_as_the_empty_string() -> None:
    assert merkle.root([]) == hashlib.sha256(b"").digest()


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_frontier_grown_in_two_steps_has_the_root_of_the_definition(first: int, more: int) -> None:
    hashes = leaves(first + more)
    grown = merkle.Frontier().extend(hashes[:first]).extend(hashes[first:])
    assert grown.size == first + more
    assert grown.root() == by_definition(hashes)


def test_a_frontier_holds_only_what_its_size_needs() -> None:
    assert len(merkle.Frontier().extend(leaves(1023)).peaks) == 10
    assert len(merkle.Frontier().extend(leaves(1024)).peaks) == 1


def test_a_frontier_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="one hash"):
        merkle.Frontier(3, (b"x" * 32,))
    with pytest.raises(ValueError, match="32 bytes"):
        merkle.Frontier(1, (b"short",))


@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_each_leaf_can_be_proved_and_no_other(case: tuple[int, int]) -> None:
    size, index = case
    hashes = leaves(size)
    proof = merkle.inclusion_proof(hashes, index)
    head = merkle.root(hashes)
    assert merkle.includes(head, size, index, hashes[index], proof)
    assert not merkle.includes(head, size, index, merkle.leaf(b"another"), proof)
    assert not merkle.includes(head, size, index, hashes[index], [*proof, b"x" * 32])
    if proof:
        assert not merkle.includes(head, size, index, hashes[index], proof[:-1])
    if size > 1:
        assert not merkle.includes(head, size, (index + 1) % size, hashes[index], proof)


@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size))))
def test_an_earlier_tree_is_proved_to_be_the_beginning(case: tuple[int, int]) -> None:
    size, first = case
    hashes = leaves(size)
    proof = merkle.consistency_proof(hashes, first)
    before, head = merkle.root(hashes[:first]), merkle.root(hashes)
    assert merkle.is_consistent(first, before, size, head, proof)
    assert not merkle.is_consistent(first, merkle.leaf(b"forged"), size, head, proof)
    assert not merkle.is_consistent(first, before, size, merkle.leaf(b"forged"), proof)
    assert not merkle.is_consistent(first, before, size, head, [*proof, b"x" * 32])


def test_proofs_of_what_is_not_there_are_refused() -> None:
    with pytest.raises(IndexError):
        merkle.inclusion_proof(leaves(3), 3)
    with pytest.raises(ValueError, match="earlier tree"):
        merkle.consistency_proof(leaves(3), 0)
    assert not merkle.includes(merkle.root(leaves(3)), 3, 3, leaves(3)[0], [])
    assert not merkle.is_consistent(2, merkle.root(leaves(2)), 3, merkle.root(leaves(3)), [])
    assert not merkle.is_consistent(0, merkle.EMPTY_ROOT, 3, merkle.root(leaves(3)), [])
