"""A FHIR server that we come to: how a request is written and signed, and how its answer is taken within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from gateway.adapters.fhir_client.origin import origin_of
from gateway.adapters.fhir_client.smart_auth import SmartAuth
from gateway.adapters.retry_after import retry_after
from gateway.clock import Clock
from gateway.config.smart import SmartClient

MEDIA_TYPE = "application/fhir+json"

Parameters = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one exchange. `step_seconds` is what a read or a write may take, `connect_seconds` a connection at most, and
    `whole_seconds` everything, what a token takes included. `answer` is in bytes.
    """

    step_seconds: float
    whole_seconds: float
    connect_seconds: float
    answer: int


class GivenUp(Exception):
    """An answer was not taken to its end: its `status` came, its content did not."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Compressed(GivenUp):
    """It is compressed, though it was asked not to be: how large it grows cannot be told."""


class TooLarge(GivenUp):
    """It is beyond the limit."""


class FhirServer:
    """One server by its base address. `auth` proves who we are: SMART's; or a fixed `token`; or nothing does. The
    client is others' too.
    """

    def __init__(
        self,
        base: str,
        client: httpx.AsyncClient,
        limits: Limits,
        *,
        auth: httpx.Auth | None = None,
        token: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.base = base.rstrip("/")
        self.origin = origin_of(base)
        self.limits = limits
        self._client = client
        self._auth = auth
        self._headers = {"Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._now = now

    async def close(self) -> None:
        """End what the authentication holds."""
        close = getattr(self._auth, "close", None)
        if close is not None:
            await close()

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        params: Parameters | None = None,
        headers: Mapping[str, str] | None = None,
        resource: Mapping[str, Any] | None = None,
        refusals: bool = True,
    ) -> tuple[httpx.Response, bytes]:
        """The answer and its content; what came with a refusal is left where it is unless `refusals` are read.
        Redirects are not followed.

        Raises GivenUp, TimeoutError, and what httpx raises: NoToken among it.
        """
        written = {**self._headers, **(headers or {})}
        if resource is not None:
            written["Content-Type"] = MEDIA_TYPE
        limits = self.limits
        request = self._client.build_request(
            method,
            url,
            params=params,
            headers=written,
            content=orjson.dumps(resource) if resource is not None else None,
            timeout=httpx.Timeout(limits.step_seconds, connect=min(limits.step_seconds, limits.connect_seconds)),
        )
        async with asyncio.timeout(limits.whole_seconds):
            response = await self._client.send(request, stream=True, auth=self._auth, follow_redirects=False)
            try:
                return response, await self._content(response, refusals or response.is_success)
            finally:
                await response.aclose()

    def address(self, path: str) -> str:
        """Of what is named below the base."""
        return f"{self.base}/{path}"

    def retry_after(self, response: httpx.Response) -> float | None:
        """Seconds until it wants to be asked again; None when it does not say."""
        return retry_after(response.headers.get("retry-after"), self._now())

    async def _content(self, response: httpx.Response, wanted: bool) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Compressed(response.status_code)
        body = bytearray()
        if not wanted:
            return b""
        async for part in response.aiter_raw():
            body += part
            if len(body) > self.limits.answer:
                raise TooLarge(response.status_code)
        return bytes(body)


def version_told(response: httpx.Response) -> str | None:
    """The version that the ETag names, weak or not: servers write it either way (R4, http, resource contention)."""
    return response.headers.get("etag", "").removeprefix("W/").strip('"') or None


def server_at(
    url: str,
    client: httpx.AsyncClient,
    limits: Limits,
    clock: Clock,
    *,
    smart: SmartClient | None = None,
    token: SecretStr | None = None,
) -> FhirServer:
    """The server at `url`, as the settings say that we prove who we are. KeyFault when the key cannot be used."""
    return FhirServer(
        url,
        client,
        limits,
        auth=SmartAuth(smart, clock, base=url) if smart is not None else None,
        token=token.get_secret_value() if token is not None else None,
        now=clock.now,
    )
