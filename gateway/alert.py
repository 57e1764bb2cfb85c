"""An alert: a condition that people must know of. It is told when its state changes, never because it lasts. Pure.

Between what raises it and what ends it lies a stretch where nothing changes (hysteresis): a condition that swings about
its limit is one alert, not a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class AlertName(StrEnum):
    """What can be alerted of. A closed set: dashboards and on-call rules rely on it."""

    FEED_SILENT = "feed-silent"
    ERROR_RATE = "error-rate"
    QUEUE_AGE = "queue-age"
    DESTINATION_DOWN = "destination-down"
    SEALING_LATE = "sealing-late"
    POLL_FAILING = "poll-failing"


class AlertState(StrEnum):
    OK = "ok"
    RAISED = "raised"


class Seen(StrEnum):
    """What a look at a condition came to."""

    BAD = "bad"
    FINE = "fine"
    BETWEEN = "between"
    """Neither: whatever stands goes on standing. Also for what cannot be known yet."""


ALERT_TRANSITIONS: dict[tuple[AlertState, Seen], AlertState] = {
    (AlertState.OK, Seen.BAD): AlertState.RAISED,
    (AlertState.RAISED, Seen.FINE): AlertState.OK,
}
"""A missing key changes nothing."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One condition of one subject (a feed, a destination) at one gateway. No patient's data in any of it."""

    node: int
    name: AlertName
    subject: str
    """The feed's or destination's name; empty for what concerns the whole gateway."""
    state: AlertState
    since: datetime
    """When it came into this state."""
    text: str
    """For people: what was seen, with its limit."""
    told: bool = False
    """Whether the webhook has taken this state."""

    @property
    def key(self) -> tuple[AlertName, str]:
        return (self.name, self.subject)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one condition."""

    name: AlertName
    subject: str
    seen: Seen
    text: str


def judged(before: Alert | None, look: Look, node: int, now: datetime) -> Alert | None:
    """The alert after `look`, when that changes its state; None when nothing changes."""
    stands = before.state if before is not None else AlertState.OK
    state = ALERT_TRANSITIONS.get((stands, look.seen))
    if state is None:
        return None
    return Alert(node, look.name, look.subject, state, now, look.text)


def ended(alert: Alert, now: datetime, text: str) -> Alert:
    """The alert once its subject is watched no more."""
    return replace(alert, state=AlertState.OK, since=now, text=text, told=False)
