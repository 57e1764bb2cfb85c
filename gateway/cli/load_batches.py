"""Batch Bundles of bounded size, sent to a gateway one after the other; what it said of each entry."""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from gateway.cli.load_files import Resource
from gateway.mappings.fhir.resource import write

MEDIA_TYPE = "application/fhir+json"
MOST_BYTES = 4 * 1024 * 1024
"""Of one Bundle, unless a single resource is larger."""
TRIES = 8
MOST_WAITS = 120
"""For a gateway that has more to process than it takes: a quarter of an hour or so."""
LONGEST_WAIT = 10.0
_BUSY = frozenset({429, 503})
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_TOO_LARGE = 413
_OF_NO_USE = {
    401: "the token is not known there",
    403: "the token does not allow it: a client with the role feed may",
    404: "there is no FHIR interface at this address",
    405: "there is no FHIR interface at this address",
}


class NotLoaded(Exception):
    """The gateway cannot be reached, or refuses all. What was sent before stands."""


@dataclass(slots=True)
class Tally:
    """What became of resources, by type."""

    accepted: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By type and reason."""

    @property
    def types(self) -> list[str]:
        return sorted({*self.accepted, *self.skipped, *(kind for kind, _ in self.refused)})

    def refused_of(self, kind: str) -> int:
        return sum(count for (each, _), count in self.refused.items() if each == kind)


def taken_types(statement: dict[str, Any]) -> frozenset[str]:
    """The types that may be put under ids of their own (CapabilityStatement.rest.resource)."""
    rests = statement.get("rest")
    offers = [offer for rest in rests if isinstance(rest, dict) for offer in rest.get("resource", [])] if rests else []
    return frozenset(
        offer["type"]
        for offer in offers
        if offer.get("updateCreate") and any(one.get("code") == "update" for one in offer.get("interaction", []))
    )


def batches(resources: Iterable[Resource], most: int) -> Iterator[tuple[list[Resource], int]]:
    """Resources in lots of at most `most`, and of bounded size; with the bytes of each lot."""
    lot: list[Resource] = []
    size = 0
    for resource in resources:
        length = len(write(resource))
        if lot and (len(lot) >= most or size + length > MOST_BYTES):
            yield lot, size
            lot, size = [], 0
        lot.append(resource)
        size += length
    if lot:
        yield lot, size


def bundle(lot: list[Resource]) -> bytes:
    """A batch that puts each resource under its id."""
    entries = [
        {
            "resource": one,
            "request": {"method": "PUT", "url": f"{one.get('resourceType')}/{one['id']}"},
        }
        for one in lot
    ]
    return write({"resourceType": "Bundle", "type": "batch", "entry": entries})


class Sender:
    """Sends lots over one client. A lot has the same X-Request-Id each time: sent again, it is recognised."""

    def __init__(
        self,
        client: httpx.Client,
        base: str,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._base = base
        self._sleep = sleep
        self._jitter = jitter

    def statement(self) -> dict[str, Any]:
        """The CapabilityStatement. NotLoaded."""
        return self._json(self._persistently("GET", "/metadata", None, {}))

    def send(self, lot: list[Resource], tally: Tally) -> None:
        """Send a lot, in halves when it is too large; tell what became of each resource. NotLoaded."""
        body = bundle(lot)
        headers = {"X-Request-Id": f"load-{hashlib.sha256(body).hexdigest()[:40]}", "Content-Type": MEDIA_TYPE}
        answer = self._persistently("POST", "", body, headers)
        if answer.status_code == _TOO_LARGE and len(lot) > 1:
            middle = len(lot) // 2
            self.send(lot[:middle], tally)
            self.send(lot[middle:], tally)
            return
        if answer.status_code in _OF_NO_USE:
            raise NotLoaded(f"{answer.status_code}: {_OF_NO_USE[answer.status_code]}")
        if answer.is_error:
            why = reason(self._json(answer)) or str(answer.status_code)
            tally.refused.update((str(one.get("resourceType")), why) for one in lot)
            return
        self._tell(lot, self._json(answer), tally)

    def _tell(self, lot: list[Resource], answer: dict[str, Any], tally: Tally) -> None:
        said = answer.get("entry")
        if not isinstance(said, list) or len(said) != len(lot):
            raise NotLoaded("the answer does not say what became of each resource: is this a gateway?")
        for one, entry in zip(lot, said, strict=True):
            kind, response = str(one.get("resourceType")), entry.get("response", {})
            if str(response.get("status", "")).startswith("2"):
                tally.accepted[kind] += 1
            else:
                tally.refused[kind, reason(response.get("outcome")) or str(response.get("status", "unknown"))] += 1

    def _persistently(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> httpx.Response:
        failures = waits = 0
        while True:
            try:
                answer = self._client.request(method, self._base + path, content=body, headers=headers)
            except httpx.HTTPError as fault:
                said, asked = f"no answer ({type(fault).__name__})", 0.0
                failures += 1
            else:
                if answer.status_code not in _AGAIN:
                    return answer
                said, asked = str(answer.status_code), _seconds(answer.headers.get("Retry-After", ""))
                waits += answer.status_code in _BUSY
                failures += answer.status_code not in _BUSY
            if failures >= TRIES or waits >= MOST_WAITS:
                raise NotLoaded(f"{said}; is the gateway running there? Run the same command again to go on")
            pause = 0.5 * 2 ** min(failures + waits - 1, 10) * (0.5 + self._jitter() / 2)
            self._sleep(min(max(asked, pause), LONGEST_WAIT))

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            said = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise NotLoaded(f"{answer.status_code} without FHIR: is this a gateway's address?")
        return said


def _seconds(retry_after: str) -> float:
    return float(retry_after[:6]) if retry_after.isascii() and retry_after.isdigit() else 0.0


def reason(outcome: object) -> str:
    """What an OperationOutcome says first: its code, place and diagnostics, as the gateway words them."""
    issues = outcome.get("issue") if isinstance(outcome, dict) else None
    if not isinstance(issues, list) or not issues or not isinstance(issues[0], dict):
        return ""
    first = issues[0]
    places = first.get("expression")
    place = str(places[0]) if isinstance(places, list) and places else ""
    _, _, place = place.rpartition("resource.") if ".resource." in place else ("", "", place)
    details = first.get("details")
    text = details.get("text") if isinstance(details, dict) else None
    said = first.get("diagnostics") or text or ""
    return " ".join(part for part in (str(first.get("code", "")), place, str(said)) if part)[:200]
