"""`POST /fhir/Claim/$submit` (R4, Claim/$submit): kept like any other Claim, and answered by what became of it.

A Claim stands alone, or in a collection with what it refers to, or in Parameters as `resource`. What comes of it is
waited for a few seconds; a Claim that is still being worked on by then is answered as such, and is not lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import orjson
from multidict import CIMultiDict

from gateway.access.roles import Permission
from gateway.adapters.fhir.kept.bundles import Bundles
from gateway.adapters.fhir.kept.resource import Written
from gateway.adapters.fhir.kept.submission import Submission
from gateway.adapters.fhir.outcomes import ACCEPTS, FHIR, malformed, outcome, resource, unacceptable
from gateway.adapters.http.exchange import Answer, Call, Fault
from gateway.adapters.http.routing import Route
from gateway.adapters.http.scoped import demand
from gateway.case import Case
from gateway.clock import Clock
from gateway.encounter.billable import billable
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.capability import KEPT
from gateway.mappings.fhir.claim_response import Submitted, claim_response, response_bundle
from gateway.mappings.fhir.resource import read, screen, write
from gateway.message import Message, MessageState
from gateway.review.model import HoldState, Stage
from gateway.review.stage import stage
from gateway.store.interface import ResourceVersion, StoreFault

WAIT_SECONDS = 5.0
FIRST_LOOK, LAST_LOOK = 0.02, 0.25
"""Seconds between looks: they grow from the one to the other."""
NOTES = 5


class Outcomes(Protocol):
    """The part of the store that outcomes are read from."""

    async def resource(self, client: str, type: str, id: str, version: int | None = None) -> ResourceVersion | None: ...

    async def message(self, id: int) -> Message | None: ...

    async def attempts(self, message: int) -> list[int]: ...

    async def cases(self, keys: Iterable[str]) -> dict[str, Case]: ...


class ClaimSubmit:
    """Claim/$submit."""

    def __init__(
        self,
        submission: Submission,
        bundles: Bundles,
        outcomes: Outcomes,
        clock: Clock,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._submission = submission
        self._bundles = bundles
        self._outcomes = outcomes
        self._clock = clock
        self._wait_seconds = wait_seconds

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(
                "POST",
                "/fhir/Claim/$submit",
                Permission.SUBMIT,
                self.submit,
                "A Claim for review, alone or in a collection with what it refers to; answered by a ClaimResponse",
                accepts=ACCEPTS,
                produces=FHIR,
                faults=outcome,
            ),
        )

    async def submit(self, call: Call) -> Answer:
        """200 with a ClaimResponse, in a Bundle when a Bundle came. An OperationOutcome for what is no Claim."""
        self._submission.refuse_congested()
        try:
            body = _unwrapped(read(call.body))
        except MappingError as error:
            raise malformed(error) from None
        if body.get("resourceType") == "Bundle":
            claim, name, version = await self._bundle(call, body)
            told = await self._became(call, name, version)
            return resource(response_bundle(claim_response(claim, told, self._clock.now())))
        name, version = await self._claim(call, body)
        return resource(claim_response(body, await self._became(call, name, version), self._clock.now()))

    async def _claim(self, call: Call, claim: dict[str, Any]) -> tuple[str, int]:
        """Keep a Claim by itself, under its own id where it has one; its name and version."""
        _refuse_unfit(claim)
        id_ = claim.get("id")
        method = "PUT" if isinstance(id_, str) else "POST"
        demand(call.who, method, "Claim", identified=method == "PUT")
        address = id_ if isinstance(id_, str) else None
        written = Written.of("Claim", address, claim, write(claim), method, call.request_id)
        accepted = await self._submission.accept(call, written)
        return accepted.name, accepted.version

    async def _bundle(self, call: Call, bundle: dict[str, Any]) -> tuple[dict[str, Any], str, int]:
        """Keep a collection as the transaction that writes its resources; its Claim, with name and version."""
        if bundle.get("type") != "collection":
            raise Fault(422, "Send a collection", code="not-supported", where="Bundle.type")
        entries = _entries(bundle)
        claims = [index for index, entry in enumerate(entries) if entry["resource"]["resourceType"] == "Claim"]
        if len(claims) != 1:
            raise Fault(422, "Send one Claim in a collection", code="invalid", where="Bundle.entry")
        transaction = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        # What is asked of other requests, as Prefer, is not asked of this one.
        answer = await self._bundles.take(replace(call, body=write(transaction), headers=CIMultiDict()))
        told = orjson.loads(answer.body if isinstance(answer.body, bytes) else b"{}")
        name, _, version = told["entry"][claims[0]]["response"]["location"].rpartition("/_history/")
        return entries[claims[0]]["resource"], name.removeprefix(f"{call.base}/fhir/"), int(version)

    async def _became(self, call: Call, name: str, version: int) -> Submitted:
        """What has become of the Claim when it is processed, or when the time is over."""
        message = await self._settled(call, name, version)
        if message is None or message.state is MessageState.RECEIVED:
            return Submitted(name, "Kept; it is not processed yet, and will be. Nothing needs to be sent again.")
        reason = message.reason or ""
        if message.state is MessageState.UNUSED:
            return Submitted(name, "Not taken into review", error=reason)
        if message.state is not MessageState.PROCESSED or message.encounter is None:
            return Submitted(name, "Set aside; it cannot be taken into review as it stands", error=reason)
        case = (await self._outcomes.cases([message.encounter]))[message.encounter]
        return Submitted(name, _disposition(case), notes=[note for note in reason.split("; ") if note][:NOTES])

    async def _settled(self, call: Call, name: str, version: int) -> Message | None:
        """The newest attempt at the Claim, processed; or as it is when the time is over."""
        kind, _, id_ = name.partition("/")
        try:
            stands = await self._outcomes.resource(call.who.name, kind, id_, version)
            message = await self._attempt(stands.message) if stands is not None else None
            pause = FIRST_LOOK
            ends = asyncio.get_running_loop().time() + self._wait_seconds
            while message is not None and message.state is MessageState.RECEIVED:
                if asyncio.get_running_loop().time() + pause > ends:
                    break
                await asyncio.sleep(pause)
                pause = min(LAST_LOOK, 2 * pause)
                message = await self._attempt(message.id)
        except StoreFault:
            return None  # It is kept: what has become of it can be asked later.
        return message

    async def _attempt(self, id: int) -> Message | None:
        message = await self._outcomes.message(id)
        if message is None or message.state is not MessageState.REPLAYED:
            return message
        attempts = await self._outcomes.attempts(id)
        return await self._outcomes.message(attempts[-1]) if attempts else message


def _unwrapped(body: dict[str, Any]) -> dict[str, Any]:
    """The Claim or Bundle that came, out of Parameters too. Fault 400, 422."""
    if body.get("resourceType") == "Parameters":
        given = body.get("parameter")
        parameters: list[Any] = given if isinstance(given, list) else []
        named = [each for each in parameters if isinstance(each, dict) and each.get("name") == "resource"]
        inner = named[0].get("resource") if len(named) == 1 else None
        if not isinstance(inner, dict):
            raise Fault(422, "Give one parameter `resource`", code="required", where="Parameters.parameter")
        body = inner
    if body.get("resourceType") not in ("Claim", "Bundle"):
        raise Fault(422, "Send a Claim, or a Bundle with one", code="invalid", where="resourceType")
    return body


def _refuse_unfit(claim: dict[str, Any]) -> None:
    refused = unacceptable(screen(claim))
    if refused is not None:
        raise refused


def _entries(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of the types that are kept, each with its request: PUT to its own id, or POST."""
    found = []
    given = bundle.get("entry")
    entries: list[Any] = given if isinstance(given, list) else []
    for index, entry in enumerate(entries):
        inner = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(inner, dict):
            raise Fault(422, "an entry brings a resource", code="required", where=f"Bundle.entry[{index}].resource")
        kind, id_ = inner.get("resourceType"), inner.get("id")
        if kind not in KEPT:
            continue  # The Claim may refer to more than a claim is made of: an order, a device.
        named = isinstance(id_, str)
        request = {"method": "PUT" if named else "POST", "url": f"{kind}/{id_}" if named else str(kind)}
        names = {"fullUrl": entry["fullUrl"]} if "fullUrl" in entry else {}
        found.append({**names, "resource": inner, "request": request})
    return found


def _disposition(case: Case) -> str:
    """Where it stands in review: the stage, and the kinds of its open holds. No amount, and nothing of the patient."""
    open_holds = [hold for hold in case.holds if hold.state is HoldState.OPEN]
    newest = case.deliveries[-1].state if case.deliveries else None
    lines = billable(case.encounter).lines if case.encounter is not None else ()
    reached = stage(open_holds, newest, has_lines=bool(lines))
    kinds = ", ".join(sorted({hold.kind for hold in open_holds}))
    if reached in (Stage.HELD, Stage.WAITING):
        return f"Taken into review: {reached} ({kinds})"
    return f"Taken into review: {reached}"
