"""The few interactions that an inbox needs of an EHR's FHIR server, what each answer means, and its limits."""

from __future__ import annotations

import re
from typing import Any

import httpx
import orjson

from gateway.adapters.fhir_client import Compressed, FhirServer, Limits, TooLarge, version_told
from gateway.inboxes.ports import Fault, InboxFault

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


def limits(seconds: float) -> Limits:
    """What an inbox's server may take and send: `seconds` for each step."""
    return Limits(seconds, seconds + CONNECT_SECONDS, CONNECT_SECONDS, MAX_ANSWER)


class FhirPeer:
    """The interactions with one server. All raise InboxFault."""

    def __init__(self, server: FhirServer) -> None:
        self._server = server

    async def close(self) -> None:
        """End what the server's authentication holds."""
        await self._server.close()

    async def read(self, reference: str) -> tuple[Resource, str | None]:
        """The resource and its version."""
        response, body = await self._send("GET", reference)
        return body, version_of(response, body)

    async def search(self, kind: str, parameters: dict[str, str]) -> list[Resource]:
        """The first page's resources of this type; all of them for a search by our own number."""
        _, bundle = await self._send("GET", kind, params=parameters)
        entries = bundle.get("entry")
        found = (
            [entry.get("resource") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        )
        return [each for each in found if isinstance(each, dict) and each.get("resourceType") == kind]

    async def create(self, resource: Resource, unless: str) -> str:
        """The reference of what stands now: created, unless something matches the search `unless` (If-None-Exist)."""
        kind = str(resource["resourceType"])
        response, body = await self._send("POST", kind, resource, {"If-None-Exist": unless}, creating=True)
        found = _REFERENCE.search(response.headers.get("location", "").split("?")[0])
        if found is not None and found[1].startswith(f"{kind}/"):
            return found[1]
        if body.get("resourceType") == kind and isinstance(body.get("id"), str):
            return f"{kind}/{body['id']}"
        raise InboxFault(Fault.UNKNOWN, f"{response.status_code} without the address of the {kind}")

    async def update(self, reference: str, resource: Resource, version: str | None) -> None:
        """Put the resource in the place of that version. STALE when it is another by now."""
        headers = {"If-Match": f'W/"{version}"'} if version is not None else {}
        await self._send("PUT", reference, resource, headers)

    async def _send(
        self,
        method: str,
        path: str,
        resource: Resource | None = None,
        headers: dict[str, str] | None = None,
        *,
        params: dict[str, str] | None = None,
        creating: bool = False,
    ) -> tuple[httpx.Response, Resource]:
        server = self._server
        url = server.address(path)
        try:
            response, body = await server.exchange(method, url, params=params, headers=headers, resource=resource)
        except NEVER_CONNECTED as fault:
            raise InboxFault(Fault.NOT_SENT, f"no connection: {type(fault).__name__}") from None
        except (httpx.HTTPError, TimeoutError) as fault:
            raise InboxFault(Fault.UNKNOWN, f"no answer: {type(fault).__name__}") from None
        except Compressed as fault:
            raise InboxFault(Fault.UNKNOWN, f"{fault.status} compressed, though it was asked not to") from None
        except TooLarge as fault:
            raise InboxFault(Fault.UNKNOWN, f"{fault.status} with more than {server.limits.answer} bytes") from None
        return response, self._read(response, body, creating)

    def _read(self, response: httpx.Response, body: bytes, creating: bool) -> Resource:
        status = response.status_code
        if not response.is_success:
            fault = STATUSES.get(status, Fault.UNKNOWN)
            if creating and fault in (Fault.GONE, Fault.STALE):
                # 404: no such endpoint; 412: several match, so it is there: the next search finds them.
                fault = Fault.REFUSED if fault is Fault.GONE else Fault.UNKNOWN
            raise InboxFault(fault, str(status), self._server.retry_after(response))
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
    meta = body.get("meta")
    said = meta.get("versionId") if isinstance(meta, dict) else None
    return version_told(response) or (said if isinstance(said, str) else None)


def addressed(resources: list[Resource]) -> list[str]:
    """Their references, the oldest first."""

    def updated(resource: Resource) -> str:
        meta = resource.get("meta")
        return str(meta.get("lastUpdated", "")) if isinstance(meta, dict) else ""

    found = sorted(resources, key=updated)
    return [f"{each['resourceType']}/{each['id']}" for each in found if isinstance(each.get("id"), str)]
