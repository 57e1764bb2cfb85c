"""A new attempt at a message that was kept before, linked to it; the first attempt's record stays as it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gateway.audit.events import Action, Event
from gateway.clock import Clock, Ids
from gateway.message import MESSAGE_TRANSITIONS, Message, MessageState
from gateway.store.interface import Conflict, MessageOutcome, Step, Store


class NotReplayable(Exception):
    """The message is unknown, or in a state from which it cannot be taken again. Says which."""


async def replay(store: Store, message_id: int, *, actor: str, clock: Clock, ids: Ids) -> int:
    """Queue the message again behind all that waits; the new attempt's id.

    The original is marked as replayed, so that it is taken again only once. Raises NotReplayable.
    """
    original = await store.message(message_id)
    if original is None:
        raise NotReplayable(f"there is no message {message_id}")
    if (original.state, "replay") not in MESSAGE_TRANSITIONS:
        raise NotReplayable(f"message {message_id} is {original.state}; only one that was dealt with can be replayed")
    if not original.payload:
        raise NotReplayable(f"message {message_id} was pruned: its content is no longer kept")
    attempt, outcome, event = attempt_at(original, ids.next(), actor, clock.now())
    try:
        await store.commit(Step(messages=[attempt], outcomes=[outcome], events=[event]))
    except Conflict as conflict:
        raise NotReplayable(f"message {message_id} was replayed by someone else just now") from conflict
    return attempt.id


def attempt_at(original: Message, id: int, actor: str, now: datetime) -> tuple[Message, MessageOutcome, Event]:
    """A new attempt at the message, what becomes of the original, and the event that tells of it: of one commit."""
    attempt = replace(
        original,
        id=id,
        state=MessageState.RECEIVED,
        received=now,
        reason=None,
        encounter=None,
        replay_of=original.id,
    )
    event = Event(
        now,
        actor,
        Action.MESSAGE_REPLAYED,
        f"message/{original.id}",
        original.encounter,
        attempt.id,
        {"was": original.state},
    )
    outcome = MessageOutcome(
        original.id,
        MESSAGE_TRANSITIONS[original.state, "replay"],
        expected=original.state,
        reason=original.reason,
        encounter=original.encounter,
    )
    return attempt, outcome, event
