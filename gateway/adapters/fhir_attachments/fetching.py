"""One content, fetched with care: from a listed host over https, at an address that may be connected to, without
redirects, within its limits, and as the document says it is.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import httpcore

from gateway.adapters.checked_network import (
    HTTP_FAULTS,
    Address,
    CheckedNetwork,
    NotPublic,
    Resolve,
    is_public,
    resolved,
)
from gateway.adapters.fhir_attachments.refusal import NotFetched, Why
from gateway.adapters.fhir_attachments.wanted import Wanted
from gateway.config.addresses import LOOPBACK
from gateway.config.polled import Attachments

HTTPS = 443
OCTETS = "application/octet-stream"
LONGEST_RETRY = 86_400.0
STATUSES: dict[int, Why] = {
    401: Why.NOT_ALLOWED,
    403: Why.NOT_ALLOWED,
    404: Why.NOT_THERE,
    408: Why.NO_ANSWER,
    410: Why.NOT_THERE,
    425: Why.BUSY,
    429: Why.BUSY,
    503: Why.BUSY,
}
"""An HTTP status -> why it is no content. A redirect is one of its own; another 4xx is REFUSED, all else NO_ANSWER."""


@dataclass(frozen=True, slots=True)
class Fetched:
    content_type: str
    body: bytes = field(repr=False)


class Fetching:
    """Fetches by one feed's settings. `context` gives the certificates that are trusted."""

    def __init__(
        self, settings: Attachments, context: Callable[[], ssl.SSLContext], resolve: Resolve = resolved
    ) -> None:
        self._settings = settings
        self._context = context
        self._resolve = resolve
        self._networks = [ipaddress.ip_network(text) for text in settings.networks]

    async def fetch(self, wanted: Wanted) -> Fetched:
        """The content behind the address. Raises NotFetched."""
        parts = self._allowed(wanted.url)
        network = CheckedNetwork(self._resolve, self._may(parts.hostname or ""))
        try:
            async with (
                asyncio.timeout(self._settings.timeout_seconds),
                httpcore.AsyncConnectionPool(self._context(), network_backend=network) as pool,
                pool.stream("GET", wanted.url, headers=self._headers(wanted)) as answer,
            ):
                kind, body = await self._body(answer)
        except NotPublic:
            raise NotFetched(Why.NOT_PUBLIC) from None
        except (*HTTP_FAULTS, TimeoutError, OSError, ValueError):
            raise NotFetched(Why.NO_ANSWER) from None
        return checked(wanted, kind, body, self._settings)

    def _allowed(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise NotFetched(Why.NOT_LISTED) from None
        host = (parts.hostname or "").lower()
        here = host in LOOPBACK
        named = f"[{host}]" if ":" in host else host
        reached = port or (HTTPS if parts.scheme == "https" else 80)
        places = {f"{named}:{reached}"} | ({named} if reached == HTTPS else set())
        if not places & set(self._settings.hosts) or parts.username is not None or parts.password is not None:
            raise NotFetched(Why.NOT_LISTED)
        if parts.scheme != "https" and not (parts.scheme == "http" and here):
            raise NotFetched(Why.NOT_SECURE)
        return parts

    def _may(self, host: str) -> Callable[[Address], bool]:
        """Public addresses, those of listed networks, and one that is itself what the list names."""

        def may(address: Address) -> bool:
            own = str(address) == host or (host in LOOPBACK and address.is_loopback)
            return own or is_public(address) or any(address in network for network in self._networks)

        return may

    def _headers(self, wanted: Wanted) -> list[tuple[str, str]]:
        accepted = ", ".join(dict.fromkeys([*filter(None, [wanted.content_type]), *self._settings.content_types]))
        return [("Accept", accepted), ("Accept-Encoding", "identity"), ("User-Agent", "coding-review-gateway")]

    async def _body(self, answer: httpcore.Response) -> tuple[str, bytes]:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        if answer.status != 200:
            raise refused(answer.status, headers.get("retry-after", ""))
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise NotFetched(Why.REFUSED)
        body = bytearray()
        async for piece in answer.aiter_stream():
            body += piece
            if len(body) > self._settings.max_bytes:
                raise NotFetched(Why.TOO_LARGE)
        return headers.get("content-type", ""), bytes(body)


def refused(status: int, retry_after: str) -> NotFetched:
    """What an answer without a content means."""
    if 300 <= status < 400:
        return NotFetched(Why.REDIRECTED)
    why = STATUSES.get(status, Why.REFUSED if 400 <= status < 500 else Why.NO_ANSWER)
    seconds = float(retry_after[:9]) if retry_after.isascii() and retry_after.isdigit() else None
    return NotFetched(why, min(seconds, LONGEST_RETRY) if seconds is not None else None)


def checked(wanted: Wanted, kind: str, body: bytes, settings: Attachments) -> Fetched:
    """The content, when its type is listed and it is what the document says. A server that says nothing of the type is
    believed to send what the document says.
    """
    if len(body) > settings.max_bytes:
        raise NotFetched(Why.TOO_LARGE)
    sent = _main(kind)
    said = _main(wanted.content_type or "")
    told = kind if sent not in ("", OCTETS) else (wanted.content_type or kind)
    if _main(told) not in settings.content_types:
        raise NotFetched(Why.TYPE)
    # Attachment.hash is SHA-1 by definition in R4: it finds damage, not forgery.
    digest = base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()
    if (wanted.hash and wanted.hash != digest) or (wanted.size is not None and wanted.size != len(body)):
        raise NotFetched(Why.DIFFERS)
    return Fetched(told if sent != said else (wanted.content_type or kind), body)


def _main(content_type: str) -> str:
    """`text/plain; charset=utf-8` is `text/plain`."""
    return content_type.partition(";")[0].strip().lower()


Fetch = Callable[[Wanted], Awaitable[Fetched]]
