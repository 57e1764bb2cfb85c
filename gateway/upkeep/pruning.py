"""Dropping the bytes of messages that need be kept no longer. Their rows, acknowledgements and events stay.

What is unprocessed is never pruned. The messages of an encounter go together, once its claim was accepted and nothing
has changed since for as long as processed messages are kept. Little by little: no acknowledgement waits for it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.audit.events import Action, Event
from gateway.clock import Clock, first_id
from gateway.config.upkeep import Retention
from gateway.logs import logger
from gateway.message import MessageState
from gateway.store.interface import Conflict, Step, Store
from gateway.store.upkeep import Pass, Prunable, PrunedEncounter, PrunedMessage, Settled

log = logger("pruning")

PAGE = 200
MESSAGES_AT_ONCE = 100
BYTES_AT_ONCE = 8 * 1024 * 1024
PAUSE_SECONDS = 0.02
"""Between commits: what waits to be acknowledged comes first."""
PAGES_AT_ONCE = 256
DAILY = "prune"
EVERY = timedelta(hours=20)
PRUNED = "its content was pruned"


@dataclass(slots=True)
class Pruned:
    """What went, or would go: messages by the state they were in."""

    messages: Counter[str] = field(default_factory=Counter)
    encounters: int = 0
    bytes: int = 0

    def count(self, rows: Iterable[Prunable]) -> None:
        for row in rows:
            self.messages[row.state.value] += 1
            self.bytes += row.size


class Pruning:
    """Prunes by one retention. `actor` is who the trail names."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        retention: Retention,
        actor: str,
        *,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._clock = clock
        self._kept = retention.by_state()
        self._actor = actor
        self._rest = rest

    async def run(self, *, dry: bool = False) -> Pruned:
        """Prune all whose time is over; with `dry` only count it. Raises StoreFault: what is done stays."""
        done = Pruned()
        now = self._clock.now()
        for state, kept in self._kept.items():
            if state is MessageState.PROCESSED:
                await self._encounters(now - kept, done, dry)
            else:
                await self._state(state, now - kept, done, dry)
        if not dry and done.messages:
            while await self._store.give_back(PAGES_AT_ONCE):
                await self._rest(PAUSE_SECONDS)
        return done

    async def _state(self, state: MessageState, before: datetime, done: Pruned, dry: bool) -> None:
        """Messages that belong to no encounter."""
        async for rows in self._pages(state, before):
            for part in _parts([row for row in rows if row.size]):
                done.count(part if dry else await self._drop(part))
            await self._rest(0)

    async def _pages(self, state: MessageState, before: datetime) -> AsyncIterator[list[Prunable]]:
        place, below = 0, first_id(before)
        while rows := await self._store.prunable(state, place, below, PAGE):
            yield rows
            place = rows[-1].id

    async def _drop(self, rows: Sequence[Prunable]) -> Sequence[Prunable]:
        """Those that were pruned: one that was replayed meanwhile is left."""
        try:
            await self._store.commit(self._step(rows, f"messages/{rows[0].state}"))
        except Conflict:
            if len(rows) == 1:
                return ()
            return [row for one in rows for row in await self._drop([one])]
        await self._rest(PAUSE_SECONDS)
        return rows

    async def _encounters(self, before: datetime, done: Pruned, dry: bool) -> None:
        place: tuple[datetime, str] | None = None
        while page := await self._store.settled(before, place, PAGE):
            for settled in page:
                rows = await self._of(settled)
                if rows is None or not (dry or await self._drop_encounter(settled, rows)):
                    continue
                done.count(rows)
                done.encounters += bool(rows)
            place = (page[-1].changed, page[-1].key)

    async def _of(self, settled: Settled) -> list[Prunable] | None:
        """The encounter's messages; None while one of them waits to be processed, or it has changed meanwhile.

        What counts in the encounter goes, and what never did: a message that a merge has since given to another
        encounter stays as long as that one.
        """
        rows = await self._store.prunable_of(settled.key)
        case = (await self._store.cases([settled.key]))[settled.key]
        if case.version != settled.version or case.encounter is None:
            return None
        if any(row.state is MessageState.RECEIVED for row in rows):
            return None
        counted = {entry.message for entry in case.encounter.history}
        return [
            row
            for row in rows
            if row.size and (row.id in counted or not counted or row.state is not MessageState.PROCESSED)
        ]

    async def _drop_encounter(self, settled: Settled, rows: Sequence[Prunable]) -> bool:
        step = self._step(rows, f"encounter/{settled.key}", settled.key)
        step.pruned_encounters.append(PrunedEncounter(settled.key, settled.version, self._clock.now()))
        try:
            await self._store.commit(step)
        except Conflict:
            return False
        await self._rest(PAUSE_SECONDS)
        return True

    def _step(self, rows: Sequence[Prunable], subject: str, key: str | None = None) -> Step:
        pruned = [PrunedMessage(row.id, row.state, _reason(row)) for row in rows]
        detail: dict[str, object] = {"count": len(rows), "bytes": sum(row.size for row in rows)}
        event = Event(self._clock.now(), self._actor, Action.MESSAGES_PRUNED, subject, key, None, detail)
        return Step(pruned=pruned, events=[event] if rows else [])


def _reason(row: Prunable) -> str:
    return f"{row.reason}; {PRUNED}" if row.reason else PRUNED


def _parts(rows: Sequence[Prunable]) -> Iterable[Sequence[Prunable]]:
    """What fits into one commit."""
    part: list[Prunable] = []
    size = 0
    for row in rows:
        if part and (len(part) == MESSAGES_AT_ONCE or size + row.size > BYTES_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(row)
        size += row.size
    if part:
        yield part


class DailyPruning:
    """Prunes once a day, by the retention in force. Restarts make it neither more often nor never."""

    def __init__(self, store: Store, clock: Clock, retention: Callable[[], Retention]) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention

    async def __call__(self) -> Pruned | None:
        """What was pruned; None when it is not time."""
        retention, now = self._retention(), self._clock.now()
        if not retention.by_state():
            return None
        last = await self._store.work_pass(DAILY)
        if last is not None and now - last.changed < EVERY:
            return None
        done = await Pruning(self._store, self._clock, retention, "gateway").run()
        await self._store.commit(Step(passes=[Pass(DAILY, "", "", True, now)]))
        log.info("pruning.done", count=done.messages.total(), bytes=done.bytes)
        return done
