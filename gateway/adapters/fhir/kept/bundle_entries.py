"""The entries of a transaction or batch, read: what each asks for, or why it is refused."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.adapters.fhir.kept.search import criteria
from gateway.adapters.fhir.kept.submission import patch_of
from gateway.adapters.fhir.outcomes import Refused, if_match, unacceptable
from gateway.adapters.http.exchange import Caller, Fault
from gateway.adapters.http.scoped import demand
from gateway.mappings.fhir.capability import KEPT
from gateway.mappings.fhir.outcome import Issue
from gateway.mappings.fhir.patch import MEDIA_TYPE as JSON_PATCH
from gateway.mappings.fhir.resource import screen
from gateway.store.resources import Condition

MAX_ENTRIES = 500

_ANSWERS = ("Task", "QuestionnaireResponse")
_ORDER = ("Encounter", "Claim", "DocumentReference")
"""What others refer to is processed before them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What one entry asks for. `resource` is what it brings, `operations` a patch."""

    index: int
    method: str
    type: str
    id: str | None = None
    url: str = ""
    resource: dict[str, Any] = field(default_factory=dict)
    operations: list[Any] = field(default_factory=list)
    full_url: str | None = None
    expected: int | None = None
    unless: tuple[Condition, ...] = ()

    @property
    def place(self) -> str:
        return f"Bundle.entry[{self.index}]"

    @property
    def rank(self) -> int:
        """Its place in the order of processing."""
        return _ORDER.index(self.type) + 1 if self.type in _ORDER else 0


def wishes(entries: Sequence[Any], caller: Caller) -> tuple[list[Wish], dict[int, Fault]]:
    """What the entries ask for, and by their places what is wrong with the others."""
    found: list[Wish] = []
    refused: dict[int, Fault] = {}
    if len(entries) > MAX_ENTRIES:
        raise Fault(413, f"Send at most {MAX_ENTRIES} entries", code="too-long", where="Bundle.entry")
    for index, entry in enumerate(entries):
        try:
            with at(f"Bundle.entry[{index}]"):
                found.append(_wish(index, entry, caller))
        except Fault as fault:
            refused[index] = fault
    return found, refused


@contextmanager
def at(place: str) -> Iterator[None]:
    """A fault in between is told with the entry's place, when it does not tell it itself."""
    try:
        yield
    except Refused as fault:
        issues = [one if one.expression.startswith(place) else replace(one, expression=place) for one in fault.issues]
        raise Refused(fault.status, issues) from None
    except Fault as fault:
        if fault.status >= 500 or (fault.where or "").startswith(place):
            raise
        raise Fault(fault.status, fault.text, code=fault.code, where=place, headers=fault.headers) from None


def _wish(index: int, entry: Any, caller: Caller) -> Wish:
    place = f"Bundle.entry[{index}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("request"), dict):
        raise Fault(400, "an entry says in its request what it asks for", code="structure", where=f"{place}.request")
    request = entry["request"]
    method, url = request.get("method"), request.get("url")
    read = _READERS.get(method) if isinstance(method, str) else None
    if read is None:
        text = "an entry is a POST, PUT, PATCH or GET"
        raise Fault(405, text, code="not-supported", where=f"{place}.request.method")
    if not isinstance(url, str) or not url or len(url) > 4096:
        raise Fault(400, "an entry names its address", code="required", where=f"{place}.request.url")
    full_url = entry.get("fullUrl")
    type_, _, rest = url.partition("?")[0].partition("/")
    wish = Wish(index, str(method), type_, rest or None, url, full_url=full_url if isinstance(full_url, str) else None)
    _offered(wish)
    demand(caller, wish.method, wish.type, identified=wish.id is not None)
    return read(wish, entry, caller)


def _offered(wish: Wish) -> None:
    if wish.type in _ANSWERS:
        raise Fault(422, "send this by itself, not in a Bundle", code="not-supported", where=wish.place)
    if wish.type not in KEPT:
        text = "this resource type is not taken here"
        raise Fault(422, text, code="not-supported", where=f"{wish.place}.request.url")


def _posted(wish: Wish, entry: Mapping[str, Any], caller: Caller) -> Wish:
    if wish.url != wish.type:
        raise Fault(400, "a POST entry's url is its resource type", where=f"{wish.place}.request.url")
    unless = entry["request"].get("ifNoneExist")
    conditions = criteria(caller.name, wish.type, unless) if isinstance(unless, str) and unless else ()
    return replace(wish, resource=_brought(wish, entry), unless=conditions)


def _put(wish: Wish, entry: Mapping[str, Any], caller: Caller) -> Wish:
    resource = _brought(wish, entry)
    id_ = resource.get("id")
    if not isinstance(id_, str) or wish.url != f"{wish.type}/{id_}":
        raise Fault(400, "a PUT entry's url is its resource's type and id", where=f"{wish.place}.request.url")
    return replace(wish, resource=resource, expected=_expected(entry))


def _patched(wish: Wish, entry: Mapping[str, Any], caller: Caller) -> Wish:
    """The patch comes as a Binary (R4, RESTful API, patch in batches)."""
    where = f"{wish.place}.resource"
    binary = entry.get("resource")
    if wish.id is None or "?" in wish.url:
        raise Fault(400, "a PATCH entry's url names an id", code="not-supported", where=f"{wish.place}.request.url")
    if not isinstance(binary, dict) or binary.get("contentType") != JSON_PATCH:
        raise Fault(422, f"a PATCH entry brings a Binary of {JSON_PATCH}", code="not-supported", where=where)
    try:
        payload = base64.b64decode(str(binary.get("data", "")), validate=True)
    except (binascii.Error, ValueError):
        raise Fault(400, "the data is not base64", code="structure", where=f"{where}.data") from None
    return replace(wish, operations=patch_of(payload), expected=_expected(entry))


def _got(wish: Wish, entry: Mapping[str, Any], caller: Caller) -> Wish:
    return wish


_READERS = {"POST": _posted, "PUT": _put, "PATCH": _patched, "GET": _got}


def _expected(entry: Mapping[str, Any]) -> int | None:
    given = entry["request"].get("ifMatch")
    return if_match(given) if isinstance(given, str) else None


def _brought(wish: Wish, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The resource, screened."""
    where = f"{wish.place}.resource"
    resource = entry.get("resource")
    if not isinstance(resource, dict):
        raise Fault(422, "this entry brings a resource", code="required", where=where)
    if resource.get("resourceType") != wish.type:
        raise Fault(400, "the url names another type", where=f"{wish.place}.request.url")
    refused = unacceptable([placed(wish.place, issue) for issue in screen(resource)])
    if refused is not None:
        raise refused
    return resource


def placed(place: str, issue: Issue) -> Issue:
    """The issue at its place in the Bundle: `Claim.status` in entry 2 is `Bundle.entry[2].resource.status`."""
    inner = issue.expression.partition(".")[2]
    return replace(issue, expression=f"{place}.resource.{inner}" if inner else f"{place}.resource")
