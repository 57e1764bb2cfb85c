"""What a gateway remembers of its own work, to be judged by: who was heard when, what was set aside, when it sealed."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.clock import Clock
from gateway.message import Message, MessageState

LONGEST = 240
"""Minutes of counts that are kept for a feed."""


@dataclass(slots=True)
class _Minute:
    began: int
    processed: int = 0
    set_aside: int = 0


@dataclass(slots=True)
class Vitals:
    """In memory, of one process. Each method takes microseconds: it stands on the pipeline's way."""

    clock: Clock
    started: datetime = field(init=False)
    heard: dict[str, datetime] = field(default_factory=dict)
    """When each feed's newest message was received, since the start."""
    sealed: datetime | None = None
    """When sealing last came to its end."""
    _minutes: defaultdict[str, deque[_Minute]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=LONGEST))
    )

    def __post_init__(self) -> None:
        self.started = self.clock.now()

    def processed(self, message: Message, outcome: str) -> None:
        """The pipeline settled a message. A replay says nothing of its feed."""
        if message.replay_of is not None:
            return
        self.heard_from(message.feed, message.received)
        minutes = self._minutes[message.feed]
        now = int(self.clock.now().timestamp()) // 60
        if not minutes or minutes[-1].began != now:
            minutes.append(_Minute(now))
        minutes[-1].processed += 1
        minutes[-1].set_aside += outcome == MessageState.SET_ASIDE

    def heard_from(self, feed: str, at: datetime) -> None:
        if feed not in self.heard or self.heard[feed] < at:
            self.heard[feed] = at

    def was_sealed(self) -> None:
        self.sealed = self.clock.now()

    def set_aside(self, feed: str, window: timedelta) -> tuple[int, int]:
        """(messages, those set aside) of the feed in the last `window`, in whole minutes."""
        since = int((self.clock.now() - window).timestamp()) // 60
        within = [minute for minute in self._minutes.get(feed, ()) if minute.began > since]
        return sum(minute.processed for minute in within), sum(minute.set_aside for minute in within)
