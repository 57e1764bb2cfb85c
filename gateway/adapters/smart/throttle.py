"""How often somebody may fail. Counted by who fails and whom they name, so that nobody locks others out."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

from gateway.clock import Clock

MOST = 20
WINDOW = timedelta(minutes=1)
HELD = 4096

Name = tuple[str, str | None]
"""The remote address, and the client that it says it is."""


class Failures:
    """At most `most` failures of one name in a window of time; bounded in memory."""

    def __init__(self, clock: Clock, most: int = MOST, window: timedelta = WINDOW, held: int = HELD) -> None:
        self._clock = clock
        self._most, self._window, self._held = most, window, held
        self._counted: OrderedDict[Name, tuple[datetime, int]] = OrderedDict()

    def wait(self, name: Name) -> int:
        """Seconds until `name` may try again; 0 when it may now."""
        began, count = self._counted.get(name, (self._clock.now(), 0))
        left = (began + self._window - self._clock.now()).total_seconds()
        return max(int(left) + 1, 1) if count >= self._most and left > 0 else 0

    def failed(self, name: Name) -> None:
        now = self._clock.now()
        began, count = self._counted.pop(name, (now, 0))
        if now - began >= self._window:
            began, count = now, 0
        self._counted[name] = (began, count + 1)
        while len(self._counted) > self._held:
            self._counted.popitem(last=False)
