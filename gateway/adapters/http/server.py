"""The HTTP server: match, authenticate, permit, read, handle, answer; in that order and in one place."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from functools import lru_cache
from typing import Protocol

from aiohttp import web
from multidict import CIMultiDict

from gateway.access.asking import Asking
from gateway.access.roles import needed
from gateway.adapters.http.body import check_media_type, read_body
from gateway.adapters.http.exchange import Answer, Call, Caller, Fault, Renderer
from gateway.adapters.http.guard import GuardedConnection, GuardedServer
from gateway.adapters.http.request_ids import new_request_id
from gateway.adapters.http.routing import PUBLIC, Match, Route, RouteTable
from gateway.config.model import Http
from gateway.logs import logger, place
from gateway.store.interface import StoreFault

log = logger("http")

MAX_CONNECTIONS = 1024
KEEP_ALIVE_SECONDS = 75.0
LINGER_SECONDS = 2.0
"""How long what a refused client still sends is drained, so that it can read why."""
MAX_HEAD_LINE = 8190
FORBIDDEN = 403
PIECE = 64 * 1024
"""A longer answer goes out in pieces of this many bytes, each within the time limit: a slow reader is cut too."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Callers(Protocol):
    """Tells who a request's Authorization header speaks for, at once or after a look-up; None when it speaks for nobody
    that is known. Raises StoreFault when it cannot be looked up.
    """

    def authenticate(self, header: str | None, /) -> Caller | Awaitable[Caller | None] | None: ...


class Observer(Protocol):
    """Hears of every answer (for metrics) and of every refusal of access (for the audit trail). Must not block."""

    def answered(self, route: str, status: int, seconds: float) -> None: ...

    def refused(self, status: int, method: str, route: str, caller: str | None, *, address: str = "") -> None: ...


class Unobserved:
    def answered(self, route: str, status: int, seconds: float) -> None: ...

    def refused(self, status: int, method: str, route: str, caller: str | None, *, address: str = "") -> None: ...


class HttpServer:
    """Serves `routes`. Refuses to be built when one of them names no permission or two of them clash (ValueError)."""

    def __init__(
        self, routes: Iterable[Route], callers: Callers, settings: Http, observer: Observer | None = None
    ) -> None:
        self.table = RouteTable(routes)
        self._callers = callers
        self._settings = settings
        self._observer = observer or Unobserved()
        self._runner: web.ServerRunner | None = None

    def serve_by(self, callers: Callers, settings: Http) -> None:
        """Recognise these callers, and keep these limits, from the next request on. Where it listens stays."""
        self._callers = callers
        self._settings = settings

    async def start(self) -> tuple[str, int]:
        """Listen; the address that clients can reach, with the port that was taken when 0 was asked for."""
        server = GuardedServer(
            self._serve,
            head_seconds=self._settings.request_seconds,
            max_connections=MAX_CONNECTIONS,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            lingering_time=min(LINGER_SECONDS, self._settings.request_seconds),
            max_line_size=MAX_HEAD_LINE,
            max_field_size=MAX_HEAD_LINE,
            access_log=None,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=10.0)
        await self._runner.setup()
        listen = self._settings.listen
        await web.TCPSite(self._runner, listen.host, listen.port, backlog=512).start()
        host, port = self._runner.addresses[0][:2]
        return str(host), int(port)

    async def stop(self) -> None:
        """Take no more, let what is being served end (10 seconds at most), and close."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if isinstance(connection, GuardedConnection):
            connection.head_complete()
        try:
            return await self._exchange(request)
        finally:
            if isinstance(connection, GuardedConnection):
                connection.request_done()

    async def _exchange(self, request: web.BaseRequest) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        begun, started = loop.time(), time.perf_counter()  # uvloop's own clock goes by milliseconds
        request_id = _request_id(request.headers.get("X-Request-Id"))
        name = "none"
        try:
            if "%00" in request.raw_path:
                raise Fault(400, "An address holds no NUL", where="request.url")
            match = self.table.match(request.method, request.rel_url.raw_path)
            name = match.route.path
            answer = await self._handled(request, match, request_id, begun)
        except Fault as fault:
            answer = self.table.renderer(request.path)(fault, request_id)
        except Exception as error:  # noqa: BLE001 - the edge: every fault becomes an answer here
            answer = _failure(error, request_id, self.table.renderer(request.path), name)
        self._observer.answered(name, answer.status, time.perf_counter() - started)
        return await self._send(request, answer, request_id)

    async def _handled(self, request: web.BaseRequest, match: Match, request_id: str, begun: float) -> Answer:
        route = match.route
        caller = await self._permitted(request, route)
        try:
            if route.admits is not None and caller is not None:
                route.admits(caller, match.params)
            check_media_type(request, route)
            call = await self._read(request, match, caller, request_id, begun)
            return await route.handler(call)
        except Fault as fault:
            if fault.status == FORBIDDEN and caller is not None:
                self._observer.refused(
                    fault.status, route.method, route.path, caller.name, address=request.remote or ""
                )
            raise

    async def _read(
        self, request: web.BaseRequest, match: Match, caller: Caller | None, request_id: str, begun: float
    ) -> Call:
        route = match.route
        limit = self._settings.max_body if route.max_body is None else min(route.max_body, self._settings.max_body)
        body = b""
        if route.has_body:
            body = await read_body(request, limit, begun + self._settings.request_seconds)
        return Call(
            method=route.method,
            path=request.path,
            request_id=request_id,
            caller=None if caller is None else Asking(caller, request.remote or "", request_id),
            params=match.params,
            query=request.rel_url.query,
            headers=request.headers,
            body=body,
            base=self._base(request),
            remote=request.remote or "",
        )

    async def _recognised(self, request: web.BaseRequest) -> Caller | None:
        """Fault 503 when nobody can be recognised now."""
        try:
            found = self._callers.authenticate(request.headers.get("Authorization"))
            return await found if isinstance(found, Awaitable) else found
        except StoreFault:
            raise Fault(503, "The gateway cannot tell now who calls; try again", headers={"Retry-After": "5"}) from None

    async def _permitted(self, request: web.BaseRequest, route: Route) -> Caller | None:
        """The caller, once the route's permission is shown to be theirs. Fault 401, 403 or 503."""
        if route.permission is PUBLIC:
            return None
        caller = await self._recognised(request)
        if caller is None:
            self._observer.refused(401, route.method, route.path, None, address=request.remote or "")
            challenge = {"WWW-Authenticate": 'Bearer realm="gateway"'}
            raise Fault(401, "This needs a bearer token that the gateway knows", headers=challenge)
        if route.permission not in caller.permissions:
            self._observer.refused(403, route.method, route.path, caller.name, address=request.remote or "")
            challenge = {"WWW-Authenticate": 'Bearer realm="gateway", error="insufficient_scope"'}
            raise Fault(403, f"This needs {needed(route.permission)}", headers=challenge)
        return caller

    def _base(self, request: web.BaseRequest) -> str:
        configured = self._settings.base_url
        if configured:
            return configured.rstrip("/")
        return f"http://{_sane_host(request.headers.get('Host', '')) or self._settings.listen}"

    async def _send(self, request: web.BaseRequest, answer: Answer, request_id: str) -> web.StreamResponse:
        headers = CIMultiDict(SECURITY_HEADERS)
        headers.update(answer.headers)
        headers["X-Request-Id"] = request_id
        if answer.content_type:
            headers["Content-Type"] = answer.content_type
        if isinstance(answer.body, bytes) and len(answer.body) <= PIECE:
            response = web.Response(status=answer.status, body=answer.body, headers=headers)
            if answer.status in (408, 413):
                response.force_close()
            return response
        streamed = web.StreamResponse(status=answer.status, headers=headers)
        if isinstance(answer.body, bytes):
            streamed.content_length = len(answer.body)
            return await self._stream(request, _pieces(answer.body), streamed)
        return await self._stream(request, answer.body, streamed)

    async def _stream(
        self, request: web.BaseRequest, pieces: AsyncIterator[bytes], response: web.StreamResponse
    ) -> web.StreamResponse:
        """Piece by piece. A fault after the first byte can only be told by breaking the connection off."""
        seconds = self._settings.request_seconds
        try:
            await response.prepare(request)
            async for piece in pieces:
                async with asyncio.timeout(seconds):
                    await response.write(piece)
            await response.write_eof()
        except Exception as error:  # noqa: BLE001 - the answer has begun: breaking off is all that can be told
            log.info("http.stream_broken", fault=type(error).__qualname__, place=place(error.__traceback__))
            if request.transport is not None:
                request.transport.abort()
        return response


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def _failure(error: Exception, request_id: str, renderer: Renderer, route: str) -> Answer:
    """An unforeseen fault: logged by type and place, told without either."""
    log.error(
        "http.handler_failed",
        fault=type(error).__qualname__,
        place=place(error.__traceback__),
        route=route,
        request=request_id,
    )
    return renderer(Fault(500, "The gateway failed; its log names the fault by this request's id"), request_id)


def _request_id(given: str | None) -> str:
    """The client's own id when it is short and plain; else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else new_request_id()


@lru_cache(maxsize=64)
def _sane_host(host: str) -> str | None:
    return host if re.fullmatch(r"[A-Za-z0-9.:\[\]-]{1,255}", host) else None
