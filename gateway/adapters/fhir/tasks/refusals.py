"""The desk's refusals over FHIR."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.adapters.fhir.outcomes import Refused
from gateway.adapters.http.exchange import Fault
from gateway.desk.refusals import Reason, Refusal
from gateway.mappings.fhir.outcome import ERROR, Issue
from gateway.store.interface import Conflict, StoreFault

_STATUSES: dict[Reason, tuple[int, str]] = {
    Reason.UNKNOWN: (404, "not-found"),
    Reason.NOT_ALLOWED: (403, "forbidden"),
    Reason.STALE: (412, "conflict"),
    Reason.IMPOSSIBLE: (409, "business-rule"),
    Reason.UNACCEPTABLE: (422, "business-rule"),
    Reason.BUSY: (409, "conflict"),
}


@contextmanager
def told_as_fault(where: str, unknown: int = 404) -> Iterator[None]:
    """Turns what the services raise into Faults. `where` is the expression of what is refused, `unknown` the status
    for what does not exist: 422 for what a resource only names.
    """
    try:
        yield
    except Refusal as refusal:
        status, code = _STATUSES[refusal.reason]
        status = unknown if refusal.reason is Reason.UNKNOWN else status
        texts = (refusal.text, *refusal.details)
        raise Refused(status, [Issue(ERROR, code, where, text) for text in texts]) from None
    except Conflict:
        raise Fault(409, "Somebody else changed it at the same moment; read it again", where=where) from None
    except StoreFault:
        raise Fault(503, "It could not be kept; send it again", where=where, headers={"Retry-After": "5"}) from None
