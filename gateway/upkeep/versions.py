"""Versions of the configuration: what people wrote, as it came into force, kept in the store and named in the trail."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.audit.events import Action, Event
from gateway.clock import Clock
from gateway.config.model import Config
from gateway.rules import Rules, load_rules, read
from gateway.settings import load
from gateway.settings.written import Written, gather
from gateway.store.interface import Conflict, Step
from gateway.store.upkeep import ConfigurationVersion, VersionState
from gateway.yamlfile import Mistake, Mistakes

GATEWAY = "gateway"
TRIES = 5
NO_VERSION = 0
"""In place of a number: what is in force was read from no file."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """What the files say, read whole and without a mistake: it can come into force."""

    config: Config
    rules: Rules
    written: Written | None
    """None when the configuration was read from no file."""


def ordered(path: Path, environ: Mapping[str, str]) -> Ordered:
    """What the files say now. Raises Mistakes with those of all files, and when somebody is writing them meanwhile."""
    for _ in range(TRIES):
        before = _gathered(path, environ)
        config, rules = read(path, environ)
        if gather(config) == before:
            return Ordered(config, rules, before)
    raise _being_written(path)


def _gathered(path: Path, environ: Mapping[str, str]) -> Written | None:
    """None when there are mistakes: all of them are told where the files are read whole."""
    try:
        return gather(load(path, environ))
    except Mistakes:
        return None


def ordered_by(config: Config) -> Ordered:
    """The same of a configuration that was read already. Raises Mistakes."""
    if config.file is None or not config.file.is_file():
        return Ordered(config, load_rules(config), None)
    for _ in range(TRIES):
        rules = load_rules(config)
        before = gather(config)
        read_already = hashlib.sha256(before.files[before.main].encode()).hexdigest() == config.digest
        if read_already and gather(config) == before:
            return Ordered(config, rules, before)
    raise _being_written(config.file)


def _being_written(path: Path) -> Mistakes:
    remedy = "wait until whoever writes them is done, and try again"
    return Mistakes([Mistake(str(path), None, "", "it, or a file that it names, is being changed just now", remedy)])


class VersionStore(Protocol):
    """The part of the store that versions are kept in."""

    async def commit(self, step: Step) -> None: ...

    async def configurations(self, before: int | None = None, limit: int = 50) -> list[ConfigurationVersion]: ...

    async def configuration(self, number: int) -> ConfigurationVersion | None: ...

    async def configuration_in_force(self, node: int) -> ConfigurationVersion | None: ...


class Versions:
    """The versions of one gateway (node) in its store."""

    def __init__(self, store: VersionStore, node: int, clock: Clock) -> None:
        self._store = store
        self._node = node
        self._clock = clock

    async def activate(self, written: Written | None, actor: str, detail: Mapping[str, object] | None = None) -> int:
        """Record what came into force; its number. What differs in nothing from the last is no new version: a person's
        reload is told all the same, for secrets and certificates may have changed under the same words.
        """
        if written is None:
            return NO_VERSION
        last = await self._store.configuration_in_force(self._node)
        if last is not None and last.digest == written.digest:
            if actor != GATEWAY:
                await self._store.commit(Step(events=[self._event(last, actor, detail or {})]))
            return last.number
        return await self._record(written, VersionState.ACTIVATED, actor, detail or {})

    async def keep(self, written: Written, actor: str) -> int:
        """Record what is about to be replaced without ever having been in force; its number."""
        last = await self._store.configuration_in_force(self._node)
        if last is not None and last.digest == written.digest:
            return last.number
        return await self._record(written, VersionState.KEPT, actor, {})

    async def refused(self, actor: str, mistakes: int) -> None:
        """Tell the trail that the files were refused. What is wrong with them is for the caller and the log."""
        detail: dict[str, object] = {"mistakes": mistakes}
        subject = f"node/{self._node}"
        event = Event(self._clock.now(), actor, Action.CONFIGURATION_REFUSED, subject, detail=detail)
        await self._store.commit(Step(events=[event]))

    async def listed(self, before: int | None = None, limit: int = 50) -> list[ConfigurationVersion]:
        """Newest first, without files."""
        return await self._store.configurations(before, limit)

    async def version(self, number: int) -> ConfigurationVersion | None:
        return await self._store.configuration(number)

    async def earlier(self) -> ConfigurationVersion | None:
        """The version that was in force at this node before the present one, and says something else."""
        present = await self._store.configuration_in_force(self._node)
        if present is None:
            return None
        before: int | None = present.number
        while page := await self._store.configurations(before):
            for one in page:
                mine = one.node == self._node and one.state is VersionState.ACTIVATED
                if mine and one.digest != present.digest:
                    return await self._store.configuration(one.number)
            before = page[-1].number
        return None

    async def _record(self, written: Written, state: VersionState, actor: str, detail: Mapping[str, object]) -> int:
        for _ in range(TRIES):
            newest = await self._store.configurations(limit=1)
            now = self._clock.now()
            number = newest[0].number + 1 if newest else 1
            version = ConfigurationVersion(number, self._node, written.digest, state, actor, now, dict(written.files))
            event = self._event(version, actor, detail)
            try:
                await self._store.commit(Step(configurations=[version], events=[event]))
            except Conflict:
                continue  # another gateway took the number
            return number
        raise Conflict("other gateways were faster to record a version each time")

    def _event(self, version: ConfigurationVersion, actor: str, detail: Mapping[str, object]) -> Event:
        told = {"version": version.number, "node": version.node, "sha256": version.digest, **detail}
        subject = f"configuration/{version.number}"
        return Event(self._clock.now(), actor, _TOLD[version.state], subject, detail=told)


_TOLD = {
    VersionState.ACTIVATED: Action.CONFIGURATION_ACTIVATED,
    VersionState.KEPT: Action.CONFIGURATION_KEPT,
}


def difference(before: ConfigurationVersion, after: ConfigurationVersion) -> str:
    """What changed from one to the other, as a unified diff of each file; empty when nothing did."""
    return "".join(
        line
        for name in sorted({*before.files, *after.files})
        for line in _file_difference(name, before.files.get(name), after.files.get(name), before, after)
    )


def _file_difference(
    name: str, old: str | None, new: str | None, before: ConfigurationVersion, after: ConfigurationVersion
) -> Iterator[str]:
    was, is_ = (
        f"{name} (version {version.number})" if text is not None else "/dev/null"
        for text, version in ((old, before), (new, after))
    )
    for line in difflib.unified_diff(_lines(old), _lines(new), was, is_):
        yield line if line.endswith("\n") else f"{line}\n"


def _lines(text: str | None) -> list[str]:
    return (text or "").splitlines(keepends=True)
