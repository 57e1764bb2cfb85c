"""Sealing: the events since the last seal are appended to the Merkle tree, its head is signed, stored and anchored.

It stands beside the hot path: commits never wait for it. Several gateways on one database may all seal; the one that
comes second reads again. Where the database no longer holds what was sealed, sealing stops and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gateway.audit import verify as trail
from gateway.audit.anchor import AnchorFile
from gateway.audit.bookmark import Bookmark
from gateway.audit.faults import Fault, FaultKind, Report
from gateway.audit.keys import PublicKey, SealKey, trusted
from gateway.audit.seals import BLOCK, LEAF_SIZE, Block, Head, State, extend, resume
from gateway.clock import Clock
from gateway.store.interface import Conflict, LeafBlock, Seal, StoredEvent

LIMIT = 16 * BLOCK
"""Events in one seal; what waits beyond it gets another seal at once."""
_ATTEMPTS = 5
_AFTER_RESTORE = "After restoring a backup, put the old anchor file aside and name a new one (audit.anchor)"


class TrailBroken(Exception):
    """The database no longer holds what was sealed. Sealing on would hide it: verify first."""


class SealStore(Protocol):
    """What sealing asks of a store."""

    async def unsealed(self, after: int, limit: int) -> list[tuple[int, bytes]]: ...

    async def last_seal(self) -> Seal | None: ...

    def leaf_blocks(self, first: int = 0) -> AsyncIterator[LeafBlock]: ...

    async def add_seal(self, seal: Seal, blocks: Sequence[LeafBlock]) -> None: ...


class TrailStore(SealStore, Protocol):
    """What verification asks of a store besides."""

    def events(self, after: int = 0) -> AsyncIterator[StoredEvent]: ...

    def seals(self) -> AsyncIterator[Seal]: ...

    async def highest_event(self) -> int: ...


class Sealer:
    """Seals a store's events. One a process; `seal` may be called by anyone at any time."""

    def __init__(
        self, store: SealStore, key: SealKey, anchor: Path, clock: Clock, *, public_keys: Sequence[PublicKey] = ()
    ) -> None:
        """`public_keys`: those of the other gateways and of earlier keys; `key`'s own is always among them."""
        self._store = store
        self._key = key
        self._clock = clock
        self._keys = trusted([*public_keys, key.public])
        self._anchor = AnchorFile(anchor)
        self._bookmark = Bookmark(anchor)
        self._state: State | None = None
        self._one = asyncio.Lock()

    async def seal(self) -> Seal | None:
        """Seal everything that waits; the newest seal that was made, or None when nothing waited.

        Raises TrailBroken, StoreFault, or OSError when the anchor file can't be written: the seal then stands in the
        database, and its line follows with the next call.
        """
        async with self._one:
            newest = None
            while made := await self._seal_once():
                newest, whole = made
                if not whole:
                    break
            return newest

    async def _seal_once(self) -> tuple[Seal, bool] | None:
        """One seal, and whether it was filled to the limit."""
        for _ in range(_ATTEMPTS):
            try:
                return await self._attempt()
            except Conflict:
                continue
        raise Conflict("other gateways were faster to seal each time")

    async def _attempt(self) -> tuple[Seal, bool] | None:
        last = await self._store.last_seal()
        state = await self._caught_up(last)
        leaves = await self._store.unsealed(state.last_seq, LIMIT)
        if not leaves:
            return None
        state, blocks = await _grow(state, leaves)
        head = self._sign((last.id if last else 0) + 1, state, self._clock.now())
        seal = Seal(head.id, head.size, head.last_seq, head.root, head.sealed, head.key_id, head.signature)
        self._state = None  # until both the database and the anchor file have it
        await self._store.add_seal(seal, blocks)
        await asyncio.to_thread(self._anchor.append, head)
        await asyncio.to_thread(self._bookmark.write, state)
        self._state = state
        return seal, len(leaves) == LIMIT

    def _sign(self, id: int, state: State, now: datetime) -> Head:
        head = Head(id, state.frontier.size, state.last_seq, state.frontier.root(), now, self._key.id)
        return replace(head, signature=self._key.sign(head.content()))

    async def _caught_up(self, last: Seal | None) -> State:
        """Where sealing stands according to the newest seal, proved by its root and its signature."""
        if self._state is None:
            await self._compare_anchor(last)
        if last is None:
            if self._state is not None:
                raise TrailBroken("the database has lost all its seals; run: gateway audit verify")
            return State()
        if self._state is not None and self._state.frontier.size > last.size:
            raise TrailBroken("the database has lost seals that this gateway made; run: gateway audit verify")
        head = Head.of(last)
        key = self._keys.get(last.key_id)
        if key is not None and not head.signed_by(key):
            raise TrailBroken(f"seal {last.id} was edited: its signature does not hold; run: gateway audit verify")
        state = await self._from_record(last)
        self._state = state
        return state

    async def _from_record(self, last: Seal) -> State:
        """From what is in memory, or else from the bookmark, or else from the whole record of leaves."""
        for start in (self._state, await asyncio.to_thread(self._bookmark.read), State()):
            if start is None or start.frontier.size > last.size:
                continue
            try:
                state = await self._resume(start, last)
            except ValueError:
                continue
            if state.frontier.root() == last.root and state.last_seq == last.last_seq:
                return state
        raise TrailBroken(f"the record of leaves does not give the root of seal {last.id}; run: gateway audit verify")

    async def _resume(self, state: State, last: Seal) -> State:
        if state.frontier.size == last.size:
            return state
        async for block in self._store.leaf_blocks(state.block):
            leaves = _within(block, last.size)
            if not leaves:
                break
            state = resume(state, [Block(block.number, leaves)])
            await asyncio.sleep(0)
        return state

    async def _compare_anchor(self, last: Seal | None) -> None:
        """At start, and after a fault: the anchor may lack the newest seal, the database none that was anchored."""
        anchored = await asyncio.to_thread(self._anchor.last)
        if anchored is not None and (last is None or anchored.id > last.id):
            raise TrailBroken(
                f"the anchor file holds seal {anchored.id}, the database does not: its end was cut off; "
                f"run: gateway audit verify. {_AFTER_RESTORE}"
            )
        if last is None:
            return
        head = Head.of(last)
        if anchored is not None and anchored.id == last.id and not anchored.agrees(head):
            raise TrailBroken(f"seal {last.id} is not the one that was anchored; run: gateway audit verify")
        key = self._keys.get(last.key_id)
        if (anchored is None or anchored.id < last.id) and key is not None and head.signed_by(key):
            await asyncio.to_thread(self._anchor.append, head)


def _within(block: LeafBlock, size: int) -> bytes:
    """The block's leaves that the tree of this size has: another gateway may have added more meanwhile."""
    return block.leaves[: max(size - block.number * BLOCK, 0) * LEAF_SIZE]


async def _grow(state: State, leaves: Sequence[tuple[int, bytes]]) -> tuple[State, list[LeafBlock]]:
    """Appended a block at a time, so that nobody else waits long; each block as it stands at the end."""
    blocks: dict[int, LeafBlock] = {}
    for start in range(0, len(leaves), BLOCK):
        growth = extend(state, leaves[start : start + BLOCK])
        state = growth.state
        blocks.update({block.number: LeafBlock(block.number, block.leaves) for block in growth.blocks})
        await asyncio.sleep(0)
    return state, list(blocks.values())


async def verify(store: TrailStore, keys: Mapping[str, PublicKey], anchor: Path) -> Report:
    """The whole trail of a store, checked against the signed seals and the anchor file, while the gateway runs or not.

    `keys`: the public keys that are trusted, by id. Tampering is in the report; raises StoreFault and OSError only.
    """
    # What grows is bounded first, oldest promise first: each thing read later holds at least what it must hold.
    lines = AnchorFile(anchor).lines()
    newest = await store.last_seal()
    highest = await store.highest_event()
    record = _Record(store, newest.size if newest else None)
    report = await trail.verify(_rows(store, highest), _up_to(store, newest), record.blocks(), keys, lines, highest)
    now = await store.last_seal()
    if newest is None or now is None or record.leaves <= now.size:
        return report
    text = f"the record holds {record.leaves - now.size} leaves more than the newest seal: seals were cut off"
    cut = Fault(FaultKind.TRUNCATED, ((newest.last_seq + 1, record.last_seq),), text)
    return replace(report, faults=(*report.faults, cut))


class _Record:
    """The record as far as a seal covers it, since it may grow while it is read; and how far it reached."""

    def __init__(self, store: TrailStore, size: int | None) -> None:
        self._store = store
        self._size = size
        self.leaves = 0
        self.last_seq = 0

    async def blocks(self) -> AsyncIterator[LeafBlock]:
        async for block in self._store.leaf_blocks():
            self.leaves = block.number * BLOCK + len(block.leaves) // LEAF_SIZE
            self.last_seq = int.from_bytes(block.leaves[-LEAF_SIZE:][:8], "big")
            leaves = block.leaves if self._size is None else _within(block, self._size)
            if leaves:
                yield LeafBlock(block.number, leaves)


async def _up_to(store: TrailStore, newest: Seal | None) -> AsyncIterator[Seal]:
    async for seal in store.seals():
        if newest is None or seal.id > newest.id:
            return
        yield seal


async def _rows(store: TrailStore, highest: int) -> AsyncIterator[trail.EventRow]:
    """Each event with its content. One that was damaged until it can't be read has none, and the rest go on."""
    place, unread = 0, 0
    while True:
        try:
            async for stored in store.events(after=place):
                for damaged in range(place - unread + 1, place + 1):
                    yield damaged, b"", b""
                content = stored.event.content()
                place, unread = stored.seq, 0
                yield stored.seq, stored.hash, content
            break
        except (ValueError, TypeError, LookupError, ArithmeticError):
            # A stream ends with its fault: begin anew after the next place, until that is past the damaged row.
            place, unread = place + 1, unread + 1
            if place > highest:
                break
    for damaged in range(place - unread + 1, place + 1):
        yield damaged, b"", b""
