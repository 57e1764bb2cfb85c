"""A FHIR server's Claim endpoint: one POST for a claim, under an Idempotency-Key.

What an answer means is a table. Nothing of an answer's text is kept: an OperationOutcome's codes and paths are, its
diagnostics may name the patient.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import orjson
import tenacity

from gateway.adapters.retry_after import retry_after
from gateway.config.model import FhirClaim
from gateway.release.model import Outcome, Result

MAX_ANSWER = 1024 * 1024
MEDIA_TYPE = "application/fhir+json"

STATUSES: dict[int, tuple[Result, str]] = {
    200: (Result.ACCEPTED, "taken"),
    201: (Result.ACCEPTED, "taken"),
    202: (Result.SENT, "received, not yet decided"),
    204: (Result.ACCEPTED, "taken"),
    301: (Result.NOT_SENT, "the endpoint has moved: correct its url"),
    302: (Result.NOT_SENT, "the endpoint has moved: correct its url"),
    307: (Result.NOT_SENT, "the endpoint has moved: correct its url"),
    308: (Result.NOT_SENT, "the endpoint has moved: correct its url"),
    400: (Result.REJECTED, "refused as malformed"),
    401: (Result.NOT_SENT, "our token is not recognised"),
    403: (Result.NOT_SENT, "our token does not allow it"),
    404: (Result.NOT_SENT, "no such endpoint: correct its url"),
    405: (Result.NOT_SENT, "the endpoint takes no claims: correct its url"),
    407: (Result.NOT_SENT, "a proxy stands before the endpoint"),
    408: (Result.UNKNOWN, "the endpoint gave up waiting"),
    409: (Result.REJECTED, "refused as in conflict with what is there"),
    410: (Result.NOT_SENT, "the endpoint is gone: correct its url"),
    412: (Result.REJECTED, "refused: a precondition failed"),
    413: (Result.REJECTED, "refused as too large"),
    415: (Result.NOT_SENT, "the endpoint does not speak FHIR JSON: correct its url"),
    422: (Result.REJECTED, "refused by its rules"),
    429: (Result.NOT_SENT, "too many requests at once"),
}
"""An HTTP status -> what became of the claim. NOT_SENT is only what the endpoint refuses before it looks at a claim: an
address or a right that is wrong is so for every claim, so the destination counts as down and no claim is blamed."""

UNLISTED: dict[int, tuple[Result, str]] = {4: (Result.REJECTED, "refused")}
"""For statuses without a line of their own, by their first digit. All others, 5xx among them, tell nothing: UNKNOWN."""

IN_PROGRESS = 409
"""Where Idempotency-Key is honoured, 409 says that an attempt under the key is still being worked on."""

NEVER_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""Faults that come before the first byte of a request."""

_CODE = re.compile(r"[a-z][a-z-]{0,39}")
_PATH = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]]{0,79}")
_LOCATION = re.compile(r"(?:^|/)(Claim(?:Response)?/[A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?$")
_QUICK_TRIES = 3
_CONNECT_SECONDS = 5.0
_BODY_SECONDS = 5.0
_MAX_ISSUES = 10


def shared_client(connections: int = 4) -> httpx.AsyncClient:
    """The one client for all FHIR destinations. It reads no environment, follows no redirect, and keeps idle
    connections only briefly: a stale one would make an attempt unknown."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=max(connections, 1) * 4, keepalive_expiry=4.0)
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, limits=limits)


class FhirClaimDestination:
    """POSTs claims to one endpoint."""

    def __init__(
        self,
        settings: FhirClaim,
        client: httpx.AsyncClient,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._client = client
        self._now = now
        self._sleep = sleep

    @property
    def name(self) -> str:
        return self._settings.name

    async def send(self, key: str, payload: bytes, resend: bool) -> Outcome:
        """One POST. Only a connection that was never made is tried again at once, a few times."""
        request = self._request(key, payload)
        limit = self._settings.timeout_seconds + (_QUICK_TRIES + 1) * _CONNECT_SECONDS
        try:
            async with asyncio.timeout(limit):
                return await self._try(request)
        except NEVER_CONNECTED as fault:
            return Outcome(result=Result.NOT_SENT, text=f"no connection: {type(fault).__name__}")
        except httpx.HTTPError as fault:
            return Outcome(result=Result.UNKNOWN, text=f"no answer: {type(fault).__name__}")
        except TimeoutError:
            return Outcome(result=Result.UNKNOWN, text="no whole answer within the time limit")

    def resend_safe(self, first_attempt: datetime, now: datetime) -> bool:
        """Within the window for which the endpoint is configured to remember keys."""
        return self._settings.idempotent and now - first_attempt < timedelta(hours=self._settings.window_hours)

    async def inquire(self, key: str, payload: bytes) -> Outcome | None:
        """FHIR has no question for a key: it cannot say."""
        return None

    def _request(self, key: str, payload: bytes) -> httpx.Request:
        headers = {
            "Content-Type": MEDIA_TYPE,
            "Accept": MEDIA_TYPE,
            "Accept-Encoding": "identity",
            "Prefer": "return=minimal",
            "Idempotency-Key": key,
        }
        if self._settings.token is not None:
            headers["Authorization"] = f"Bearer {self._settings.token.get_secret_value()}"
        seconds = self._settings.timeout_seconds
        timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
        return self._client.build_request("POST", self._settings.url, content=payload, headers=headers, timeout=timeout)

    async def _try(self, request: httpx.Request) -> Outcome:
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_QUICK_TRIES),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=1.0),
            retry=tenacity.retry_if_exception_type(NEVER_CONNECTED),
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._post, request)

    async def _post(self, request: httpx.Request) -> Outcome:
        response = await self._client.send(request, stream=True)
        try:
            body = await _capped(response)
        finally:
            await response.aclose()
        return self._outcome(response, body)

    def _outcome(self, response: httpx.Response, body: bytes) -> Outcome:
        status = response.status_code
        unlisted = UNLISTED.get(status // 100, (Result.UNKNOWN, "answered, but not whether it was taken"))
        result, meaning = STATUSES.get(status, unlisted)
        if status == IN_PROGRESS and self._settings.idempotent:
            result, meaning = Result.UNKNOWN, "an attempt under the same key is still being worked on"
        text = "; ".join([f"{status} {meaning}", *issues(body)])
        location = _LOCATION.search(response.headers.get("location", ""))
        return Outcome(
            result=result,
            text=text,
            reference=location.group(1) if location else None,
            retry_after=retry_after(response.headers.get("retry-after"), self._now()),
        )


async def _capped(response: httpx.Response) -> bytes:
    """The answer's body; nothing of one that is compressed, larger than the cap, slow, or cut off.

    The status is known by now, and decides: a body that cannot be had changes nothing. It is read to its end so that
    the connection can serve again.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        return b""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_ANSWER:
                    return b""
    except (httpx.HTTPError, TimeoutError):
        return b""
    return bytes(body)


def issues(body: bytes) -> list[str]:
    """An OperationOutcome's issues as `severity code path`; texts are left out. Nothing when it is no such thing."""
    try:
        outcome = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    listed = outcome.get("issue") if isinstance(outcome, dict) else None
    found = (
        [_issue(issue) for issue in listed[:_MAX_ISSUES] if isinstance(issue, dict)] if isinstance(listed, list) else []
    )
    return [text for text in found if text]


def _issue(issue: dict[str, object]) -> str:
    words = [_matching(_CODE, issue.get(name)) for name in ("severity", "code")]
    places = issue.get("expression")
    if isinstance(places, list):
        words += [_matching(_PATH, place) for place in places[:3]]
    return " ".join(word for word in words if word)


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""
