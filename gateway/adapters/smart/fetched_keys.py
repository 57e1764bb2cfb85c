"""A client's public keys at its own address: fetched with care, kept for a while.

Whoever can name an address could make the gateway ask for it. So only registered addresses are asked, over https, at
addresses of the public network (checked after the name is resolved, and the checked address is the one that is
connected to), without redirects, for a few seconds and a few kilobytes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import cache

import httpcore

from gateway.access.keys import LARGEST_SET, KeyFault, KeySet, PublicKey
from gateway.adapters.checked_network import HTTP_FAULTS, CheckedNetwork, NotPublic
from gateway.callers.registrations import KeysUnreachable
from gateway.clock import Clock
from gateway.logs import logger

log = logger("smart")

SECONDS = 3.0
FRESH = timedelta(minutes=15)
"""How long keys are used before they are asked for again."""
STALE = timedelta(hours=1)
"""How long they are used when they can't be had again."""
PATIENCE = timedelta(seconds=60)
"""Between two requests, whatever comes: an unknown key or a fault is no reason to ask more often."""

Fetch = Callable[[str], Awaitable[bytes]]

_HEADERS = [("Accept", "application/json"), ("Accept-Encoding", "identity"), ("User-Agent", "coding-review-gateway")]


async def fetch(url: str, network: httpcore.AsyncNetworkBackend, context: ssl.SSLContext) -> bytes:
    """The body at `url`: one GET, answered 200, of at most 64 KiB, within the time. KeysUnreachable otherwise."""
    try:
        async with (
            asyncio.timeout(SECONDS),
            httpcore.AsyncConnectionPool(context, network_backend=network) as pool,
            pool.stream("GET", url, headers=_HEADERS) as answer,
        ):
            return await _body(answer)
    except TimeoutError:
        raise KeysUnreachable("there was no whole answer in time") from None
    except NotPublic as fault:
        raise KeysUnreachable(str(fault)) from None
    except (*HTTP_FAULTS, OSError, ValueError) as error:
        raise KeysUnreachable(f"there was no answer: {type(error).__name__}") from None


async def _body(answer: httpcore.Response) -> bytes:
    if answer.status != 200:
        raise KeysUnreachable(f"the answer was {answer.status}")
    encodings = [value for name, value in answer.headers if name.lower() == b"content-encoding"]
    if any(value.lower() != b"identity" for value in encodings):
        raise KeysUnreachable("the answer was compressed")
    body = bytearray()
    async for piece in answer.aiter_stream():
        body += piece
        if len(body) > LARGEST_SET:
            raise KeysUnreachable("the answer was larger than 64 KiB")
    return bytes(body)


def fetching() -> Fetch:
    """What fetches from the public network, with the system's certificates."""
    network = CheckedNetwork()

    @cache
    def context() -> ssl.SSLContext:
        return ssl.create_default_context()

    async def fetched(url: str) -> bytes:
        return await fetch(url, network, context())

    return fetched


class FetchedKeys:
    """The keys at one address. One request at a time, and not two within `PATIENCE`."""

    def __init__(self, url: str, fetch: Fetch, clock: Clock) -> None:
        self._url = url
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched: datetime | None = None
        self._asked: datetime | None = None
        self._one = asyncio.Lock()

    async def find(self, kid: str, algorithm: str) -> PublicKey | None:
        """Asks for the keys when they are old, or do not have this one. Raises KeysUnreachable."""
        found = self._kept(FRESH, kid, algorithm)
        if found is None:
            async with self._one:
                found = self._kept(FRESH, kid, algorithm)
                if found is None and self._may_ask():
                    await self._ask()
        found = found or self._kept(STALE, kid, algorithm)
        if found is None and not self._usable(STALE):
            raise KeysUnreachable("the client's keys cannot be had")
        return found

    def _usable(self, age: timedelta) -> bool:
        return self._fetched is not None and self._clock.now() - self._fetched < age

    def _kept(self, age: timedelta, kid: str, algorithm: str) -> PublicKey | None:
        return self._keys.find(kid, algorithm) if self._keys is not None and self._usable(age) else None

    def _may_ask(self) -> bool:
        return self._asked is None or self._clock.now() - self._asked >= PATIENCE

    async def _ask(self) -> None:
        self._asked = self._clock.now()
        try:
            keys = KeySet.read(await self._fetch(self._url))
        except (KeysUnreachable, KeyFault) as fault:
            why = fault.text if isinstance(fault, KeyFault) else str(fault)
            log.warning("smart.keys_unreachable", mistake=why)
            return
        self._keys, self._fetched = keys, self._clock.now()
