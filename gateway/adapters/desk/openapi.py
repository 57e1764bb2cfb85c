"""The OpenAPI 3.1 description of an interface, made from its route table and the models that its routes name.

Which statuses a route answers with follows from what it is (`DOOR`), and from what its handler refuses (`refuses`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.access.roles import Permission
from gateway.adapters.desk.models import ProblemView
from gateway.adapters.http.exchange import PROBLEM
from gateway.adapters.http.routing import PUBLIC, Parameter, Route

REF = "#/components/schemas/{model}"
BEARER = "bearer"
ABOUT = (
    "Ids have 63 bits and are written as strings. What is sent is held to this description: a field or a parameter "
    "that is not listed, one that is given twice, and a string with a NUL are refused. HEAD is answered as GET is."
)

IDENTITY: Mapping[str, Mapping[str, object]] = {
    "id": {"type": "string", "pattern": "^[0-9]{1,19}$"},
    "key": {"type": "string", "minLength": 1, "description": "An encounter: facility, authority and number"},
}
"""What stands for a variable of a path, where it is more than a name."""

DOOR: tuple[tuple[Callable[[Route], bool], tuple[int, ...]], ...] = (
    (lambda route: True, (400, 500)),
    (lambda route: isinstance(route.permission, Permission), (401, 403, 503)),
    (lambda route: route.has_body, (408, 413, 415, 417)),
    (lambda route: route.takes is not None, (422,)),
)
"""What the server refuses before and after any handler: an address or body that is none, a fault of its own; a caller
who is not known, may not, or cannot be told now; a body that is late, too long, of another kind; one that does not fit.
"""

_HEADER: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "X-Request-Id": ("The client's own when it gave one of 8 to 64 letters, digits, dots, lines", {"type": "string"}),
    "WWW-Authenticate": ("Bearer, and why", {"type": "string"}),
    "Retry-After": ("Seconds", {"type": "string", "pattern": "^[0-9]+$"}),
}
_HEADERS: Mapping[int, tuple[str, ...]] = {401: ("WWW-Authenticate",), 503: ("Retry-After",)}
_VARIABLE = re.compile(r"\{([a-z_]+)\}")
_Mode = Literal["validation", "serialization"]
_Names = dict[tuple[type[BaseModel], _Mode], dict[str, Any]]


def openapi(routes: Iterable[Route], *, title: str, version: str) -> dict[str, Any]:
    """The whole document."""
    served = tuple(routes)
    names, schemas = _schemas(served)
    paths: dict[str, dict[str, Any]] = {}
    for route in served:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": ABOUT},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {BEARER: {"type": "http", "scheme": "bearer"}}},
    }


def statuses(route: Route) -> tuple[int, ...]:
    """All by which the route refuses, in order."""
    from_door = {status for holds, found in DOOR if holds(route) for status in found}
    return tuple(sorted({*from_door, *route.refuses}))


def _schemas(routes: tuple[Route, ...]) -> tuple[_Names, dict[str, Any]]:
    wanted: list[tuple[type[BaseModel], _Mode]] = [(ProblemView, "serialization")]
    for route in routes:
        if route.takes is not None:
            wanted.append((route.takes, "validation"))
        if route.gives is not None:
            wanted.append((route.gives, "serialization"))
    names, document = models_json_schema(list(dict.fromkeys(wanted)), ref_template=REF)
    return {(model, mode): schema for (model, mode), schema in names.items()}, document.get("$defs", {})  # type: ignore[misc]


def _operation(route: Route, names: _Names) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "responses": dict(_responses(route, names)),
    }
    parameters = [*map(_path_parameter, _VARIABLE.findall(route.path)), *map(_query_parameter, route.query)]
    if parameters:
        operation["parameters"] = parameters
    if route.takes is not None:
        content = {kind: {"schema": names[route.takes, "validation"]} for kind in route.accepts}
        operation["requestBody"] = {"required": True, "content": content}
    if route.permission is PUBLIC:
        operation["security"] = []
    else:
        operation["security"] = [{BEARER: []}]
        operation["x-permission"] = route.permission.value
    return operation


def _operation_id(route: Route) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9]+", _VARIABLE.sub(r"by \1", route.path)) if word]
    return "_".join((route.method.lower(), *words))


def _responses(route: Route, names: _Names) -> Iterator[tuple[str, dict[str, Any]]]:
    schema = names[route.gives, "serialization"] if route.gives is not None else {}
    yield _response(route.status, dict.fromkeys((route.produces, *route.also_produces), schema))
    problem = names[ProblemView, "serialization"]
    for status in statuses(route):
        yield _response(status, {PROBLEM: problem})


def _response(status: int, kinds: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    headers = {}
    for name in ("X-Request-Id", *_HEADERS.get(status, ())):
        summary, schema = _HEADER[name]
        headers[name] = {"description": summary, "required": True, "schema": dict(schema)}
    content = {kind: {"schema": schema} for kind, schema in kinds.items()}
    return str(status), {"description": HTTPStatus(status).phrase, "headers": headers, "content": content}


def _path_parameter(name: str) -> dict[str, Any]:
    schema = dict(IDENTITY.get(name, {"type": "string", "minLength": 1}))
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.schema or {"type": "string"})
    listed = {"style": "form", "explode": False} if schema["type"] == "array" else {}
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.summary,
        "schema": schema,
        **listed,
    }
