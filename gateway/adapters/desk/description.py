"""/api as a whole: every route below it is described, and held to its description."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import orjson

from gateway import __version__
from gateway.adapters.desk.openapi import openapi
from gateway.adapters.http.exchange import Answer, Call, Fault
from gateway.adapters.http.routing import PUBLIC, Handler, Route

BELOW = "/api/"
ADDRESS = BELOW + "openapi.json"
TITLE = "Coding review gateway: the desk"


def described(routes: Iterable[Route]) -> list[Route]:
    """`routes`, and one more: the description of all of them below /api. It is made here, once, where all are known."""
    held = [_held(route) if route.path.startswith(BELOW) else route for route in routes]

    async def description(call: Call) -> Answer:
        return Answer(200, document)

    told = _held(Route("GET", ADDRESS, PUBLIC, description, "This description; it holds no data"))
    of_api = [route for route in (*held, told) if route.path.startswith(BELOW)]
    document = orjson.dumps(openapi(of_api, title=TITLE, version=__version__))
    return [*held, told]


def _held(route: Route) -> Route:
    """The route with its query parameters checked: none that is not listed (a filter with a slip of the pen would find
    too much), none twice, none missing. Fault 400.
    """
    known = {parameter.name for parameter in route.query}
    required = [parameter.name for parameter in route.query if parameter.required]
    handler: Handler = route.handler

    async def checked(call: Call) -> Answer:
        given = Counter(name for name, _ in call.query.items())
        if not given.keys() <= known:
            takes = ", ".join(sorted(known)) or "none"
            raise Fault(400, f"The address has a parameter that is not known here. Known: {takes}")
        for name in given:
            if given[name] > 1:
                raise Fault(400, "Give it once", where=name)
        for name in required:
            if not call.query.get(name):
                raise Fault(400, "Needed here", where=name)
        return await handler(call)

    return replace(route, handler=checked)
