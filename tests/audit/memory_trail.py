"""A trail in memory: what sealing and verification ask of a store, open to tampering."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.audit.events import Action, Event
from gateway.audit.keys import SealKey
from gateway.store.interface import Conflict, LeafBlock, Seal, StoredEvent
from gateway.trail.sealing import Sealer

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


@dataclass
class StoppedClock:
    moment: datetime = START

    def now(self) -> datetime:
        return self.moment


@dataclass
class MemoryTrail:
    """Events, seals and leaf blocks in lists; `unreadable` places raise when they are read, as damaged rows do."""

    lines: list[StoredEvent] = field(default_factory=list)
    sealed: list[Seal] = field(default_factory=list)
    blocks: dict[int, bytes] = field(default_factory=dict)
    highest: int = 0
    unreadable: set[int] = field(default_factory=set)
    refuse_seals: int = 0
    blocks_read: int = 0

    def write(self, count: int, step: int = 1) -> None:
        for _ in range(count):
            seq = self.highest + step
            moment = START + timedelta(seconds=seq)
            event = Event(moment, "feed:adt", Action.MESSAGE_RECEIVED, f"message/{seq}", message=seq)
            self.lines.append(StoredEvent(seq, event.digest(), event))
            self.highest = seq

    def at(self, seq: int) -> int:
        return next(index for index, line in enumerate(self.lines) if line.seq == seq)

    def edit(self, seq: int, *, rehash: bool = False) -> None:
        index = self.at(seq)
        event = replace(self.lines[index].event, actor="user:nobody")
        digest = event.digest() if rehash else self.lines[index].hash
        self.lines[index] = StoredEvent(seq, digest, event)

    def swap(self, first: int, second: int) -> None:
        here, there = self.at(first), self.at(second)
        one, other = self.lines[here], self.lines[there]
        self.lines[here], self.lines[there] = replace(other, seq=first), replace(one, seq=second)

    def delete(self, *seqs: int) -> None:
        self.lines = [line for line in self.lines if line.seq not in seqs]

    async def unsealed(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        return [(line.seq, line.hash) for line in self.lines if line.seq > after][:limit]

    async def last_seal(self) -> Seal | None:
        return self.sealed[-1] if self.sealed else None

    async def seals(self) -> AsyncIterator[Seal]:
        for seal in list(self.sealed):
            yield seal

    async def leaf_blocks(self, first: int = 0) -> AsyncIterator[LeafBlock]:
        for number in sorted(self.blocks):
            if number >= first:
                self.blocks_read += 1
                yield LeafBlock(number, self.blocks[number])

    async def add_seal(self, seal: Seal, blocks: Sequence[LeafBlock]) -> None:
        if self.refuse_seals:
            self.refuse_seals -= 1
            raise Conflict("another gateway sealed")
        if any(there.id == seal.id for there in self.sealed):
            raise Conflict("a seal of that id stands")
        self.sealed.append(seal)
        self.blocks.update({block.number: block.leaves for block in blocks})

    async def events(self, after: int = 0) -> AsyncIterator[StoredEvent]:
        for line in list(self.lines):
            if line.seq > after:
                if line.seq in self.unreadable:
                    raise ValueError("damaged")
                yield line

    async def highest_event(self) -> int:
        return self.highest


@dataclass
class Sealing:
    """A trail with the one who seals it."""

    trail: MemoryTrail
    key: SealKey
    anchor: Path
    clock: StoppedClock = field(default_factory=StoppedClock)

    def sealer(self) -> Sealer:
        """A new process of the gateway, on the same database and files."""
        return Sealer(self.trail, self.key, self.anchor, self.clock)
