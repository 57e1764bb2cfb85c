"""The first look at a resource that is about to be acknowledged: it is well-formed JSON, and what it says of what the
door looks at. A sixth of what reading it whole takes.

What it cannot see, a member deep within that is named twice or too many levels, `resource.read` refuses when the
resource is processed: it is then set aside, with the reason.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from gateway.mappings.fhir.resource import read
from gateway.mappings.fhir.screening import looked_at

_SUSPECT = (b"\\u00", b"\\b", b"\\f")
"""Escapes that may be of control characters."""
_ALWAYS = ("resourceType", "id", "meta")


def glance(payload: bytes, kind: str) -> dict[str, Any]:
    """Of the JSON object that `payload` is: the members that are looked at when it is to be a resource of `kind`.
    Numbers are rounded. MappingError as from `read`.
    """
    if b"\\" in payload and any(escape in payload for escape in _SUSPECT):
        return read(payload)
    decoder, members = _look(kind)
    try:
        if not payload.isascii():
            payload.decode()
        found = decoder.decode(payload)
    except (ValueError, RecursionError):
        return read(payload)  # which tells what is wrong, and where
    return {name: value for name, field in members if (value := getattr(found, field)) is not msgspec.UNSET}


@cache
def _look(kind: str) -> tuple[msgspec.json.Decoder[Any], tuple[tuple[str, str], ...]]:
    """What reads the members, and each with the field that holds it: no field can be named `class`."""
    members = {f"_{name}": name for name in (*_ALWAYS, *looked_at(kind))}
    form = msgspec.defstruct(kind, [(field, Any, msgspec.UNSET) for field in members], rename=members)
    return msgspec.json.Decoder(form), tuple((name, field) for field, name in members.items())
