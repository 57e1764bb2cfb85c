"""The seals that verification can lean on: those of the database and of the anchor file, merged and checked."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.audit import anchor as anchor_file
from gateway.audit.ahead import Ahead
from gateway.audit.faults import FaultKind, Faults
from gateway.audit.keys import PublicKey
from gateway.audit.seals import Head, Sealed

_START = Head(0, 0, 0, b"", datetime.min.replace(tzinfo=UTC), "")


@dataclass(frozen=True, slots=True)
class Proof:
    """A head with a good signature. `anchored_only`: the database no longer has it."""

    head: Head
    anchored_only: bool


class Heads:
    """Yields the proofs, oldest first, and tells the faults of the seals themselves."""

    def __init__(
        self,
        seals: AsyncIterable[Sealed] | Iterable[Sealed],
        anchor: Iterable[bytes],
        keys: Mapping[str, PublicKey],
        faults: Faults,
    ) -> None:
        self._keys = keys
        self._faults = faults
        self._seals: Ahead[Sealed] = Ahead(seals)
        self._anchor: Ahead[Head] = Ahead(self._lines(anchor))
        self._last_id = 0
        self._stored_to = 0
        self._last = _START
        self.count = 0
        self.anchored = 0
        self.claimed = 0
        """Leaves that the newest seal of the database speaks of, whether or not its signature holds."""
        self.newest: datetime | None = None

    async def __aiter__(self) -> AsyncIterator[Proof]:
        cut: Head | None = None
        start = 0
        while True:
            seal, line = await self._seals.peek(), await self._anchor.peek()
            if seal is not None and (line is None or seal.id <= line.id):
                await self._seals.take()
                noted = await self._anchor.take() if line is not None and line.id == seal.id else None
                if proof := self._stored(Head.of(seal), noted):
                    yield proof
            elif line is not None:
                await self._anchor.take()
                if seal is None:
                    start = start or self._last.last_seq + 1
                    cut = line
                if proof := self._follow(line, anchored_only=True):
                    yield proof
            else:
                break
        if cut is not None:
            text = (
                f"the anchor file holds seal {cut.id}, the database ends at seal {self._last_id}: its end was cut off"
            )
            self._faults.add(FaultKind.TRUNCATED, text, (min(start, cut.last_seq), cut.last_seq))

    def _stored(self, head: Head, noted: Head | None) -> Proof | None:
        """A seal of the database, with the anchor's line of the same id. The anchor's stands in for a bad one."""
        self.count += 1
        covered = (min(self._last.last_seq + 1, max(head.last_seq, 0)), max(head.last_seq, 0))
        if head.id != self._last_id + 1:
            missing = f"seal {self._last_id + 1}"
            missing += f" to {head.id - 1} are missing" if head.id > self._last_id + 2 else " is missing"
            first = min(self._stored_to + 1, covered[1])
            self._faults.add(FaultKind.SEAL_MISSING, missing, (first, covered[1]))
        self._last_id, self._stored_to = head.id, covered[1]
        self.claimed = max(self.claimed, head.size)
        good = self._holds(head, f"seal {head.id}", covered)
        if noted is not None and good and not noted.agrees(head):
            text = f"seal {head.id} is not the one that was anchored: the history was written anew"
            self._faults.add(FaultKind.REWRITTEN, text, covered)
        elif noted is not None:
            self.anchored += good
        best = head if good else noted
        return None if best is None else self._follow(best, anchored_only=False)

    def _follow(self, head: Head, *, anchored_only: bool) -> Proof | None:
        """The head as a proof, if it covers more than the last one did."""
        if head.size <= self._last.size or head.last_seq <= self._last.last_seq:
            if not anchored_only:
                text = f"seal {head.id} covers no more than the seal before it: the history was written anew"
                self._faults.add(FaultKind.REWRITTEN, text, (head.last_seq, head.last_seq))
            return None
        self._last = head
        self.newest = head.sealed
        return Proof(head, anchored_only)

    def _holds(self, head: Head, name: str, covered: tuple[int, int]) -> bool:
        key = self._keys.get(head.key_id)
        if key is None:
            text = f"sealed with the key {head.key_id[:64]!r}, which is not among the given public keys"
            self._faults.add(FaultKind.UNKNOWN_KEY, text, covered)
            return False
        if not head.signed_by(key):
            text = f"{name} was edited: its signature does not hold"
            self._faults.add(FaultKind.BAD_SIGNATURE, text, covered)
            return False
        return True

    def _lines(self, lines: Iterable[bytes]) -> Iterator[Head]:
        """The anchor's good seals, rising; a repeated line is one seal."""
        last = _START
        for number, head in anchor_file.read(lines):
            if isinstance(head, anchor_file.Unreadable):
                self._faults.add(FaultKind.ANCHOR_EDITED, f"line {number} of the anchor file is not a seal")
            elif head == last or not self._holds(head, f"line {number} of the anchor file", (head.last_seq,) * 2):
                continue
            elif head.id <= last.id:
                self._faults.add(FaultKind.ANCHOR_EDITED, f"line {number} of the anchor file is out of order")
            else:
                last = head
                yield head
