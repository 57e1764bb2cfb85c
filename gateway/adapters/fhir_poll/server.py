"""An EHR's FHIR server, read with care: answers are bounded, redirects not followed, stumbles tried again at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import tenacity

from gateway.adapters.fhir_client import Compressed, FhirServer, Limits, Parameters, TooLarge, origin_of, version_told
from gateway.adapters.fhir_poll.faults import PollFault, Trouble
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import read

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


def limits(seconds: float, answer: int = 32 * 1024 * 1024) -> Limits:
    """What a polled server may take and send: `seconds` for a whole answer, `answer` in bytes."""
    return Limits(seconds, seconds, CONNECT_SECONDS, answer)


class EhrServer:
    """One server that is read. What its stumbles are waited for by is `sleep`."""

    def __init__(self, server: FhirServer, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.base = server.base
        self.origin = server.origin
        self._server = server
        self._sleep = sleep

    async def close(self) -> None:
        """End what the server's authentication holds."""
        await self._server.close()

    async def get(self, url: str, params: Parameters | None = None, known: str | None = None) -> Answered:
        """The resource at `url`, whole or below the base; with the version `known`, only if it has another by now.
        Raises PollFault.
        """
        headers = {"If-None-Match": f'W/"{known}"'} if known is not None else {}
        response, body = await self._persistently(self._own(url), params, headers)
        version = version_told(response)
        if response.status_code == NOT_MODIFIED:
            return Answered(None, version or known)
        return Answered(await _resource(body), version)

    async def content(self, url: str, accept: str) -> tuple[str, bytes]:
        """The content at `url`, and its type. Raises PollFault."""
        response, body = await self._persistently(self._own(url), None, {"Accept": accept})
        return response.headers.get("content-type", ""), body

    def _own(self, url: str) -> str:
        """The whole address. PollFault when it is another server's."""
        whole = url if "://" in url else self._server.address(url)
        if origin_of(whole) != self.origin:
            raise PollFault(Trouble.ASTRAY, "a link leads to another server")
        return whole

    async def _persistently(
        self, url: str, params: Parameters | None, headers: dict[str, str]
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

    async def _once(self, url: str, params: Parameters | None, headers: dict[str, str]) -> tuple[httpx.Response, bytes]:
        server = self._server
        try:
            response, body = await server.exchange("GET", url, params=params, headers=headers, refusals=False)
        except httpx.ConnectError as fault:
            permanent = getattr(fault, "permanent", None)  # of SMART's: no token could be had
            if permanent:
                raise PollFault(Trouble.NOT_ALLOWED, "no access token") from None
            raise _Stumbled(PollFault(Trouble.AWAY, f"no connection: {type(fault).__name__}")) from None
        except (httpx.HTTPError, TimeoutError) as fault:
            raise PollFault(Trouble.AWAY, f"no whole answer: {type(fault).__name__}") from None
        except Compressed:
            raise PollFault(Trouble.NOT_FHIR, "compressed, though it was asked not to") from None
        except TooLarge:
            raise PollFault(Trouble.TOO_LARGE, f"an answer of more than {server.limits.answer} bytes") from None
        if response.is_success or response.status_code == NOT_MODIFIED:
            return response, body
        raise self._refused(response)

    def _refused(self, response: httpx.Response) -> Exception:
        status, after = response.status_code, self._retry_after(response)
        redirected = 300 <= status < 400
        trouble = Trouble.NOT_THERE if redirected else STATUSES.get(status, Trouble.FAILING)
        fault = PollFault(trouble, str(status), after)
        return _Stumbled(fault) if status in _AGAIN and after is None else fault

    def _retry_after(self, response: httpx.Response) -> float | None:
        """In seconds, within reason."""
        wait = self._server.retry_after(response)
        return None if wait is None else min(wait, LONGEST_RETRY)


async def _resource(body: bytes) -> Resource:
    try:
        found = read(body) if len(body) < OFF_THE_LOOP else await asyncio.to_thread(read, body)
    except MappingError as error:
        raise PollFault(Trouble.NOT_FHIR, f"the answer cannot be read: {error.code}") from None
    if not isinstance(found.get("resourceType"), str):
        raise PollFault(Trouble.NOT_FHIR, "the answer is no resource")
    return found
