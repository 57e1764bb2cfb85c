"""Faults as OperationOutcomes (R4, RESTful API, status codes), and the headers that FHIR exchanges."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from gateway.adapters.http.exchange import Answer, Call, Fault
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.outcome import ERROR, FATAL, Issue, issue_of, operation_outcome
from gateway.mappings.fhir.resource import write

FHIR = "application/fhir+json"
ACCEPTS = (FHIR, "application/json")

_ETAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,9})"')
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_PLACES = {401: "Authorization", 403: "Authorization", 404: "request.url", 405: "request.method", 413: "request.body"}
"""What an error is about that names no element, header or parameter itself."""


class Refused(Fault):
    """A refusal with several issues."""

    def __init__(self, status: int, issues: Sequence[Issue]) -> None:
        first = issues[0]
        super().__init__(status, first.diagnostics, code=first.code, where=first.expression)
        self.issues = tuple(issues)


def outcome(fault: Fault, request_id: str) -> Answer:
    """A fault in FHIR's form."""
    return Answer(fault.status, write(operation_outcome(issues_of(fault))), FHIR, fault.headers)


def issues_of(fault: Fault) -> tuple[Issue, ...]:
    """What a fault says, as issues."""
    if isinstance(fault, Refused):
        return fault.issues
    where = fault.where or _PLACES.get(fault.status, "")
    return (Issue(FATAL if fault.status >= 500 else ERROR, fault.code, where, fault.text),)


def malformed(error: MappingError) -> Refused:
    """400 for a body that is no resource, 422 for one that can't be used."""
    issue = issue_of(error)
    if not issue.expression:
        issue = replace(issue, expression="request.body")
    return Refused(400 if error.code in ("structure", "limit") else 422, (issue,))


def unacceptable(issues: Sequence[Issue]) -> Refused | None:
    """The refusal that `issues` amount to: 400 when the structure is wrong, 422 when only the content is; None when
    none of them refuses."""
    refusing = [issue for issue in issues if issue.refuses]
    if not refusing:
        return None
    broken = any(issue.severity == FATAL or issue.code == "structure" for issue in refusing)
    return Refused(400 if broken else 422, list(issues))


def etag(version: int) -> str:
    return f'W/"{version}"'


def expected_version(call: Call) -> int | None:
    """The version that If-Match names; None without it. Fault 400 when it is not one of our ETags."""
    given = call.headers.get("If-Match")
    return if_match(given) if given is not None else None


def if_match(given: str) -> int:
    """The version in an If-Match header, or in an entry's `ifMatch`. Fault 400."""
    match = _ETAG.fullmatch(given.strip())
    if match is None:
        raise Fault(400, 'Write If-Match as W/"n"', where="If-Match")
    return int(match.group(1))


def resource_id(call: Call) -> str:
    """The id in the path. Fault 404 when nothing could have it."""
    id_ = call.params["id"]
    if not _ID.fullmatch(id_):
        raise Fault(404, "There is no resource with this id", where="Resource.id")
    return id_


def preference(call: Call) -> str:
    """What the client wants returned: `minimal`, `representation` (the default) or `OperationOutcome`."""
    given = call.headers.get("Prefer")
    for part in re.split(r"[;,]", given) if given else ():
        name, _, value = part.strip().partition("=")
        if name.lower() == "return" and value in ("minimal", "representation", "OperationOutcome"):
            return value
    return "representation"


def strict(call: Call) -> bool:
    """Whether the client wants unknown search parameters refused (Prefer: handling=strict)."""
    return "handling=strict" in call.headers.get("Prefer", "").replace(" ", "")


def http_date(moment: datetime) -> str:
    return _http_date(int(moment.timestamp()))


@lru_cache(maxsize=64)
def _http_date(second: int) -> str:
    """Most answers of one second tell the same."""
    return format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True)


def versioned(version: int, changed: datetime, **more: str) -> dict[str, str]:
    """ETag and Last-Modified, and `more` headers."""
    return {"ETag": etag(version), "Last-Modified": http_date(changed), **more}


def resource(body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A resource as an answer."""
    return Answer(status, write(dict(body)), FHIR, headers or {})


def kept_outcome(text: str) -> dict[str, object]:
    """The OperationOutcome of success."""
    return operation_outcome((Issue("information", "informational", "", text),))
