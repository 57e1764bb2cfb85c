"""An EHR's FHIR server, read with care: answers are bounded, redirects not followed, stumbles tried again at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import tenacity

from gateway.adapters.fhir_poll.faults import PollFault, Trouble
from gateway.adapters.retry_after import retry_after
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import read

MEDIA_TYPE = "application/fhir+json"
CONNECT_SECONDS = 10.0
TRIES = 3
LONGEST_RETRY = 86_400.0
OFF_THE_LOOP = 256 * 1024
"""Bytes from which JSON is read in a thread."""
NOT_MODIFIED = 304

STATUSES: dict[int, Trouble] = {
    400: Trouble.NOT_SEARCHABLE,
    401: Trouble.NOT_ALLOWED,
    403: Trouble.NOT_ALLOWED,
    404: Trouble.NOT_THERE,
    405: Trouble.NOT_SEARCHABLE,
    406: Trouble.NOT_SEARCHABLE,
    408: Trouble.AWAY,
    410: Trouble.NOT_THERE,
    413: Trouble.TOO_LARGE,
    414: Trouble.NOT_SEARCHABLE,
    422: Trouble.NOT_SEARCHABLE,
    425: Trouble.BUSY,
    429: Trouble.BUSY,
    501: Trouble.NOT_SEARCHABLE,
    503: Trouble.BUSY,
}
"""An HTTP status -> what is wrong. A redirect is NOT_THERE, all others FAILING."""

_AGAIN = frozenset({500, 502, 504})
"""Answers of servers that stumbled: tried again at once, a few times, unless they say when."""

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """A resource as the server gave it. None when it has not changed (304)."""

    resource: Resource | None = field(repr=False)
    version: str | None
    """The ETag's."""


class _Stumbled(Exception):
    def __init__(self, fault: PollFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class EhrServer:
    """One server by its base address. `auth` proves who we are: SMART's, or None."""

    def __init__(
        self,
        base: str,
        client: httpx.AsyncClient,
        *,
        auth: httpx.Auth | None = None,
        token: str | None = None,
        timeout_seconds: float = 30.0,
        max_answer: int = 32 * 1024 * 1024,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.base = base.rstrip("/")
        self.origin = origin_of(base)
        self._client = client
        self._auth = auth
        self._headers = {"Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._seconds = timeout_seconds
        self._max = max_answer
        self._now = now
        self._sleep = sleep

    async def close(self) -> None:
        """End what the authentication holds; the client is others' too."""
        close = getattr(self._auth, "close", None)
        if close is not None:
            await close()

    async def get(
        self, url: str, params: Mapping[str, str | list[str]] | None = None, known: str | None = None
    ) -> Answered:
        """The resource at `url`, whole or below the base; with the version `known`, only if it has another by now.
        Raises PollFault.
        """
        whole = url if "://" in url else f"{self.base}/{url}"
        if origin_of(whole) != self.origin:
            raise PollFault(Trouble.ASTRAY, "a link leads to another server")
        headers = {**self._headers, **({"If-None-Match": f'W/"{known}"'} if known is not None else {})}
        response, body = await self._persistently(whole, params, headers)
        version = response.headers.get("etag", "").removeprefix("W/").strip('"') or None
        if response.status_code == NOT_MODIFIED:
            return Answered(None, version or known)
        return Answered(await _resource(body), version)

    async def content(self, url: str, accept: str) -> tuple[str, bytes]:
        """The content at `url`, and its type. Raises PollFault."""
        whole = url if "://" in url else f"{self.base}/{url}"
        if origin_of(whole) != self.origin:
            raise PollFault(Trouble.ASTRAY, "a link leads to another server")
        response, body = await self._persistently(whole, None, {**self._headers, "Accept": accept})
        return response.headers.get("content-type", ""), body

    async def _persistently(
        self, url: str, params: Mapping[str, str | list[str]] | None, headers: dict[str, str]
    ) -> tuple[httpx.Response, bytes]:
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(TRIES),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=2.0),
            retry=tenacity.retry_if_exception_type(_Stumbled),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return await retrying(self._once, url, params, headers)
        except _Stumbled as stumbled:
            raise stumbled.fault from None

    async def _once(
        self, url: str, params: Mapping[str, str | list[str]] | None, headers: dict[str, str]
    ) -> tuple[httpx.Response, bytes]:
        timeout = httpx.Timeout(self._seconds, connect=min(self._seconds, CONNECT_SECONDS))
        request = self._client.build_request("GET", url, params=params, headers=headers, timeout=timeout)
        try:
            async with asyncio.timeout(self._seconds):
                response, body = await self._exchanged(request)
        except httpx.ConnectError as fault:
            permanent = getattr(fault, "permanent", None)  # of SMART's: no token could be had
            if permanent:
                raise PollFault(Trouble.NOT_ALLOWED, "no access token") from None
            raise _Stumbled(PollFault(Trouble.AWAY, f"no connection: {type(fault).__name__}")) from None
        except (httpx.HTTPError, TimeoutError) as fault:
            raise PollFault(Trouble.AWAY, f"no whole answer: {type(fault).__name__}") from None
        if response.is_success or response.status_code == NOT_MODIFIED:
            return response, body
        raise self._refused(response)

    async def _exchanged(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        """The answer and its body, which is given up beyond the cap."""
        response = await self._client.send(request, stream=True, auth=self._auth, follow_redirects=False)
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise PollFault(Trouble.NOT_FHIR, "compressed, though it was asked not to")
            body = bytearray()
            if response.is_success:
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > self._max:
                        raise PollFault(Trouble.TOO_LARGE, f"an answer of more than {self._max} bytes")
        finally:
            await response.aclose()
        return response, bytes(body)

    def _refused(self, response: httpx.Response) -> Exception:
        status, after = response.status_code, self._retry_after(response)
        redirected = 300 <= status < 400
        trouble = Trouble.NOT_THERE if redirected else STATUSES.get(status, Trouble.FAILING)
        fault = PollFault(trouble, str(status), after)
        return _Stumbled(fault) if status in _AGAIN and after is None else fault

    def _retry_after(self, response: httpx.Response) -> float | None:
        """In seconds, within reason."""
        wait = retry_after(response.headers.get("retry-after"), self._now())
        return None if wait is None else min(wait, LONGEST_RETRY)


async def _resource(body: bytes) -> Resource:
    try:
        found = read(body) if len(body) < OFF_THE_LOOP else await asyncio.to_thread(read, body)
    except MappingError as error:
        raise PollFault(Trouble.NOT_FHIR, f"the answer cannot be read: {error.code}") from None
    if not isinstance(found.get("resourceType"), str):
        raise PollFault(Trouble.NOT_FHIR, "the answer is no resource")
    return found


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, as they are compared: never the text. Of what is no address, nothing equals it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ("", url, None)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port or default
