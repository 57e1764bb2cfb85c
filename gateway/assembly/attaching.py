"""How documents' contents are fetched: for each client by its settings, and from a polled server by its own rights."""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urljoin

from gateway.adapters.fhir_attachments.fetching import OCTETS, Fetch, Fetched, Fetching, checked
from gateway.adapters.fhir_attachments.refusal import NotFetched, Why
from gateway.adapters.fhir_attachments.wanted import Wanted
from gateway.adapters.fhir_client import MEDIA_TYPE, origin_of
from gateway.adapters.fhir_poll.faults import PollFault, Trouble
from gateway.adapters.fhir_poll.keeping import Intake, Keeping, Resources
from gateway.adapters.fhir_poll.server import EhrServer
from gateway.clock import Clock
from gateway.config.model import Config, Source
from gateway.config.polled import Attachments
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import read
from gateway.store.resources import Value

LARGEST = 512 * 1024 * 1024
"""Of a Binary as it is kept: fetching has smaller limits of its own."""

_WHY: dict[Trouble, Why] = {
    Trouble.AWAY: Why.NO_ANSWER,
    Trouble.FAILING: Why.NO_ANSWER,
    Trouble.BUSY: Why.BUSY,
    Trouble.NOT_ALLOWED: Why.NOT_ALLOWED,
    Trouble.NOT_THERE: Why.NOT_THERE,
    Trouble.TOO_LARGE: Why.TOO_LARGE,
    Trouble.ASTRAY: Why.NOT_LISTED,
}

Values = Callable[[dict[str, Any]], tuple[Value, ...]]


@cache
def trusted() -> ssl.SSLContext:
    """The system's certificates."""
    return ssl.create_default_context()


class Attaching:
    """Gives each client what fetches for it. `server` is a polled feed's, by its name; None for all others."""

    def __init__(self, config: Callable[[], Config], server: Callable[[str], EhrServer | None]) -> None:
        self._config = config
        self._server = server

    def fetches(self, client: str) -> bool:
        """Whether contents are fetched for it at all."""
        source = self._source(client)
        return source is not None and (source.attachments is not None or self._server(client) is not None)

    def fetching(self, client: str) -> Fetch | None:
        """What fetches for it; None when nothing is fetched for it."""
        if not self.fetches(client):
            return None
        source, server = self._source(client), self._server(client)
        settings = source.attachments if source is not None else None
        elsewhere = Fetching(settings, trusted).fetch if settings is not None else _unlisted
        if server is None:
            return elsewhere
        return _Own(server, settings or _OF_THE_FEED, elsewhere)

    def _source(self, client: str) -> Source | None:
        config = self._config()
        sources: tuple[Any, ...] = (*config.polled_feeds, *config.clients)
        return next((source for source in sources if source.name == client), None)


_OF_THE_FEED = Attachments(hosts=("localhost",))
"""The limits for a polled server's own contents, where nothing is said of attachments. Its hosts are not looked at."""


async def _unlisted(wanted: Wanted) -> Fetched:
    raise NotFetched(Why.NOT_LISTED)


class _Own:
    """Fetches from the feed's own server with the feed's rights, and from everywhere else without them."""

    def __init__(self, server: EhrServer, settings: Attachments, elsewhere: Fetch) -> None:
        self._server = server
        self._settings = settings
        self._elsewhere = elsewhere

    async def __call__(self, wanted: Wanted) -> Fetched:
        try:
            url = urljoin(self._server.base + "/", wanted.url)
        except ValueError:  # no address
            raise NotFetched(Why.NOT_LISTED) from None
        if origin_of(url) != self._server.origin:
            return await self._elsewhere(wanted)
        try:
            kind, body = await self._server.content(url, f"{wanted.content_type or '*/*'}, */*;q=0.5")
        except PollFault as fault:
            raise NotFetched(_WHY.get(fault.trouble, Why.REFUSED), fault.retry_after) from None
        if kind.partition(";")[0].strip().lower() in (MEDIA_TYPE, "application/json"):
            kind, body = _unwrapped(kind, body)
        return checked(wanted, kind, body, self._settings)


def _unwrapped(kind: str, body: bytes) -> tuple[str, bytes]:
    """The content of a Binary resource; of what is none, itself."""
    try:
        resource = read(body)
        if resource.get("resourceType") != "Binary":
            return kind, body
        data = base64.b64decode("".join(str(resource.get("data", "")).split()), validate=True)
    except (MappingError, binascii.Error, ValueError):
        return kind, body
    said = resource.get("contentType")
    return (said if isinstance(said, str) else OCTETS), data


class Binaries:
    """Keeps Binaries under the names of the clients whose documents they belong to."""

    def __init__(self, intake: Intake, store: Resources, clock: Clock, values: Values) -> None:
        self._intake = intake
        self._store = store
        self._clock = clock
        self._values = values
        self._of: dict[str, Keeping] = {}

    async def knows(self, client: str, reference: str) -> bool:
        return await self._keeping(client).knows(reference)

    async def keep(self, client: str, resource: dict[str, Any]) -> None:
        await self._keeping(client).keep([resource])

    def _keeping(self, client: str) -> Keeping:
        if client not in self._of:
            self._of[client] = Keeping(client, self._intake, self._store, self._clock, self._values, LARGEST)
        return self._of[client]
