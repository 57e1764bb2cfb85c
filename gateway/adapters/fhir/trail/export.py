"""`$export` of the audit trail (FHIR Bulk Data Access 2.0): ordered, asked for until it is ready, read as NDJSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson

from gateway.access.asking import origin
from gateway.access.roles import Permission
from gateway.adapters.fhir.negotiation import negotiated
from gateway.adapters.fhir.outcomes import ACCEPTS, FHIR, http_date, kept_outcome, malformed, outcome, resource
from gateway.adapters.http.exchange import JSON, Answer, Call, Fault, own_id
from gateway.adapters.http.routing import Handler, Route
from gateway.audit import anchor
from gateway.audit.seals import Head
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import read
from gateway.store.interface import StoreFault
from gateway.store.trail import TrailExport
from gateway.trail.exporting import TYPES, ExportFile, Exporting, Order, Ready, TooMany

NDJSON = "application/fhir+ndjson"
FORMATS = (NDJSON, "application/ndjson", "ndjson")
RETRY_SECONDS = 5
MAX_BODY = 16 * 1024
SEAL = "urn:x-coding-review-gateway:seal"
"""Under this name the manifest tells the head that was signed."""

_EXTENT: Mapping[str, tuple[str, ...]] = {
    "/fhir": tuple(TYPES),
    "/fhir/AuditEvent": ("AuditEvent",),
    "/fhir/Provenance": ("Provenance",),
}
"""What may be ordered where."""
_PARAMETERS = frozenset({"_since", "_until", "_type", "_outputFormat"})
_IGNORED = frozenset({"_format", "_pretty"})
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})")


class TrailExports:
    """The addresses of `$export`: of all, of AuditEvents, of Provenances."""

    def __init__(self, exporting: Exporting) -> None:
        self._exporting = exporting

    def routes(self) -> tuple[Route, ...]:
        return tuple(negotiated(route) for base, types in _EXTENT.items() for route in self._routes_at(base, types))

    def _routes_at(self, base: str, types: tuple[str, ...]) -> tuple[Route, ...]:
        async def order(call: Call) -> Answer:
            return await self._order(call, base, types)

        async def status(call: Call) -> Answer:
            return await self._status(call, base)

        address = f"{base}/$export"
        return (
            _route("GET", address, order, "Order an export of the trail"),
            _route("POST", address, order, "The same, the parameters in the body"),
            _route("GET", address + "/{id}", status, "Whether the export is ready, and its files"),
            _route("DELETE", address + "/{id}", self._end, "End the export"),
            _route("GET", address + "/{id}/{name}", self._file, "A file of the export", produces=NDJSON),
        )

    async def _order(self, call: Call, base: str, types: tuple[str, ...]) -> Answer:
        """202; where to ask is in Content-Location."""
        preferred = {part.strip() for part in call.headers.get("Prefer", "").replace(";", ",").split(",")}
        if "respond-async" not in preferred:
            raise Fault(400, "An export is answered later only: say Prefer: respond-async", where="Prefer")
        order = _order(call, types, lenient="handling=lenient" in preferred)
        try:
            export = await self._exporting.order(order)
        except TooMany:
            text = "There are as many exports as a client may have: delete one of them"
            raise Fault(429, text, headers={"Retry-After": "3600"}) from None
        except StoreFault:
            raise _unavailable() from None
        location = f"{call.base}{base}/$export/{export.id}"
        return resource(kept_outcome("ordered; ask at Content-Location"), 202, {"Content-Location": location})

    async def _status(self, call: Call, base: str) -> Answer:
        """200 with the manifest, 202 until then."""
        try:
            export = await self._found(call)
            ready = await self._exporting.ready(export)
        except StoreFault:
            raise _unavailable() from None
        if ready is None:
            waiting = {"X-Progress": "waiting for the seal", "Retry-After": str(RETRY_SECONDS)}
            return Answer(202, b"", "", waiting)
        address = f"{call.base}{base}/$export/{export.id}"
        return Answer(
            200, orjson.dumps(_manifest(export, ready, address)), JSON, {"Expires": http_date(export.expires)}
        )

    async def _file(self, call: Call) -> Answer:
        """The lines, streamed. That they were taken is in the trail before the first one leaves."""
        name = call.params["name"].removesuffix(".ndjson")
        try:
            export = await self._found(call)
            ready = await self._exporting.ready(export)
            file = ready.file(name) if ready is not None else None
            if file is None:
                raise Fault(404, "The export has no such file")
            lines = await self._exporting.read(export, file, origin(call.caller))
        except StoreFault:
            raise _unavailable() from None
        return Answer(200, lines, NDJSON, {"Content-Disposition": f'attachment; filename="{file.name}.ndjson"'})

    async def _end(self, call: Call) -> Answer:
        """202; the export is gone."""
        try:
            await self._exporting.end(await self._found(call))
        except StoreFault:
            raise _unavailable() from None
        return resource(kept_outcome("the export is gone"), 202)

    async def _found(self, call: Call) -> TrailExport:
        """The caller's own export. Fault 404."""
        id_ = own_id(call.params["id"])
        export = await self._exporting.find(call.who.name, id_) if id_ is not None else None
        if export is None:
            raise Fault(404, "There is no such export, or not any more")
        return export


def _order(call: Call, types: tuple[str, ...], *, lenient: bool) -> Order:
    """What is ordered. Fault 400."""
    asked: dict[str, list[str]] = {}
    for name, value in _asked(call):
        if name in _PARAMETERS:
            asked.setdefault(name, []).append(value)
        elif name not in _IGNORED and not lenient:
            raise Fault(400, "A parameter of the export is not supported", code="not-supported")
    if any(form not in FORMATS for form in asked.get("_outputFormat", ())):
        raise Fault(400, f"The files are {NDJSON}", code="not-supported", where="_outputFormat")
    query = f"?{urlencode(list(call.query.items()))}" if call.query else ""
    return Order(
        client=call.who.name,
        request=f"{call.base}{call.path}{query}",
        types=_types(asked.get("_type", ()), types, lenient=lenient),
        since=_moment(asked, "_since"),
        until=_moment(asked, "_until"),
        origin=origin(call.caller),
    )


def _asked(call: Call) -> Iterable[tuple[str, str]]:
    """The parameters of the address, and those of a Parameters resource in the body."""
    yield from call.query.items()
    if call.method != "POST" or not call.body:
        return
    try:
        body = read(call.body)
    except MappingError as error:
        raise malformed(error) from None
    listed = body.get("parameter", [])
    if body.get("resourceType") != "Parameters" or not isinstance(listed, list):
        raise Fault(400, "Send Parameters, or no body", code="structure", where="resourceType")
    for one in listed:
        yield _parameter(one)


def _parameter(one: Any) -> tuple[str, str]:
    values = [value for name, value in one.items() if name.startswith("value")] if isinstance(one, dict) else []
    if len(values) != 1 or not isinstance(values[0], str) or not isinstance(one.get("name"), str):
        raise Fault(400, "A parameter has a name and a value", code="structure", where="Parameters.parameter")
    return one["name"], values[0]


def _types(asked: Iterable[str], types: tuple[str, ...], *, lenient: bool) -> tuple[str, ...]:
    wanted = [part for value in asked for part in value.split(",") if part]
    if any(part not in types for part in wanted) and not lenient:
        raise Fault(400, f"What is exported here: {', '.join(types)}", code="not-supported", where="_type")
    found = tuple(type_ for type_ in types if not wanted or type_ in wanted)
    if not found:
        raise Fault(400, f"What is exported here: {', '.join(types)}", code="not-supported", where="_type")
    return found


def _moment(asked: Mapping[str, list[str]], name: str) -> datetime | None:
    given = asked.get(name, [])
    if not given:
        return None
    text = given[0].replace(" ", "+")
    try:
        if len(given) > 1 or not _INSTANT.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Fault(400, "Give one instant with its zone, as 2026-03-01T00:00:00Z", where=name) from None


def _manifest(export: TrailExport, ready: Ready, address: str) -> dict[str, object]:
    """The manifest of Bulk Data; under `extension` the seal, as the anchor file has it, that the lines answer to."""
    sealed = orjson.loads(anchor.line(Head.of(ready.seal)))
    return {
        "transactionTime": export.requested.isoformat(timespec="milliseconds"),
        "request": export.request,
        "requiresAccessToken": True,
        "output": [_output(file, address) for file in ready.files],
        "deleted": [],
        "error": [],
        "extension": {SEAL: sealed},
    }


def _output(file: ExportFile, address: str) -> dict[str, object]:
    return {"type": file.type, "url": f"{address}/{file.name}.ndjson", "count": file.count}


def _route(method: str, path: str, handler: Handler, summary: str, produces: str = FHIR) -> Route:
    return Route(
        method,
        path,
        Permission.AUDIT_READ,
        handler,
        summary,
        max_body=MAX_BODY,
        accepts=ACCEPTS,
        produces=produces,
        faults=outcome,
    )


def _unavailable() -> Fault:
    return Fault(503, "The trail cannot be read now; try again", headers={"Retry-After": "5"})
