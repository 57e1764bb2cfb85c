"""The route table: every door with the permission that opens it. A door that names none can't be built."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import unquote

from pydantic import BaseModel

from gateway.access.roles import Permission
from gateway.adapters.http.exchange import JSON, Answer, Call, Caller, Fault, Renderer, problem


class Public(Enum):
    """A route that anyone may call, said knowingly."""

    PUBLIC = "public"


PUBLIC: Final = Public.PUBLIC

Handler = Callable[[Call], Awaitable[Answer]]
Admission = Callable[[Caller, Mapping[str, str]], None]
"""Told who calls and what the path says, before the body is read. Raises Fault to refuse."""

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_SEGMENT = re.compile(r"\{(?P<name>[a-z_]+)\}|[A-Za-z0-9$._-]+")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter, for the interface's description."""

    name: str
    summary: str
    schema: Mapping[str, object] | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path. A segment `{name}` takes any one segment.

    `max_body` is in bytes: `None` for the server's own limit. `accepts` are the media types of a body; with
    `any_charset` it may be of any character set, which its own content names.
    """

    method: str
    path: str
    permission: Permission | Public
    handler: Handler
    summary: str
    takes: type[BaseModel] | None = None
    gives: type[BaseModel] | None = None
    status: int = 200
    max_body: int | None = None
    accepts: tuple[str, ...] = (JSON,)
    produces: str = JSON
    faults: Renderer = problem
    query: tuple[Parameter, ...] = ()
    admits: Admission | None = None
    """Rights that hang on what the path names."""
    any_charset: bool = False
    also_produces: tuple[str, ...] = ()
    refuses: tuple[int, ...] = ()
    """Statuses by which the handler itself refuses, for the interface's description: 404, 409, 422."""

    @property
    def has_body(self) -> bool:
        return self.method in _WITH_BODY

    @property
    def segments(self) -> tuple[str, ...]:
        return _split(self.path)


# Final, not frozen: one is made for every request, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class Match:
    """The route that a request found, and what its path says."""

    route: Final[Route]
    params: Final[Mapping[str, str]]


class RouteTable:
    """Finds the route of a request. Fixed segments win over variable ones. ValueError for a table with a mistake."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[str, dict[str, Route]] = {}
        self._variable: dict[int, dict[tuple[str, ...], dict[str, Route]]] = {}
        self._renderers: dict[str, Renderer] = {}
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        _check(route)
        if "{" in route.path:
            shape = tuple("{}" if s.startswith("{") else s for s in route.segments)
            methods = self._variable.setdefault(len(shape), {}).setdefault(shape, {})
        else:
            methods = self._fixed.setdefault(route.path, {})
        if route.method in methods:
            raise ValueError(f"two routes for {route.method} {route.path}")
        methods[route.method] = route
        if len(route.segments) == 1 and route.has_body:
            # The base of an interface that takes requests itself: many clients write it with a slash behind it.
            self._fixed[f"{route.path}/"] = methods
        self._renderers.setdefault(route.segments[0], route.faults)

    def renderer(self, path: str) -> Renderer:
        """How faults are told below `path`'s first segment, whether or not a route matches."""
        segments = _split(path)
        return self._renderers.get(segments[0], problem) if segments else problem

    def match(self, method: str, path: str) -> Match:
        """The route of `method` and the still percent-encoded `path`. Fault 404 or 405."""
        method = "GET" if method == "HEAD" else method
        methods = self._fixed.get(path) or self._shape(path)
        if not methods:
            raise Fault(404, "There is nothing at this address")
        route = methods.get(method)
        if route is None:
            allowed = ", ".join(sorted(methods))
            raise Fault(405, f"This address takes {allowed}", headers={"Allow": allowed})
        return Match(route, _params(route, path) if "{" in route.path else {})

    def _shape(self, path: str) -> dict[str, Route] | None:
        segments = _split(path)
        fitting = [
            (shape, methods)
            for shape, methods in self._variable.get(len(segments), {}).items()
            if all(want in ("{}", got) for want, got in zip(shape, segments, strict=True))
        ]
        if not fitting:
            return None
        return min(fitting, key=lambda item: item[0].count("{}"))[1]


def _check(route: Route) -> None:
    name = f"{route.method} {route.path}"
    if not isinstance(route.permission, Permission | Public):
        raise ValueError(f"{name} names no permission; a route that anyone may call says PUBLIC")  # noqa: TRY004
    if route.method not in METHODS:
        raise ValueError(f"{name}: not a method that is served")
    if not route.path.startswith("/") or not route.segments:
        raise ValueError(f"{name}: a path begins with / and has a segment")
    if not all(_SEGMENT.fullmatch(segment) for segment in route.segments):
        raise ValueError(f"{name}: a segment is letters, digits, or {{name}}")


def _split(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")[1:])


def _params(route: Route, path: str) -> dict[str, str]:
    pairs = zip(route.segments, _split(path), strict=True)
    return {want[1:-1]: unquote(got) for want, got in pairs if want.startswith("{")}
