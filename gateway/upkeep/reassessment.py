"""Open encounters are looked at again when what decides on them has changed: the policy, the destinations, who bills,
the code sets. In the background, a few at a time, going on where it stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import orjson

from gateway import __version__
from gateway.audit.events import Action, Event
from gateway.case import Case
from gateway.casework import Advanced, Casework
from gateway.clock import Clock
from gateway.logs import logger
from gateway.review.model import Stage
from gateway.rules import Rules
from gateway.settings.written import name_of
from gateway.store.interface import Conflict, Step, Store, StoreFault, WorkItem
from gateway.store.upkeep import Pass
from gateway.upkeep.versions import Ordered

log = logger("reassessment")

NAME = "reassess"
STAGES = (Stage.HELD, Stage.READY, Stage.WAITING)
"""What no claim has left for yet, and something may be billed of."""
AT_A_TIME = 25


def ruling(said: Ordered) -> str:
    """A digest of all that decides on an encounter. Two gateways that decide alike have the same."""
    config, rules = said.config, said.rules
    decides = [
        __version__,
        _policy(said),
        [one.model_dump(mode="json") for one in config.destinations],
        config.billing.model_dump(mode="json"),
        config.time_zone,
        _code_sets(rules),
    ]
    return hashlib.sha256(orjson.dumps(decides, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _policy(said: Ordered) -> str:
    review, file = said.config.review, said.config.file
    if said.written is None or review is None or file is None:
        return ""
    return said.written.files.get(name_of(review, file.absolute().parent), "")


def _code_sets(rules: Rules) -> list[str]:
    return [release.label for release in rules.icd10.releases]


class Reassessment:
    """One pass for each change. A tick looks at a few encounters, and at none while messages wait."""

    def __init__(
        self,
        store: Store,
        casework: Casework,
        clock: Clock,
        busy: Callable[[], bool] = lambda: False,
        on_released: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._casework = casework
        self._clock = clock
        self._busy = busy
        self._on_released = on_released
        self._about = ""
        self._version = 0
        self._under_way = False
        self._changed = 0

    async def begin(self, about: str, version: int) -> bool:
        """What decides is `about` from now on, as configuration `version` says; whether there is anything to look at
        again. A pass that was begun for the same goes on where it stopped.
        """
        self._about, self._version, self._changed = about, version, 0
        standing = await self._store.work_pass(NAME)
        if standing is None or standing.about != about:
            await self._store.commit(Step(passes=[Pass(NAME, about, "", False, self._clock.now())]))
            self._under_way = True
        else:
            self._under_way = not standing.done
        return self._under_way

    async def __call__(self) -> int:
        """Look at the next few; how many. Raises StoreFault: they are looked at again by the next tick."""
        if not self._under_way or self._busy():
            return 0
        standing = await self._store.work_pass(NAME)
        if standing is None or standing.done or standing.about != self._about:
            self._under_way = False  # done, or another gateway decides by something else and has begun for that
            return 0
        items = await self._store.worklist(STAGES, (), standing.place, AT_A_TIME)
        cases = await self._store.cases([item.key for item in items])
        await self._look(items, [cases[item.key] for item in items])
        self._under_way = len(items) == AT_A_TIME
        place = items[-1].key if items else standing.place
        after = Pass(NAME, self._about, place, not self._under_way, self._clock.now())
        await self._store.commit(Step(passes=[after]))
        if not self._under_way and self._changed:
            log.info("reassessment.done", version=self._version, count=self._changed)
        return len(items)

    async def _look(self, items: Sequence[WorkItem], cases: Sequence[Case]) -> None:
        """All in one commit; after a conflict each by itself, so that only the one that changed is left."""
        stages = {item.key: item.stage for item in items}
        open_ = [case for case in cases if case.encounter is not None and not case.claims]
        try:
            await self._commit(open_, stages)
        except Conflict:
            for case in open_:
                try:
                    await self._commit([case], stages)
                except Conflict:
                    continue  # a message or a person was faster, and has looked at it by the present rules

    async def _commit(self, cases: Sequence[Case], stages: dict[str, str]) -> None:
        step = Step()
        released = False
        async with self._casework.sampler.turn(self._store):
            for case in cases:
                advanced = self._advance(case)
                if advanced is not None and _differs(advanced, stages[case.key]):
                    step.cases.append(advanced.change)
                    step.events += [*advanced.events, self._told(case.key)]
                    released |= advanced.released is not None
                await asyncio.sleep(0)
            if step.cases:
                await self._store.commit(step)
                self._changed += len(step.cases)
        if released:
            self._on_released()

    def _advance(self, case: Case) -> Advanced | None:
        try:
            return self._casework.advance(case, now=self._clock.now())
        except StoreFault:
            raise
        except Exception:
            log.exception("reassessment.encounter_failed")  # it keeps its holds, and stops no other
            return None

    def _told(self, key: str) -> Event:
        detail: dict[str, object] = {"configuration": self._version}
        return Event(self._clock.now(), "gateway", Action.ENCOUNTER_REASSESSED, f"encounter/{key}", key, None, detail)


def _differs(advanced: Advanced, stage: str) -> bool:
    """Whether anything came of it. What waits for a day is written too: the day may be another."""
    change = advanced.change
    parts = ("holds", "draws", "claims", "deliveries")
    same = all(getattr(change.before, part) == getattr(change.after, part) for part in parts)
    return not same or change.stage != stage or change.due is not None
