"""Transactions and batches: the Bundle is kept as it came, and each main entry becomes a message of its own.

An entry that is refused refuses a transaction as a whole, before anything is kept. The entries are then kept one after
the other: a fault in between (503) leaves the earlier ones kept, and the same Bundle sent again under the same
X-Request-Id keeps the rest and repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from gateway.access.roles import Permission
from gateway.adapters.fhir.outcomes import (
    ACCEPTS,
    FHIR,
    Refused,
    etag,
    if_match,
    issues_of,
    kept_outcome,
    malformed,
    outcome,
    resource,
    unacceptable,
)
from gateway.adapters.fhir.submission import TYPES, Accepted, Submission
from gateway.adapters.http.exchange import Answer, Call, Caller, Fault
from gateway.adapters.http.routing import Route
from gateway.adapters.http.scoped import demand
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.bundle import Entry, unbundle
from gateway.mappings.fhir.capability import response_bundle
from gateway.mappings.fhir.outcome import Issue, operation_outcome
from gateway.mappings.fhir.resource import screen, write

TRANSACTION, BATCH = "transaction", "batch"
_SUPPORTS = "used by the entries that refer to it; not kept as a resource of its own"


@dataclass(frozen=True, slots=True)
class Planned:
    """An entry that can be taken: where it goes, and the version that it expects there."""

    entry: Entry
    type: str
    id: str | None
    expected: int | None


class Bundles:
    """POST /fhir."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(
                "POST",
                "/fhir",
                Permission.SUBMIT,
                self.take,
                "A transaction or batch of Encounter, Claim and DocumentReference with what they refer to",
                accepts=ACCEPTS,
                produces=FHIR,
                faults=outcome,
            ),
        )

    async def take(self, call: Call) -> Answer:
        """200 with the response Bundle; for a transaction 4xx when any entry is refused."""
        bundle = self._submission.screened("Bundle", call.body)
        kind = bundle.get("type")
        if kind not in (TRANSACTION, BATCH):
            raise Fault(422, "Send a transaction or a batch", code="not-supported", where="Bundle.type")
        try:
            entries = unbundle(bundle)
        except MappingError as error:
            raise malformed(error) from None
        plans, refused = self._plan(bundle, entries, call.who)
        if refused and kind == TRANSACTION:
            raise Refused(_status(refused.values()), [issue for one in refused.values() for issue in issues_of(one)])
        await self._submission.keep_bundle(call)
        told: dict[int, dict[str, Any]] = {index: _refusal(fault) for index, fault in refused.items()}
        for plan in plans:
            told[plan.entry.index] = await self._keep(call, plan, whole=kind == TRANSACTION)
        answers = [told.get(index, _supporting()) for index in range(len(bundle["entry"]))]
        return resource(response_bundle(kind, answers))

    def _plan(
        self, bundle: dict[str, Any], entries: list[Entry], caller: Caller
    ) -> tuple[list[Planned], dict[int, Fault]]:
        plans: list[Planned] = []
        refused: dict[int, Fault] = _unserved(bundle)
        for entry in entries:
            if entry.index in refused:
                continue
            try:
                plans.append(_planned(entry, bundle["entry"][entry.index].get("request") or {}, caller))
            except Fault as fault:
                refused[entry.index] = fault
        return plans, refused

    async def _keep(self, call: Call, plan: Planned, *, whole: bool) -> dict[str, Any]:
        """Keep one entry. In a transaction its fault is the Bundle's; so is, in a batch, one of the gateway's own."""
        control = f"{call.request_id}/{plan.entry.index}"
        payload = write(plan.entry.resource)
        try:
            accepted = await self._submission.accept(call, plan.type, plan.id, payload, control, plan.expected)
        except Fault as fault:
            if whole or fault.status >= 500:
                raise
            return _refusal(fault)
        return _accepted(accepted)


def _unserved(bundle: dict[str, Any]) -> dict[int, Fault]:
    """Entries that ask for what is not done in a Bundle: reads, deletions, answers to queries."""
    refused: dict[int, Fault] = {}
    for index, entry in enumerate(bundle["entry"]):
        place = f"Bundle.entry[{index}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
            refused[index] = Fault(422, "an entry brings a resource", code="not-supported", where=place)
        elif entry["resource"].get("resourceType") in ("Task", "QuestionnaireResponse"):
            refused[index] = Fault(422, "send this by itself, not in a Bundle", code="not-supported", where=place)
    return refused


def _planned(entry: Entry, request: dict[str, Any], caller: Caller) -> Planned:
    place = f"Bundle.entry[{entry.index}]"
    type_ = str(entry.resource["resourceType"])
    if type_ not in TYPES or entry.method is None:
        raise Fault(422, "an entry says POST or PUT in its request", code="required", where=f"{place}.request")
    demand(caller, entry.method, type_, identified=entry.method == "PUT")
    refused = unacceptable([_placed(place, issue) for issue in screen(entry.resource)])
    if refused is not None:
        raise refused
    given = request.get("ifMatch")
    expected = if_match(given) if isinstance(given, str) else None
    if entry.method == "POST":
        if entry.url != type_:
            raise Fault(400, "a POST entry's url is its resource type", where=f"{place}.request.url")
        return Planned(entry, type_, None, None)
    id_ = entry.resource.get("id")
    if not isinstance(id_, str) or entry.url != f"{type_}/{id_}":
        raise Fault(400, "a PUT entry's url is its resource's type and id", where=f"{place}.request.url")
    return Planned(entry, type_, id_, expected)


def _placed(place: str, issue: Issue) -> Issue:
    """The issue at its place in the Bundle: `Claim.status` in entry 2 is `Bundle.entry[2].resource.status`."""
    inner = issue.expression.partition(".")[2]
    return replace(issue, expression=f"{place}.resource.{inner}" if inner else f"{place}.resource")


def _status(faults: Iterable[Fault]) -> int:
    return min(fault.status for fault in faults)


def _refusal(fault: Fault) -> dict[str, Any]:
    return {"status": _line(fault.status), "outcome": operation_outcome(issues_of(fault))}


def _accepted(accepted: Accepted) -> dict[str, Any]:
    return {
        "status": _line(accepted.status),
        "location": accepted.location,
        "etag": etag(accepted.version),
        "lastModified": accepted.written.isoformat(timespec="milliseconds"),
    }


def _supporting() -> dict[str, Any]:
    return {"status": _line(200), "outcome": kept_outcome(_SUPPORTS)}


def _line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
