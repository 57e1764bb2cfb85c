"""The outbox: a loop for each destination, and what is left behind when one of them, or the gateway, fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta

from gateway.case import Case
from gateway.clock import Clock
from gateway.delivery.attempts import Attempts
from gateway.delivery.lane import Lane, LaneState, Pace, lane_state
from gateway.delivery.ports import Casework, DeliveryStore
from gateway.delivery.suspensions import Suspensions
from gateway.logs import logger
from gateway.release.model import Claim, Delivery, DeliveryState, Outcome, Result
from gateway.release.transitions import MOVES, IllegalMove, changed_event, settled
from gateway.store.interface import Conflict, StoreFault

LOST = Outcome(result=Result.UNKNOWN, text="the gateway stopped before the outcome was known")
TAKEN_BACK = Outcome(result=Result.NOT_SENT, text="the intent's commit was uncertain; nothing was sent")
UNDECIDED = frozenset({DeliveryState.UNKNOWN, DeliveryState.SENT})
"""States whose end a person may say."""
SHORTEST_WAIT = timedelta(milliseconds=10)

log = logger("delivery")


class Outbox:
    """Delivers what is due. `recover`, then `start`; `notify` when something was released; `stop` at the end."""

    def __init__(
        self,
        store: DeliveryStore,
        casework: Casework,
        lanes: Iterable[Lane],
        clock: Clock,
        *,
        owner: str,
        epoch: int,
        jitter: Callable[[], float],
        pace: Pace | None = None,
    ) -> None:
        """`epoch` is new with every start, and unlike any other owner's; `jitter` gives numbers from 0 to 1."""
        self._store = store
        self._casework = casework
        self._lanes = {lane.name: lane for lane in lanes}
        self._clock = clock
        self._pace = pace or Pace()
        self._suspensions = Suspensions(store, clock, self._pace.poll)
        self._attempts = Attempts(
            store, casework, clock, self._pace, self._suspensions, owner=owner, epoch=epoch, jitter=jitter
        )
        self._stopping = False
        self._started = False
        self._loops: list[asyncio.Task[None]] = []
        self._leaving: list[Lane] = []
        """Lanes that are no more, with what is still under way in them."""

    async def recover(self) -> int:
        """Every intent that an earlier owner left becomes unknown; how many did. Raises StoreFault.

        What was sent stays sent: the receiver has it, and only its verdict is awaited.
        """
        lost = -1
        total = 0
        while lost:
            rows = await self._store.deliveries((DeliveryState.INTENT,))
            lost = sum([await self._lose(row) for row in rows if self._abandoned(row)])
            total += lost
        for lane in self._lanes.values():
            lane.look_by(self._clock.now())
        await self._suspensions.refresh(self._lanes.values())
        await self._tell_of_strays()
        return total

    async def _tell_of_strays(self) -> None:
        """Deliveries to destinations that are configured no longer wait for ever: somebody must know."""
        undone = (DeliveryState.READY, DeliveryState.INTENT, DeliveryState.UNKNOWN)
        strays = Counter(row.destination for row in await self._store.deliveries(undone))
        for name in strays.keys() - self._lanes.keys():
            log.warning("delivery.no_such_destination", destination=name, count=strays[name])

    def start(self) -> None:
        """Begin to deliver. Once, within the running loop."""
        self._started = True
        for lane in self._lanes.values():
            self._begin_lane(lane)

    def lane(self, destination: str) -> Lane | None:
        return self._lanes.get(destination)

    def exchange(self, lanes: Iterable[Lane]) -> list[Lane]:
        """Deliver by these lanes from now on. What is under way in the others ends as it was begun; a lane that takes
        another's name takes over what is known of it. The lanes that leave.
        """
        before, self._lanes = self._lanes, {lane.name: lane for lane in lanes}
        now = self._clock.now()
        for lane in self._lanes.values():
            earlier = before.get(lane.name)
            if earlier is lane:
                continue
            if earlier is not None:
                lane.follow(earlier)
            lane.look_by(now)
            if self._started:
                self._begin_lane(lane)
        self._leaving = [lane for lane in self._leaving if lane.under_way]
        left = [lane for lane in before.values() if self._lanes.get(lane.name) is not lane]
        for lane in left:
            lane.wake.set()
        self._leaving += left
        return left

    def _begin_lane(self, lane: Lane) -> None:
        self._loops = [loop for loop in self._loops if not loop.done()]
        self._loops.append(asyncio.create_task(self._run(lane), name=f"outbox {lane.name}"))

    def notify(self, destination: str | None = None) -> None:
        """Something may be due: look now rather than at the next poll."""
        for lane in self._lanes.values():
            if destination in (None, lane.name):
                lane.wake.set()

    def outages(self) -> dict[str, datetime]:
        """The destinations that are down or suspended, and since when."""
        return {one.name: one.since for one in self.states() if one.since is not None}

    def states(self) -> tuple[LaneState, ...]:
        """How each destination fares, in the order of the configuration."""
        return tuple(lane_state(lane) for lane in self._lanes.values())

    async def suspend(self, destination: str, *, actor: str, reason: str) -> LaneState:
        """Send nothing more to it. Raises KeyError without such a destination, StoreFault."""
        lane = self._lanes[destination]
        await self._suspensions.suspend(lane, actor=actor, reason=reason, by_hand=True)
        return lane_state(lane)

    async def resume(self, destination: str, *, actor: str) -> LaneState:
        """Let it go on. Raises KeyError without such a destination, StoreFault."""
        lane = self._lanes[destination]
        await self._suspensions.resume(lane, actor=actor)
        return lane_state(lane)

    async def stop(self, limit: timedelta = timedelta(seconds=10)) -> None:
        """Begin nothing more; wait for what is under way, at most `limit`. The rest stays an intent, for `recover`."""
        self._stopping = True
        self.notify()
        for lane in self._leaving:
            lane.wake.set()
        await asyncio.gather(*self._loops)
        tasks = {task for lane in (*self._lanes.values(), *self._leaving) for task in lane.under_way.values()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limit.total_seconds())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def idle(self, destination: str) -> None:
        """Wait until nothing is under way to `destination`."""
        lane = self._lanes[destination]
        while lane.under_way:
            await asyncio.wait(list(lane.under_way.values()))

    async def turn(self, destination: str) -> None:
        """Look once at what is due for `destination`, and begin as much of it as there is room for."""
        lane = self._lanes.get(destination)
        if lane is None:
            return  # the configuration has it no more
        now = self._clock.now()
        room = lane.room(now)
        if room <= 0 or self._stopping:
            return
        due = await self._store.due_deliveries(lane.name, now, room + len(lane.under_way))
        ready = [one for one in due if one.id not in lane.under_way]
        spare = room - len(ready)
        # Undecided deliveries get a share of a busy destination, but a dead one is probed with new claims first.
        share = spare if lane.circuit.is_open else max(spare, 1, room // 2)
        unknown = await self._undecided(lane, now, share) if share > 0 else []
        ready = ready[: room - len(unknown)]
        if not ready and not unknown:
            return
        cases = await self._store.cases({one.encounter for one in (*ready, *unknown)})
        for one in ready:
            self._begin(lane, one, self._attempts.attempt(lane, one, _claim(cases, one)))
        for one in unknown:
            self._begin(lane, one, self._resolve(lane, one, _claim(cases, one)))

    async def settle_by_hand(self, delivery: Delivery, result: Result, *, actor: str, reason: str) -> Delivery:
        """What a person found out about an undecided delivery: ACCEPTED or REJECTED. The delivery after it.

        Raises IllegalMove when there is nothing to say of it, Conflict when it has changed meanwhile.
        """
        if delivery.state not in UNDECIDED or result not in (Result.ACCEPTED, Result.REJECTED):
            raise IllegalMove(delivery.state, MOVES[result])
        outcome = Outcome(result=result, text=reason)
        now = self._clock.now()
        after = settled(delivery, outcome, now=now, due=now)
        event = changed_event(delivery, after, actor=actor, by_hand=True)
        await self._casework.delivery_changed(delivery, after, outcome, [event])
        return after

    async def send_again(self, delivery: Delivery, *, actor: str) -> None:
        """A person is certain that the receiver has nothing: the same bytes, once more, under the same key.

        Raises IllegalMove unless it is unknown, Conflict when it is under way, KeyError without such a destination.
        """
        lane = self._lanes[delivery.destination]
        if delivery.state is not DeliveryState.UNKNOWN:
            raise IllegalMove(delivery.state, "intend")
        if delivery.id in lane.under_way:
            raise Conflict(f"delivery {delivery.id} is under way")
        lane.with_people.discard(delivery.id)
        self._begin(lane, delivery, self._attempts.attempt(lane, delivery, None, actor))

    def _begin(self, lane: Lane, delivery: Delivery, work: Coroutine[object, object, None]) -> None:
        lane.begin(delivery.id, work, lambda: lane.look_by(self._clock.now() + self._pace.longest_pause))

    def _abandoned(self, row: Delivery) -> bool:
        """Whether another owner left it: one that has ended, or is silent for longer than an attempt may take."""
        return row.epoch != self._attempts.epoch and row.changed <= self._clock.now() - self._pace.takeover

    async def _lose(self, row: Delivery) -> bool:
        """`row` becomes unknown. One that cannot be committed waits for the next look; it stops nothing else."""
        try:
            return await self._attempts.settle(row, LOST, due=self._clock.now())
        except Exception:
            log.exception("delivery.fault", destination=row.destination, delivery=row.id)
            return False

    async def _undecided(self, lane: Lane, now: datetime, share: int) -> list[Delivery]:
        """Unknown deliveries whose time has come, after the intents that nobody is sending have been sorted out."""
        if lane.look_again is None or now < lane.look_again:
            return []
        lane.look_again = now + self._pace.takeover if self._pace.takeover else None
        busy = set(lane.under_way)
        rows = await self._store.deliveries((DeliveryState.UNKNOWN, DeliveryState.INTENT))
        idle = [row for row in rows if row.destination == lane.name and row.id not in busy | lane.under_way.keys()]
        await self._sort_out(lane, [row for row in idle if row.state is DeliveryState.INTENT])
        with_people = {row.id for row in idle if row.parked} | lane.with_people
        unknown = [row for row in idle if row.state is DeliveryState.UNKNOWN and row.id not in with_people]
        unknown.sort(key=lambda row: row.due)
        due = [row for row in unknown if row.due <= now][:share]
        if len(due) < len(unknown):
            lane.look_by(max(now, unknown[len(due)].due))
        return due

    async def _sort_out(self, lane: Lane, intents: list[Delivery]) -> None:
        """Intents that nobody is sending. Where the commit was uncertain nothing was sent; of the rest nobody knows."""
        uncertain = lane.uncertain
        lane.uncertain = {id: resend for id, resend in uncertain.items() if id in lane.under_way}
        for row in intents:
            if row.epoch == self._attempts.epoch and row.id in uncertain:
                await self._attempts.settle(row, TAKEN_BACK, due=self._clock.now(), resend=uncertain[row.id])
            elif row.epoch == self._attempts.epoch or self._abandoned(row):
                await self._lose(row)
            else:
                continue
            lane.look_by(self._clock.now())

    async def _resolve(self, lane: Lane, delivery: Delivery, claim: Claim | None) -> None:
        """Ask the receiver; send again where that is safe; leave the rest to a person."""
        now = self._clock.now()
        told = await self._inquire(lane, delivery)
        if told is not None and told.result in (Result.ACCEPTED, Result.REJECTED):
            await self._attempts.settle(delivery, told, due=now)
            return
        absent = told is not None and told.result is Result.NOT_SENT
        since = delivery.first_attempt or (claim.released if claim else None)
        if absent or (since is not None and lane.destination.resend_safe(since, now)):
            await self._attempts.attempt(lane, delivery, claim)
        elif told is not None:
            lane.look_by(now + self._pace.longest_pause)
        else:
            lane.with_people.add(delivery.id)
            log.warning("delivery.needs_person", destination=lane.name, delivery=delivery.id)

    async def _inquire(self, lane: Lane, delivery: Delivery) -> Outcome | None:
        try:
            async with asyncio.timeout(self._pace.send_limit.total_seconds()):
                return await lane.destination.inquire(delivery.key, delivery.payload or b"")
        except Exception as fault:
            log.exception("delivery.inquiry_fault", destination=lane.name, delivery=delivery.id)
            return Outcome(result=Result.UNKNOWN, text=f"fault while asking: {type(fault).__name__}")

    async def _run(self, lane: Lane) -> None:
        while not self._stopping and self._lanes.get(lane.name) is lane:
            lane.wake.clear()
            try:
                await self._suspensions.refresh(self._lanes.values())
                await self.turn(lane.name)
                self._attempts.store_heard("read", None)
            except StoreFault as fault:
                self._attempts.store_heard("read", fault)
            except Exception:
                log.exception("delivery.loop_fault", destination=lane.name)
            await self._sleep(lane)

    async def _sleep(self, lane: Lane) -> None:
        """Until something wakes the lane, at most the poll interval, less when a pause ends sooner."""
        now = self._clock.now()
        limit = self._pace.poll
        if lane.circuit.until is not None and lane.circuit.until > now:
            limit = min(limit, lane.circuit.until - now)
        elif lane.look_again is not None and lane.room(now) > 0:
            limit = min(limit, max(lane.look_again - now, SHORTEST_WAIT))
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await lane.wake.wait()
        except TimeoutError:
            return


def _claim(cases: dict[str, Case], delivery: Delivery) -> Claim | None:
    case = cases.get(delivery.encounter)
    return next((claim for claim in case.claims if claim.id == delivery.claim), None) if case else None
