"""Transactions and batches: the Bundle is kept as it came, each entry that brings a resource is a message of its own.

A transaction is kept in one commit, or nothing of it. The entries of a batch stand for themselves; a fault of the
gateway's own in between (503) leaves some kept, and the same Bundle sent again under the same X-Request-Id keeps the
rest. References between the entries of either are turned to what the entries are kept as.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import orjson

from gateway.access.asking import read_within
from gateway.access.roles import Permission
from gateway.adapters.fhir.kept.bundle_entries import Wish, at, wishes
from gateway.adapters.fhir.kept.reading import KeptReading
from gateway.adapters.fhir.kept.resource import Accepted, Written, numbered
from gateway.adapters.fhir.kept.search import criteria
from gateway.adapters.fhir.kept.submission import RETRIES, Kept, Submission, unkept, whole_outcome
from gateway.adapters.fhir.outcomes import (
    ACCEPTS,
    FHIR,
    Refused,
    issues_of,
    malformed,
    outcome,
    preference,
    resource,
)
from gateway.adapters.fhir.ports import Intake, Resources
from gateway.adapters.http.exchange import Answer, Call, Fault
from gateway.adapters.http.routing import Route
from gateway.mappings.errors import MappingError
from gateway.mappings.fhir.bundle_references import Named, conditional, dangling, names, turned
from gateway.mappings.fhir.capability import KEPT, response_bundle
from gateway.mappings.fhir.outcome import operation_outcome
from gateway.mappings.fhir.resource import read, write
from gateway.message import Format, Received
from gateway.store.interface import Conflict, MessageQuery, ResourceVersion, StoreFault
from gateway.store.resources import Condition, ResourceSearch

TRANSACTION, BATCH = "transaction", "batch"
LARGEST_REPLY = 4 * 1024 * 1024
"""Of a longer answer only the statuses and locations are kept with its Bundle."""

_LEAN = ("status", "location", "etag", "lastModified")

Told = dict[int, dict[str, Any]]
"""By an entry's place, what its response says."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A transaction, ready to be kept."""

    kept: Sequence[Kept]
    told: Told


class Bundles:
    """POST /fhir."""

    def __init__(self, submission: Submission, reading: KeptReading, intake: Intake, resources: Resources) -> None:
        self._submission = submission
        self._reading = reading
        self._intake = intake
        self._resources = resources

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(
                "POST",
                "/fhir",
                Permission.SUBMIT,
                self.take,
                "A transaction, all or nothing, or a batch",
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
        found, refused = wishes(bundle["entry"], call.who)
        told: Told = {index: _refusal(fault) for index, fault in refused.items()}
        repeated = await self._repeated(call, found, told)
        if repeated is not None:
            return repeated
        if refused and kind == TRANSACTION:
            raise Refused(_status(refused.values()), [issue for one in refused.values() for issue in issues_of(one)])
        if kind == TRANSACTION:
            return await self._transaction(call, found)
        return await self._batch(call, found, told, len(bundle["entry"]))

    async def _repeated(self, call: Call, found: Iterable[Wish], refused: Told) -> Answer | None:
        """The answer that this very Bundle was given before, under the same X-Request-Id. What its GET entries ask for
        is read again."""
        query = MessageQuery(feed=call.who.name, control=call.request_id, limit=5)
        for sent in await self._resources.messages(query):
            message = await self._resources.message(sent.id) if sent.type.startswith("POST Bundle/") else None
            if message is not None and message.payload == call.body and message.reply:
                reading = [wish for wish in found if wish.method == "GET"]
                return _filled(message.reply, {**refused, **await self._read(call, reading)})
        return None

    # Transactions

    async def _transaction(self, call: Call, found: Sequence[Wish]) -> Answer:
        writing = sorted((wish for wish in found if wish.method != "GET"), key=lambda wish: wish.rank)
        _refuse_twice(writing)
        reading = [wish for wish in found if wish.method == "GET"]
        for _ in range(RETRIES):
            plan = await self._planned(call, writing)
            try:
                await self._intake.accept_together([*plan.kept, self._whole(call, TRANSACTION, plan.told, len(found))])
            except Conflict:
                repeated = await self._repeated(call, reading, {})
                if repeated is not None:
                    return repeated
                continue
            except StoreFault as fault:
                raise unkept(fault) from None
            told = {**plan.told, **await self._read(call, reading)}
            return _answer(TRANSACTION, told, len(found))
        raise Fault(409, "Others keep changing what this transaction writes; send it again")

    async def _planned(self, call: Call, writing: Sequence[Wish]) -> _Plan:
        """Every entry with its id and version, its references turned. Fault when one can't be kept."""
        ids = _ids(call, writing)
        standing = {wish.index: await self._matching(call, wish) for wish in writing if wish.unless}
        _refuse_same(wish for wish in writing if wish.unless and standing[wish.index] is None)
        known = _known(writing, ids, standing)
        kept: list[Kept] = []
        told: Told = {}
        for wish in writing:
            stands = standing.get(wish.index)
            if stands is not None:
                told[wish.index] = _accepted(stands, None, call)
                continue
            with at(wish.place):
                written, version = await self._written(call, wish, ids, known)
            accepted, one = self._submission.prepared(call, written, version + 1, wish.unless)
            kept.append(one)
            told[wish.index] = _accepted(accepted, written, call)
        return _Plan(kept, told)

    async def _matching(self, call: Call, wish: Wish) -> Accepted | None:
        with at(wish.place):
            return await self._submission.matching(call, wish.type, wish.unless)

    async def _written(
        self, call: Call, wish: Wish, ids: Mapping[int, str], known: Mapping[str, str]
    ) -> tuple[Written, int]:
        """The resource of an entry, and the version that stands before it."""
        control = f"{call.request_id}/{wish.index}"
        if wish.method == "PATCH":
            assert wish.id is not None  # noqa: S101 - it was read so
            return await self._submission.patched(call, wish.type, wish.id, wish.operations, control, wish.expected)
        body = turned(wish.resource, {**known, **await self._meant(call, wish)})
        if dangling(body):
            raise Fault(422, "a reference by urn: names no entry of the Bundle", code="not-found", where="resource")
        version = 0
        if wish.id is not None:
            version = await self._submission.version(call, wish.type, wish.id, wish.expected)
        return Written.of(wish.type, wish.id or ids[wish.index], body, write(body), wish.method, control), version

    async def _meant(self, call: Call, wish: Wish) -> dict[str, str]:
        """What the conditional references of an entry mean. One that nothing meets stays as it is, and is told when the
        entry is processed: what it means may come later. Fault 412 for one that several resources meet.
        """
        meant = {}
        for text in conditional(wish.resource):
            type_, _, asked = text.partition("?")
            try:
                conditions = criteria(call.who.name, type_, asked) if type_ in KEPT else ()
            except Fault:
                continue  # a search that is not offered here finds nothing
            if not conditions:
                continue
            search = ResourceSearch(call.who.name, type_, conditions=conditions, narrow=True, limit=2)
            found = await self._resources.resources(search)
            if len(found) > 1:
                text = "several kept resources meet a conditional reference"
                raise Fault(412, text, code="multiple-matches", where="resource")
            if found:
                meant[text] = f"{type_}/{found[0].id}"
        return meant

    def _whole(self, call: Call, kind: str, told: Told, size: int) -> tuple[int, Received, ResourceVersion | None]:
        """The Bundle itself, with what was told of all but its GET entries. Nothing is made of it: its entries are
        messages of their own.
        """
        id_ = self._submission.new_id()
        type_ = f"POST Bundle/{id_}"
        reply = _reply(kind, told, size)
        return id_, Received(call.who.name, Format.FHIR, type_, call.request_id, call.body, reply, call.remote), None

    # Batches

    async def _batch(self, call: Call, found: Sequence[Wish], told: Told, size: int) -> Answer:
        """In waves: what others refer to is kept before them."""
        writing = [wish for wish in found if wish.method != "GET"]
        reading = [wish for wish in found if wish.method == "GET"]
        ids = _ids(call, writing)
        known = _known(writing, ids, {wish.index: await self._standing(call, wish) for wish in writing if wish.unless})
        for rank in sorted({wish.rank for wish in writing}):
            wave = [(wish, self._submission.new_id()) for wish in writing if wish.rank == rank]
            said = await asyncio.gather(*(self._one(call, wish, ids, known, id_) for wish, id_ in wave))
            told |= {wish.index: one for (wish, _), one in zip(wave, said, strict=True)}
        id_, received, _ = self._whole(call, BATCH, told, size)
        try:
            await self._intake.accept(received, None, id_)
        except StoreFault as fault:
            raise unkept(fault) from None
        return _answer(BATCH, {**told, **await self._read(call, reading)}, size)

    async def _standing(self, call: Call, wish: Wish) -> Accepted | None:
        """As `_matching`. One that is refused refuses its own entry, in its turn."""
        try:
            return await self._matching(call, wish)
        except Fault:
            return None

    async def _one(
        self, call: Call, wish: Wish, ids: Mapping[int, str], known: Mapping[str, str], message: int
    ) -> dict[str, Any]:
        """Keep one entry. A fault of the gateway's own is the whole Bundle's."""
        control = f"{call.request_id}/{wish.index}"
        try:
            with at(wish.place):
                if wish.method == "PATCH":
                    accepted, written = await self._submission.accept_patch(
                        call, wish.type, wish.id or "", wish.operations, control, wish.expected
                    )
                    return _accepted(accepted, written, call)
                body = turned(wish.resource, known)
                written = Written.of(wish.type, wish.id, body, write(body), wish.method, control, message)
                if wish.method == "POST":
                    written = replace(written, id=ids[wish.index])
                if wish.unless:
                    accepted = await self._submission.accept_unless(call, written, wish.unless)
                else:
                    accepted = await self._submission.accept(call, written, wish.expected)
                return _accepted(accepted, written, call)
        except Fault as fault:
            if fault.status >= 500:
                raise
            return _refusal(fault)

    async def _read(self, call: Call, reading: Iterable[Wish]) -> Told:
        """What GET entries ask for, once all else is kept."""
        told: Told = {}
        for wish in reading:
            try:
                with at(wish.place):
                    said = await self._reading.asked(call, wish.url)
                read_within(call.caller, wish.url, said["resource"])
                told[wish.index] = {"status": _line(200), **said}
            except Fault as fault:
                told[wish.index] = _refusal(fault)
        return told


def _ids(call: Call, writing: Iterable[Wish]) -> dict[int, str]:
    """By its place, the id of each entry that has none of its own. The same Bundle under the same X-Request-Id gives
    the same ids: what was kept of it before is known again.
    """
    whole = hashlib.sha256(orjson.dumps([call.who.name, call.request_id]) + call.body).digest()
    return {
        wish.index: hashlib.sha256(whole + wish.index.to_bytes(4, "big")).hexdigest()[:32]
        for wish in writing
        if wish.method == "POST"
    }


def _known(writing: Iterable[Wish], ids: Mapping[int, str], standing: Mapping[int, Accepted | None]) -> dict[str, str]:
    """By each name of an entry's resource in the Bundle: what it is kept as. Fault 422."""
    named = []
    for wish in writing:
        stands = standing.get(wish.index)
        if wish.resource:
            kept = stands.name if stands is not None else f"{wish.type}/{wish.id or ids[wish.index]}"
            named.append(Named(wish.index, wish.resource, kept, wish.full_url))
    try:
        return names(named)
    except MappingError as error:
        raise malformed(error) from None


def _refuse_twice(writing: Iterable[Wish]) -> None:
    """A transaction that changes one resource twice has no one outcome (R4, transactions)."""
    seen: set[tuple[str, str]] = set()
    for wish in writing:
        if wish.id is not None:
            if (wish.type, wish.id) in seen:
                raise Fault(400, "another entry changes the same resource", where=wish.place)
            seen.add((wish.type, wish.id))


def _refuse_same(creating: Iterable[Wish]) -> None:
    """Of two that are created under one condition, each would forbid the other."""
    seen: set[tuple[str, tuple[Condition, ...]]] = set()
    for wish in creating:
        if (wish.type, wish.unless) in seen:
            text = "another entry is created under the same ifNoneExist: bring the resource once, and refer to it"
            raise Fault(412, text, code="multiple-matches", where=f"{wish.place}.request.ifNoneExist")
        seen.add((wish.type, wish.unless))


def _answer(kind: str, told: Told, size: int) -> Answer:
    return resource(response_bundle(kind, [told[index] for index in range(size)]))


def _reply(kind: str, told: Told, size: int) -> bytes:
    """What is kept of an answer, to be told again. The response of what is yet to be read is empty."""
    whole = write(response_bundle(kind, [told.get(index, {}) for index in range(size)]))
    if len(whole) <= LARGEST_REPLY:
        return whole
    lean = [{name: told.get(index, {})[name] for name in _LEAN if name in told.get(index, {})} for index in range(size)]
    return write(response_bundle(kind, lean))


def _filled(reply: bytes, told: Told) -> Answer:
    """A kept answer, with what `told` says where it says nothing itself."""
    kept = orjson.loads(reply)
    for index, entry in enumerate(kept["entry"]):
        if not entry["response"]:
            kept["entry"][index] = response_bundle("", [told[index]])["entry"][0]
    return resource(kept)


def _status(faults: Iterable[Fault]) -> int:
    return min(fault.status for fault in faults)


def _refusal(fault: Fault) -> dict[str, Any]:
    return {"status": _line(fault.status), "outcome": operation_outcome(issues_of(fault))}


def _accepted(accepted: Accepted, written: Written | None, call: Call) -> dict[str, Any]:
    said: dict[str, Any] = {"status": _line(accepted.status), "location": accepted.location, **accepted.told()}
    wanted = preference(call) if "Prefer" in call.headers and written is not None else ""
    if wanted == "OperationOutcome" and written is not None:
        said["outcome"] = whole_outcome(written.payload)
    elif wanted == "representation" and written is not None and accepted.id:
        said["resource"] = numbered(read(written.payload), accepted)
    return said


def _line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
