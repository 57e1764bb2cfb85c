"""/api/destinations: how the billing endpoints fare, stopping one, and letting it go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field

from gateway.access.roles import Permission
from gateway.adapters.http.body import parsed
from gateway.adapters.http.exchange import Answer, Call, Fault, told
from gateway.adapters.http.routing import Route
from gateway.delivery import LaneState
from gateway.store.interface import StoreFault

MAX_BODY = 16 * 1024


class Lanes(Protocol):
    """The outbox, as an operator sees it. Both changes raise KeyError for a destination that is not configured."""

    def states(self) -> tuple[LaneState, ...]: ...

    async def suspend(self, destination: str, *, actor: str, reason: str) -> LaneState: ...

    async def resume(self, destination: str, *, actor: str) -> LaneState: ...


class SuspendedFor(BaseModel):
    """Why an operator stops a destination; no patient's data."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=3, max_length=500)]


class DestinationView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    state: str
    """up, down or suspended."""
    since: datetime | None
    reason: str | None
    actor: str | None


class DestinationsView(BaseModel):
    items: tuple[DestinationView, ...]


class DestinationsApi:
    """The routes of /api/destinations."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    def routes(self) -> tuple[Route, ...]:
        one = "/api/destinations/{name}"
        control = Permission.DESTINATION_CONTROL
        return (
            Route("GET", "/api/destinations", Permission.METRICS_READ, self.destinations, "How each destination fares",
                  gives=DestinationsView),
            Route("POST", one + "/suspend", control, self.suspend, "Send nothing more to a destination",
                  takes=SuspendedFor, gives=DestinationView, max_body=MAX_BODY, refuses=(404,)),
            Route("POST", one + "/resume", control, self.resume, "Let a suspended destination go on",
                  gives=DestinationView, max_body=MAX_BODY, refuses=(404,)),
        )  # fmt: skip

    async def destinations(self, call: Call) -> Answer:
        items = tuple(DestinationView.model_validate(state) for state in self._lanes.states())
        return told(DestinationsView(items=items))

    async def suspend(self, call: Call) -> Answer:
        body = parsed(SuspendedFor, call.body)
        with _told():
            state = await self._lanes.suspend(call.params["name"], actor=f"user:{call.who.name}", reason=body.reason)
        return told(DestinationView.model_validate(state))

    async def resume(self, call: Call) -> Answer:
        with _told():
            state = await self._lanes.resume(call.params["name"], actor=f"user:{call.who.name}")
        return told(DestinationView.model_validate(state))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except KeyError:
        raise Fault(404, "There is no destination of this name") from None
    except StoreFault:
        raise Fault(503, "The store can't serve just now; try again", headers={"Retry-After": "5"}) from None
