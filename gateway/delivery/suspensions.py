"""Destinations that take nothing until an operator resumes them: kept in the store, so that every gateway of it knows,
and a restart forgets none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from gateway.audit.events import Action, Event
from gateway.clock import Clock
from gateway.delivery.lane import Lane
from gateway.delivery.ports import DeliveryStore
from gateway.logs import logger
from gateway.release.circuit import Circuit
from gateway.release.model import Suspension
from gateway.store.interface import Step, StoreFault

log = logger("delivery")


class Suspensions:
    """Stops lanes and lets them go on. What it says to a lane holds at once; all methods raise StoreFault."""

    def __init__(self, store: DeliveryStore, clock: Clock, look: timedelta) -> None:
        """`look`: how often the store is asked what other gateways did."""
        self._store = store
        self._clock = clock
        self._look = look
        self._looked: datetime | None = None
        self._changing: set[str] = set()
        """Lanes whose change is yet to be committed: what the store says of them is older."""

    async def refresh(self, lanes: Iterable[Lane]) -> None:
        """Take over what stands in the store, when it was not looked at for a while."""
        now = self._clock.now()
        if self._looked is not None and now - self._looked < self._look:
            return
        standing = {one.destination: one for one in await self._store.suspensions()}
        self._looked = now
        for lane in lanes:
            if lane.name not in self._changing:
                lane.suspended = standing.get(lane.name)

    async def suspend(self, lane: Lane, *, actor: str, reason: str, by_hand: bool = False) -> Suspension:
        """Nothing more goes to the lane's destination; what is under way ends. The suspension that now stands."""
        if lane.suspended is not None and lane.name not in self._changing:
            return lane.suspended
        now = self._clock.now()
        lane.suspended = suspension = Suspension(destination=lane.name, since=now, actor=actor, reason=reason)
        detail: dict[str, object] = {"by_hand": True} if by_hand else {"outcome": reason}
        event = Event(now, actor, Action.DESTINATION_SUSPENDED, f"destination/{lane.name}", detail=detail)
        self._changing.add(lane.name)
        try:
            await self._store.commit(Step(suspensions=[suspension], events=[event]))
        except StoreFault:
            if by_hand:  # a person is told that it did not come about; the gateway's own word holds, and is tried again
                lane.suspended = None
                self._changing.discard(lane.name)
            raise
        self._changing.discard(lane.name)
        log.error("destination.suspended", destination=lane.name, outcome="by hand" if by_hand else reason)
        return suspension

    async def resume(self, lane: Lane, *, actor: str) -> bool:
        """Let it go on; whether it was suspended at all."""
        if lane.suspended is None:
            return False
        event = Event(self._clock.now(), actor, Action.DESTINATION_RESUMED, f"destination/{lane.name}")
        await self._store.commit(Step(resumptions=[lane.name], events=[event]))
        lane.suspended = None
        lane.circuit = Circuit()
        lane.wake.set()
        log.info("destination.resumed", destination=lane.name)
        return True
