"""A lane: a destination, what is under way to it, and whether it is up. A slow or dead one delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.delivery.ports import Destination, Renderer
from gateway.logs import logger
from gateway.release.circuit import Circuit
from gateway.release.model import Outcome, Result, Suspension
from gateway.release.transitions import backoff

log = logger("delivery")


@dataclass(frozen=True, slots=True)
class Pace:
    """How eager the outbox is."""

    poll: timedelta = timedelta(seconds=5)
    """How often it looks when nobody wakes it."""
    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(minutes=5)
    threshold: int = 3
    """Failures in a row after which a destination counts as down."""
    send_limit: timedelta = timedelta(minutes=2)
    """An attempt that takes longer is unknown, whatever the destination's own limits."""
    takeover: timedelta = timedelta(0)
    """How old another owner's intent must be to count as abandoned. With several gateways: more than `send_limit`."""
    store_pause: timedelta = timedelta(seconds=1)
    """Between tries of a commit that the store cannot serve."""


@dataclass(slots=True)
class Lane:
    """One destination's share of the outbox."""

    destination: Destination
    renderer: Renderer
    concurrency: int = 4
    circuit: Circuit = field(default_factory=Circuit)
    under_way: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    look_again: datetime | None = None
    """When to look at what is undecided; None: nothing to look at."""
    uncertain: dict[int, bool] = field(default_factory=dict)
    """Deliveries whose intent may or may not stand, and under which nothing was sent -> whether it was a resend."""
    with_people: set[int] = field(default_factory=set)
    """Unknown deliveries that only a person can end."""
    suspended: Suspension | None = None
    """While it stands nothing is begun."""

    @property
    def name(self) -> str:
        return self.destination.name

    def follow(self, earlier: Lane) -> None:
        """Take the place of `earlier`, of the same name: what is under way there counts here, and none is begun twice.
        Whether the destination is up must be found out anew.
        """
        self.under_way = earlier.under_way
        self.wake = earlier.wake
        self.uncertain = earlier.uncertain
        self.with_people = earlier.with_people
        self.suspended = earlier.suspended

    def room(self, now: datetime) -> int:
        """How many attempts may begin: one at a time while the circuit is open, none while suspended."""
        if self.suspended is not None or not self.circuit.allows(now):
            return 0
        return (1 if self.circuit.is_open else self.concurrency) - len(self.under_way)

    def look_by(self, moment: datetime) -> None:
        """Look at what is undecided at `moment`, or earlier if that was asked for."""
        self.look_again = moment if self.look_again is None else min(self.look_again, moment)

    def begin(self, delivery: int, work: Coroutine[object, object, None], after_fault: Callable[[], None]) -> None:
        """Do `work` beside the rest; then there is room again. A fault is logged and told to `after_fault`."""

        async def under_way() -> None:
            try:
                await work
            except Exception:
                log.exception("delivery.fault", destination=self.name, delivery=delivery)
                after_fault()
            finally:
                del self.under_way[delivery]
                self.wake.set()

        self.under_way[delivery] = asyncio.create_task(under_way(), name=f"delivery {delivery}")

    def heard(
        self, outcome: Outcome, attempts: int, now: datetime, pace: Pace, jitter: Callable[[], float]
    ) -> timedelta:
        """Keep the circuit; how long the delivery should wait. One line when an outage begins, one when it ends."""
        earlier = self.circuit
        if outcome.result not in (Result.NOT_SENT, Result.UNKNOWN):
            self.circuit = earlier.worked()
            if earlier.since is not None:
                seconds = (now - earlier.since).total_seconds()
                log.info("destination.up", destination=self.name, seconds=seconds, count=earlier.failures)
            return timedelta(0)

        def pause(trial: int) -> timedelta:
            asked = outcome.retry_after
            return backoff(trial, base=pace.first_pause, cap=pace.longest_pause, jitter=jitter(), asked=asked)

        self.circuit = earlier.failed(now, pause(earlier.trials + 1), pace.threshold)
        if self.circuit.is_open and not earlier.is_open:
            log.warning("destination.down", destination=self.name, outcome=outcome.text)
        return pause(max(earlier.trials, attempts))


@dataclass(frozen=True, slots=True)
class LaneState:
    """How a destination fares: `up`, `down` or `suspended`; since when, and why, where it is not up."""

    name: str
    state: str
    since: datetime | None = None
    reason: str | None = None
    actor: str | None = None
    """Who suspended it."""


def lane_state(lane: Lane) -> LaneState:
    """How `lane`'s destination fares now."""
    stopped = lane.suspended
    if stopped is not None:
        return LaneState(lane.name, "suspended", stopped.since, stopped.reason, stopped.actor)
    if lane.circuit.since is not None:
        return LaneState(lane.name, "down", lane.circuit.since)
    return LaneState(lane.name, "up")
