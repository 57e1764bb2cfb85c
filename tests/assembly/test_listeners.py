"""Listeners are exchanged all together, or everything listens as before."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gateway.assembly.listeners import CannotListen, Listeners
from gateway.config.model import Feed


@dataclass
class Port:
    """A listener that took a port."""

    host: Host
    feed: Feed
    address: tuple[str, int]

    async def stop(self) -> None:
        assert self.host.taken.pop(self.address[1]) is self, "stopped twice"
        self.host.stopped.append(self.feed.name)


@dataclass
class Host:
    """A machine with ports. `refused` are taken by others."""

    taken: dict[int, Port] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    stopped: list[str] = field(default_factory=list)
    next_free: int = 40_000

    async def listen(self, feed: Feed) -> Port:
        port = feed.listen.port or self._free()
        if port in self.taken or port in self.refused:
            raise OSError(98, f"address in use: {port}")
        self.taken[port] = Port(self, feed, ("127.0.0.1", port))
        return self.taken[port]

    def _free(self) -> int:
        self.next_free += 1
        return self.next_free

    def ports(self) -> dict[str, int]:
        return {one.feed.name: port for port, one in self.taken.items()}


def feed(name: str, port: int, **said: object) -> Feed:
    return Feed.model_validate({"name": name, "listen": f"mllp://127.0.0.1:{port}", **said})


async def opened(*feeds: Feed) -> tuple[Host, Listeners]:
    host = Host()
    listeners = Listeners(host.listen)
    await listeners.open(feeds)
    return host, listeners


async def test_what_says_how_messages_are_read_moves_no_listener() -> None:
    host, listeners = await opened(feed("a", 1))
    before = host.taken[1]
    exchange = await listeners.exchange([feed("a", 1, dialect="epic", facility="EAST", silent_after=5)])
    await exchange.finish()
    assert host.taken == {1: before}
    assert host.stopped == []


async def test_feeds_come_go_and_move() -> None:
    host, listeners = await opened(feed("stays", 1), feed("goes", 2), feed("moves", 3))
    exchange = await listeners.exchange([feed("stays", 1), feed("moves", 4), feed("comes", 5)])
    assert {"goes", "moves"} <= {one.feed.name for one in host.taken.values()}, "until it is finished"
    await exchange.finish()
    assert host.ports() == {"stays": 1, "moves": 4, "comes": 5}
    assert listeners.addresses == {name: ("127.0.0.1", port) for name, port in host.ports().items()}


async def test_two_feeds_may_change_places() -> None:
    host, listeners = await opened(feed("a", 1), feed("b", 2))
    exchange = await listeners.exchange([feed("a", 2), feed("b", 1)])
    await exchange.finish()
    assert host.ports() == {"a": 2, "b": 1}


async def test_a_limit_that_changes_starts_the_listener_anew() -> None:
    host, listeners = await opened(feed("a", 1))
    exchange = await listeners.exchange([feed("a", 1, max_message=2048)])
    await exchange.finish()
    assert host.taken[1].feed.max_message == 2048
    assert host.stopped == ["a"]


@pytest.mark.parametrize("wrong", [7, 8])
async def test_one_that_cannot_start_undoes_all(wrong: int) -> None:
    host, listeners = await opened(feed("a", 1), feed("b", 2), feed("c", 3))
    before, addresses = host.ports(), dict(listeners.addresses)
    host.refused = {wrong}
    with pytest.raises(CannotListen, match=str(wrong)) as caught:
        await listeners.exchange([feed("a", 2), feed("b", 1), feed("d", 7), feed("e", 8)])
    assert caught.value.feed in ("d", "e")
    assert host.ports() == before
    assert listeners.addresses == addresses
    host.refused = set()
    await (await listeners.exchange([feed("a", 2), feed("b", 1)])).finish()
    assert host.ports() == {"a": 2, "b": 1}


async def test_one_whose_port_was_freed_for_it_and_taken_by_another_undoes_all() -> None:
    host, listeners = await opened(feed("a", 1), feed("b", 2))
    with pytest.raises(CannotListen):
        await listeners.exchange([feed("a", 1, max_message=2048), feed("c", 2), feed("d", 2)])
    assert host.ports() == {"a": 1, "b": 2}
    assert host.taken[1].feed.max_message != 2048


async def test_what_was_exchanged_can_be_taken_back() -> None:
    host, listeners = await opened(feed("a", 1), feed("b", 2))
    exchange = await listeners.exchange([feed("a", 2), feed("c", 0)])
    await exchange.undo()
    assert host.ports() == {"a": 1, "b": 2}
    await listeners.close()
    assert host.taken == {}
