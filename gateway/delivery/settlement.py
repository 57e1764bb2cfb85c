"""What a delivery's move means for its case: its stage, and the hold that a refusal or a lost outcome opens or ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.audit.events import Event
from gateway.case import Case
from gateway.casework import Casework
from gateway.clock import Clock
from gateway.release.model import Delivery, Outcome
from gateway.store.interface import Conflict, DeliveryChange, Step, Store

TRIES = 5


class Settlement:
    """Commits a delivery together with its case."""

    def __init__(self, store: Store, casework: Casework, clock: Clock) -> None:
        self._store = store
        self._casework = casework
        self._clock = clock

    async def delivery_changed(
        self, before: Delivery, after: Delivery, outcome: Outcome, events: Sequence[Event]
    ) -> None:
        """One commit of the delivery's move, its events, and the case. Raises Conflict when the delivery has moved."""
        for _ in range(TRIES):
            case = (await self._store.cases([after.encounter]))[after.encounter]
            advanced = self._casework.advance(_moved(case, before, after), now=self._clock.now())
            step = Step(
                cases=[advanced.change],
                deliveries=[DeliveryChange(before, after)],
                events=[*events, *advanced.events],
            )
            try:
                await self._store.commit(step)
            except Conflict:
                continue  # a message or a person changed the case meanwhile: decide on what stands now
            return
        raise Conflict(f"delivery {after.id}: its case changes too fast")


def _moved(case: Case, before: Delivery, after: Delivery) -> Case:
    standing = next((d for d in case.deliveries if d.id == before.id), None)
    if standing is None or (standing.state, standing.attempts) != (before.state, before.attempts):
        raise Conflict(f"delivery {before.id} is no longer {before.state}")
    return replace(case, deliveries=tuple(after if d.id == before.id else d for d in case.deliveries))
