"""What waits for the next commit. Everything that waits at one moment is written in one transaction: one fsync."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.audit.events import Event
from gateway.message import Message
from gateway.promise import Promise
from gateway.store.catalogue import value_rows
from gateway.store.interface import Conflict, ResourceVersion, StoreFault, Unstorable
from gateway.store.resource_rows import resource_row, superseded_row
from gateway.store.rows import Batch, event_row, message_row, payload_row
from gateway.store.writes import Row, SqlValue

LARGEST = 512
"""Items in one transaction at most: what comes beyond waits for the next one."""

CLOSED = "the store is not open"

OWN_FAULTS = (Conflict, Unstorable, TypeError, ValueError, OverflowError)
"""What one item of a group can be at fault for: the others are tried again without it."""


@dataclass(slots=True, eq=False)
class Keep:
    """A received message on its way in, as rows."""

    message: Message
    row: Row
    payload: Row
    event: Row
    resource: Row | None
    done: Promise[Message]
    values: Sequence[Row] = ()
    """What the resource is found by."""
    uncatalogued: Row | None = None
    """Of a resource that is entered among what is found later."""
    superseded: Row | None = None

    @property
    def identity(self) -> tuple[SqlValue, SqlValue, SqlValue]:
        """(control, feed, digest), as stored: what a repeat has in common with what it repeats."""
        return (self.row[4], self.row[1], self.row[5])


@dataclass(slots=True, eq=False)
class Waiting:
    """A step on its way in, as rows."""

    rows: Batch
    done: Promise[None]


@dataclass(slots=True)
class Group:
    """What one transaction writes."""

    keeps: Sequence[Keep] = ()
    steps: Sequence[Waiting] = ()

    def __len__(self) -> int:
        return len(self.keeps) + len(self.steps)

    def singles(self) -> list[Group]:
        return [Group(keeps=(keep,)) for keep in self.keeps] + [Group(steps=(step,)) for step in self.steps]

    def kept(self, standing: dict[int, Message]) -> None:
        """It is committed. `standing`: by the id of a repeat, the message that stood already."""
        for keep in self.keeps:
            if not keep.done.done():
                keep.done.set_result(standing.get(keep.message.id, keep.message))
        for step in self.steps:
            if not step.done.done():
                step.done.set_result(None)

    def failed(self, error: BaseException) -> None:
        for keep in self.keeps:
            if not keep.done.done():
                keep.done.set_exception(error)
        for step in self.steps:
            if not step.done.done():
                step.done.set_exception(error)


@dataclass(slots=True)
class Queue:
    """Items in the order in which they came."""

    catalogued_later: bool = False
    """Whether a resource that says itself what it is found by is kept without its values for now."""
    keeps: list[Keep] = field(default_factory=list)
    steps: list[Waiting] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keeps) + len(self.steps)

    def keep(self, message: Message, event: Event, resource: ResourceVersion | None) -> Promise[Message]:
        done: Promise[Message] = Promise()
        keep = Keep(message, message_row(message), payload_row(message), event_row(event), None, done)
        if resource is not None:
            if resource.unless:
                raise ValueError("a resource that depends on others is written by a step")
            keep.resource = resource_row(resource)
            if resource.values is None and self.catalogued_later:
                keep.uncatalogued = (message.id,)
            else:
                keep.values = value_rows(resource, message.payload)
            keep.superseded = superseded_row(resource) if resource.version > 1 else None
        self.keeps.append(keep)
        return done

    def step(self, rows: Batch) -> Promise[None]:
        done: Promise[None] = Promise()
        self.steps.append(Waiting(rows, done))
        return done

    def take(self) -> Group:
        """The oldest items, without those that nobody waits for any more."""
        keeps, self.keeps = self.keeps[:LARGEST], self.keeps[LARGEST:]
        steps, self.steps = self.steps[:LARGEST], self.steps[LARGEST:]
        return Group([k for k in keeps if not k.done.done()], [s for s in steps if not s.done.done()])

    def refuse(self) -> None:
        """Nobody will write them: the store is closed."""
        while self:
            self.take().failed(StoreFault(CLOSED))
