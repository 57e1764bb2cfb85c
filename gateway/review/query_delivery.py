"""A provider query on its way to the inbox of an EHR: one row, its table of states, and when to look at it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from gateway.encounter.record import Record


class InboxState(StrEnum):
    READY = "ready"
    INTENT = "intent"
    """It is being put into the inbox: it may or may not be there."""
    UNKNOWN = "unknown"
    """Nobody heard whether it arrived: the inbox is searched before anything is sent again."""
    STANDING = "standing"
    """It is in the inbox, once."""
    REFUSED = "refused"
    """The EHR does not take it: a person must look."""
    ENDED = "ended"
    """The query is over, and the inbox knows."""


INBOX_TRANSITIONS: dict[tuple[InboxState, str], InboxState] = {
    (InboxState.READY, "intend"): InboxState.INTENT,
    (InboxState.UNKNOWN, "intend"): InboxState.INTENT,
    (InboxState.INTENT, "not-sent"): InboxState.READY,
    (InboxState.INTENT, "lose"): InboxState.UNKNOWN,
    (InboxState.INTENT, "refuse"): InboxState.REFUSED,
    (InboxState.INTENT, "stand"): InboxState.STANDING,
    (InboxState.STANDING, "look"): InboxState.STANDING,
    (InboxState.STANDING, "lose"): InboxState.UNKNOWN,
    (InboxState.STANDING, "end"): InboxState.ENDED,
    (InboxState.READY, "end"): InboxState.ENDED,
    (InboxState.REFUSED, "end"): InboxState.ENDED,
    (InboxState.REFUSED, "intend"): InboxState.INTENT,
}
"""A missing key is the error. An unknown one does not end before it is known whether something stands in the inbox."""


class IllegalInboxMove(ValueError):
    """The row's state has no such move."""


class QueryDelivery(Record):
    """One query and one inbox."""

    query: int
    number: str
    encounter: str
    ehr: str
    state: InboxState = InboxState.READY
    attempts: int = 0
    """Raised by every commit: what guards against another gateway at work on the same row."""
    due: datetime
    """When to look at it next."""
    since: datetime
    """When it reached the state."""
    epoch: int = 0
    """The owner at the last intent; another owner treats the intent as unknown once it is silent for long enough."""
    reference: str | None = None
    """What stands in the inbox, as `Task/123`."""
    form: str | None = None
    """The Questionnaire there, as `Questionnaire/7`."""
    told: int = 0
    """How many reminders the inbox knows of."""
    doubtful: bool = False
    """An attempt's end was not heard once: a second copy may have arrived late, and is looked for."""
    failures: int = 0
    """In a row: what the next pause is reckoned from."""
    outcome: str | None = None
    """What the EHR said last, in codes: no patient's data."""


def moved(row: QueryDelivery, move: str, *, now: datetime, due: datetime, **changes: object) -> QueryDelivery:
    """The row after `move`. IllegalInboxMove when its state has none such."""
    state = INBOX_TRANSITIONS.get((row.state, move))
    if state is None:
        raise IllegalInboxMove(f"a query's delivery that is {row.state} cannot {move}")
    since = row.since if state is row.state else now
    return row.model_copy(update={"state": state, "attempts": row.attempts + 1, "due": due, "since": since, **changes})


FIRST_POLL = timedelta(minutes=1)
QUICK_POLL = timedelta(minutes=5)
QUICK_FOR = timedelta(minutes=30)
SLOW_POLL = timedelta(hours=1)
LONGEST_PAUSE = timedelta(minutes=15)


def next_poll(standing_since: datetime, now: datetime) -> datetime:
    """When to ask an EHR next how a query stands: after a minute, each five minutes for half an hour, then hourly."""
    age = now - standing_since
    if age < FIRST_POLL:
        return standing_since + FIRST_POLL
    return now + (QUICK_POLL if age < QUICK_FOR else SLOW_POLL)


def pause(failures: int) -> timedelta:
    """How long to leave an EHR alone after so many failures in a row: from ten seconds, doubling."""
    return min(timedelta(seconds=10 * (1 << min(failures, 10))), LONGEST_PAUSE)
