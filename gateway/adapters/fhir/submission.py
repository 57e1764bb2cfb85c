"""Encounter, Claim and DocumentReference in: screened, kept durably, acknowledged. What they mean is worked out later.

The acknowledging path reads the JSON once and screens it; the whole validation against R4 is the pipeline's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.access.roles import Permission
from gateway.adapters.fhir.outcomes import (
    ACCEPTS,
    FHIR,
    expected_version,
    kept_outcome,
    malformed,
    outcome,
    preference,
    resource,
    resource_id,
    unacceptable,
    versioned,
)
from gateway.adapters.fhir.ports import Congestion, Intake, Resources
from gateway.adapters.http.exchange import Answer, Call, Fault
from gateway.adapters.http.routing import Route
from gateway.clock import Clock
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.resource import read, screen, write
from gateway.message import Format, Received
from gateway.store.interface import Conflict, ResourceVersion, StoreFault, UncertainCommit

TYPES = ("Encounter", "Claim", "DocumentReference")
RETRIES = 3
RETRY_AFTER = {"Retry-After": "5"}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was acknowledged: the same for a retransmission as for the first time."""

    status: int
    type: str
    id: str
    version: int
    written: datetime

    @property
    def name(self) -> str:
        return f"{self.type}/{self.id}"

    @property
    def location(self) -> str:
        """The version's address below the base: `Claim/7/_history/1`."""
        return f"{self.name}/_history/{self.version}"

    def to_reply(self) -> bytes:
        """The form that is kept with the message."""
        return orjson.dumps([self.status, self.type, self.id, self.version, self.written.isoformat()])

    @classmethod
    def from_reply(cls, reply: bytes) -> Accepted:
        """What `to_reply` wrote."""
        status, type_, id_, version, written = orjson.loads(reply)
        return cls(status, type_, id_, version, datetime.fromisoformat(written))


class Submission:
    """The addresses by which EHRs and encoders write resources, and read back what they wrote."""

    def __init__(self, intake: Intake, congestion: Congestion, resources: Resources, clock: Clock) -> None:
        self._intake = intake
        self._congestion = congestion
        self._resources = resources
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        return tuple(route for type_ in TYPES for route in self._routes(type_))

    def _routes(self, type_: str) -> tuple[Route, ...]:
        async def create(call: Call) -> Answer:
            return await self.create(type_, call)

        async def update(call: Call) -> Answer:
            return await self.update(type_, call)

        async def read_back(call: Call) -> Answer:
            return await self.read(type_, call)

        def route(method: str, path: str, handler: Any, summary: str, status: int = 200) -> Route:
            return Route(
                method,
                path,
                Permission.SUBMIT,
                handler,
                summary,
                status=status,
                accepts=ACCEPTS,
                produces=FHIR,
                faults=outcome,
            )

        return (
            route("POST", f"/fhir/{type_}", create, f"Create a {type_}", 201),
            route("PUT", f"/fhir/{type_}/{{id}}", update, f"Create or update a {type_} under the client's id"),
            route("GET", f"/fhir/{type_}/{{id}}", read_back, f"Read back a {type_} that the client wrote"),
            route(
                "GET", f"/fhir/{type_}/{{id}}/_history/{{version}}", read_back, f"Read back one version of a {type_}"
            ),
        )

    async def create(self, type_: str, call: Call) -> Answer:
        """201, under an id of ours."""
        if "If-None-Exist" in call.headers:
            raise Fault(400, "Conditional create is not offered: PUT to an id of your own", code="not-supported")
        body = self.screened(type_, call.body)
        accepted = await self.accept(call, type_, None, call.body, call.request_id)
        return self._answer(call, accepted, body)

    async def update(self, type_: str, call: Call) -> Answer:
        """201 for a new id, 200 for one that the client wrote before; If-Match is honoured (412)."""
        id_ = resource_id(call)
        body = self.screened(type_, call.body)
        if body.get("id") != id_:
            raise Fault(400, "The resource's id must be the address's", where=f"{type_}.id")
        accepted = await self.accept(call, type_, id_, call.body, call.request_id, expected_version(call))
        return self._answer(call, accepted, body)

    async def read(self, type_: str, call: Call) -> Answer:
        """The newest or the named version as it was kept, with the id and version that the gateway gave it."""
        version = call.params.get("version")
        if version is not None and not (version.isascii() and version.isdecimal() and len(version) < 10):
            raise Fault(404, "There is no such version")
        stands = await self._resources.resource(type_, resource_id(call), int(version) if version else None)
        if stands is None or stands.client != call.who.name:
            raise Fault(404, f"There is no {type_} with this id that this client wrote")
        message = await self._resources.message(stands.message)
        if message is None or not message.payload:
            raise Fault(404, "The content of this resource is no longer kept", code="deleted")
        accepted = Accepted(200, type_, stands.id, stands.version, stands.written)
        return resource(numbered(read(message.payload), accepted), headers=versioned(stands.version, stands.written))

    def screened(self, type_: str, payload: bytes) -> dict[str, Any]:
        """The resource that `payload` is. Fault 503 while congested, 400 or 422 when it can't be taken."""
        if self._congestion.congested:
            raise Fault(503, "More waits to be processed than the gateway takes; send it again", headers=RETRY_AFTER)
        try:
            body = read(payload)
        except MappingError as error:
            raise malformed(error) from None
        if body.get("resourceType") != type_:
            raise Fault(400, f"Send a {type_} to this address", where="resourceType")
        refused = unacceptable(screen(body))
        if refused is not None:
            raise refused
        return body

    async def accept(
        self, call: Call, type_: str, id_: str | None, payload: bytes, control: str, expected: int | None = None
    ) -> Accepted:
        """Keep `payload` as the next version of `type_/id_` (a new id for None); what was acknowledged.

        Fault 403, 412, 409 or 503.
        """
        for _ in range(RETRIES):
            version = 0 if id_ is None else await self._version(call, type_, id_, expected)
            try:
                return await self._keep(call, type_, id_, version + 1, payload, control)
            except Conflict:
                continue
            except StoreFault as fault:
                raise _unkept(fault) from None
        raise Fault(409, f"Others keep changing this {type_}; send it again")

    async def keep_bundle(self, call: Call) -> None:
        """Keep a Bundle as it came. Nothing is made of it: its entries are messages of their own. Fault 503."""
        message_id = self._intake.new_id()
        type_ = f"POST Bundle/{message_id}"
        received = Received(call.who.name, Format.FHIR, type_, call.request_id, call.body, b"")
        try:
            await self._intake.accept(received, None, message_id)
        except StoreFault as fault:
            raise _unkept(fault) from None

    async def _version(self, call: Call, type_: str, id_: str, expected: int | None) -> int:
        """The version that stands, 0 for none. Each client has its own ids: another's are not its to change."""
        stands = await self._resources.resource(type_, id_)
        if stands is not None and stands.client != call.who.name:
            raise Fault(403, "Another client uses this id; take another")
        version = stands.version if stands is not None else 0
        if expected is not None and expected != version:
            raise Fault(412, "The resource has another version by now", where="If-Match")
        return version

    async def _keep(
        self, call: Call, type_: str, id_: str | None, version: int, payload: bytes, control: str
    ) -> Accepted:
        now = self._clock.now().astimezone(UTC)
        message_id = self._intake.new_id()
        accepted = Accepted(201 if version == 1 else 200, type_, id_ or str(message_id), version, now)
        received = Received(
            feed=call.who.name,
            format=Format.FHIR,
            type=f"{'POST' if id_ is None else 'PUT'} {accepted.name}",
            control=control,
            payload=payload,
            reply=accepted.to_reply(),
        )
        named = ResourceVersion(type_, accepted.id, version, call.who.name, message_id, now)
        message = await self._intake.accept(received, named, message_id)
        return accepted if message.id == message_id else Accepted.from_reply(message.reply)

    def _answer(self, call: Call, accepted: Accepted, body: dict[str, Any]) -> Answer:
        headers = versioned(accepted.version, accepted.written, Location=f"{call.base}/fhir/{accepted.location}")
        wanted = preference(call)
        if wanted == "minimal":
            return Answer(accepted.status, b"", "", headers)
        if wanted == "OperationOutcome":
            return resource(kept_outcome("kept; it is processed next"), accepted.status, headers)
        return Answer(accepted.status, representation(call.body, body, accepted), FHIR, headers)


def _unkept(fault: StoreFault) -> Fault:
    if isinstance(fault, UncertainCommit):
        text = "It is not known whether it was kept; send it again under the same X-Request-Id"
    else:
        text = "It could not be kept; send it again"
    return Fault(503, text, headers=RETRY_AFTER)


def representation(payload: bytes, body: dict[str, Any], accepted: Accepted) -> bytes:
    """`numbered`, as JSON. The bytes that came are repeated, not written anew, when they say nothing of the version."""
    if "meta" in body or body.get("id") not in (None, accepted.id):
        return write(numbered(body, accepted))
    said = numbered({}, accepted)
    if "id" in body:
        del said["id"]
    return orjson.dumps(said)[:-1] + b"," + payload.lstrip()[1:]


def numbered(body: dict[str, Any], accepted: Accepted) -> dict[str, Any]:
    """The resource with the id, version and time that the gateway gave it. What else it holds is as it came."""
    meta = body.get("meta")
    written = accepted.written.isoformat(timespec="milliseconds")
    said = {"versionId": str(accepted.version), "lastUpdated": written}
    return {**body, "id": accepted.id, "meta": {**(meta if isinstance(meta, dict) else {}), **said}}
