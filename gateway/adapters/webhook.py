"""Alerts as POST requests with JSON. Nothing of the answer is read but its status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

import httpx
import tenacity

from gateway.alert import Alert
from gateway.config.upkeep import Alerts

TRIES = 3
SECONDS = 10.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Again(Exception):
    """The receiver may take it if it is asked again."""


class Webhook:
    """Tells alerts at the address that the configuration names. `id` is the same for each try: a receiver that keeps it
    sees no alert twice.
    """

    def __init__(
        self, client: httpx.AsyncClient, settings: Callable[[], Alerts], *, wait: tenacity.wait.wait_base | None = None
    ) -> None:
        self._client = client
        self._settings = settings
        self._wait = wait or tenacity.wait_exponential(multiplier=0.5, max=4)

    async def tell(self, alert: Alert) -> bool:
        """Whether the receiver took it (any status of 2xx), after three tries at most."""
        settings = self._settings()
        if settings.webhook is None:
            return False
        headers = {"Authorization": f"Bearer {settings.token.get_secret_value()}"} if settings.token else {}
        try:
            async for attempt in tenacity.AsyncRetrying(
                stop=tenacity.stop_after_attempt(TRIES),
                wait=self._wait,
                retry=tenacity.retry_if_exception_type(_Again),
                reraise=True,
            ):
                with attempt:
                    return await self._post(settings.webhook, headers, document(alert))
        except _Again:
            return False
        return False

    async def _post(self, url: str, headers: dict[str, str], body: dict[str, object]) -> bool:
        try:
            request = self._client.build_request("POST", url, json=body, headers=headers, timeout=SECONDS)
            answer = await self._client.send(request, stream=True, follow_redirects=False)
            await answer.aclose()
        except (httpx.HTTPError, OSError) as error:
            raise _Again from error
        if answer.status_code in _AGAIN:
            raise _Again
        return answer.is_success


def document(alert: Alert) -> dict[str, object]:
    """What is posted: names of the configuration's, numbers and words; no patient's data."""
    since = alert.since.astimezone(UTC)
    return {
        "id": f"{alert.node}/{alert.name}/{alert.subject}/{alert.state}/{since:%Y%m%dT%H%M%S.%fZ}",
        "alert": alert.name.value,
        "subject": alert.subject,
        "state": alert.state.value,
        "since": since.isoformat().replace("+00:00", "Z"),
        "text": alert.text,
        "node": alert.node,
    }
