"""One read, one decision, one commit; taken again when somebody else was faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from gateway.audit.events import Action, Event
from gateway.case import Case
from gateway.clock import Clock, Ids
from gateway.desk.ports import Advance, CaseStore, Deciding, Person
from gateway.desk.refusals import Reason, Refusal
from gateway.encounter.change import Content
from gateway.encounter.model import Encounter
from gateway.intake.intake import told
from gateway.message import Message, MessageState, Received
from gateway.release.model import Claim
from gateway.review.query_delivery import QueryDelivery
from gateway.store.interface import Conflict, Step

ResultT = TypeVar("ResultT")

TRIES = 3


@dataclass(frozen=True, slots=True)
class Decided(Generic[ResultT]):
    """What a decision came to: how the case goes on, what is told and kept beside it, and what the person hears."""

    advance: Advance
    events: tuple[Event, ...]
    result: Callable[[Advance], ResultT]
    contents: tuple[Content, ...] = ()
    messages: tuple[Message, ...] = ()
    query_deliveries: tuple[QueryDelivery, ...] = ()


@dataclass(frozen=True, slots=True)
class Unchanged(Generic[ResultT]):
    """There is nothing to commit: it stands already as it was asked for."""

    result: ResultT


Decision = Callable[[Case, Encounter, datetime], Decided[ResultT] | Unchanged[ResultT]]
"""Decides over a case as it stands; raises Refusal. It is asked again, on fresh data, after a conflict."""


@dataclass(slots=True)
class Work:
    """Where decisions are carried out. `on_released` wakes the delivery when a claim leaves."""

    store: CaseStore
    casework: Deciding
    clock: Clock
    ids: Ids
    on_released: Callable[[Claim], None] = field(default=lambda claim: None)

    async def case(self, key: str) -> tuple[Case, Encounter]:
        """The case of `key`. Refusal when there is no such encounter."""
        case = (await self.store.cases([key])).get(key)
        if case is None or case.encounter is None:
            raise Refusal(Reason.UNKNOWN, "There is no encounter with this key")
        return case, case.encounter

    async def decide(self, key: str, decision: Decision[ResultT]) -> ResultT:
        """Carry out `decision` on the case of `key`. Refusal BUSY when others were faster three times."""
        for _ in range(TRIES):
            case, encounter = await self.case(key)
            try:
                async with self.casework.sampler.turn(self.store):
                    decided = decision(case, encounter, self.clock.now())
                    if isinstance(decided, Unchanged):
                        return decided.result
                    await self.store.commit(_step(key, decided))
            except Conflict:
                continue
            if decided.advance.released is not None:
                self.on_released(decided.advance.released)
            return decided.result(decided.advance)
        raise Refusal(Reason.BUSY, "Others keep changing this encounter; try again")


def processed(received: Received, message_id: int, key: str, now: datetime) -> tuple[Message, tuple[Event, ...]]:
    """`received` as a message that is processed in the commit that keeps it, and the events that say so."""
    message = Message(
        id=message_id,
        feed=received.feed,
        format=received.format,
        type=received.type,
        control=received.control,
        received=now,
        state=MessageState.PROCESSED,
        payload=received.payload,
        reply=received.reply,
        encounter=key,
    )
    subject = f"message/{message_id}"
    detail = told(received, received.digest())
    return message, (
        Event(now, f"client:{received.feed}", Action.MESSAGE_RECEIVED, subject, key, message_id, detail),
        Event(now, "gateway", Action.MESSAGE_PROCESSED, subject, key, message_id),
    )


def _step(key: str, decided: Decided[ResultT]) -> Step:
    return Step(
        messages=list(decided.messages),
        contents=[(key, content) for content in decided.contents],
        cases=[decided.advance.change],
        query_deliveries=list(decided.query_deliveries),
        events=[*decided.events, *decided.advance.events],
    )


def user(person: Person) -> str:
    """The name in the audit trail of someone at the desk."""
    return f"user:{person.name}"


def client(person: Person) -> str:
    """The name in the audit trail of a provider's system."""
    return f"client:{person.name}"
