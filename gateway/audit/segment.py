"""The leaves between two seals: whether the signed root follows from them, and what each doubtful event then is."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit.faults import FaultKind, Faults, Span
from gateway.audit.merkle import Frontier
from gateway.audit.seals import BLOCK, Head

DOUBT_LIMIT = 50_000
"""Doubtful events kept one by one; past it they are told as a range."""


class _Chain:
    """A frontier that takes leaves one by one and hashes them by the block."""

    def __init__(self, frontier: Frontier) -> None:
        self._frontier = frontier
        self._waiting: list[bytes] = []

    def add(self, digest: bytes) -> None:
        self._waiting.append(digest)
        if len(self._waiting) == BLOCK:
            self.frontier()

    def frontier(self) -> Frontier:
        if self._waiting:
            self._frontier = self._frontier.extend(self._waiting)
            self._waiting.clear()
        return self._frontier


@dataclass(frozen=True, slots=True)
class _Doubt:
    """An event whose leaf, content and stored hash do not all agree."""

    seq: int
    leaf: bytes
    content: bytes
    stored: bytes


@dataclass(frozen=True, slots=True)
class _Moved:
    """An event that holds something other than what was sealed for it."""

    found: bytes
    sealed: bytes
    rehashed: bool


class Segment:
    """Three histories are kept: that of the record, and, from the first doubt on, those of the events' contents and of
    their stored hashes. The one that the signed root follows from is the true one.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._record = _Chain(Frontier())
        self._content: _Chain | None = None
        self._stored: _Chain | None = None
        self._doubts: list[_Doubt] = []
        self._more: Span | None = None
        self._span: Span | None = None
        self._moved: dict[int, _Moved] = {}
        self._broken = False
        """A root did not follow from anything: later ones can't be recomputed."""

    def add(self, seq: int, leaf: bytes, content: bytes, stored: bytes) -> None:
        """The leaf at this place, and the hashes of the event that stands there."""
        if not leaf == content == stored:
            self._doubt(_Doubt(seq, leaf, content, stored))
        self._append(seq, leaf, content, stored)

    def add_missing(self, seq: int, leaf: bytes) -> None:
        """A leaf whose event is not there."""
        self._append(seq, leaf, leaf, leaf)

    def _append(self, seq: int, leaf: bytes, content: bytes, stored: bytes) -> None:
        self._span = (min(self._span[0], seq), max(self._span[1], seq)) if self._span else (seq, seq)
        self._record.add(leaf)
        if self._content and self._stored:
            self._content.add(content)
            self._stored.add(stored)

    def _doubt(self, doubt: _Doubt) -> None:
        if self._content is None:
            before = self._record.frontier()
            self._content, self._stored = _Chain(before), _Chain(before)
        if len(self._doubts) + len(self._moved) < DOUBT_LIMIT:
            self._doubts.append(doubt)
        else:
            self._more = (self._more[0] if self._more else doubt.seq, doubt.seq)

    def settle(self, head: Head | None) -> bool:
        """The leaves so far, against the signed root; without one, the record is believed. Whether they are proved."""
        truth = self._truth(head)
        for doubt in self._doubts:
            self._judge(doubt, {"leaf": doubt.leaf, "content": doubt.content, "stored": doubt.stored}[truth])
        if self._more:
            self._faults.add(FaultKind.EDITED, "many events here are not what was sealed", self._more)
        self._doubts, self._more, self._span = [], None, None
        self._content = self._stored = None
        return head is not None and not self._broken

    def _truth(self, head: Head | None) -> str:
        """Which history the root follows from; that one is carried on."""
        if head is None or self._broken or self._record.frontier().root() == head.root:
            return "leaf"
        for name, chain in (("content", self._content), ("stored", self._stored)):
            if chain is not None and chain.frontier().root() == head.root:
                self._record = chain
                return name
        self._broken = True
        text = f"the record of leaves here does not give the root that seal {head.id} signed; later ones are unproved"
        self._faults.add(FaultKind.LEAVES_EDITED, text, *((self._span,) if self._span else ()))
        return "leaf"

    def _judge(self, doubt: _Doubt, sealed: bytes) -> None:
        place = (doubt.seq, doubt.seq)
        if doubt.leaf != sealed:
            text = "its leaf in the record is not the one that was signed"
            self._faults.add(FaultKind.LEAVES_EDITED, text, place)
        if doubt.content != sealed:
            self._moved[doubt.seq] = _Moved(doubt.content, sealed, doubt.stored == doubt.content)
        elif doubt.stored != sealed:
            text = "its hash column was edited; its content is what was sealed"
            self._faults.add(FaultKind.HASH_EDITED, text, place)

    def tell_moved(self) -> None:
        """Every event with another content: exchanged with others, or edited."""
        owner = {moved.sealed: seq for seq, moved in self._moved.items()}
        told: set[int] = set()
        for seq in sorted(self._moved):
            if seq not in told:
                told.update(self._tell(seq, owner))

    def _tell(self, seq: int, owner: dict[bytes, int]) -> list[int]:
        ring = self._ring(seq, owner)
        if ring:
            names = " and ".join(str(place) for place in sorted(ring))
            text = f"events {names} carry each other's content"
            self._faults.add(FaultKind.SWAPPED, text, *((place, place) for place in sorted(ring)))
            return ring
        moved = self._moved[seq]
        source = owner.get(moved.found)
        text = "its content is not what was sealed"
        if source is not None and source != seq:
            text += f", but what was sealed for event {source}"
        if moved.rehashed:
            text += "; its hash column was recomputed to hide it"
        self._faults.add(FaultKind.EDITED, text, (seq, seq))
        return [seq]

    def _ring(self, seq: int, owner: dict[bytes, int]) -> list[int]:
        """The places whose contents were exchanged round about, beginning with this one; none if it isn't so."""
        ring, place = [seq], owner.get(self._moved[seq].found)
        while place is not None and place != seq and place not in ring:
            if len(ring) == 16:
                return []
            ring.append(place)
            place = owner.get(self._moved[place].found)
        return ring if place == seq and len(ring) > 1 else []
