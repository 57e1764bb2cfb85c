"""/api over real HTTP, before a real desk; and its description."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "desk"))

from desk_world import CODER, DIGEST, KEY, NOTE, SUPERVISOR, Person, World, draft, world

from gateway.access.roles import Role
from gateway.adapters.desk.api import DeskApi
from gateway.adapters.desk.description import described
from gateway.adapters.desk.messages_api import MessagesApi
from gateway.adapters.http.routing import Route
from gateway.adapters.http.server import HttpServer
from gateway.config.model import Endpoint, Http
from gateway.desk.messages import MessageDesk
from gateway.desk.settling import Settling
from gateway.desk.work import Work
from gateway.release.model import Delivery, DeliveryState, Result

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BIG = 2**62 + 1
PEOPLE = {
    "Bearer coder": CODER,
    "Bearer supervisor": SUPERVISOR,
    "Bearer operator": Person("op", frozenset({Role.OPERATOR})),
    "Bearer compliance": Person("carl", frozenset({Role.COMPLIANCE})),
}


class Tokens:
    def authenticate(self, header: str | None) -> Person | None:
        return PEOPLE.get(header or "")


class Trail:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def export(self, actor: str, *, encounter: str | None, since: datetime | None) -> AsyncIterator[bytes]:
        self.asked.append((actor, encounter, since))
        for number in range(2):
            yield b'{"n":%d}\n' % number


class Outbox:
    lost = Delivery(
        id=BIG, claim=4, encounter=KEY, destination="p", key="C-1", state=DeliveryState.UNKNOWN, due=NOW, changed=NOW
    )

    async def deliveries(self, states: Sequence[DeliveryState], limit: int = 1000) -> list[Delivery]:
        return [self.lost]

    async def settle_by_hand(self, delivery: Delivery, result: Result, *, actor: str, reason: str) -> Delivery:
        return delivery.model_copy(update={"state": DeliveryState.ACCEPTED, "outcome": reason})

    async def send_again(self, delivery: Delivery, *, actor: str) -> None: ...


def api(here: World, trail: Trail | None = None) -> list[Route]:
    outbox: Any = Outbox()
    messages = MessagesApi(MessageDesk(here.store, here.work.clock, here.work.ids, lambda: None))
    desk = DeskApi(here.desk, here.queries, Settling(outbox, outbox), trail or Trail())
    return described([*desk.routes(), *messages.routes()])


@asynccontextmanager
async def serving(trail: Trail | None = None) -> AsyncIterator[tuple[httpx.AsyncClient, World]]:
    here = await world()
    routes = api(here, trail)
    server = HttpServer(routes, Tokens(), Http(listen=Endpoint(host="127.0.0.1", port=0)))
    host, port = await server.start()
    headers = {"Authorization": "Bearer supervisor"}
    async with httpx.AsyncClient(
        base_url=f"http://{host}:{port}/api", headers=headers, trust_env=False, timeout=10
    ) as client:
        yield client, here
    await server.stop()
    await here.store.close()


def by(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {who}"}


async def test_from_the_worklist_to_the_released_claim() -> None:
    async with serving() as (client, here):
        listed = (await client.get("/worklist", params={"stage": "held"})).json()
        assert [(item["key"], item["holds"], item["total"]) for item in listed["items"]] == [
            (KEY, ["review:always"], "162.00")
        ]
        assert listed["next"] is None
        seen = (await client.get(f"/encounters/{KEY}")).json()
        assert (seen["stage"], seen["total"], seen["encounter"]["coding"]["coder"]) == ("held", "162.00", "asmith")
        assert isinstance(seen["holds"][0]["id"], str)
        body = {"fingerprint": seen["fingerprint"], "comment": "as documented"}
        ruled = await client.post(f"/encounters/{KEY}/approve", json=body)
        again = (await client.get(f"/encounters/{KEY}")).json()
    assert (ruled.status_code, ruled.json()["open_holds"]) == (200, [])
    assert ruled.json()["released"]["number"] == again["claims"][0]["number"]
    assert again["deliveries"][0]["claim"] == again["claims"][0]["id"]
    assert (again["decisions"][0]["kind"], again["stage"]) == ("approve", "released")
    assert len(here.released) == 1


async def test_the_permission_of_each_door_is_asked_for() -> None:
    async with serving() as (client, _):
        wrong = {"fingerprint": "0" * 64}
        refused = [
            await client.post(f"/encounters/{KEY}/approve", json=wrong, headers=by("coder")),
            await client.get("/messages", headers=by("coder")),
            await client.get("/audit/events"),
            await client.get("/worklist", headers=by("operator")),
            await client.get("/worklist", headers=by("nobody")),
        ]
    assert [answer.status_code for answer in refused] == [403, 403, 403, 403, 401]


async def test_refusals_of_the_desk_have_their_statuses() -> None:
    async with serving() as (client, _):
        stale = await client.post(f"/encounters/{KEY}/approve", json={"fingerprint": "0" * 64})
        unknown = await client.get("/encounters/MAIN::NONE")
        hold = await client.post(f"/encounters/{KEY}/holds/77/resolve", json={"reason": "x"})
        word = await client.post(f"/encounters/{KEY}/holds/abc/resolve", json={"reason": "x"})
        empty = await client.post(f"/encounters/{KEY}/return", json={"feedback": ""})
        extra = await client.post(f"/encounters/{KEY}/return", json={"feedback": "x", "force": True})
        odd = await client.post(f"/encounters/{KEY}/approve", json={"fingerprint": "no"})
        text = await client.post(
            f"/encounters/{KEY}/return", content=b"feedback", headers={"Content-Type": "text/plain"}
        )
    answers = (stale, unknown, hold, word, empty, extra, odd, text)
    assert [answer.status_code for answer in answers] == [409, 404, 404, 404, 422, 422, 422, 415]
    assert (stale.json()["code"], stale.headers["Content-Type"]) == ("stale", "application/problem+json")


async def test_a_hold_is_resolved_and_an_encounter_returned() -> None:
    async with serving() as (client, _):
        returned = (await client.post(f"/encounters/{KEY}/return", json={"feedback": "99212"})).json()
        hold = next(h for h in returned["open_holds"] if h["kind"] == "returned")
        assert hold["text"] == "99212"
        resolved = await client.post(f"/encounters/{KEY}/holds/{hold['id']}/resolve", json={"reason": "agreed"})
    assert [h["kind"] for h in resolved.json()["open_holds"]] == ["review"]


async def test_a_query_is_asked_read_and_withdrawn() -> None:
    async with serving() as (client, _):
        asked = await client.post(
            f"/encounters/{KEY}/queries", json=draft().model_dump(mode="json"), headers=by("coder")
        )
        id_ = asked.json()["query"]["id"]
        read = await client.get(f"/queries/{id_}")
        withdrawn = await client.post(f"/queries/{id_}/withdraw", json={"reason": "found"}, headers=by("coder"))
        leading = draft(title="Document sepsis for the higher DRG").model_dump(mode="json")
        refused = await client.post(f"/encounters/{KEY}/queries", json=leading, headers=by("coder"))
    assert (asked.status_code, {h["kind"] for h in asked.json()["open_holds"]}) == (201, {"review", "query"})
    assert (read.json()["status"], read.json()["draft"]["title"]) == ("requested", draft().title)
    assert withdrawn.json()["query"]["status"] == "cancelled"
    assert (refused.status_code, "title" in refused.json()["detail"]) == (422, True)


async def test_a_document_comes_as_an_attachment_that_no_browser_runs() -> None:
    async with serving() as (client, _):
        answer = await client.get(f"/encounters/{KEY}/documents/n1")
        missing = await client.get(f"/encounters/{KEY}/documents/n9")
    assert (answer.content, answer.headers["X-Content-Digest"]) == (NOTE, DIGEST)
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert missing.status_code == 404


async def test_the_trail_is_streamed_to_compliance() -> None:
    trail = Trail()
    async with serving(trail) as (client, _):
        parameters = {"encounter": KEY, "since": "2026-03-01T00:00:00+00:00"}
        answer = await client.get("/audit/events", params=parameters, headers=by("compliance"))
        wrong = await client.get("/audit/events?since=yesterday", headers=by("compliance"))
    assert (answer.headers["Content-Type"], answer.content) == ("application/x-ndjson", b'{"n":0}\n{"n":1}\n')
    assert trail.asked == [("user:carl", KEY, NOW)]
    assert wrong.status_code == 400


async def test_a_delivery_is_settled() -> None:
    async with serving() as (client, _):
        settled = await client.post(f"/deliveries/{BIG}/settle", json={"outcome": "accepted", "reason": "seen there"})
        wrong = await client.post(f"/deliveries/{BIG}/settle", json={"outcome": "lost", "reason": "x"})
    assert (settled.json()["id"], settled.json()["state"]) == (str(BIG), "accepted")
    assert wrong.status_code == 422


async def test_the_description_is_public_and_whole() -> None:
    async with serving() as (client, _):
        del client.headers["Authorization"]
        answer = await client.get("/openapi.json")
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    text = orjson.dumps(document).decode()
    schemas = document["components"]["schemas"]
    references = {ref.split('"', 1)[0] for ref in text.split('"$ref":"')[1:]}
    assert references
    assert {ref.removeprefix("#/components/schemas/") for ref in references} <= schemas.keys()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all("default" not in operation["responses"] for operation in operations)
    approve = document["paths"]["/api/encounters/{key}/approve"]["post"]
    assert approve["x-permission"] == "approve"
    [key] = approve["parameters"]
    assert (key["name"], key["in"], key["required"], key["schema"]["type"]) == ("key", "path", True, "string")
    assert {"400", "401", "403", "404", "409", "413", "415", "422", "503"} <= approve["responses"].keys()
    assert approve["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("Approval")
    hold = schemas["HoldView"]["properties"]["id"]
    assert (hold["type"], hold["pattern"]) == ("string", "^[0-9]+$")


@pytest.fixture
def routes() -> list[Route]:
    made: Any = World.__new__(World)
    made.desk = made.queries = made.store = None
    made.work = Work(*[None] * 4)
    return api(made)


def test_every_route_is_described(routes: list[Route]) -> None:
    assert all(route.summary and route.path.startswith("/api/") for route in routes)
