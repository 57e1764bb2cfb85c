"""A delivery's moves over `DELIVERY_TRANSITIONS`, what the audit trail says of them, and when to try again. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from gateway.audit.events import Action, Event
from gateway.release.model import DELIVERY_TRANSITIONS, Delivery, DeliveryState, Outcome, Result

MOVES: dict[Result, str] = {
    Result.ACCEPTED: "accept",
    Result.SENT: "send",
    Result.REJECTED: "reject",
    Result.NOT_SENT: "not-sent",
    Result.UNKNOWN: "lose",
}
"""What an attempt came to -> the move of its delivery."""


class IllegalMove(ValueError):
    """The delivery's state has no such move."""

    def __init__(self, state: DeliveryState, move: str) -> None:
        super().__init__(f"a delivery in state {state} cannot {move}")
        self.state = state
        self.move = move


def payload_hash(payload: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(payload).hexdigest()


def movable(delivery: Delivery, move: str) -> bool:
    return (delivery.state, move) in DELIVERY_TRANSITIONS


def _next(delivery: Delivery, move: str) -> DeliveryState:
    state = DELIVERY_TRANSITIONS.get((delivery.state, move))
    if state is None:
        raise IllegalMove(delivery.state, move)
    return state


def intended(delivery: Delivery, payload: bytes, *, epoch: int, now: datetime) -> Delivery:
    """The delivery just before an attempt. IllegalMove when none may be made; ValueError when the bytes differ.

    `first_attempt` is kept from the earliest attempt that may have arrived; a resend never moves it.
    """
    if delivery.payload is not None and delivery.payload != payload:
        raise ValueError("an attempt repeats the bytes of the first")
    return delivery.model_copy(
        update={
            "state": _next(delivery, "intend"),
            "payload": payload,
            "parked": False,
            "attempts": delivery.attempts + 1,
            "first_attempt": now if delivery.state is DeliveryState.READY else delivery.first_attempt,
            "epoch": epoch,
            "changed": now,
        }
    )


def settled(delivery: Delivery, outcome: Outcome, *, now: datetime, due: datetime, resend: bool = False) -> Delivery:
    """The delivery after an attempt, an inquiry or a person's word. `due` is when to look at it again.

    A resend that was not sent leaves the earlier attempt as unknown as it was.
    """
    move = "lose" if resend and outcome.result is Result.NOT_SENT else MOVES[outcome.result]
    state = _next(delivery, move)
    return delivery.model_copy(
        update={
            "state": state,
            "parked": outcome.parked and state is DeliveryState.UNKNOWN,
            "outcome": outcome.text,
            "reference": outcome.reference or delivery.reference,
            "first_attempt": None if move == "not-sent" else delivery.first_attempt,
            "due": due,
            "changed": now,
        }
    )


def changed_event(before: Delivery, after: Delivery, *, actor: str, by_hand: bool = False) -> Event:
    """The audit event of a move. Free text that a person gave stays in the delivery; the event says it was by hand."""
    detail: dict[str, object] = {
        "claim": after.claim,
        "destination": after.destination,
        "from": before.state,
        "to": after.state,
        "attempt": after.attempts,
    }
    if after.payload is not None:
        detail["payload"] = payload_hash(after.payload)
    if by_hand:
        detail["by_hand"] = True
    elif after.outcome and after.state is not DeliveryState.INTENT:
        detail["outcome"] = after.outcome
    if after.reference:
        detail["reference"] = after.reference
    return Event(
        at=after.changed,
        actor=actor,
        action=Action.DELIVERY_CHANGED,
        subject=f"delivery/{after.id}",
        encounter=after.encounter,
        detail=detail,
    )


def backoff(trial: int, *, base: timedelta, cap: timedelta, jitter: float, asked: float | None = None) -> timedelta:
    """How long to wait after `trial` failures (from 1): doubling, between half and all of it by `jitter` (0 to 1).

    `asked` are the seconds that the destination itself asked for: never less than that, but never more than a day.
    """
    doubled = base * (1 << min(max(trial, 1) - 1, 20))
    wait = min(doubled, cap) * (0.5 + jitter / 2)
    return max(wait, timedelta(seconds=min(asked or 0.0, 86_400.0)))
