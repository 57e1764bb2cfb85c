"""The form of answers: JSON alone. Who asks for another is told so (R4, RESTful API, content types)."""

from __future__ import annotations

from dataclasses import replace

from gateway.adapters.fhir.outcomes import FHIR
from gateway.adapters.http.exchange import Answer, Call, Fault
from gateway.adapters.http.routing import Route

_FORMATS = frozenset({"json", "application/json", "application/fhir+json", "text/json"})
_ACCEPTED = frozenset({*_FORMATS, "*/*", "application/*", "text/*"})


def negotiated(route: Route) -> Route:
    """The same route, for clients that take JSON; 406 for others."""
    if route.produces != FHIR:
        return route
    handler = route.handler

    async def handle(call: Call) -> Answer:
        _refuse_other_forms(call)
        return await handler(call)

    return replace(route, handler=handle)


def _refuse_other_forms(call: Call) -> None:
    """`_format` overrules the Accept header."""
    asked = call.query.get("_format") if call.query else None
    if asked is not None:
        # A plus that was not escaped arrives as a space.
        if asked.partition(";")[0].strip().replace(" ", "+").lower() not in _FORMATS:
            raise Fault(406, "Answers are JSON: application/fhir+json", where="_format")
        return
    accept = call.headers.get("Accept")
    if accept and not any(part.partition(";")[0].strip().lower() in _ACCEPTED for part in accept.split(",")):
        raise Fault(406, "Answers are JSON: application/fhir+json", where="Accept")
