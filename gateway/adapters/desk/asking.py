"""What a call to /api says in its address, and how the services' refusals are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from gateway.adapters.desk.models import ID_PATTERN
from gateway.adapters.http.exchange import Call, Caller, Fault, own_id
from gateway.desk.refusals import Reason, Refusal
from gateway.store.interface import StoreFault

LONGEST = 200
"""Characters of a text in an address."""

TEXT: Mapping[str, object] = {"type": "string", "maxLength": LONGEST}
INSTANT: Mapping[str, object] = {"type": "string", "format": "date-time"}
IDENTITY: Mapping[str, object] = {"type": "string", "pattern": ID_PATTERN}


def up_to(most: int) -> Mapping[str, object]:
    """A number from 1 to `most`."""
    return {"type": "integer", "minimum": 1, "maximum": most}


def one_of(known: Iterable[str]) -> Mapping[str, object]:
    return {"type": "string", "enum": sorted(known)}


def some_of(known: Iterable[str]) -> Mapping[str, object]:
    """Words of `known`, separated by commas."""
    return {"type": "array", "items": one_of(known)}


_STATUSES: dict[Reason, int] = {
    Reason.UNKNOWN: 404,
    Reason.NOT_ALLOWED: 403,
    Reason.STALE: 409,
    Reason.IMPOSSIBLE: 409,
    Reason.UNACCEPTABLE: 422,
    Reason.BUSY: 409,
}


@contextmanager
def refusals_told() -> Iterator[None]:
    """The desk's refusals and the store's faults as HTTP faults."""
    try:
        yield
    except Refusal as refusal:
        text = "; ".join((refusal.text, *refusal.details))
        raise Fault(_STATUSES[refusal.reason], text, code=refusal.reason.value) from None
    except StoreFault:
        raise Fault(503, "The store can't serve just now; try again", headers={"Retry-After": "5"}) from None


def actor(caller: Caller) -> str:
    """The caller's name in the audit trail."""
    return f"user:{caller.name}"


def path_id(call: Call) -> int:
    """The id in the address. Fault 404 for what can be none."""
    id_ = own_id(call.params["id"])
    if id_ is None:
        raise Fault(404, "An id is a number")
    return id_


def words(call: Call, name: str, known: set[str]) -> list[str]:
    """Words of `known`, separated by commas. Fault 400 for another."""
    given = [word for word in call.query.get(name, "").split(",") if word]
    if not set(given) <= known:
        raise Fault(400, f"One of: {', '.join(sorted(known))}", where=name)
    return given


def text(call: Call, name: str, longest: int = LONGEST) -> str | None:
    """A text of at most `longest` characters; None when it is empty. Fault 400."""
    given = call.query.get(name) or None
    if given is not None and len(given) > longest:
        raise Fault(400, f"At most {longest} characters", where=name)
    return given


def moment(call: Call, name: str) -> datetime | None:
    """An instant with its zone; None when none is given. Fault 400."""
    given = call.query.get(name)
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given.replace(" ", "+"))
        at.astimezone(UTC)
    except (ValueError, OverflowError):
        at = None
    if at is None or at.tzinfo is None:
        raise Fault(400, "Give an instant with its zone, as 2026-01-31T08:00:00Z", where=name)
    return at
