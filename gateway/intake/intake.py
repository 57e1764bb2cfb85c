"""The way in, whatever the transport: recognise a repeat, keep, and only then acknowledge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from gateway.audit.events import Action, Event
from gateway.clock import Clock, Ids
from gateway.message import Format, Message, MessageState, Received
from gateway.promise import Promise
from gateway.store.interface import ResourceVersion, Step, Store


class Backlog:
    """How many kept messages wait for processing, and who must stop reading when they are too many.

    Above the high-water mark listeners are told to pause, below half of it to go on: the sockets then hold the
    senders back, and memory and disk stay bounded.
    """

    def __init__(self, high_water: int) -> None:
        self._high = high_water
        self._low = high_water // 2
        self._count = 0
        self._listeners: list[Callable[[bool], None]] = []
        self.congested = False
        self.arrived: Callable[[], None] = lambda: None
        """Called when a message waits in the store: wakes the pipeline."""

    @property
    def count(self) -> int:
        return self._count

    def listen(self, listener: Callable[[bool], None]) -> None:
        """`listener(True)` asks to pause reading, `listener(False)` to go on. Who comes late is told what holds."""
        self._listeners.append(listener)
        if self.congested:
            listener(True)

    def forget(self, listener: Callable[[bool], None]) -> None:
        """It listens no more. One that is not known is no fault."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def limit(self, high_water: int) -> None:
        """Another high-water mark from now on."""
        self._high = high_water
        self._low = high_water // 2
        self._tell()

    def reset(self, count: int) -> None:
        """What the store says: at start, and whenever another process may have changed it."""
        self._count = count
        self._tell()

    def add(self) -> None:
        """One more stands in the store."""
        self.expect()
        self.arrived()

    def expect(self) -> None:
        """One more is being kept: it counts from now on, and can be processed once it stands."""
        self._count += 1
        if self._count >= self._high and not self.congested:
            self._tell()

    def done(self, count: int) -> None:
        self._count = max(0, self._count - count)
        if self.congested:
            self._tell()

    def _tell(self) -> None:
        congested = self._count >= self._high or (self.congested and self._count > self._low)
        if congested is not self.congested:
            self.congested = congested
            for listener in self._listeners:
                listener(congested)


def told(received: Received, digest: bytes) -> dict[str, object]:
    """What the trail says of a message: its type and the SHA-256 of its bytes; over HTTP, where it came from too."""
    detail: dict[str, object] = {"type": received.type, "sha256": digest.hex()}
    if received.address:
        detail["address"] = received.address
        if received.format is Format.FHIR:
            detail["request"] = received.control
    return detail


class Intake:
    """Keeps what adapters receive. One row and one audit event a message, committed before the sender hears of it."""

    def __init__(self, store: Store, backlog: Backlog, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._backlog = backlog
        self._clock = clock
        self._ids = ids

    def new_id(self) -> int:
        """An id for a message about to be received, so that its acknowledgement can name it."""
        return self._ids.next()

    def accept(
        self, received: Received, resource: ResourceVersion | None = None, message_id: int | None = None
    ) -> Promise[Message]:
        """Keep `received`; the message that stands, whose `reply` is the acknowledgement to send.

        A retransmission (same feed, control id and bytes) gives the message kept before, with the reply of then, and
        changes nothing. Raises Conflict when `resource`'s version stands already, StoreFault when nothing was kept.
        """
        message, event = self._received(received, message_id if message_id is not None else self._ids.next())
        keeping = self._store.keep(message, event, resource)
        self._backlog.expect()
        keeping.add_done_callback(partial(self._kept, message.id))
        return keeping

    async def accept_together(self, kept: Sequence[tuple[int, Received, ResourceVersion | None]]) -> None:
        """Keep all or nothing, in one commit, each under the id that it was given.

        Raises Conflict when one of them was sent before, or a version stands already, or a resource stands that one of
        them must not meet (`ResourceVersion.unless`); StoreFault when nothing was kept.
        """
        step = Step()
        for id, received, resource in kept:
            message, event = self._received(received, id)
            step.messages.append(message)
            step.events.append(event)
            if resource is not None:
                step.resources.append(resource)
        for _ in kept:
            self._backlog.expect()
        try:
            await self._store.commit(step)
        except BaseException:
            self._backlog.done(len(kept))
            raise
        self._backlog.arrived()

    def _received(self, received: Received, id: int) -> tuple[Message, Event]:
        """The message, and the event that tells of it."""
        now = self._clock.now()
        digest = received.digest()
        message = Message(
            id=id,
            feed=received.feed,
            format=received.format,
            type=received.type,
            control=received.control,
            received=now,
            state=MessageState.RECEIVED,
            payload=received.payload,
            reply=received.reply,
            digest=digest,
        )
        event = Event(
            now,
            f"feed:{received.feed}",
            Action.MESSAGE_RECEIVED,
            f"message/{message.id}",
            message=message.id,
            detail=told(received, digest),
        )
        return message, event

    def _kept(self, id: int, keeping: Promise[Message]) -> None:
        if keeping.exception() is None and keeping.result().id == id:
            self._backlog.arrived()
        else:
            self._backlog.done(1)
