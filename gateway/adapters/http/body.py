"""Reading a request's body: capped in bytes and in time, and only after the caller is known."""

from __future__ import annotations

import asyncio
import json
from typing import NoReturn, TypeVar

from aiohttp import web
from aiohttp.http import HttpVersion10
from pydantic import BaseModel, ValidationError

from gateway.adapters.http.exchange import Fault
from gateway.adapters.http.routing import Route

ModelT = TypeVar("ModelT", bound=BaseModel)


def check_media_type(request: web.BaseRequest, route: Route) -> None:
    """Fault 415 when the body is of a kind that the route does not take."""
    if not route.has_body or not request.can_read_body:
        return
    if request.content_type not in route.accepts or "Content-Type" not in request.headers:
        raise Fault(415, f"Send {' or '.join(route.accepts)}", where="Content-Type")
    charset = None if route.any_charset else request.charset
    if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Fault(415, "Send UTF-8", where="Content-Type")


async def read_body(request: web.BaseRequest, limit: int, deadline: float) -> bytes:
    """The whole body, decompressed, at most `limit` bytes, by the loop's time `deadline`. Fault 413, 408 or 400."""
    if not request.can_read_body:
        return b""
    if (request.content_length or 0) > limit:
        raise _too_long(limit)
    try:
        if request.content.is_eof():  # it came with its head: nothing is waited for
            return await _collect(request, limit)
        async with asyncio.timeout_at(deadline):
            await _invite(request)
            return await _collect(request, limit)
    except TimeoutError:
        raise Fault(408, "The body did not arrive in time") from None
    except (web.RequestPayloadError, ConnectionError):
        raise Fault(400, "The body is broken off, or can't be decoded", code="structure") from None


async def _invite(request: web.BaseRequest) -> None:
    """A client that asked whether to send (RFC 9110, section 10.1.1) is told to, now that we want it."""
    expects = request.headers.get("Expect", "")
    if request.version == HttpVersion10 or not expects:
        return
    if expects.lower() != "100-continue":
        raise Fault(417, "Only 100-continue can be expected", code="not-supported", where="Expect")
    transport = request.transport
    if transport is not None and not transport.is_closing():
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _collect(request: web.BaseRequest, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await request.content.readany():
        size += len(piece)
        if size > limit:
            raise _too_long(limit)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_long(limit: int) -> Fault:
    return Fault(413, f"The body is longer than {limit} bytes")


def parsed(model: type[ModelT], body: bytes) -> ModelT:
    """`body` as `model`. Fault 400 when it is not strict JSON, 422 naming the fields that do not fit."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_as_written
        )
    except (ValueError, RecursionError):
        raise Fault(400, "The body is not JSON, or a key stands twice in an object", code="structure") from None
    if b"\\u0000" in body and _has_nul(value):
        raise Fault(400, "The body holds a NUL character", code="structure")
    try:
        return model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        if any(item["type"] == "json_invalid" for item in problems):
            raise Fault(400, "The body is not JSON: half of a character stands in it", code="structure") from None
        places = sorted({_place(item["type"], item["loc"]) for item in problems})
        kinds = sorted({item["type"] for item in problems})
        text = f"Fields that do not fit: {', '.join(places)[:300]} ({', '.join(kinds)[:200]})"
        raise Fault(422, text, code="invalid", where=places[0]) from None


def _place(kind: str, location: tuple[int | str, ...]) -> str:
    """A field's path. The name of an unknown field is the client's own word, and is not repeated."""
    known = location[:-1] if kind == "extra_forbidden" else location
    return ".".join(str(part) for part in known) or "body"


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands twice")
    return values


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def _as_written(text: str) -> float | int:
    """JSON knows numbers only: 7.0 is as whole as 7."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
