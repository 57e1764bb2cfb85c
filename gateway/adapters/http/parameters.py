"""What a call says in its address."""

from __future__ import annotations

from gateway.adapters.http.exchange import Call, Fault, own_id


def number(call: Call, name: str, default: int, most: int) -> int:
    """A number from 1 to `most`; `default` when none is given. Fault 400."""
    text = call.query.get(name)
    if text is None:
        return default
    given = own_id(text)
    if given is None or not 1 <= given <= most:
        raise Fault(400, f"Give a number from 1 to {most}", where=name)
    return given
