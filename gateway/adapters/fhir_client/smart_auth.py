"""SMART Backend Services as a client (SMART App Launch 2.2, backend services; RFC 7523): an `httpx.Auth`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson

from gateway.adapters.fhir_client.origin import origin_of
from gateway.adapters.fhir_client.published import signing_key
from gateway.clock import Clock
from gateway.config.smart import SmartClient, secure_address
from gateway.logs import logger

log = logger("smart")

ASSERTION_LIFE = timedelta(minutes=4)
"""Servers refuse an assertion that ends more than five minutes ahead: a minute is left for clocks that differ."""
BEFORE_ITS_END = timedelta(seconds=30)
"""A token is not used in its last moments: the request has to arrive with it."""
LONGEST_LIFE = timedelta(hours=1)
DEFAULT_SECONDS = 300
"""What a token lives when the server does not say (SMART recommends no more)."""
DISCOVERY = "/.well-known/smart-configuration"
DISCOVERY_KEPT = timedelta(hours=1)
MAX_ANSWER = 64 * 1024
PAUSE = timedelta(seconds=10)
"""After a refusal by the server, before it is asked again: a wrong registration is not tried with each request."""
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_UNAUTHORIZED = 401
_OAUTH_ERRORS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
_FOR_A_WHILE = frozenset({408, 425, 429})


class NoToken(httpx.ConnectError):
    """No access token could be had, so nothing of the request was sent. `permanent`: asking again is of no use until
    somebody changes a setting or a registration. The text names the cause without any secret.
    """

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    until: datetime


class SmartAuth(httpx.Auth):
    """Gives each request of an `httpx.AsyncClient` an access token: `client.get(url, auth=SmartAuth(settings, clock))`.

    Make one for each EHR and keep it: it holds the token until shortly before its end, and asks for one token however
    many requests wait for it. A request that is answered with 401 is sent once more with a new token.

    - `settings`: a `gateway.config.smart.SmartClient`.
    - `base`: the FHIR server's base address; `settings.issuer` when it is not said. The token goes to addresses of this
      origin (scheme, host and port) only: a request to any other raises `NoToken`.
    - Raises `NoToken` (an `httpx.ConnectError`: nothing of the request was sent) from `client.send`.
    - For `AsyncClient` only. `await auth.close()` at the end.
    """

    def __init__(
        self,
        settings: SmartClient,
        clock: Clock,
        *,
        base: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """ValueError when there is neither `base` nor an issuer. KeyFault when the key cannot be used."""
        whole = base or settings.issuer
        if whole is None:
            raise ValueError("say by `base` which server the tokens are for")
        self._settings = settings
        self._clock = clock
        self._origin = origin_of(whole)
        self._key, self._kid = signing_key(settings)
        self._client = httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=settings.timeout_seconds, transport=transport
        )
        self._one = asyncio.Lock()
        self._token: _Token | None = None
        self._discovered: tuple[datetime, str] | None = None
        self._refused: tuple[datetime, NoToken] | None = None

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The request with a token; once more with a new one when the server does not take it."""
        if origin_of(str(request.url)) != self._origin:
            raise NoToken("the request goes to another server than the token is for", permanent=True)
        token = await self._valid()
        request.headers["Authorization"] = f"Bearer {token.text}"
        response = yield request
        if response.status_code != _UNAUTHORIZED:
            return
        try:
            token = await self._valid(instead=token)
        except NoToken:
            return  # the 401 stands: the request was sent, and refused
        request.headers["Authorization"] = f"Bearer {token.text}"
        yield request

    async def close(self) -> None:
        """Close what tokens are asked for by."""
        await self._client.aclose()

    async def _valid(self, instead: _Token | None = None) -> _Token:
        """The token, asked for anew when it ends soon or is the one that was not taken."""
        async with self._one:
            token = self._token
            if token is None or token is instead or self._clock.now() >= token.until:
                self._token = None
                self._token = token = await self._asked()
            return token

    async def _asked(self) -> _Token:
        now = self._clock.now()
        if self._refused is not None and now - self._refused[0] < PAUSE:
            raise self._refused[1]
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                token = await self._request(await self._token_url())
        except NoToken as fault:
            if fault.permanent:
                self._refused = (now, fault)
                log.warning("smart.no_token", mistake=str(fault))
            raise
        except TimeoutError:
            raise NoToken("there was no whole answer in time") from None
        except httpx.HTTPError as fault:
            raise NoToken(f"no answer: {type(fault).__name__}") from None
        self._refused = None
        return token

    async def _token_url(self) -> str:
        """The configured one, or what the server says of itself: looked up once an hour."""
        settings, now = self._settings, self._clock.now()
        if settings.token_url is not None:
            return settings.token_url
        if self._discovered is None or now - self._discovered[0] >= DISCOVERY_KEPT:
            address = (settings.issuer or "").rstrip("/") + DISCOVERY
            answer = await self._answer(self._client.build_request("GET", address))
            self._discovered = (now, _endpoint(answer))
        return self._discovered[1]

    async def _request(self, url: str) -> _Token:
        form = {
            "grant_type": "client_credentials",
            "scope": " ".join(self._settings.scopes),
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self._assertion(url),
        }
        began = self._clock.now()
        status, said = await self._answer(self._client.build_request("POST", url, data=form))
        return self._taken(status, said, began)

    def _assertion(self, url: str) -> str:
        now = self._clock.now()
        header = {"kid": self._kid}
        if self._settings.jwks_url is not None:
            header["jku"] = self._settings.jwks_url
        claims = {
            "iss": self._settings.client_id,
            "sub": self._settings.client_id,
            "aud": url,
            "jti": secrets.token_urlsafe(24),
            "iat": int(now.timestamp()),
            "exp": int((now + ASSERTION_LIFE).timestamp()),
        }
        return self._key.sign(header, claims)

    async def _answer(self, request: httpx.Request) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON of an answer of at most 64 KiB; an empty object for what is none."""
        request.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_ANSWER:
                    raise NoToken("the answer was larger than 64 KiB")
        finally:
            await response.aclose()
        try:
            said = orjson.loads(bytes(body))
        except orjson.JSONDecodeError:
            said = None
        return response.status_code, said if isinstance(said, dict) else {}

    def _taken(self, status: int, said: Mapping[str, Any], began: datetime) -> _Token:
        """The token in an answer. NoToken, with the server's OAuth error where it is one of the standard's."""
        if status != 200:
            error = said.get("error")
            named = error if isinstance(error, str) and error in _OAUTH_ERRORS else "without a reason of the standard's"
            lasting = 300 <= status < 500 and status not in _FOR_A_WHILE
            raise NoToken(f"the server gives no token: {status} {named}", permanent=lasting)
        text, kind, seconds = said.get("access_token"), said.get("token_type"), said.get("expires_in", DEFAULT_SECONDS)
        if not isinstance(text, str) or not _is_token(text) or not isinstance(kind, str) or kind.lower() != "bearer":
            raise NoToken("the answer has no bearer token", permanent=True)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 10**9:
            seconds = DEFAULT_SECONDS
        life = min(timedelta(seconds=seconds), LONGEST_LIFE)
        return _Token(text, began + max(life - BEFORE_ITS_END, life / 2))


def _is_token(text: str) -> bool:
    """Whether it can stand in a header: nothing that would end the line there."""
    return 0 < len(text) <= 16 * 1024 and text.isascii() and text.isprintable() and " " not in text


def _endpoint(answer: tuple[int, Mapping[str, Any]]) -> str:
    """The token endpoint that a server's discovery document names."""
    status, said = answer
    url = said.get("token_endpoint")
    if status != 200 or not isinstance(url, str):
        raise NoToken(f"the server does not say where tokens are given: {status}", permanent=status in (200, 404))
    try:
        secure_address(url)
    except ValueError:
        raise NoToken("the server names a token address that is not safe", permanent=True) from None
    return url
