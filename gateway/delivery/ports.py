"""What the outbox asks of others, declared where it is used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from gateway.audit.events import Event
from gateway.case import Case
from gateway.release.model import Claim, Delivery, DeliveryState, Outcome, Suspension
from gateway.store.interface import Step


class Destination(Protocol):
    """A billing endpoint. Its own faults are outcomes; what it raises counts as unknown."""

    @property
    def name(self) -> str: ...

    async def send(self, key: str, payload: bytes, resend: bool) -> Outcome:
        """One attempt. NOT_SENT only when it is certain that the receiver has nothing of it.

        `resend`: an earlier attempt under this key may have arrived.
        """
        ...

    def resend_safe(self, first_attempt: datetime, now: datetime) -> bool:
        """Whether the receiver would still recognise a repeat of an attempt that was made at `first_attempt`."""
        ...

    async def inquire(self, key: str, payload: bytes) -> Outcome | None:
        """What became of `key`, as the receiver tells it: NOT_SENT when it certainly has nothing, UNKNOWN when it
        can be asked again later, None when it can never say."""
        ...


class Renderer(Protocol):
    """Writes a claim in a destination's form. Raises Unwritable when the form cannot carry it."""

    def render(self, claim: Claim, delivery: Delivery) -> bytes: ...


class Casework(Protocol):
    """Commits a delivery's end together with what it means for the case: its stage, and the hold that a refusal or an
    unknown outcome opens, and a later verdict ends."""

    async def delivery_changed(
        self, before: Delivery, after: Delivery, outcome: Outcome, events: Sequence[Event]
    ) -> None:
        """One commit of DeliveryChange(before, after), `events`, and the case.

        Raises Conflict when the delivery is no longer as in `before` (a case that changed is read and decided again
        within), StoreFault as the store does.
        """
        ...


class DeliveryStore(Protocol):
    """The part of the store that the outbox works on."""

    async def commit(self, step: Step) -> None: ...

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]: ...

    async def due_deliveries(self, destination: str, now: datetime, limit: int) -> list[Delivery]: ...

    async def deliveries(self, states: Sequence[DeliveryState], limit: int = 1000) -> list[Delivery]: ...

    async def suspensions(self) -> list[Suspension]: ...
