"""The OpenAPI 3.1 description of an interface, made from its route table and the models that its routes name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.access.roles import Permission
from gateway.adapters.desk.models import ProblemView
from gateway.adapters.http.exchange import PROBLEM
from gateway.adapters.http.routing import Route

REF = "#/components/schemas/{model}"
BEARER = "bearer"

_VARIABLE = re.compile(r"\{([a-z_]+)\}")
_Mode = Literal["validation", "serialization"]


def openapi(routes: Iterable[Route], *, title: str, version: str) -> dict[str, Any]:
    """The whole document."""
    served = tuple(routes)
    names, schemas = _schemas(served)
    paths: dict[str, dict[str, Any]] = {}
    for route in served:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {BEARER: {"type": "http", "scheme": "bearer"}}},
    }


_Names = dict[tuple[type[BaseModel], _Mode], dict[str, Any]]


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
        "responses": _responses(route, names),
    }
    parameters = [*map(_path_parameter, _VARIABLE.findall(route.path)), *map(_query_parameter, route.query)]
    if parameters:
        operation["parameters"] = parameters
    if route.takes is not None:
        content = {kind: {"schema": names[route.takes, "validation"]} for kind in route.accepts}
        operation["requestBody"] = {"required": True, "content": content}
    if isinstance(route.permission, Permission):
        operation["security"] = [{BEARER: []}]
        operation["x-permission"] = route.permission.value
    else:
        operation["security"] = []
    return operation


def _operation_id(route: Route) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9]+", _VARIABLE.sub(r"by \1", route.path)) if word]
    return "_".join((route.method.lower(), *words))


def _responses(route: Route, names: _Names) -> dict[str, Any]:
    told: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    schema = names[route.gives, "serialization"] if route.gives is not None else {}
    told["content"] = {route.produces: {"schema": schema}}
    problem = {"schema": names[ProblemView, "serialization"]}
    return {
        str(route.status): told,
        "default": {"description": "A refusal", "content": {PROBLEM: problem}},
    }


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameter(parameter: Any) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": False,
        "description": parameter.summary,
        "schema": dict(parameter.schema or {"type": "string"}),
    }
