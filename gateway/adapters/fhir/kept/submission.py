"""Resources in: screened, kept durably, acknowledged. What they mean is worked out later.

The acknowledging path glances at the JSON and screens it; the whole validation against R4 is the pipeline's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC
from typing import Any

import orjson

from gateway.access.asking import read_within
from gateway.access.roles import Permission
from gateway.adapters.fhir.kept.resource import Accepted, Written, content, representation
from gateway.adapters.fhir.kept.search import criteria
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
from gateway.mappings.fhir.capability import KEPT
from gateway.mappings.fhir.glance import glance
from gateway.mappings.fhir.outcome import INFORMATION, WARNING, Issue, issue_of, operation_outcome
from gateway.mappings.fhir.patch import MEDIA_TYPE as JSON_PATCH
from gateway.mappings.fhir.patch import patched
from gateway.mappings.fhir.resource import DEPTH, read, screen, validate, write
from gateway.message import Format, Received
from gateway.store.interface import Conflict, MessageQuery, ResourceVersion, StoreFault, UncertainCommit
from gateway.store.resources import Condition, ResourceSearch

RETRIES = 3
RETRY_AFTER = {"Retry-After": "5"}
MAX_PATCH = 1024 * 1024
KEPT_SAYS = "kept; it is processed next"
_LIST = b'{"operations":'


Kept = tuple[int, Received, ResourceVersion]
"""A message about to be kept: its id, itself, and the version that it is."""

_Handler = Callable[[str, Call], Awaitable[Answer]]


class Submission:
    """The addresses by which EHRs and encoders write resources."""

    def __init__(self, intake: Intake, congestion: Congestion, resources: Resources, clock: Clock) -> None:
        self._intake = intake
        self._congestion = congestion
        self._resources = resources
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        return tuple(route for type_ in KEPT for route in self._routes(type_))

    def _routes(self, type_: str) -> tuple[Route, ...]:
        def route(
            method: str, path: str, handler: _Handler, summary: str, status: int, accepts: tuple[str, ...]
        ) -> Route:
            async def handle(call: Call) -> Answer:
                return await handler(type_, call)

            return Route(
                method,
                f"/fhir/{type_}{path}",
                Permission.SUBMIT,
                handle,
                summary,
                status=status,
                max_body=MAX_PATCH if method == "PATCH" else None,
                accepts=accepts,
                produces=FHIR,
                faults=outcome,
            )

        return (
            route("POST", "", self.create, f"Create a {type_}, unless one stands (If-None-Exist)", 201, ACCEPTS),
            route("PUT", "/{id}", self.update, f"Create or update a {type_} under the client's id", 200, ACCEPTS),
            route("PATCH", "/{id}", self.patch, f"Change a {type_} by a JSON Patch", 200, (JSON_PATCH,)),
        )

    async def create(self, type_: str, call: Call) -> Answer:
        """201, under an id of ours. With If-None-Exist: 200 for the one that stands, 412 for several."""
        written = Written.of(type_, None, self.screened(type_, call.body), call.body, "POST", call.request_id)
        unless = call.headers.get("If-None-Exist")
        if unless is None:
            return self._answer(call, await self.accept(call, written), written)
        accepted = await self.accept_unless(call, written, criteria(call.who.name, type_, unless))
        if accepted.status == 200:
            read_within(call.caller, accepted.name, {})
            return await self._standing(call, accepted)
        return self._answer(call, accepted, written)

    async def update(self, type_: str, call: Call) -> Answer:
        """201 for a new id, 200 for one that the client wrote before; If-Match is honoured (412)."""
        id_ = resource_id(call)
        written = Written.of(type_, id_, self.screened(type_, call.body), call.body, "PUT", call.request_id)
        if written.own_id != id_:
            raise Fault(400, "The resource's id must be the address's", where=f"{type_}.id")
        return self._answer(call, await self.accept(call, written, expected_version(call)), written)

    async def patch(self, type_: str, call: Call) -> Answer:
        """200: the next version. 404 for what the client never wrote, 412 when If-Match names another version, 422 for
        a place that is not there, 409 for a test that fails."""
        accepted, written = await self.accept_patch(
            call, type_, resource_id(call), patch_of(call.body), call.request_id, expected_version(call)
        )
        return self._answer(call, accepted, written)

    def screened(self, type_: str, payload: bytes) -> dict[str, Any]:
        """What a first look at `payload` sees of the resource; of a Bundle all. Fault 503 while congested, 400 or 422
        when it can't be taken.
        """
        self.refuse_congested()
        try:
            body = read(payload) if type_ == "Bundle" else glance(payload, type_)
        except MappingError as error:
            raise malformed(error) from None
        if body.get("resourceType") != type_:
            raise Fault(400, f"Send a {type_} to this address", where="resourceType")
        refused = unacceptable(screen(body))
        if refused is not None:
            raise refused
        return body

    def refuse_congested(self) -> None:
        if self._congestion.congested:
            raise Fault(503, "More waits to be processed than the gateway takes; send it again", headers=RETRY_AFTER)

    async def accept(self, call: Call, written: Written, expected: int | None = None) -> Accepted:
        """Keep it as the next version of its address; what was acknowledged. Fault 412, 409 or 503."""
        for _ in range(RETRIES):
            version = 0
            if written.id is not None and not written.new:
                try:
                    version = await self.version(call, written.type, written.id, expected)
                except Fault:
                    repeated = await self._sent_before(call, written)
                    if repeated is not None:  # the version that it expected is the one that it took the place of
                        return repeated
                    raise
            accepted, (id_, received, named) = self.prepared(call, written, version + 1)
            try:
                message = await self._intake.accept(received, named, id_)
            except Conflict:
                # Under an id of its own: what comes later is worked on later.
                written = replace(written, message=None)
                continue
            except StoreFault as fault:
                raise unkept(fault) from None
            return accepted if message.id == id_ else Accepted.from_reply(message.reply)
        raise Fault(409, f"Others keep changing this {written.type}; send it again")

    async def accept_unless(self, call: Call, written: Written, unless: tuple[Condition, ...]) -> Accepted:
        """Keep a new resource, unless one stands that meets `unless`: status 200 for that one, 201 for the new one.
        Fault 412 for several, 409 or 503. What stands is looked at again within the commit."""
        for _ in range(RETRIES):
            standing = await self.matching(call, written.type, unless)
            if standing is not None:
                return standing
            accepted, kept = self.prepared(call, written, 1, unless)
            try:
                await self._intake.accept_together([kept])
            except Conflict:
                # It may have been sent before, and have been changed since so that it meets `unless` no more.
                repeated = await self._sent_before(call, written)
                if repeated is not None:
                    return repeated
                continue
            except StoreFault as fault:
                raise unkept(fault) from None
            return accepted
        raise Fault(409, f"Others keep writing such a {written.type}; send it again")

    async def accept_patch(
        self, call: Call, type_: str, id_: str, operations: object, control: str, expected: int | None
    ) -> tuple[Accepted, Written]:
        """Keep the patched resource as the next version. A patch that was sent before is not applied again."""
        # What is kept is the patched resource: the repeat of a patch is known by the patch.
        control = f"{control}/{hashlib.sha256(orjson.dumps(operations, default=str)).hexdigest()[:16]}"
        for _ in range(RETRIES):
            repeated = await self._repeated(call, f"PATCH {type_}/{id_}", control)
            if repeated is not None:
                return repeated
            written, version = await self.patched(call, type_, id_, operations, control, expected)
            accepted, (message_id, received, named) = self.prepared(call, written, version + 1)
            try:
                await self._intake.accept(received, named, message_id)
            except Conflict:
                continue
            except StoreFault as fault:
                raise unkept(fault) from None
            return accepted, written
        raise Fault(409, f"Others keep changing this {type_}; send it again")

    async def _repeated(self, call: Call, kind: str, control: str) -> tuple[Accepted, Written] | None:
        for found in await self._resources.messages(MessageQuery(feed=call.who.name, control=control, limit=1)):
            message = await self._resources.message(found.id)
            if message is not None and message.type == kind and message.payload:
                accepted = Accepted.from_reply(message.reply)
                body = read(message.payload)
                return accepted, Written.of(accepted.type, accepted.id, body, message.payload, "PATCH", control)
        return None

    async def _sent_before(self, call: Call, written: Written) -> Accepted | None:
        """What was acknowledged when this very resource was sent before, under the same X-Request-Id."""
        query = MessageQuery(feed=call.who.name, control=written.control, limit=5)
        for found in await self._resources.messages(query):
            message = await self._resources.message(found.id)
            known = message is not None and message.type.startswith(f"{written.method} {written.type}/")
            if message is not None and known and message.payload == written.payload:
                return Accepted.from_reply(message.reply)
        return None

    async def patched(
        self, call: Call, type_: str, id_: str, operations: object, control: str, expected: int | None
    ) -> tuple[Written, int]:
        """The resource as the patch leaves it, screened, and the version that it was made of. Fault 404 to 422."""
        version = await self.version(call, type_, id_, expected)
        stands = await self._resources.resource(call.who.name, type_, id_, version) if version else None
        if stands is None:
            raise Fault(404, f"There is no {type_} with this id that this client wrote", where=f"{type_}.id")
        message = await self._resources.message(stands.message)
        body = content(stands, message)
        if body is None:
            raise Fault(410, "The content of this resource is no longer kept", code="deleted")
        try:
            after = patched(body, operations)
        except MappingError as error:
            raise unpatched(error) from None
        refused = unacceptable(screen(after))
        if refused is not None:
            raise refused
        return Written.of(type_, id_, after, write(after), "PATCH", control), version

    async def version(self, call: Call, type_: str, id_: str, expected: int | None) -> int:
        """The version that stands, 0 for none. Fault 412 when another was expected."""
        stands = await self._resources.resource(call.who.name, type_, id_)
        version = stands.version if stands is not None else 0
        if expected is not None and expected != version:
            raise Fault(412, "The resource has another version by now", where="If-Match")
        return version

    async def matching(self, call: Call, type_: str, unless: tuple[Condition, ...]) -> Accepted | None:
        """The one resource that meets a condition, None for none. Fault 412 for several."""
        found = await self._resources.resources(
            ResourceSearch(call.who.name, type_, conditions=unless, narrow=True, limit=2)
        )
        if len(found) > 1:
            text = f"Several {type_}s meet If-None-Exist; say more, or PUT to an id of your own"
            raise Fault(412, text, code="multiple-matches", where="If-None-Exist")
        return Accepted.standing(found[0]) if found else None

    def new_id(self) -> int:
        """An id for a message about to be kept."""
        return self._intake.new_id()

    def prepared(
        self, call: Call, written: Written, version: int, unless: tuple[Condition, ...] = ()
    ) -> tuple[Accepted, Kept]:
        """What is kept, and what is acknowledged by it."""
        now = self._clock.now().astimezone(UTC)
        message_id = self._intake.new_id() if written.message is None else written.message
        accepted = Accepted(201 if version == 1 else 200, written.type, written.id or str(message_id), version, now)
        received = Received(
            feed=call.who.name,
            format=Format.FHIR,
            type=f"{written.method} {accepted.name}",
            control=written.control,
            payload=written.payload,
            reply=accepted.to_reply(),
            address=call.remote,
        )
        named = ResourceVersion(written.type, accepted.id, version, call.who.name, message_id, now, None, unless)
        return accepted, (message_id, received, named)

    async def _standing(self, call: Call, accepted: Accepted) -> Answer:
        """What stands already, in place of a new one."""
        stands = await self._resources.resource(call.who.name, accepted.type, accepted.id, accepted.version)
        message = await self._resources.message(stands.message) if stands is not None else None
        body = content(stands, message) if stands is not None else None
        headers = _headers(call, accepted)
        wanted = preference(call)
        if wanted == "OperationOutcome":
            return resource(kept_outcome("one stands that meets If-None-Exist; nothing was written"), 200, headers)
        if wanted == "minimal" or body is None:
            return Answer(200, b"", "", headers)
        return resource(body, 200, headers)

    def _answer(self, call: Call, accepted: Accepted, written: Written) -> Answer:
        headers = _headers(call, accepted)
        wanted = preference(call)
        if wanted == "minimal":
            return Answer(accepted.status, b"", "", headers)
        if wanted == "OperationOutcome":
            return resource(whole_outcome(written.payload), accepted.status, headers)
        try:
            return Answer(accepted.status, representation(written, accepted), FHIR, headers)
        except MappingError:
            return Answer(accepted.status, b"", "", headers)  # It is kept, and will be set aside with the reason.


def _headers(call: Call, accepted: Accepted) -> dict[str, str]:
    return versioned(accepted.version, accepted.written, Location=f"{call.base}/fhir/{accepted.location}")


def whole_outcome(payload: bytes) -> dict[str, object]:
    """What the whole validation says of a resource that was kept: only for a client that asks, as it takes its time.
    Nothing of it refuses any more: what is wrong sets the message aside when it is processed.
    """
    try:
        found = validate(read(payload))
    except MappingError as error:  # which a glance did not see
        found = [issue_of(error)]
    issues = [Issue(WARNING, issue.code, issue.expression, issue.diagnostics) for issue in found]
    return operation_outcome((Issue(INFORMATION, "informational", "", KEPT_SAYS), *issues))


def patch_of(payload: bytes) -> list[Any]:
    """The operations of a JSON Patch, read as strictly as a resource. Fault 400."""
    try:
        whole = read(_LIST + payload + b"}", DEPTH + 1, len(_LIST))
    except MappingError as error:
        raise malformed(error) from None
    operations = whole["operations"]
    if not isinstance(operations, list) or len(whole) > 1:
        raise Fault(400, "A JSON Patch is a list of operations", code="structure")
    return operations


_PATCH_STATUS = {"structure": 400, "limit": 400, "conflict": 409}


def unpatched(error: MappingError) -> Fault:
    """A patch that does not fit."""
    refused = malformed(error)
    refused.status = _PATCH_STATUS.get(error.code, 422)
    return refused


def unkept(fault: StoreFault) -> Fault:
    if isinstance(fault, UncertainCommit):
        text = "It is not known whether it was kept; send it again under the same X-Request-Id"
    else:
        text = "It could not be kept; send it again"
    return Fault(503, text, headers=RETRY_AFTER)
