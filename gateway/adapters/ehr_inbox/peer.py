"""A FHIR server that we come to: the few interactions that an inbox needs, what each answer means, and its limits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from gateway.adapters.retry_after import retry_after
from gateway.inboxes.ports import Fault, InboxFault

MEDIA_TYPE = "application/fhir+json"
MAX_ANSWER = 4 * 1024 * 1024
CONNECT_SECONDS = 5.0

STATUSES: dict[int, Fault] = {
    400: Fault.REFUSED,
    401: Fault.NOT_SENT,
    403: Fault.NOT_SENT,
    404: Fault.GONE,
    405: Fault.REFUSED,
    408: Fault.UNKNOWN,
    409: Fault.STALE,
    410: Fault.GONE,
    412: Fault.STALE,
    413: Fault.REFUSED,
    415: Fault.REFUSED,
    422: Fault.REFUSED,
    429: Fault.NOT_SENT,
}
"""An HTTP status -> what became of the request. All others tell nothing: UNKNOWN."""

NEVER_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""Faults that come before the first byte of a request."""

_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]{1,63}/[A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?$")

Resource = dict[str, Any]


class FhirPeer:
    """One server by its base address. `auth` proves who we are: SMART's, or None. All raise InboxFault."""

    def __init__(
        self,
        base: str,
        client: httpx.AsyncClient,
        *,
        auth: httpx.Auth | None = None,
        token: str | None = None,
        timeout_seconds: float = 20.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._base = base.rstrip("/")
        self._client = client
        self._auth = auth
        self._headers = {"Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._seconds = timeout_seconds
        self._now = now

    async def close(self) -> None:
        """End what the authentication holds; the client is others' too."""
        close = getattr(self._auth, "close", None)
        if close is not None:
            await close()

    async def read(self, reference: str) -> tuple[Resource, str | None]:
        """The resource and its version."""
        response, body = await self._send("GET", f"{self._base}/{reference}")
        return body, version_of(response, body)

    async def search(self, kind: str, parameters: dict[str, str]) -> list[Resource]:
        """The first page's resources of this type; all of them for a search by our own number."""
        _, bundle = await self._send("GET", f"{self._base}/{kind}", params=parameters)
        entries = bundle.get("entry")
        found = (
            [entry.get("resource") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        )
        return [each for each in found if isinstance(each, dict) and each.get("resourceType") == kind]

    async def create(self, resource: Resource, unless: str) -> str:
        """The reference of what stands now: created, unless something matches the search `unless` (If-None-Exist)."""
        kind = str(resource["resourceType"])
        response, body = await self._send(
            "POST", f"{self._base}/{kind}", resource, {"If-None-Exist": unless}, creating=True
        )
        found = _REFERENCE.search(response.headers.get("location", "").split("?")[0])
        if found is not None and found[1].startswith(f"{kind}/"):
            return found[1]
        if body.get("resourceType") == kind and isinstance(body.get("id"), str):
            return f"{kind}/{body['id']}"
        raise InboxFault(Fault.UNKNOWN, f"{response.status_code} without the address of the {kind}")

    async def update(self, reference: str, resource: Resource, version: str | None) -> None:
        """Put the resource in the place of that version. STALE when it is another by now."""
        headers = {"If-Match": f'W/"{version}"'} if version is not None else {}
        await self._send("PUT", f"{self._base}/{reference}", resource, headers)

    async def _send(
        self,
        method: str,
        url: str,
        resource: Resource | None = None,
        headers: dict[str, str] | None = None,
        *,
        params: dict[str, str] | None = None,
        creating: bool = False,
    ) -> tuple[httpx.Response, Resource]:
        sent = {**self._headers, **(headers or {})}
        if resource is not None:
            sent["Content-Type"] = MEDIA_TYPE
        timeout = httpx.Timeout(self._seconds, connect=min(self._seconds, CONNECT_SECONDS))
        content = orjson.dumps(resource) if resource is not None else None
        request = self._client.build_request(method, url, content=content, headers=sent, params=params, timeout=timeout)
        try:
            async with asyncio.timeout(self._seconds + CONNECT_SECONDS):
                response, body = await self._exchange(request)
        except NEVER_CONNECTED as fault:
            raise InboxFault(Fault.NOT_SENT, f"no connection: {type(fault).__name__}") from None
        except (httpx.HTTPError, TimeoutError) as fault:
            raise InboxFault(Fault.UNKNOWN, f"no answer: {type(fault).__name__}") from None
        return response, self._read(response, body, creating)

    async def _exchange(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        """The answer and its body, which is given up beyond the cap."""
        response = await self._client.send(request, stream=True, auth=self._auth)
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise InboxFault(Fault.UNKNOWN, f"{response.status_code} compressed, though it was asked not to")
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_ANSWER:
                    raise InboxFault(Fault.UNKNOWN, f"{response.status_code} with more than {MAX_ANSWER} bytes")
        finally:
            await response.aclose()
        return response, bytes(body)

    def _read(self, response: httpx.Response, body: bytes, creating: bool) -> Resource:
        status = response.status_code
        if not response.is_success:
            fault = STATUSES.get(status, Fault.UNKNOWN)
            if creating and fault in (Fault.GONE, Fault.STALE):
                # 404: no such endpoint; 412: several match, so it is there: the next search finds them.
                fault = Fault.REFUSED if fault is Fault.GONE else Fault.UNKNOWN
            raise InboxFault(fault, str(status), retry_after(response.headers.get("retry-after"), self._now()))
        if not body:
            return {}
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise InboxFault(Fault.UNKNOWN, f"{status} without a resource")
        return found


def version_of(response: httpx.Response, body: Resource) -> str | None:
    """The version that the ETag names, or else the resource itself."""
    tag = response.headers.get("etag", "").removeprefix("W/").strip('"')
    meta = body.get("meta")
    said = meta.get("versionId") if isinstance(meta, dict) else None
    return tag or (said if isinstance(said, str) else None)


def addressed(resources: list[Resource]) -> list[str]:
    """Their references, the oldest first."""

    def updated(resource: Resource) -> str:
        meta = resource.get("meta")
        return str(meta.get("lastUpdated", "")) if isinstance(meta, dict) else ""

    found = sorted(resources, key=updated)
    return [f"{each['resourceType']}/{each['id']}" for each in found if isinstance(each.get("id"), str)]
