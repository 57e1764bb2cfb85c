"""The feeds that listen, and how they become others while the gateway runs: all of them, or none.

A feed whose transport is as it was keeps its listener and its connections. The others start anew; when one cannot, what
was begun is undone and all listen as before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.config.model import Feed, Source
from gateway.config.transport import Directory, OverHttp
from gateway.logs import logger

log = logger("listening")

Address = tuple[str, int]


class Listening(Protocol):
    """A feed's listener that has started."""

    @property
    def address(self) -> Address: ...

    async def stop(self) -> None:
        """Take no more, answer what was received, close."""
        ...


Listen = Callable[[Feed], Awaitable[Listening]]
"""Starts a feed's listener. OSError when it cannot. A feed over HTTP has none of its own: its listener does nothing."""


class CannotListen(OSError):
    """A feed's listener cannot start. Says which and why."""

    def __init__(self, feed: str, error: OSError) -> None:
        super().__init__(f"feed {feed} cannot listen: {error}")
        self.feed = feed


@dataclass(slots=True)
class _Standing:
    feed: Feed
    listener: Listening


class Listeners:
    """One listener a feed. `addresses` tells where each listens."""

    def __init__(self, listen: Listen, addresses: dict[str, Address] | None = None) -> None:
        """`addresses` is kept up to date; give one to see it elsewhere."""
        self._listen = listen
        self._standing: dict[str, _Standing] = {}
        self.addresses: dict[str, Address] = {} if addresses is None else addresses

    async def open(self, feeds: Iterable[Feed]) -> None:
        """Listen for `feeds`. CannotListen when one cannot; those that could go on listening until `close`."""
        for feed in feeds:
            await self._start(feed)

    async def close(self) -> None:
        for name in tuple(self._standing):
            await self._end(name)

    async def exchange(self, feeds: Iterable[Feed]) -> Exchange:
        """Listen for `feeds` in place of those so far. CannotListen when one cannot start: then all is as it was.

        Those that leave go on, where their address is not wanted, until `Exchange.finish`; `Exchange.undo` takes all
        back.
        """
        wanted = {feed.name: feed for feed in feeds}
        leaving = {
            name: one for name, one in self._standing.items() if name not in wanted or not _same(one.feed, wanted[name])
        }
        new = [feed for name, feed in wanted.items() if name not in self._standing or name in leaving]
        exchange = Exchange(self, leaving, {name: one.feed for name, one in self._standing.items()})
        held = {_place(one.feed) for one in leaving.values()} - {None}
        asked = {_place(feed) for feed in new}
        try:
            for name in leaving:
                self._standing.pop(name)
            for feed in new:
                if _place(feed) not in held:
                    await self._start(feed)
            for one in leaving.values():
                if _place(one.feed) in held & asked:
                    await exchange.stop(one)
            for feed in new:
                if feed.name not in self._standing:
                    await self._start(feed)
        except BaseException:
            await exchange.undo()
            raise
        for name, one in self._standing.items():
            one.feed = wanted[name]
        return exchange

    def names(self) -> set[str]:
        return set(self._standing)

    async def _start(self, feed: Feed) -> None:
        try:
            listener = await self._listen(feed)
        except OSError as error:
            raise CannotListen(feed.name, error) from error
        self._standing[feed.name] = _Standing(feed, listener)
        self.addresses[feed.name] = listener.address

    async def _end(self, name: str) -> None:
        one = self._standing.pop(name)
        self.addresses.pop(name, None)
        await one.listener.stop()

    async def restore(self, leaving: dict[str, _Standing], stopped: set[str], before: dict[str, Feed]) -> None:
        """As it was: `leaving` stand again, anew where they were stopped; whatever else began, ends."""
        for name in [name for name in self._standing if name not in before or name in leaving]:
            await self._end(name)
        for name, one in leaving.items():
            if name in stopped:
                try:
                    await self._start(one.feed)
                except OSError:
                    # Somebody took the port in the moment that it was free: the operator must know, and reload.
                    log.exception("listening.lost", feed=name)
            else:
                self._standing[name] = one
                self.addresses[name] = one.listener.address
        for name, one in self._standing.items():
            one.feed = before[name]


class Exchange:
    """An exchange that can be finished, or taken back."""

    def __init__(self, listeners: Listeners, leaving: dict[str, _Standing], before: dict[str, Feed]) -> None:
        self._listeners = listeners
        self._leaving = leaving
        self._before = before
        self._stopped: set[str] = set()

    async def stop(self, one: _Standing) -> None:
        """Its address is wanted."""
        self._stopped.add(one.feed.name)
        await one.listener.stop()

    async def undo(self) -> None:
        await self._listeners.restore(self._leaving, self._stopped, self._before)

    async def finish(self) -> None:
        """Stop what has left."""
        for name, one in self._leaving.items():
            if name not in self._stopped:
                await one.listener.stop()
            if name not in self._listeners.names():
                self._listeners.addresses.pop(name, None)


_NOT_OF_THE_TRANSPORT = {*Source.model_fields, "charset", "snapshot"}
"""What says how messages are read, and not how they come in."""


def _same(one: Feed, other: Feed) -> bool:
    """Whether both are heard in the same way."""
    said, wanted = (feed.model_dump(exclude=_NOT_OF_THE_TRANSPORT) for feed in (one, other))
    return said == wanted


def _place(feed: Feed) -> int | str | Path | None:
    """What only one listener can have at a time: a port, a directory, a name at the HTTP door. None for a free port."""
    match feed.listen:
        case Directory(path=path):
            return path
        case OverHttp():
            return feed.name
        case address:
            return address.port or None
