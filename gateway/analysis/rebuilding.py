"""Encounters built again by hand, or because a code that they waited for was mapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.casework import Casework
from gateway.clock import Clock
from gateway.pipeline.building import Builder, Reader
from gateway.store.interface import Conflict, Step, Store

TRIES = 5


class Rebuilding:
    """Makes encounters again of their messages, by the mappings in force, and decides on them anew."""

    def __init__(
        self,
        store: Store,
        readers: Mapping[str, Reader],
        casework: Casework,
        clock: Clock,
        on_released: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._builder = Builder(store, readers)
        self._casework = casework
        self._clock = clock
        self._on_released = on_released

    async def rebuild(self, key: str, actor: str) -> bool:
        """Build the encounter of `key` again; whether it changed.

        MappingError when a message of its history cannot be read, Conflict when it changes too fast. An encounter that
        does not stand, or became part of another, is left as it is.
        """
        for _ in range(TRIES):
            case = (await self._store.cases([key]))[key]
            standing = case.encounter
            if standing is None or standing.merged_into is not None or not standing.history:
                return False
            built = await self._builder.again(standing)
            if built.encounter == standing:
                return False
            try:
                async with self._casework.sampler.turn(self._store):
                    advanced = self._casework.advance(
                        case, encounter=built.encounter, actor=actor, now=self._clock.now()
                    )
                    contents = [(key, content) for content in built.contents]
                    await self._store.commit(Step(cases=[advanced.change], contents=contents, events=advanced.events))
            except Conflict:
                continue
            if advanced.released is not None:
                self._on_released()
            return True
        raise Conflict(f"encounter {key} changes too fast to be built again")
