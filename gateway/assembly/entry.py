"""How callers get in: fixed tokens, and tokens given for signed assertions; built from the configuration, and exchanged
with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gateway.access.tokens import Callers
from gateway.adapters.fhir_client.published import published
from gateway.adapters.http.routing import Route
from gateway.adapters.smart.fetched_keys import Fetch, FetchedKeys, fetching
from gateway.adapters.smart.routes import Refusals, SmartRoutes
from gateway.adapters.smart.throttle import Failures
from gateway.callers.granting import Granting, Recognition
from gateway.callers.registrations import ClientKeys, Registrations, registrations
from gateway.clock import Clock
from gateway.config.model import Config
from gateway.store.interface import Store


class Entry:
    """One a gateway. Raises Mistakes when a file of keys cannot be used."""

    def __init__(self, config: Config, store: Store, clock: Clock, fetch: Fetch | None = None) -> None:
        self._store = store
        self._clock = clock
        self._fetch = fetch or fetching()
        self.recognition = self.prepared(config)
        self.granting = Granting(store, clock, self.recognition.registered)

    def prepared(self, config: Config) -> Recognition:
        """What recognises the callers of `config`: not yet in force."""
        return Recognition(Callers(config.clients), self._registered(config), self._store, self._clock)

    def admit(self, recognition: Recognition) -> None:
        """Give tokens to the clients that `recognition` knows, from now on."""
        self.recognition = recognition
        self.granting.serve(recognition.registered)

    def _registered(self, config: Config) -> Registrations:
        def fetched(url: str) -> ClientKeys:
            return FetchedKeys(url, self._fetch, self._clock)

        return registrations(config, fetched)

    def routes(
        self, refusals: Refusals, config: Callable[[], Config], listening: Callable[[], tuple[str, int]]
    ) -> Iterable[Route]:
        """The addresses at which tokens are given. `listening`: where the gateway listens by now."""

        def address() -> str:
            return own_address(config(), listening())

        def keys() -> list[dict[str, Any]]:
            return published(config())

        return SmartRoutes(self.granting, Failures(self._clock), refusals, address, keys).routes()


def own_address(config: Config, listening: tuple[str, int]) -> str:
    """How clients reach the gateway, as the configuration says it. What a request says of it counts for nothing: an
    assertion that was made out to somebody else must not be taken here.
    """
    if config.http.base_url is not None:
        return config.http.base_url.rstrip("/")
    host, port = listening
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
