"""Connections to addresses that somebody else named: each is looked at before it is connected to.

Whoever can name an address could make the gateway ask for it. So the addresses that a name has are checked after it is
resolved, and the checked address is the one that is connected to.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class NotPublic(Exception):
    """The address is not one that may be connected to."""


def is_public(address: Address) -> bool:
    """Whether the address is of the public network, also the one that an IPv6 address may carry within."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None and not is_public(inner):
            return False
        if address in _NAT64 and not is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)):
            return False
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


async def resolved(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to a name only when every address that it has may be connected to, and then to one of these. Raises
    NotPublic.
    """

    def __init__(self, resolve: Resolve = resolved, may: Callable[[Address], bool] = is_public) -> None:
        self._resolve = resolve
        self._may = may
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        found = [ipaddress.ip_address(text.partition("%")[0]) for text in await self._resolve(host, port)]
        if not found or not all(self._may(address) for address in found):
            raise NotPublic("the address is not one of the public network")
        for address in found[:-1]:
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
        return await self._network.connect_tcp(str(found[-1]), port, timeout, local_address, socket_options)


HTTP_FAULTS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
"""What an exchange by this network may raise, beside NotPublic and OSError."""
