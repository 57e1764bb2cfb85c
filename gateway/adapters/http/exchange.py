"""A request that has passed the door, and what a handler answers or refuses. No sockets here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import orjson
from multidict import CIMultiDict, MultiDict, MultiMapping
from pydantic import BaseModel

from gateway.access.asking import Recognised

JSON = "application/json"
PROBLEM = "application/problem+json"
NDJSON = "application/x-ndjson"


Caller = Recognised
"""Who asks."""


class Fault(Exception):
    """A refusal, to be told to the client. `text` and `where` never repeat what the client sent.

    `code` is a word of FHIR's issue-type code system (R4, `http://hl7.org/fhir/issue-type`): each interface writes it
    in its own form. `where` is an expression or a parameter's name.
    """

    def __init__(
        self,
        status: int,
        text: str,
        *,
        code: str | None = None,
        where: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code or CODES.get(status, "processing")
        self.where = where
        self.headers = dict(headers or {})


CODES: dict[int, str] = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    408: "timeout",
    409: "conflict",
    412: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "processing",
    428: "required",
    429: "throttled",
    500: "exception",
    503: "transient",
    504: "timeout",
}


# Final, not frozen: one is made for every request, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class Answer:
    """What goes back. A body that is an iterator is streamed; each piece must be taken within the time limit."""

    status: Final[int] = 200
    body: Final[bytes | AsyncIterator[bytes]] = field(default=b"", repr=False)
    content_type: Final[str] = JSON
    headers: Final[Mapping[str, str]] = field(default_factory=dict)


# Final, not frozen: one is made for every request, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class Call:
    """One request: who asks, for what, with which body. `base` is how the client reached us: `http://host:port`."""

    method: Final[str]
    path: Final[str]
    request_id: Final[str]
    caller: Final[Caller | None] = None
    params: Final[Mapping[str, str]] = field(default_factory=dict)
    query: Final[MultiMapping[str]] = field(default_factory=MultiDict, repr=False)
    headers: Final[MultiMapping[str]] = field(default_factory=CIMultiDict, repr=False)
    body: Final[bytes] = field(default=b"", repr=False)
    base: Final[str] = ""
    remote: Final[str] = ""
    """The address at the other end of the connection: a proxy's, where one stands before the gateway."""

    @property
    def who(self) -> Caller:
        """The caller of a route that needs a permission."""
        if self.caller is None:
            raise Fault(401, "This needs a bearer token")
        return self.caller


LARGEST_ID = 2**63 - 1


def own_id(text: str) -> int | None:
    """An id that the gateway gave, as it stands in an address; None for what can be none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        return None
    number = int(text)
    return number if number <= LARGEST_ID else None


Renderer = Callable[[Fault, str], Answer]
"""Writes a fault in an interface's own form; the second argument is the request's id."""


def problem(fault: Fault, request_id: str) -> Answer:
    """RFC 9457 problem details."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(fault.status).phrase,
        "status": fault.status,
        "detail": fault.text,
        "code": fault.code,
        "request": request_id,
    }
    if fault.where:
        document["where"] = fault.where
    return Answer(fault.status, orjson.dumps(document), PROBLEM, fault.headers)


def told(model: BaseModel, status: int = 200, **headers: str) -> Answer:
    """A pydantic model as a JSON answer."""
    return Answer(status, model.model_dump_json().encode(), JSON, headers)
