"""One attempt: its intent committed, its bytes sent, its outcome settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from gateway.clock import Clock
from gateway.delivery.lane import Lane, Pace
from gateway.delivery.ports import Casework, DeliveryStore
from gateway.delivery.suspensions import Suspensions
from gateway.logs import logger
from gateway.mappings.x12.problem import Unwritable
from gateway.release.model import Claim, Delivery, DeliveryState, Outcome, Result
from gateway.release.transitions import MOVES, changed_event, intended, movable, payload_hash, settled
from gateway.store.interface import Attempt, Conflict, DeliveryChange, Step, StoreFault

GATEWAY = "gateway"

log = logger("delivery")


class Attempts:
    """Makes attempts, as one owner in one epoch. Only who committed an intent sends under it, once."""

    def __init__(
        self,
        store: DeliveryStore,
        casework: Casework,
        clock: Clock,
        pace: Pace,
        suspensions: Suspensions,
        *,
        owner: str,
        epoch: int,
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._casework = casework
        self._clock = clock
        self._pace = pace
        self._suspensions = suspensions
        self._owner = owner
        self.epoch = epoch
        self._jitter = jitter
        self._down: set[str] = set()

    async def attempt(self, lane: Lane, delivery: Delivery, claim: Claim | None, actor: str = GATEWAY) -> None:
        """Intend, send, settle. `claim` is needed for the first attempt only: later ones repeat its bytes."""
        payload = delivery.payload if delivery.payload is not None else await self._render(lane, delivery, claim)
        if payload is None:
            return
        intent = await self._intend(lane, delivery, payload, actor)
        if intent is None:
            return
        resend = delivery.state is DeliveryState.UNKNOWN
        outcome = await self._send(lane, intent, payload, resend)
        now = self._clock.now()
        due = now + lane.heard(outcome, intent.attempts, now, self._pace, self._jitter)
        if outcome.suspends:
            await self._suspend(lane, outcome)
        if outcome.parked:
            log.warning("delivery.needs_person", destination=lane.name, delivery=intent.id)
        elif outcome.result is Result.UNKNOWN or (resend and outcome.result is Result.NOT_SENT):
            lane.look_by(due)
        await self.settle(intent, outcome, due=due, resend=resend)

    async def settle(self, intent: Delivery, outcome: Outcome, *, due: datetime, resend: bool = False) -> bool:
        """Commit what became of `intent`, until it stands or somebody else has settled it. True when this did it."""
        before: Delivery | None = intent
        while before is not None:
            after = settled(before, outcome, now=self._clock.now(), due=due, resend=resend)
            event = changed_event(before, after, actor=GATEWAY)
            try:
                await self._casework.delivery_changed(before, after, outcome, [event])
                self.store_heard("commit", None)
                return True
            except Conflict:
                before = await self._still_open(intent, outcome)
            except StoreFault as fault:
                await self._store_pause(fault)
        return False

    async def _suspend(self, lane: Lane, outcome: Outcome) -> None:
        """Stop the lane, until that stands in the store too."""
        while True:
            try:
                await self._suspensions.suspend(lane, actor=GATEWAY, reason=outcome.text)
                return
            except StoreFault as fault:
                await self._store_pause(fault)

    def store_heard(self, what: str, fault: StoreFault | None) -> None:
        """Whether the store could read or commit: one line when it no longer can, one when it can again."""
        was_down = bool(self._down)
        if fault is None:
            self._down.discard(what)
        else:
            self._down.add(what)
        if fault is not None and not was_down:
            log.error("delivery.store_down", fault=type(fault).__name__)
        elif was_down and not self._down:
            log.info("delivery.store_up")

    async def _render(self, lane: Lane, delivery: Delivery, claim: Claim | None) -> bytes | None:
        """The payload; None when there is none: then the delivery is refused, or put off when the fault is ours."""
        now = self._clock.now()
        try:
            if claim is None:
                raise LookupError("the delivery's claim is not in its case")
            return lane.renderer.render(claim, delivery)
        except Unwritable as unwritable:
            text = f"the claim cannot be written in the destination's form: {unwritable}"
            await self.settle(delivery, Outcome(result=Result.REJECTED, text=text), due=now)
        except Exception:
            log.exception("delivery.render_fault", destination=lane.name, delivery=delivery.id)
            later = {"due": now + self._pace.longest_pause, "outcome": "the gateway failed to write the claim"}
            await self._commit(Step(deliveries=[DeliveryChange(delivery, delivery.model_copy(update=later))]))
        return None

    async def _intend(self, lane: Lane, delivery: Delivery, payload: bytes, actor: str) -> Delivery | None:
        """Commit the intent and its attempt; None when somebody else has it, or the store cannot say that it stands."""
        now = self._clock.now()
        intent = intended(delivery, payload, epoch=self.epoch, now=now)
        attempt = Attempt(intent.id, intent.attempts, self._owner, self.epoch, payload_hash(payload), now)
        event = changed_event(delivery, intent, actor=actor)
        step = Step(deliveries=[DeliveryChange(delivery, intent)], attempts=[attempt], events=[event])
        lane.uncertain[delivery.id] = delivery.state is DeliveryState.UNKNOWN
        stands = await self._commit(step)
        if stands is None:
            lane.look_by(now + self._pace.store_pause)
            return None
        lane.uncertain.pop(delivery.id, None)
        return intent if stands else None

    async def _commit(self, step: Step) -> bool | None:
        """Whether the step stands; None when the store cannot say."""
        try:
            await self._store.commit(step)
        except Conflict:
            return False
        except StoreFault as fault:
            self.store_heard("commit", fault)
            return None
        self.store_heard("commit", None)
        return True

    async def _send(self, lane: Lane, intent: Delivery, payload: bytes, resend: bool) -> Outcome:
        try:
            async with asyncio.timeout(self._pace.send_limit.total_seconds()):
                return await lane.destination.send(intent.key, payload, resend)
        except TimeoutError:
            return Outcome(result=Result.UNKNOWN, text="no outcome within the time limit")
        except Exception as fault:
            log.exception("delivery.send_fault", destination=lane.name, delivery=intent.id)
            return Outcome(result=Result.UNKNOWN, text=f"fault while sending: {type(fault).__name__}")

    async def _still_open(self, intent: Delivery, outcome: Outcome) -> Delivery | None:
        """The delivery as it stands now, if this outcome still has something to say of it.

        Another owner may have called our intent unknown: a verdict ends that, and nothing else does.
        """
        while True:
            try:
                case = (await self._store.cases([intent.encounter])).get(intent.encounter)
                break
            except StoreFault as fault:
                await self._store_pause(fault)
        stands = next((one for one in case.deliveries if one.id == intent.id), None) if case else None
        if stands is None or stands.attempts != intent.attempts or not movable(stands, MOVES[outcome.result]):
            return None
        return stands

    async def _store_pause(self, fault: StoreFault) -> None:
        self.store_heard("commit", fault)
        await asyncio.sleep(self._pace.store_pause.total_seconds())
