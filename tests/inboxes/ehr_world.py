"""A desk whose queries go to an EHR's FHIR server: a small one in memory, or any other by its address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx

from desk_world import CODER, KEY, NPI, World, draft, world  # isort: skip

from gateway.adapters.ehr_inbox import CommunicationInbox, FhirPeer, TaskInbox, limits
from gateway.adapters.fhir_client import FhirServer
from gateway.desk.queries import QueryDesk
from gateway.desk.query_placing import Placement
from gateway.inboxes import Inboxes
from gateway.review.model import Query
from gateway.review.query_delivery import QueryDelivery

BASE = "http://gateway.test/fhir"
Resource = dict[str, Any]
NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"


@dataclass
class SmallEhr:
    """A FHIR server in memory, as an httpx transport's handler. `conditional`: whether it heeds If-None-Exist."""

    conditional: bool = True
    kept: dict[str, Resource] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    """Statuses that it answers next, in the place of its work."""
    calls: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        _, _, path = request.url.path.partition("/ehr/")
        self.calls.append(f"{request.method} {path.partition('/')[0]}")
        if self.answers:
            return httpx.Response(self.answers.pop(0), headers={"Retry-After": "120"})
        match request.method:
            case "GET" if "/" in path:
                return self._answer(200, path) if path in self.kept else httpx.Response(404)
            case "GET":
                found = self._matching(path, request.url.params["identifier"])
                return httpx.Response(200, json={"resourceType": "Bundle", "entry": [{"resource": r} for r in found]})
            case "POST":
                return self._create(path, request)
            case _:
                return self._update(path, request)

    def of(self, kind: str) -> list[Resource]:
        return [resource for resource in self.kept.values() if resource["resourceType"] == kind]

    def _matching(self, kind: str, identifier: str) -> list[Resource]:
        number = identifier.rpartition("|")[2]
        return [r for r in self.of(kind) if any(i["value"] == number for i in r.get("identifier", ()))]

    def _create(self, kind: str, request: httpx.Request) -> httpx.Response:
        wanted = parse_qs(request.headers["if-none-exist"])["identifier"][0]
        standing = self._matching(kind, wanted) if self.conditional else []
        if standing:
            return self._answer(200, f"{kind}/{standing[0]['id']}")
        resource = json.loads(request.content)
        assert "id" not in resource
        path = f"{kind}/{len(self.kept) + 1}"
        meta = {"versionId": "1", "lastUpdated": f"2026-11-20T18:00:{len(self.kept):02}Z"}
        self.kept[path] = {**resource, "id": path.partition("/")[2], "meta": meta}
        return self._answer(201, path)

    def _update(self, path: str, request: httpx.Request) -> httpx.Response:
        version = self.kept[path]["meta"]["versionId"]
        if request.headers.get("if-match") not in (None, f'W/"{version}"'):
            return httpx.Response(412)
        self.put(path, json.loads(request.content))
        return self._answer(200, path)

    def put(self, path: str, resource: Resource) -> None:
        """Someone at the EHR, or we, wrote the resource."""
        version = int(self.kept[path]["meta"]["versionId"]) + 1
        meta = {**self.kept[path]["meta"], "versionId": str(version)}
        self.kept[path] = {**resource, "id": path.partition("/")[2], "meta": meta}

    def _answer(self, status: int, path: str) -> httpx.Response:
        resource = self.kept[path]
        headers = {"ETag": f'W/"{resource["meta"]["versionId"]}"'}
        if status == 201:
            headers["Location"] = f"http://ehr.test/ehr/{path}/_history/1"
        return httpx.Response(status, json=resource, headers=headers)


class Losing(httpx.AsyncBaseTransport):
    """Passes requests on; the answers that `loses` picks are lost on the way back."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.loses: Callable[[httpx.Request], bool] = lambda request: False
        self.lost: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        body = await answer.aread()
        if self.loses(request):
            self.lost.append(request.method)
            raise httpx.ReadError("the answer is lost")
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(body))

    def lose_next(self, method: str, kind: str) -> None:
        """The next answer to such a request is lost, once."""

        def loses(request: httpx.Request) -> bool:
            hit = request.method == method and request.url.path.rstrip("/").endswith(kind)
            if hit:
                self.loses = lambda request: False
            return hit

        self.loses = loses


@dataclass
class EhrWorld:
    world: World
    desk: QueryDesk
    inboxes: Inboxes
    wire: Losing

    async def ask(self, **changes: Any) -> Query:
        return (await self.desk.ask(KEY, CODER, draft(**changes)))[0]

    async def query(self, id_: int) -> Query:
        found = await self.world.store.query(id_)
        assert found is not None
        return found

    async def row(self, query: Query) -> QueryDelivery:
        found = await self.world.store.query_delivery(query.id)
        assert found is not None
        return found

    async def turns(self, count: int = 1, later: timedelta = timedelta(hours=2)) -> None:
        """Let so much time pass before each turn that all is due."""
        for _ in range(count):
            self.world.work.clock.at += later  # type: ignore[attr-defined]
            await self.inboxes.turn()


@asynccontextmanager
async def asking(
    url: str, transport: httpx.AsyncBaseTransport, *, communication: bool = False
) -> AsyncIterator[EhrWorld]:
    """A desk whose queries go to the server at `url`."""
    made = await world()
    desk = QueryDesk(made.work, Placement(inbox=lambda encounter: "epic", fhir_base=lambda: BASE))
    wire = Losing(transport)
    async with httpx.AsyncClient(transport=wire) as client:
        peer = FhirPeer(FhirServer(url, client, limits(10), token="t" * 16))
        inbox = (CommunicationInbox if communication else TaskInbox)("epic", peer, lambda: BASE)
        yield EhrWorld(made, desk, Inboxes(inbox, made.store, desk, made.work.clock, epoch=7), wire)
    await made.store.close()


def completed(task: Resource, output: Resource) -> Resource:
    return {**task, "status": "completed", "output": [{"type": {"text": "answer"}, **output}]}


def response(form: str) -> Resource:
    """The provider's answer to the form at this canonical address."""
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": form,
        "status": "completed",
        "authored": "2026-11-20T20:00:00Z",
        "author": {"identifier": {"system": NPI_SYSTEM, "value": NPI}},
        "item": [{"linkId": "question", "answer": [{"valueCoding": {"code": "option-1"}}]}],
    }
