"""From a kept message to a decided case: read, map, apply, advance, commit; in order, a batch at a time.

A batch is one commit. A message that cannot be used is set aside with its reason and never stops another; a batch that
meets a conflict, or fails for a reason of its own, is taken again one message at a time, so that only the message at
fault is set aside.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from gateway.audit.events import Action, Event
from gateway.case import Case
from gateway.casework import Casework
from gateway.clock import Clock, Ids
from gateway.encounter.apply import apply
from gateway.encounter.change import Change
from gateway.encounter.history import UNMATCHED_CANCEL, must_build
from gateway.encounter.identity import EncounterKey
from gateway.encounter.merge import Merges
from gateway.encounter.model import Encounter
from gateway.intake.intake import Backlog
from gateway.intake.replay import attempt_at
from gateway.logs import logger
from gateway.mappings.errors import MappingError, Unused
from gateway.message import Format, Message, MessageState
from gateway.pipeline.building import Builder, Reader, Told
from gateway.pipeline.dependents import Dependents, dependents
from gateway.pipeline.merging import Merging
from gateway.pipeline.message_numbers import message_numbers
from gateway.pipeline.resolution import Resolver, account_numbers, numbers
from gateway.store.interface import CaseChange, Conflict, MessageOutcome, Step, Store, StoreFault

log = logger("pipeline")

IDLE_SECONDS = 1.0
"""How often an idle pipeline looks for messages that another process replayed."""
FAULT_PAUSE = 0.5
CONTROL_REUSED = "control-id-reused: the feed sent this control id before, with other content; taken as a new message"
NOTHING_MERGED = "no encounter stands under the number that is retired; replay it when there is one"
BUILT_AT_ONCE = 100
"""Encounters that are built again in one commit."""
BEHIND, LARGER, LARGEST = 8, 4, 512
"""From so many batches that wait on, each is so much larger, up to so many messages. Measured: a twelfth faster."""
TURN_SECONDS = 0.002
"""How long the pipeline works before it lets the loop turn."""


@dataclass(slots=True)
class _Batch:
    """One commit in the making. Cases are kept as they become, with the first state of each to compare with."""

    step: Step
    before: dict[str, Case]
    after: dict[str, Case]
    changes: dict[str, CaseChange]
    reused: set[int] = field(default_factory=set)
    """Messages whose control id came before, with other content."""

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
    """Lets the loop turn every other millisecond: acknowledgements do not wait for a batch to be worked through."""

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
        ids: Ids,
        *,
        batch: int = 64,
        on_released: Callable[[], None] = lambda: None,
        on_processed: Callable[[Message, str], None] = lambda message, outcome: None,
    ) -> None:
        self._store = store
        self._readers = readers
        self._builder = Builder(store, readers)
        self._casework = casework
        self._backlog = backlog
        self._clock = clock
        self._size = batch
        self._ids = ids
        self._on_released = on_released
        self._on_processed = on_processed
        self._wake = asyncio.Event()
        self._stopping = False
        self.between_batches = asyncio.Lock()
        """For whoever changes the rules: a batch is read and decided by the same ones."""
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
                async with self.between_batches:
                    worked = await self.work_once()
                if not worked:
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

    def _batch(self) -> int:
        """How many messages are taken at once: where many wait, more share a commit and its pages. That costs an
        acknowledgement some milliseconds, and none as long as the pipeline keeps up.
        """
        behind = self._backlog.count >= BEHIND * self._size
        return max(self._size, min(LARGER * self._size, LARGEST)) if behind else self._size

    async def work_once(self) -> int:
        """Process the oldest unprocessed messages, at most one batch; how many there were."""
        messages = await self._store.pending(self._batch())
        if not messages:
            return 0
        await self._store.catalogue()
        try:
            messages = messages[: await self._process(messages)]
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
        # What could not be worked through is not read again here.
        self._settle(step, message, MessageState.SET_ASIDE, self._clock.now(), reason=reason, readable=False)
        try:
            await self._store.commit(step)
        except Conflict:
            log.info("pipeline.already_settled", message=message.id)
        else:
            self._on_processed(message, MessageState.SET_ASIDE)

    async def _process(self, messages: Sequence[Message]) -> int:
        """Work on the messages, or the first of them: how many were dealt with.

        One that touches other encounters than its own, a merge or a new attempt, is dealt with by itself.
        """
        now = self._clock.now()
        turns = _Turns()
        numbered = [message.id for message in messages if message.format is Format.HL7V2]
        batch = _Batch(Step(), {}, {}, {}, await self._store.controls_reused(numbered))
        said: list[tuple[Message, Change]] = []
        count = len(messages)
        for position, message in enumerate(messages):
            if message.replay_of is not None and position:
                count = position
                break
            read = await self._read(message, batch.step, now)
            resource = read is not None and message.format is Format.FHIR
            waiting = await dependents(self._store, message) if resource else Dependents()
            if isinstance(read, Unused):
                if waiting and position == 0:
                    return await self._support(message, read, waiting, now)
                if waiting:
                    count = position
                    break
                self._settle(batch.step, message, MessageState.UNUSED, now, reason=read.reason)
                continue
            if isinstance(read, Merges):
                if position == 0:
                    return await self._merge(message, read, now)
                count = position
                break
            if read is not None:
                said.append((message, read))
                self._take_again(batch.step, waiting, now)
            await turns.give()
            if message.replay_of is not None:
                count = 1
                break
        await self._decide(batch, said, now, turns)
        self._tell(messages[:count], batch.step)
        return count

    async def _decide(
        self, batch: _Batch, said: Sequence[tuple[Message, Change]], now: datetime, turns: _Turns
    ) -> None:
        addressed = await self._address(said, batch.step, now)
        batch.before = await self._store.cases({key for _, _, key in addressed})
        batch.after = dict(batch.before)
        released = False
        async with self._casework.sampler.turn(self._store):
            for message, change, key in addressed:
                released |= await self._advance(batch, message, change, key, now)
                await turns.give()
            await self._store.commit(batch.finish())
        if released:
            self._on_released()

    def _tell(self, messages: Sequence[Message], step: Step) -> None:
        by_id = {message.id: message for message in messages}
        for outcome in step.outcomes:
            if outcome.id in by_id:
                self._on_processed(by_id[outcome.id], outcome.state)

    async def _read(self, message: Message, step: Step, now: datetime) -> Change | Merges | Unused | None:
        try:
            return await self._readers[message.format](message)
        except MappingError as error:
            self._settle(step, message, MessageState.SET_ASIDE, now, reason=str(error))
            return None

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

    async def _advance(self, batch: _Batch, message: Message, change: Change, key: str, now: datetime) -> bool:
        try:
            taken_back = await self._take_back(batch, message, key) if message.replay_of is not None else ()
            encounter = await self._encounter(batch.current(key), message, change, taken_back)
        except MappingError as error:
            self._settle(batch.step, message, MessageState.SET_ASIDE, now, reason=str(error))
            return False
        released = self._put(batch, key, encounter, message, now)
        batch.step.contents.extend((key, content) for content in change.contents)
        noted = (CONTROL_REUSED,) if message.id in batch.reused else ()
        reason = "; ".join((*noted, *change.notices)) or None
        self._settle(batch.step, message, MessageState.PROCESSED, now, key=key, reason=reason)
        return released

    async def _encounter(self, case: Case, message: Message, change: Change, taken_back: Sequence[int]) -> Encounter:
        """The encounter as the message makes it. MappingError when it cannot be made."""
        standing = case.encounter
        if standing is None and change.cancels:
            text = f"{change.event} cancels what was never received: no encounter has its numbers"
            raise MappingError(UNMATCHED_CANCEL, "MSH-9", text)
        if standing is not None and (taken_back or must_build(standing, change, message.received)):
            built = await self._builder.again(standing, Told(change, message.received), without=taken_back)
            return built.encounter
        return apply(standing or Encounter(key=EncounterKey.parse(case.key)), change, message.received)

    async def _take_back(self, batch: _Batch, message: Message, key: str) -> tuple[int, ...]:
        """The earlier attempts at a message that is taken again, none of which counts any more.

        Where they made part of another encounter, that one is built again without them.
        """
        attempts = await self._attempts(message)
        ids = tuple(attempt.id for attempt in attempts)
        others = {a.encounter for a in attempts if a.encounter is not None} - {key}
        for other, case in (await self._store.cases(others)).items():
            standing = case.encounter
            if standing is not None and any(entry.message in ids for entry in standing.history):
                batch.before[other] = batch.after[other] = case
                built = await self._builder.again(standing, without=ids)
                self._put(batch, other, built.encounter, message, self._clock.now())
        return ids

    async def _attempts(self, message: Message) -> list[Message]:
        found: list[Message] = []
        earlier = message.replay_of
        while earlier is not None:
            attempt = await self._store.message(earlier)
            if attempt is None:
                break
            found.append(attempt)
            earlier = attempt.replay_of
        return found

    def _put(self, batch: _Batch, key: str, encounter: Encounter, message: Message, now: datetime) -> bool:
        """The case with its new encounter, decided anew; whether a claim leaves."""
        advanced = self._casework.advance(
            batch.current(key), encounter=encounter, actor=f"feed:{message.feed}", message=message.id, now=now
        )
        batch.after[key] = advanced.change.after
        batch.changes[key] = advanced.change
        batch.step.events.extend(advanced.events)
        return advanced.released is not None

    async def _merge(self, message: Message, merges: Merges, now: datetime) -> int:
        """What a message merges or moves, in one commit: all of it or, when it cannot be, nothing."""
        batch = _Batch(Step(), {}, {}, {})
        released = False
        async with self._casework.sampler.turn(self._store):
            try:
                merged = await Merging(self._store, self._builder, merges, message.received).work_out()
            except MappingError as error:
                self._settle(batch.step, message, MessageState.SET_ASIDE, now, reason=str(error))
            else:
                batch.before, batch.after = merged.cases, dict(merged.cases)
                for key, encounter in merged.encounters.items():
                    released |= self._put(batch, key, encounter, message, now)
                    if encounter.merged_into is not None:
                        batch.step.events.append(_joined(message, key, encounter.merged_into, now))
                batch.step.contents.extend(merged.contents)
                if merged.encounters:
                    first = next(iter(merged.encounters))
                    self._settle(batch.step, message, MessageState.PROCESSED, now, key=first)
                else:
                    self._settle(batch.step, message, MessageState.UNUSED, now, reason=NOTHING_MERGED)
            await self._store.commit(batch.finish())
        self._tell([message], batch.step)
        if released:
            self._on_released()
        return 1

    async def _support(self, message: Message, read: Unused, waiting: Dependents, now: datetime) -> int:
        """A resource that others were read without: their encounters are built again, in the commit that settles it.

        Of very many, the first are committed before: should it end in between, it begins again, and finds them done.
        """
        keys = list(waiting.encounters)
        changed = 0
        for start in range(0, max(1, len(keys)), BUILT_AT_ONCE):
            batch = _Batch(Step(), {}, {}, {})
            batch.before = await self._store.cases(keys[start : start + BUILT_AT_ONCE])
            batch.after = dict(batch.before)
            async with self._casework.sampler.turn(self._store):
                released = [await self._again(batch, key, message, waiting, now) for key in batch.before]
                changed += len(batch.changes)
                if start + BUILT_AT_ONCE >= len(keys):
                    self._take_again(batch.step, waiting, now)
                    reason = _supported(read.reason, changed, waiting)
                    self._settle(batch.step, message, MessageState.UNUSED, now, reason=reason)
                await self._store.commit(batch.finish())
            if any(released):
                self._on_released()
        self._tell([message], batch.step)
        return 1

    async def _again(self, batch: _Batch, key: str, message: Message, waiting: Dependents, now: datetime) -> bool:
        """Build the encounter again, unless it was billed and the change outlives its visit; whether a claim leaves."""
        case = batch.before[key]
        standing = case.encounter
        if standing is None or standing.merged_into is not None or (waiting.lasting and case.claims):
            return False
        try:
            built = await self._builder.again(standing)
        except MappingError as error:
            log.warning("pipeline.not_built_again", encounter=key, message=message.id, code=error.code)
            return False
        if built.encounter == standing:
            return False
        batch.step.contents.extend((key, content) for content in built.contents)
        return self._put(batch, key, built.encounter, message, now)

    def _take_again(self, step: Step, waiting: Dependents, now: datetime) -> None:
        """New attempts at what was set aside because its encounter could not be found."""
        for original in waiting.unresolved.values():
            attempt, outcome, event = attempt_at(original, self._ids.next(), "gateway", now)
            step.messages.append(attempt)
            step.outcomes.append(outcome)
            step.events.append(event)

    def _settle(
        self,
        step: Step,
        message: Message,
        state: MessageState,
        now: datetime,
        *,
        reason: str | None = None,
        key: str | None = None,
        readable: bool = True,
    ) -> None:
        numbers = message_numbers(message) if key is None and readable else ()
        step.outcomes.append(MessageOutcome(message.id, state, reason=reason, encounter=key, numbers=numbers))
        if state is MessageState.PROCESSED and reason is None:
            return  # The encounter's own event tells it: which message changed it, from which feed.
        detail: dict[str, object] = {"reason": reason} if reason else {}
        step.events.append(Event(now, "gateway", _TOLD[state], f"message/{message.id}", key, message.id, detail))


_TOLD = {
    MessageState.PROCESSED: Action.MESSAGE_PROCESSED,
    MessageState.UNUSED: Action.MESSAGE_UNUSED,
    MessageState.SET_ASIDE: Action.MESSAGE_SET_ASIDE,
}


def _supported(reason: str, changed: int, waiting: Dependents) -> str:
    told = [reason]
    if changed:
        told.append(f"{changed} of {len(waiting.encounters)} encounters that rest on it changed")
    if waiting.unresolved:
        told.append(f"{len(waiting.unresolved)} messages that could not find their encounter are taken again")
    if waiting.more:
        told.append("there are more: send those again that should follow")
    return "; ".join(told)


def _joined(message: Message, key: str, target: str, now: datetime) -> Event:
    actor, subject = f"feed:{message.feed}", f"encounter/{key}"
    return Event(now, actor, Action.ENCOUNTER_MERGED, subject, key, message.id, {"into": target})
