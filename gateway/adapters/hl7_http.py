"""HL7 v2 over HTTP: `POST /hl7/{feed}` with one message or a batch; the answer is the acknowledgement.

| status | the body says |
|---|---|
| 200 | all that came is kept: AA or CA |
| 204 | the same, to a sender that wants no acknowledgement |
| 400 | there is no message: AR |
| 422 | what came, or a message of the batch, is not taken: AR |
| 503 | a message could not be kept now: AE; send the same again, what is kept already is recognised |
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.access.roles import Permission
from gateway.adapters.http.exchange import Answer, Call, Caller, Fault
from gateway.adapters.http.routing import Route
from gateway.intake.reception import TAKEN, Answers, Outcome
from gateway.mappings.hl7v2.batch import Batch, split_batch
from gateway.mappings.hl7v2.reply import BETWEEN

ER7 = "application/hl7-v2+er7"
ACCEPTS = (ER7, "application/hl7-v2", "x-application/hl7-v2+er7", "text/plain")
RETRY_AFTER = {"Retry-After": "5"}
LARGE = 256 * 1024
"""A body of more bytes is cut into messages beside the event loop."""


class Reception(Protocol):
    """Keeps what came, and says what became of each message."""

    async def take_all(self, batch: Batch) -> Answers: ...


class Congestion(Protocol):
    """Whether so much waits to be processed that nothing more is taken for now."""

    @property
    def congested(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Door:
    """A feed that listens over HTTP. `max_message` is in bytes."""

    reception: Reception
    max_message: int


class Hl7Http:
    """The one address. `doors` are the feeds by name; they may come and go."""

    def __init__(self, doors: Mapping[str, Door], congestion: Congestion) -> None:
        self._doors = doors
        self._congestion = congestion

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(
                "POST",
                "/hl7/{feed}",
                Permission.SUBMIT,
                self.receive,
                "Send HL7 v2 to a feed: a message or a batch",
                accepts=ACCEPTS,
                produces=ER7,
                admits=self.admits,
                any_charset=True,
            ),
        )

    def admits(self, caller: Caller, params: Mapping[str, str]) -> None:
        """Fault 404 for a feed that is none, 403 for one that is not this client's. Before the body is read."""
        name = params["feed"]
        if name not in self._doors:
            raise Fault(404, "No feed of this name listens over HTTP")
        if name not in caller.feeds:
            raise Fault(403, "This client may not send to this feed")

    async def receive(self, call: Call) -> Answer:
        """Keep the body's messages; their acknowledgements."""
        door = self._doors.get(call.params["feed"])
        if door is None:
            raise Fault(404, "No feed of this name listens over HTTP")
        if self._congestion.congested:
            raise Fault(503, "More waits to be processed than the gateway takes; send it again", headers=RETRY_AFTER)
        batch = await _cut(call.body)
        if any(problem.rule == "too-many" for problem in batch.problems):
            raise Fault(413, "The body holds more messages than are taken at once")
        if any(len(message) > door.max_message for message in batch.messages):
            raise Fault(413, f"A message is longer than {door.max_message} bytes")
        answers = await door.reception.take_all(batch if batch.messages or batch.envelope else Batch((call.body,)))
        status = _status(answers)
        body = answers.reply.replace(BETWEEN, b"")
        headers = RETRY_AFTER if status == 503 else {}
        return Answer(status if body or status != 200 else 204, body, _media_type(call) if body else "", headers)


async def _cut(body: bytes) -> Batch:
    return split_batch(body) if len(body) <= LARGE else await asyncio.to_thread(split_batch, body)


def _status(answers: Answers) -> int:
    outcomes = set(answers.outcomes)
    if Outcome.FAILED in outcomes:
        return 503
    if Outcome.NO_MESSAGE in outcomes:
        return 400
    return 200 if outcomes <= TAKEN else 422


def _media_type(call: Call) -> str:
    """The sender's own of the four."""
    said = call.headers.get("Content-Type", ER7).partition(";")[0].strip().lower()
    return said if said in ACCEPTS else ER7
