"""Verification: every event against the record of leaves, the record against signed seals, seals against the anchor.

One pass over sorted streams; memory does not grow with the trail. The record of leaves says what was sealed at each
place; a signed root proves the record. Where a root does not follow from the record, the events themselves are tried
in its stead, so that an edit of the record is told from an edit of an event.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

from gateway.audit import merkle
from gateway.audit.ahead import Ahead
from gateway.audit.faults import FaultKind, Faults, Report
from gateway.audit.heads import Heads, Proof
from gateway.audit.keys import PublicKey
from gateway.audit.seals import BLOCK, LEAF_SIZE, Head, LeafRecord, Sealed, leaves_in
from gateway.audit.segment import Segment

EventRow = tuple[int, bytes, bytes]
"""(place in the trail, the hash stored with it, its content)"""


async def verify(
    events: AsyncIterable[EventRow] | Iterable[EventRow],
    seals: AsyncIterable[Sealed] | Iterable[Sealed],
    leaf_blocks: AsyncIterable[LeafRecord] | Iterable[LeafRecord],
    keys: Mapping[str, PublicKey],
    anchor: Iterable[bytes] = (),
    highest_seq: int = 0,
) -> Report:
    """The whole trail, checked. All streams rise: events by place, seals by id, blocks by number.

    `keys` are the public keys that are trusted, by id; `anchor` the lines of the anchor file; `highest_seq` the
    highest place that the database remembers having given. What is found is in the report; nothing is raised for it.
    """
    faults = Faults()
    heads = Heads(seals, anchor, keys, faults)
    walk = _Walk(events, leaf_blocks, faults)
    async for proof in heads:
        await walk.prove(proof)
    await walk.finish(heads.claimed, highest_seq)
    return Report(
        faults=faults.in_order(),
        more=faults.more,
        events=walk.events,
        sealed=walk.proved,
        tail=walk.tail,
        seals=heads.count,
        anchored=heads.anchored,
        newest=heads.newest,
    )


@dataclass(frozen=True, slots=True)
class _Leaf:
    seq: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class _Hole:
    """Leaves that the record should have here, and has not; and how that shows."""

    count: int
    text: str


class _Walk:
    """Goes along events and leaves together."""

    def __init__(
        self,
        events: AsyncIterable[EventRow] | Iterable[EventRow],
        blocks: AsyncIterable[LeafRecord] | Iterable[LeafRecord],
        faults: Faults,
    ) -> None:
        self._faults = faults
        self._events = Ahead(events)
        self._record: Ahead[_Leaf | _Hole] = Ahead(self._read(Ahead(blocks)))
        self._segment = Segment(faults)
        self._seen = 0
        """Leaves so far, those included that only an event still speaks for."""
        self._recorded = 0
        self._recorded_to = 0
        self._hole = 0
        """Leaves that the record lacks at this point; events stand in for them."""
        self._holed = False
        self._last_leaf = 0
        self._last_event = 0
        self._gone: tuple[int, int] | None = None
        """First and last of the sealed events that are missing since the last one that is not."""
        self._lost: Head | None = None
        """The newest seal of the database that the record does not reach."""
        self._cut = False
        """Leaf and event are both gone before a seal was reached."""
        self._sealed_to = 0
        """The highest place that a good seal covers."""
        self.events = 0
        self.proved = 0
        self.tail = 0

    async def prove(self, proof: Proof) -> None:
        """Walk to where this seal was made, and settle what lies behind it."""
        head = proof.head
        self._sealed_to = head.last_seq
        while self._seen < head.size and await self._step(head.last_seq):
            pass
        if self._recorded < head.size and not proof.anchored_only and await self._record.peek() is None:
            self._lost = head
        if self._seen < head.size:
            self._cut = True
        elif self._segment.settle(head):
            self.proved = head.size
            self._check_end(head)

    def _check_end(self, head: Head) -> None:
        """The places of leaves are not hashed; that of the last one is signed."""
        if self._last_leaf != head.last_seq:
            text = f"seal {head.id} ends at event {head.last_seq}, the record of leaves has {self._last_leaf} there"
            first, last = sorted((self._last_leaf, head.last_seq))
            self._faults.add(FaultKind.LEAVES_EDITED, text, (first, last))

    async def finish(self, claimed: int, highest: int) -> None:
        """What lies past the last good seal."""
        self._hole = 0
        while await self._step(0):
            pass
        self._segment.settle(None)
        self._segment.tell_moved()
        if self._recorded > claimed and not self._holed:
            text = f"the record holds {self._recorded - claimed} leaves more than the newest seal: seals were cut off"
            first = min(self._sealed_to + 1, self._last_leaf)
            self._faults.add(FaultKind.TRUNCATED, text, (first, self._last_leaf))
        await self._covered_events()
        await self._tail_events()
        self._tell_cut(highest)

    async def _step(self, limit: int) -> bool:
        """The next leaf, with the event at its place; False when there is none.

        Where the record has none, the next event up to place `limit` stands in for it.
        """
        if self._hole:
            return await self._fill(limit)
        entry = await self._record.take()
        if entry is None:
            return await self._stand_in(limit)
        if isinstance(entry, _Hole):
            await self._open(entry, limit)
            return True
        self._seen += 1
        self._recorded += 1
        await self._compare(entry)
        return True

    async def _compare(self, leaf: _Leaf) -> None:
        if leaf.seq <= self._last_leaf:
            text = f"the record has this leaf after that of event {self._last_leaf}"
            self._faults.add(FaultKind.LEAVES_EDITED, text, (leaf.seq, leaf.seq))
            self._segment.add_missing(leaf.seq, leaf.digest)
            return
        self._last_leaf = self._recorded_to = leaf.seq
        while (event := await self._events.peek()) is not None and event[0] < leaf.seq:
            await self._take_event()
            self._tell_inserted(event[0])
        if event is None or event[0] != leaf.seq:
            self._gone = (self._gone[0] if self._gone else leaf.seq, leaf.seq)
            self._segment.add_missing(leaf.seq, leaf.digest)
            return
        await self._take_event()
        self._segment.add(leaf.seq, leaf.digest, merkle.leaf(event[2]), event[1])

    async def _open(self, hole: _Hole, limit: int) -> None:
        following = await self._record.peek()
        first = self._last_leaf + 1
        last = following.seq - 1 if isinstance(following, _Leaf) else limit
        self._faults.add(FaultKind.LEAVES_EDITED, hole.text, (first, max(first, last)))
        self._hole, self._holed = hole.count, True
        self._recorded += hole.count

    async def _fill(self, limit: int) -> bool:
        """One leaf of a hole: an event before the record goes on; when there is none, the hole can't be filled."""
        following = await self._record.peek()
        bound = following.seq - 1 if isinstance(following, _Leaf) else limit
        if await self._stand_in(bound):
            self._hole -= 1
        else:
            self._seen += self._hole
            self._hole = 0
        return True

    async def _stand_in(self, limit: int) -> bool:
        event = await self._events.peek()
        if event is None or event[0] > limit:
            return False
        await self._take_event()
        content = merkle.leaf(event[2])
        self._segment.add(event[0], content, content, event[1])
        self._seen += 1
        self._last_leaf = event[0]
        return True

    async def _take_event(self) -> EventRow | None:
        event = await self._events.take()
        if event is not None:
            self.events += 1
            self._last_event = event[0]
            if self._gone and self._gone[1] < event[0]:
                self._faults.add(FaultKind.DELETED, "sealed, and no longer there", self._gone)
                self._gone = None
        return event

    def _tell_inserted(self, seq: int) -> None:
        self._faults.add(FaultKind.INSERTED, "stands among sealed events and was never sealed", (seq, seq))

    async def _covered_events(self) -> None:
        """Events in the range of a seal, past all leaves."""
        while (event := await self._events.peek()) is not None and event[0] <= self._sealed_to:
            await self._take_event()
            if not self._cut:
                self._tell_inserted(event[0])

    async def _tail_events(self) -> None:
        while (event := await self._take_event()) is not None:
            self.tail += 1
            if event[1] != merkle.leaf(event[2]):
                text = "not sealed yet, and its content does not give its hash"
                self._faults.add(FaultKind.EDITED, text, (event[0], event[0]))

    def _tell_cut(self, highest: int) -> None:
        if self._gone:
            self._faults.add(FaultKind.TRUNCATED, "sealed, and cut off from the end", self._gone)
        if self._lost:
            head, first = self._lost, self._recorded_to + 1
            text = f"seal {head.id} covers {head.size} leaves, the record ends after {self._recorded}: "
            text += "its end was cut off, and the events with it" if self._cut else "its end was cut off"
            self._faults.add(FaultKind.TRUNCATED, text, (min(first, head.last_seq), head.last_seq))
        reached = max(self._last_event, self._last_leaf, self._sealed_to)
        if highest > reached:
            text = f"the database has given places up to {highest}, and no event stands there: the end was cut off"
            self._faults.add(FaultKind.TRUNCATED, text, (reached + 1, highest))

    async def _read(self, blocks: Ahead[LeafRecord]) -> AsyncIterator[_Leaf | _Hole]:
        """Each leaf of the record. What is missing leaves a hole."""
        expected = 0
        while (block := await blocks.take()) is not None:
            if block.number > expected:
                text = f"the record of leaves goes on with block {block.number} where {expected} should be"
                yield _Hole((block.number - expected) * BLOCK, text)
            expected = block.number + 1
            whole = len(block.leaves) // LEAF_SIZE * LEAF_SIZE
            for seq, digest in leaves_in(block.leaves[: min(whole, BLOCK * LEAF_SIZE)]):
                yield _Leaf(seq, digest)
            short = whole // LEAF_SIZE < BLOCK and await blocks.peek() is not None
            if short or len(block.leaves) != whole:
                text = f"block {block.number} of the record holds {len(block.leaves) / LEAF_SIZE:g} leaves"
                yield _Hole(max(BLOCK - whole // LEAF_SIZE, 0) if short else 0, text)
