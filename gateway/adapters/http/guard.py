"""The guard at each connection: a client that is slow to say what it wants is cut off.

aiohttp bounds how long an idle connection may stay, but not how long a request's head may take while its bytes trickle
in. Here a head that was begun must be complete within the limit; reading the body has its own limit in `body`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict

from gateway.adapters.http.exchange import Fault, problem
from gateway.adapters.http.request_ids import new_request_id
from gateway.logs import logger, place

log = logger("http")


class GuardedConnection(RequestHandler):
    """aiohttp's connection with a timer on each request's head, and errors that repeat nothing of the input."""

    __slots__ = ("_guard_serving", "_guard_timer", "_head_seconds")

    def __init__(self, server: GuardedServer, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._head_seconds = server.head_seconds
        self._guard_timer: asyncio.TimerHandle | None = None
        self._guard_serving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Most heads come whole, and are served in the next turn of the loop: they need no timer.
        if not self._guard_serving and not self._messages:
            self._start_timer()

    def head_complete(self) -> None:
        """A request's head has been read and is being served: the timer stops until `request_done`."""
        self._guard_serving = True
        self._stop_timer()

    def request_done(self) -> None:
        """The connection is idle again, or has the next request's bytes: the keep-alive limit holds until they grow."""
        self._guard_serving = False

    def _start_timer(self) -> None:
        if self._guard_timer is None:
            loop = asyncio.get_running_loop()
            self._guard_timer = loop.call_later(self._head_seconds, self._cut)

    def _stop_timer(self) -> None:
        if self._guard_timer is not None:
            self._guard_timer.cancel()
            self._guard_timer = None

    def _cut(self) -> None:
        self._guard_timer = None
        if not self._guard_serving:
            log.info("http.slow_head_cut", seconds=self._head_seconds)
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Input that is not HTTP, or a fault outside the handler: told without the words of either."""
        self.log_exception("", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        text = "This is not a well-formed HTTP request" if status < 500 else "The gateway failed to answer"
        if isinstance(exc, LineTooLong):
            text = "The address or a header is too long: a search can be sent by POST to _search"
        request_id = new_request_id()
        answer = problem(Fault(status, text), request_id)
        body = answer.body if isinstance(answer.body, bytes) else b""
        headers = CIMultiDict({"Content-Type": answer.content_type, "Connection": "close", "X-Request-Id": request_id})
        response = web.Response(status=status, body=body, headers=headers)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """aiohttp's own reports, reduced to type and place: their texts quote the request."""
        error = kw.get("exc_info")
        if isinstance(error, BaseException):
            log.info("http.connection_fault", fault=type(error).__qualname__, place=place(error.__traceback__))
        else:
            log.info("http.connection_fault")


class GuardedServer(web.Server):
    """A low-level aiohttp server whose connections are guarded; beyond `max_connections` they are closed at once."""

    def __init__(self, handler: Any, *, head_seconds: float, max_connections: int, **kwargs: Any) -> None:
        super().__init__(handler, **kwargs)
        self.head_seconds = head_seconds
        self.max_connections = max_connections
        self._settings = kwargs

    def __call__(self) -> RequestHandler:
        return GuardedConnection(self, loop=asyncio.get_running_loop(), **self._settings)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > self.max_connections:
            log.warning("http.too_many_connections", limit=self.max_connections)
            # aiohttp starts what serves the connection when this has returned, and expects to find it open.
            asyncio.get_running_loop().call_soon(transport.abort)
