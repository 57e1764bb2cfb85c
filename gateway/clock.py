"""Time and ids, the only two things that the pure core is given rather than finds."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from. Tests hold it still."""

    def now(self) -> datetime:
        """The present instant, in UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


_EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z


def first_id(moment: datetime) -> int:
    """The lowest id that `Ids` can give from `moment` (aware) on; 0 for one before they began, the highest of all for
    one after they end.
    """
    return min(max(0, int(moment.timestamp() * 1000) - _EPOCH_MS) << 22, 2**63 - 1)


def moment_of(id: int) -> datetime:
    """When `Ids` gave `id`, to the millisecond; in UTC."""
    return datetime.fromtimestamp(((id >> 22) + _EPOCH_MS) / 1000, UTC)


class Ids:
    """Ids that grow with time: 41 bits of milliseconds, 6 of node, 16 of counter. Unique while nodes differ."""

    def __init__(self, node: int = 0) -> None:
        if not 0 <= node < 64:
            raise ValueError("a node's number is 0 to 63")
        self._node = node << 16
        self._last = 0

    def next(self) -> int:
        """A new id, larger than each that this instance gave before."""
        moment = (int(time.time() * 1000) - _EPOCH_MS) << 22 | self._node
        self._last = moment if moment > self._last else self._last + 1
        return self._last
