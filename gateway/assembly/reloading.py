"""Taking over what the files say while the gateway runs: as a whole, or not at all.

Everything is read and checked first. Then the pipeline rests between two batches; new listeners start, the version is
recorded, and what reads, decides, delivers and recognises callers is exchanged in one turn of the loop. Until that turn
nothing has changed that is not undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from gateway.adapters.http.server import HttpServer
from gateway.adapters.operations.configuration import Refused
from gateway.assembly.entry import Entry
from gateway.assembly.feeds import Feeds
from gateway.assembly.listeners import CannotListen, Exchange, Listeners
from gateway.assembly.querying import Querying
from gateway.assembly.wiring import Lines, lanes
from gateway.callers.granting import Recognition
from gateway.casework import Casework
from gateway.clock import Clock
from gateway.config.certificates import CertificateFault
from gateway.config.model import Config, Destination
from gateway.delivery import Lane, Outbox
from gateway.intake.intake import Backlog
from gateway.logs import logger
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.reading import FhirReader, Hl7Reader
from gateway.settings.written import Written, different, gather, paths
from gateway.store.interface import Store, StoreFault
from gateway.store.upkeep import ConfigurationVersion
from gateway.upkeep.restoring import NotRestorable, Restoration
from gateway.upkeep.versions import NO_VERSION, Ordered, Versions, ordered
from gateway.yamlfile import Loc, Mistakes

log = logger("configuration")

FIXED: tuple[Loc, ...] = (
    ("store",),
    ("store_key",),
    ("node",),
    ("http", "listen"),
    ("http", "request_seconds"),
    ("audit",),
    ("processing", "batch"),
    ("ehrs",),
)
"""What cannot change while the gateway runs."""


class Running(Protocol):
    """The parts of a gateway that are exchanged."""

    config: Config
    store: Store
    clock: Clock
    casework: Casework
    pipeline: Pipeline
    backlog: Backlog
    outbox: Outbox
    lines: Lines
    hl7: Hl7Reader
    fhir: FhirReader
    querying: Querying
    listeners: Listeners
    feeds: Feeds
    server: HttpServer
    entry: Entry
    versions: Versions
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came into force."""

    version: int
    changed: tuple[str, ...]
    """The parts of gateway.yaml that differ from before."""
    files: tuple[str, ...] = ()
    """The files that differ from before, are new or gone, by their names in the version."""
    kept: int | None = None
    """After a return: the version under which the replaced files are kept; None when they stand beside as copies."""
    copies: tuple[str, ...] = ()


class Reloading:
    """One reload at a time; whoever comes meanwhile waits."""

    def __init__(self, gateway: Running, changed: Callable[[Ordered, int], Awaitable[None]]) -> None:
        """`changed` hears of what came into force, at the start too."""
        self._gateway = gateway
        self._changed = changed
        self._one = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self.version = NO_VERSION
        """The number of the version in force."""
        self._written: Written | None = None
        """What it says."""

    async def begin(self, written: Ordered) -> None:
        """Record what is in force at the start."""
        self.version = await self._gateway.versions.activate(written.written, "gateway", {"by": "start"})
        self._written = written.written
        await self._changed(written, self.version)

    async def listed(self, before: int | None, limit: int) -> list[ConfigurationVersion]:
        return await self._gateway.versions.listed(before, limit)

    async def version_of(self, number: int) -> ConfigurationVersion | None:
        return await self._gateway.versions.version(number)

    async def reload(self, actor: str) -> Reloaded:
        """Read all files again and take them over. Raises Mistakes with all of them, Refused, StoreFault or
        Conflict: all is then as it was.
        """
        return await asyncio.shield(asyncio.ensure_future(self._reload(actor)))

    async def roll_back(self, number: int | None, actor: str) -> Reloaded:
        """Write the files of version `number` back and take them over. Without a number: those in force, when the files
        say something else by now, or else the version in force before.

        Raises as `reload` does: the files are then as they were.
        """
        return await asyncio.shield(asyncio.ensure_future(self._roll_back(number, actor)))

    async def _reload(self, actor: str) -> Reloaded:
        async with self._one:
            try:
                said = await asyncio.to_thread(ordered, self._file(), self._gateway.environ)
                return await self._take(said, actor, {"by": "reload"})
            except Mistakes as wrong:
                await self._refuse(actor, wrong)
                raise

    async def _roll_back(self, number: int | None, actor: str) -> Reloaded:
        gateway = self._gateway
        async with self._one:
            file = self._file()
            version = await self._wanted(number)
            files = Restoration(file, gateway.environ, paths(gateway.config))
            present = await asyncio.to_thread(files.present)
            kept = await gateway.versions.keep(present, actor) if present is not None else None
            copies = (
                await asyncio.to_thread(files.set_aside, f"{gateway.clock.now():%Y%m%dT%H%M%S}") if not kept else []
            )
            try:
                said = await asyncio.to_thread(files.write, version)
                taken = await self._take(said, actor, {"by": "rollback", "of": version.number})
            except (NotRestorable, OSError) as fault:
                await self._put_back(files, copies)
                raise Refused(f"the files cannot be written: {fault}") from None
            except BaseException as fault:
                await self._put_back(files, copies)
                if isinstance(fault, Mistakes):
                    await self._refuse(actor, fault)
                raise
            return replace(taken, kept=kept, copies=tuple(map(str, copies)))

    async def _put_back(self, files: Restoration, copies: list[Path]) -> None:
        await asyncio.to_thread(files.undo)
        for copy in copies:
            copy.unlink(missing_ok=True)

    async def _wanted(self, number: int | None) -> ConfigurationVersion:
        versions, config = self._gateway.versions, self._gateway.config
        if number is not None:
            version = await versions.version(number)
        else:
            in_force = await self._gateway.store.configuration_in_force(config.node)
            version = in_force if in_force and not await self._stands(in_force) else await versions.earlier()
        if version is None:
            raise Refused("there is no such version" if number is not None else "there is no earlier version")
        if version.node != config.node:
            raise Refused(f"version {version.number} is of another gateway, node {version.node}")
        return version

    async def _stands(self, version: ConfigurationVersion) -> bool:
        """Whether the files say what `version` does."""
        try:
            return (await asyncio.to_thread(gather, self._gateway.config)).digest == version.digest
        except Mistakes:
            return False

    def _file(self) -> Path:
        file = self._gateway.config.file
        if file is None:
            raise Refused("this gateway was started without a configuration file")
        return file

    async def _refuse(self, actor: str, wrong: Mistakes) -> None:
        log.error("configuration.refused", count=len(wrong.mistakes))
        for mistake in wrong.mistakes:
            place = f"{Path(mistake.file).name}:{mistake.line or 0} {mistake.key}"
            log.error("configuration.mistake", place=place, mistake=mistake.text)
        await self._gateway.versions.refused(actor, len(wrong.mistakes))

    async def _take(self, said: Ordered, actor: str, detail: Mapping[str, object]) -> Reloaded:
        gateway, config = self._gateway, said.config
        _refuse_fixed(gateway.config, config)
        recognition = gateway.entry.prepared(config)
        new = _lanes(gateway, config)
        renew = _certificates(gateway, config)
        changed = _changed(gateway.config, config)
        files = different(self._written, said.written)
        async with gateway.pipeline.between_batches:
            exchange = await _listen(gateway, config)
            try:
                async with gateway.casework.sampler.turn(gateway.store):
                    number = await gateway.versions.activate(
                        said.written, actor, {**detail, "changed": changed, "files": files}
                    )
                    leaving = self._exchange(said, recognition, new)
                    renew()
            except BaseException:
                await exchange.undo()
                raise
        self.version, self._written = number, said.written
        await exchange.finish()
        for lane in leaving:
            closing = asyncio.create_task(_close(lane, list(lane.under_way.values())), name=f"close {lane.name}")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        log.info("configuration.activated", version=number)
        try:
            await self._changed(said, number)
        except StoreFault:
            log.exception("configuration.pass_not_begun")  # the next start begins it
        return Reloaded(number, tuple(changed), tuple(files))

    def _exchange(self, said: Ordered, recognition: Recognition, new: list[Lane]) -> list[Lane]:
        """All at once: nothing here waits, and nothing can fail. The lanes that leave."""
        gateway, config, rules = self._gateway, said.config, said.rules
        leaving = gateway.outbox.exchange(new)
        gateway.casework.rule_by(rules.policy, rules.edit_context, rules.routes)
        gateway.hl7.read_by(rules.profiles)
        gateway.querying.templates = rules.templates
        gateway.fhir.read_by(rules.sources)
        gateway.backlog.limit(config.processing.high_water)
        gateway.server.serve_by(recognition, config.http)
        gateway.entry.admit(recognition)
        gateway.config = config
        return leaving


def _value(config: Config, loc: Loc) -> object:
    value: object = config
    for part in loc:
        value = getattr(value, str(part))
    return value


def _refuse_fixed(before: Config, after: Config) -> None:
    text, remedy = "cannot change while the gateway runs", "take the change back and reload, or restart the gateway"
    wrong = [after.mistake(loc, text, remedy) for loc in FIXED if _value(before, loc) != _value(after, loc)]
    if wrong:
        raise Mistakes(wrong)


def _lanes(gateway: Running, config: Config) -> list[Lane]:
    """The lanes of `config`: those so far where nothing differs of what they are made of."""
    before = gateway.config
    alike = (before.billing, before.zone, before.facility) == (config.billing, config.zone, config.facility)
    same = {one.name for one in before.destinations if alike and one in config.destinations}
    made = lanes(config.model_copy(update={"destinations": _others(config, same)}), gateway.lines, gateway.clock)
    try:
        new = {lane.name: lane for lane in made}
    except OSError as error:
        raise Mistakes([config.mistake(("destinations",), f"one cannot be used: {error}", "check its files")]) from None
    found = [new.get(one.name) or gateway.outbox.lane(one.name) for one in config.destinations]
    return [lane for lane in found if lane is not None]


def _others(config: Config, same: set[str]) -> tuple[Destination, ...]:
    return tuple(one for one in config.destinations if one.name not in same)


def _certificates(gateway: Running, config: Config) -> Callable[[], None]:
    """What puts the feeds' certificates in force as their files are now, whether or not the settings have changed."""
    try:
        return gateway.feeds.renewal(config.feeds)
    except CertificateFault as fault:
        place = config.mistake(("feeds",), f"a certificate cannot be used: {fault.text}", fault.remedy)
        raise Mistakes([place]) from None


async def _listen(gateway: Running, config: Config) -> Exchange:
    try:
        return await gateway.listeners.exchange(config.feeds)
    except CannotListen as error:
        index = next(index for index, feed in enumerate(config.feeds) if feed.name == error.feed)
        remedy = "free the address, or name another; everything goes on as before"
        raise Mistakes([config.mistake(("feeds", index, "listen"), str(error), remedy)]) from None


async def _close(lane: Lane, under_way: list[asyncio.Task[None]]) -> None:
    """End the connection of a destination that is no more, once nothing is under way to it."""
    close = getattr(lane.destination, "close", None)
    if close is None:
        return
    if under_way:
        await asyncio.wait(under_way)
    await close()


def _changed(before: Config, after: Config) -> list[str]:
    """Names of settings only: no value, and no name that a person gave."""
    return [name for name in type(after).model_fields if getattr(before, name) != getattr(after, name)]
