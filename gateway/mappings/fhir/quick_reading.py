"""The first look at a resource that is about to be acknowledged: a fifth of what reading it whole takes.

What `resource.read` refuses, this refuses, with the same words: what it can't judge at a glance it leaves to it.
Numbers are rounded here; who writes a resource reads it whole.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.mappings.fhir.resource import DEPTH, read

_SUSPECT = (b"\\u00", b"\\b", b"\\f")
"""Escapes that may be of control characters, or of a colon."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def quick_read(payload: bytes) -> dict[str, Any]:
    """The JSON object that `payload` is. MappingError as from `read`."""
    try:
        value = orjson.loads(payload)
        again = orjson.dumps(value)
    except (ValueError, TypeError):
        return read(payload)
    if type(value) is not dict or (b"\\" in payload and any(escape in payload for escape in _SUSPECT)):
        return read(payload)
    # Each member has a colon behind its name. Of a name that stands twice one is lost when it is written again; those
    # within texts are written as they were.
    if payload.count(b":") != again.count(b":") or not _shallow(again):
        return read(payload)
    return value


def _shallow(written: bytes) -> bool:
    """Whether it surely has `DEPTH` levels at most. Each turn takes away two of the innermost at most; brackets within
    texts may stand in the way of an answer.
    """
    brackets = written.translate(None, _NO_BRACKETS)
    for _ in range(DEPTH // 2):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return True
    return False
