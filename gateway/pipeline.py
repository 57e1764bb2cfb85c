"""From a kept message to a decided case: read, map, apply, advance, commit; in order, a batch at a time.

A batch is one commit. A message that cannot be used is set aside with its reason and never stops another; a batch that
meets a conflict, or fails for a reason of its own, is taken again one message at a time, so that only the message at
fault is set aside.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from gateway.audit.events import Action, Event
from gateway.case import Case
from gateway.casework import Casework
from gateway.clock import Clock
from gateway.encounter.change import Change, apply
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import Encounter
from gateway.intake import Backlog
from gateway.logs import logger
from gateway.mappings.errors import MappingError, Unused
from gateway.message import Message, MessageState
from gateway.resolution import Resolver, account_numbers, numbers
from gateway.store.interface import CaseChange, Conflict, MessageOutcome, Step, Store, StoreFault

log = logger("pipeline")

IDLE_SECONDS = 1.0
"""How often an idle pipeline looks for messages that another process replayed."""
FAULT_PAUSE = 0.5
TURN_SECONDS = 0.001
"""How long the pipeline works before it lets the loop turn."""


class Reader(Protocol):
    """Reads and maps the messages of one format."""

    async def __call__(self, message: Message) -> Change | Unused:
        """What the message says. Raises MappingError when it cannot be used."""
        ...


@dataclass(slots=True)
class _Batch:
    """One commit in the making. Cases are kept as they become, with the first state of each to compare with."""

    step: Step
    before: dict[str, Case]
    after: dict[str, Case]
    changes: dict[str, CaseChange]

    def finish(self) -> Step:
        """The step to commit: one change a case, from what was read to what it came to."""
        self.step.cases = [
            change if change.before is self.before[key] else replace(change, before=self.before[key])
            for key, change in self.changes.items()
        ]
        return self.step

    def current(self, key: str) -> Case:
        """The case as it has become, under the version that was read: a batch is one step of it."""
        case = self.after[key]
        version = self.before[key].version
        return case if case.version == version else replace(case, version=version)


class _Turns:
    """Lets the loop turn each millisecond or so: acknowledgements do not wait for a batch to be worked through."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def give(self) -> None:
        if time.perf_counter() - self._since > TURN_SECONDS:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


class Pipeline:
    """Works through what intake kept."""

    def __init__(
        self,
        store: Store,
        readers: Mapping[str, Reader],
        casework: Casework,
        backlog: Backlog,
        clock: Clock,
        *,
        batch: int = 64,
        on_released: Callable[[], None] = lambda: None,
        on_processed: Callable[[Message, str], None] = lambda message, outcome: None,
    ) -> None:
        self._store = store
        self._readers = readers
        self._casework = casework
        self._backlog = backlog
        self._clock = clock
        self._size = batch
        self._on_released = on_released
        self._on_processed = on_processed
        self._wake = asyncio.Event()
        self._stopping = False
        backlog.arrived = self._wake.set

    async def run(self) -> None:
        """Work until `stop`; what is unprocessed when it starts is taken first."""
        counted = False
        while not self._stopping:
            try:
                if not counted:
                    self._backlog.reset(await self._store.backlog())
                    counted = True
                # Before the look, not after it: what arrives meanwhile wakes the rest.
                self._wake.clear()
                if not await self.work_once():
                    counted = await self._rest()
            except StoreFault:
                log.exception("pipeline.store_fault")
                counted = False
                await asyncio.sleep(FAULT_PAUSE)

    def stop(self) -> None:
        """End after the batch in hand."""
        self._stopping = True
        self._wake.set()

    async def _rest(self) -> bool:
        """Wait for a message; False when none was told of, so that the store must be asked."""
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def work_once(self) -> int:
        """Process the oldest unprocessed messages, at most one batch; how many there were."""
        messages = await self._store.pending(self._size)
        if not messages:
            return 0
        try:
            await self._process(messages)
        except StoreFault:
            raise
        except Conflict:
            await self._each(messages)
        except Exception:
            log.exception("pipeline.batch_failed", count=len(messages))
            await self._each(messages)
        self._backlog.done(len(messages))
        return len(messages)

    async def _each(self, messages: Sequence[Message]) -> None:
        for message in messages:
            await self._alone(message)

    async def _alone(self, message: Message, tries: int = 5) -> None:
        """One message by itself: taken again on a conflict, set aside on any fault of its own.

        One that conflicts each time is set aside too: left where it is, later ones of its encounter would overtake it.
        """
        for _ in range(tries):
            try:
                await self._process([message])
            except Conflict:
                current = await self._store.message(message.id)
                if current is None or current.state is not MessageState.RECEIVED:
                    return
            except StoreFault:
                raise
            except Exception as error:
                log.exception("pipeline.message_failed", message=message.id, feed=message.feed)
                await self._set_aside(message, f"internal: {type(error).__name__} while processing; see the log")
                return
            else:
                return
        log.error("pipeline.always_conflicts", message=message.id, feed=message.feed, count=tries)
        await self._set_aside(
            message, f"conflict: its encounter changed {tries} times while it was processed; replay it"
        )

    async def _set_aside(self, message: Message, reason: str) -> None:
        step = Step()
        self._settle(step, message, MessageState.SET_ASIDE, self._clock.now(), reason=reason)
        try:
            await self._store.commit(step)
        except Conflict:
            log.info("pipeline.already_settled", message=message.id)
        else:
            self._on_processed(message, MessageState.SET_ASIDE)

    async def _process(self, messages: Sequence[Message]) -> None:
        now = self._clock.now()
        turns = _Turns()
        batch = _Batch(Step(), {}, {}, {})
        said: list[tuple[Message, Change]] = []
        for message in messages:
            read = await self._read(message, batch.step, now)
            if read is not None:
                said.append((message, read))
            await turns.give()
        addressed = await self._address(said, batch.step, now)
        batch.before = await self._store.cases({key for _, _, key in addressed})
        batch.after = dict(batch.before)
        released = False
        async with self._casework.sampler.turn(self._store):
            for message, change, key in addressed:
                released |= self._advance(batch, message, change, key, now)
                await turns.give()
            await self._store.commit(batch.finish())
        by_id = {message.id: message for message in messages}
        for outcome in batch.step.outcomes:
            self._on_processed(by_id[outcome.id], outcome.state)
        if released:
            self._on_released()

    async def _read(self, message: Message, step: Step, now: datetime) -> Change | None:
        try:
            read = await self._readers[message.format](message)
        except MappingError as error:
            self._settle(step, message, MessageState.SET_ASIDE, now, reason=str(error))
            return None
        if isinstance(read, Unused):
            self._settle(step, message, MessageState.UNUSED, now, reason=read.reason)
            return None
        return read

    async def _address(
        self, said: Sequence[tuple[Message, Change]], step: Step, now: datetime
    ) -> list[tuple[Message, Change, str]]:
        """Each message with the key of its encounter; those whose numbers lead to several are set aside."""
        wanted = [number for _, change in said for number in numbers(change)]
        known = await self._store.encounters_by_number(wanted)
        standing = await self._store.cases({key for keys in known.values() for key in keys}) if known else {}
        accounts = {key: account_numbers(case.encounter) for key, case in standing.items() if case.encounter}
        resolver = Resolver(known, accounts)
        addressed: list[tuple[Message, Change, str]] = []
        for message, change in said:
            try:
                addressed.append((message, change, resolver.key(change)))
            except MappingError as error:
                self._settle(step, message, MessageState.SET_ASIDE, now, reason=str(error))
        return addressed

    def _advance(self, batch: _Batch, message: Message, change: Change, key: str, now: datetime) -> bool:
        case = batch.current(key)
        encounter = apply(case.encounter or Encounter(key=EncounterKey.parse(key)), change)
        advanced = self._casework.advance(
            case, encounter=encounter, actor=f"feed:{message.feed}", message=message.id, now=now
        )
        batch.after[key] = advanced.change.after
        batch.changes[key] = advanced.change
        batch.step.contents.extend((key, content) for content in change.contents)
        batch.step.events.extend(advanced.events)
        self._settle(batch.step, message, MessageState.PROCESSED, now, key=key)
        return advanced.released is not None

    def _settle(
        self,
        step: Step,
        message: Message,
        state: MessageState,
        now: datetime,
        *,
        reason: str | None = None,
        key: str | None = None,
    ) -> None:
        step.outcomes.append(MessageOutcome(message.id, state, reason=reason, encounter=key))
        detail: dict[str, object] = {"reason": reason} if reason else {}
        step.events.append(Event(now, "gateway", _TOLD[state], f"message/{message.id}", key, message.id, detail))


_TOLD = {
    MessageState.PROCESSED: Action.MESSAGE_PROCESSED,
    MessageState.UNUSED: Action.MESSAGE_UNUSED,
    MessageState.SET_ASIDE: Action.MESSAGE_SET_ASIDE,
}
