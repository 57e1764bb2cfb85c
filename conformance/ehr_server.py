"""An EHR's FHIR server on loopback: it holds what is put there, answers searches in pages, and can misbehave."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

Resource = dict[str, Any]
Page = dict[str, Any]
START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START.timestamp() + seconds, UTC).isoformat(timespec="milliseconds")


@dataclass
class EhrServer:
    resources: dict[str, Resource] = field(default_factory=dict)
    """By `Type/id`, as each stands now."""
    asked: list[str] = field(default_factory=list)
    """Path and query of each request, in order."""
    headers: list[dict[str, str]] = field(default_factory=list)
    next: deque[web.Response] = field(default_factory=deque)
    """Answers that the next requests get, whatever they ask."""
    refused: dict[str, int] = field(default_factory=dict)
    """Types (or references) that are answered with this status."""
    statement: Resource = field(default_factory=dict)
    sorts: bool = True
    """Whether `_sort` is heeded, and repeated in the self link."""
    strict: bool = False
    """Refuses parameters that not every server knows."""
    change: Callable[[Page], Page] = lambda page: page
    """Spoils a page."""
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """By path below the base: content type and content."""
    slow: asyncio.Event | None = None
    """Answers come when it is set."""
    tokens: int = 0
    """How many access tokens were given; only the newest is taken, once there is one."""
    url: str = ""

    def put(self, kind: str, id: str, seconds: float, version: str | None = "1", **content: Any) -> Resource:
        meta = {"lastUpdated": at(seconds), **({"versionId": version} if version is not None else {})}
        resource = {"resourceType": kind, "id": id, "meta": meta, **content}
        self.resources[f"{kind}/{id}"] = resource
        return resource

    def hold(self, resource: Resource) -> None:
        """The resource as it stands from now on."""
        meta = {"lastUpdated": datetime.now(UTC).isoformat(timespec="milliseconds"), "versionId": "1"}
        self.resources[f"{resource['resourceType']}/{resource['id']}"] = {**resource, "meta": meta}

    def searches(self, kind: str) -> list[str]:
        return [path for path in self.asked if path.startswith(f"/fhir/{kind}?")]

    def reads(self, reference: str) -> int:
        return self.asked.count(f"/fhir/{reference}")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        self.headers.append(dict(request.headers))
        if self.slow is not None:
            await self.slow.wait()
        if self.tokens and request.headers.get("Authorization") != f"Bearer token-{self.tokens}":
            return web.Response(status=401)
        name = request.match_info["tail"]
        if self.next:
            return self.next.popleft()
        if name in self.refused:
            return web.Response(status=self.refused[name])
        if name in self.files:
            kind, body = self.files[name]
            return web.Response(body=body, headers={"Content-Type": kind})
        if name == "metadata":
            return _json({"resourceType": "CapabilityStatement", **self.statement})
        if "/" in name:
            return self._read(name, request)
        return self._search(name, request)

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self.tokens += 1
        return _json({"access_token": f"token-{self.tokens}", "token_type": "Bearer", "expires_in": 300})

    def _read(self, name: str, request: web.Request) -> web.Response:
        found = self.resources.get(name)
        if found is None:
            return web.Response(status=404)
        tag = f'W/"{found["meta"].get("versionId", "")}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304)
        return _json(found, {"ETag": tag})

    def _search(self, kind: str, request: web.Request) -> web.Response:
        query = request.query
        if self.strict and ("_sort" in query or "_include" in query):
            return web.Response(status=400)
        since = datetime.fromisoformat(query["_lastUpdated"].removeprefix("ge"))
        found = [
            one
            for one in self.resources.values()
            if one["resourceType"] == kind and datetime.fromisoformat(one["meta"]["lastUpdated"]) >= since
        ]
        if self.sorts:
            found.sort(key=lambda one: one["meta"]["lastUpdated"])
        count, offset = int(query.get("_count", "10")), int(query.get("at", "0"))
        entries: list[Any] = [{"resource": one, "search": {"mode": "match"}} for one in found[offset : offset + count]]
        said = request.rel_url if self.sorts else request.rel_url.without_query_params("_sort")
        origin = self.url.removesuffix("/fhir")
        links = [{"relation": "self", "url": f"{origin}{said}"}]
        if offset + count < len(found):
            following = request.rel_url.update_query(at=str(offset + count))
            links.append({"relation": "next", "url": f"{origin}{following}"})
        return _json(self.change({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}))


def _json(body: Any, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/fhir+json", headers=headers)


@asynccontextmanager
async def serving(server: EhrServer | None = None) -> AsyncIterator[EhrServer]:
    """The server, serving on a free port of loopback; `url` is its base."""
    ehr = server or EhrServer()
    application = web.Application()
    application.router.add_post("/token", ehr._token)
    application.router.add_get("/fhir/{tail:.*}", ehr._answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    ehr.url = f"http://127.0.0.1:{runner.addresses[0][1]}/fhir"
    try:
        yield ehr
    finally:
        if ehr.slow is not None:
            ehr.slow.set()
        await runner.cleanup()
