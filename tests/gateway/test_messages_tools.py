"""An analyst's way with messages: by HTTP and by the command line, beside a gateway that runs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from gateway_world import TOKENS, World, running, today
from typer.testing import CliRunner
from visits import sent, tell

from conformance import day, ehr
from conformance.hospital import Visit
from gateway.access.roles import Role
from gateway.audit.events import Action
from gateway.cli.commands import app
from gateway.cli.quietly import faults_only
from gateway.message import MessageState


@dataclass
class Analyst:
    """Someone at a terminal: commands run in a thread, as processes beside the gateway do."""

    world: World
    role: Role = Role.ANALYST

    async def run(self, *words: str) -> Any:
        around = {"GATEWAY_URL": self.world.url, "GATEWAY_TOKEN": TOKENS[self.role], "COLUMNS": "300"}
        return await asyncio.to_thread(CliRunner().invoke, app, list(words), env=around)

    async def says(self, *words: str) -> str:
        result = await self.run(*words)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    async def finds(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await self.says("messages", "--json", *words))["items"]
        return found


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The gateway runs in this process: what it logs must not stand in what a command prints."""
    with faults_only():
        yield


@pytest_asyncio.fixture
async def world(quiet: None, tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


@pytest.fixture
def analyst(world: World) -> Analyst:
    return Analyst(world)


@pytest.fixture
def visit() -> Visit:
    return day.routine(today())


def broken(visit: Visit) -> bytes:
    """Without the number of its account."""
    return ehr.adt("A04", visit, *sent()).replace(visit.account.encode(), b"")


async def test_messages_are_found_without_their_contents(analyst: Analyst, visit: Visit) -> None:
    await tell(analyst.world, ehr.adt("A04", visit, *sent()))
    await tell(analyst.world, ehr.dft(visit, *sent()))
    await analyst.world.settled()
    told = await analyst.says("messages")
    assert len(re.findall("processed", told)) == 2
    assert visit.person.family not in told
    assert [m["type"] for m in await analyst.finds("--type", "DFT")] == ["DFT^P03"]
    assert await analyst.finds("--feed", "encoder") == []
    [registered] = await analyst.finds("--type", "ADT", "--feed", "epic-adt", "--state", "processed", "--since", "1h")
    assert await analyst.finds("--control", registered["control"][:4]) != []
    assert await analyst.finds("--until", "1h") == []
    by_account = await analyst.finds("--number", visit.account)
    assert {m["type"] for m in by_account} == {"ADT^A04", "DFT^P03"}
    assert await analyst.finds("--encounter", registered["encounter"]) == by_account
    assert len(await analyst.finds("--limit", "1")) == 1


async def test_pages_follow_each_other(analyst: Analyst, visit: Visit) -> None:
    for _ in range(5):
        await tell(analyst.world, ehr.adt("A04", visit, *sent()))
    first = json.loads(await analyst.says("messages", "--json", "--limit", "3"))
    second = json.loads(await analyst.says("messages", "--json", "--limit", "3", "--before", first["next"]))
    assert [len(first["items"]), len(second["items"]), second["next"]] == [3, 2, None]
    assert not {m["id"] for m in first["items"]} & {m["id"] for m in second["items"]}


async def test_a_message_is_shown_with_what_was_answered(analyst: Analyst, visit: Visit) -> None:
    payload = ehr.adt("A04", visit, *sent())
    await tell(analyst.world, payload)
    await analyst.world.settled()
    [message] = await analyst.finds()
    told = await analyst.says("messages", "show", message["id"])
    assert re.search(r"acknowledged +AA", told)
    assert re.search(r"segments +MSH EVN PID", told)
    assert visit.person.family not in told
    whole = await analyst.says("messages", "show", message["id"], "--payload")
    assert payload.replace(b"\r", b"\n").decode().strip() in whole
    unknown = await analyst.run("messages", "show", "1")
    assert (unknown.exit_code, unknown.output) == (1, "404: There is no message of this id\n")


async def test_who_looked_at_what_is_in_the_trail(analyst: Analyst, visit: Visit) -> None:
    await tell(analyst.world, ehr.adt("A04", visit, *sent()))
    await analyst.world.settled()
    [message] = await analyst.finds("--number", visit.account)
    await analyst.finds("--text", visit.person.family, "--since", "1d")
    await analyst.says("messages", "show", message["id"], "--payload")
    events = [stored.event for stored in await analyst.world.events() if stored.event.actor == "user:analyst"]
    number, text, *shown, read = events
    assert {(one.action, one.subject) for one in shown} <= {(Action.DESK_READ, f"api/messages/{message['id']}")}
    assert (number.action, text.action) == (Action.MESSAGES_SEARCHED, Action.MESSAGES_SEARCHED)
    assert read.action == Action.MESSAGE_READ
    assert (number.detail["number"], number.detail["messages"]) == (visit.account, [int(message["id"])])
    assert (text.detail["text"], text.detail["found"], text.detail["messages"]) == (True, 1, [int(message["id"])])
    assert visit.person.family not in str(text.detail)
    assert (read.subject, read.encounter, read.message) == (
        f"message/{message['id']}",
        message["encounter"],
        int(message["id"]),
    )


async def test_payloads_are_for_those_who_may_see_them(world: World, visit: Visit) -> None:
    await tell(world, ehr.adt("A04", visit, *sent()))
    operator, analyst = Analyst(world, Role.OPERATOR), Analyst(world)
    [message] = await operator.finds()
    for words in (("messages", "show", message["id"], "--payload"), ("messages", "--text", "PID", "--since", "1h")):
        refused = await operator.run(*words)
        assert refused.exit_code == 1
        assert refused.output.startswith("403: ")
        assert "message.payload" in refused.output
    answer = await world.http(Role.ANALYST).get(f"/api/messages/{message['id']}/payload")
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["Content-Type"] == "application/hl7-v2"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert len(await analyst.finds("--text", "pid|", "--since", "1h")) == 1


async def test_a_search_for_text_must_be_bounded(analyst: Analyst) -> None:
    unbounded = await analyst.run("messages", "--text", "SMITH")
    assert (unbounded.exit_code, "bound a search" in unbounded.output) == (1, True)
    short = await analyst.run("messages", "--text", "S", "--since", "1h")
    assert "3 letters" in short.output
    assert (await analyst.run("messages", "--since", "yesterday")).exit_code == 2


async def test_what_was_set_aside_is_grouped_found_by_its_number_and_taken_again(
    analyst: Analyst, visit: Visit
) -> None:
    for _ in range(3):
        await tell(analyst.world, broken(visit))
    await analyst.world.settled()
    told = (await analyst.run("quarantine")).output
    assert re.search(r"epic-adt\tno-encounter-number\t3\t", told)
    command = "gateway messages replay --state set-aside --feed epic-adt --rule no-encounter-number"
    assert command in told
    [group] = json.loads(await analyst.says("quarantine", "--json"))["items"]
    assert (group["count"], group["rule"]) == (3, "no-encounter-number")
    assert len(await analyst.finds("--number", visit.person.mrn)) == 3
    words = command.split()[1:]
    assert "3 would be taken again" in await analyst.says(*words, "--dry-run")
    assert {m["state"] for m in await analyst.finds()} == {"set-aside"}
    assert "3 queued again" in await analyst.says(*words)
    await analyst.world.settled()
    states = sorted(message.state for message in await analyst.world.messages())
    assert states == [MessageState.REPLAYED] * 3 + [MessageState.SET_ASIDE] * 3


async def test_a_replay_is_linked_to_its_original(analyst: Analyst, visit: Visit) -> None:
    await tell(analyst.world, broken(visit))
    await analyst.world.settled()
    [first] = await analyst.finds()
    await analyst.says("messages", "replay", first["id"])
    await analyst.world.settled()
    [again] = await analyst.finds("--state", "set-aside")
    assert f"replayed as  {again['id']}" in await analyst.says("messages", "show", first["id"])
    assert f"replay of    {first['id']}" in await analyst.says("messages", "show", again["id"])
    assert "no-encounter-number" in await analyst.says("messages", "show", first["id"])
    twice = await analyst.run("messages", "replay", first["id"], again["id"], "7")
    assert twice.exit_code == 1
    assert "1 queued again" in twice.output
    assert f"{first['id']}: message {first['id']} is replayed" in twice.output
    assert "7: There is no message of this id" in twice.output
    assert (await analyst.run("messages", "replay")).exit_code == 2


async def test_nobody_searches_without_a_token(world: World) -> None:
    around = {"GATEWAY_URL": world.url, "GATEWAY_TOKEN": None}
    result = await asyncio.to_thread(CliRunner().invoke, app, ["messages"], env=around)
    assert (result.exit_code, "GATEWAY_TOKEN" in result.output) == (2, True)


async def test_over_http_each_mistake_is_told(world: World) -> None:
    client = world.http(Role.ANALYST)
    for query, status in (
        ({"state": "lost"}, 400),
        ({"state": "processed,unused"}, 400),
        ({"since": "yesterday"}, 400),
        ({"limit": "0"}, 400),
        ({"limit": "201"}, 400),
        ({"number": "9" * 201}, 400),
        ({"text": "abc"}, 422),
        ({"number": "0|x\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")}, 200),
    ):
        assert (await client.get("/api/messages", params=query)).status_code == status, query
    empty = await client.post("/api/messages/replay", json={"messages": []})
    many = await client.post("/api/messages/replay", json={"messages": list(range(1, 202))})
    assert (empty.status_code, many.status_code) == (422, 422)
    none = await client.post("/api/messages/replay", json={"messages": ["1"]})
    assert none.json() == {"items": [{"message": "1", "attempt": None, "refused": "There is no message of this id"}]}


async def test_the_description_has_it_all(world: World) -> None:
    document = (await world.http(None).get("/api/openapi.json")).json()
    search = document["paths"]["/api/messages"]["get"]
    assert {p["name"] for p in search["parameters"]} >= {"number", "text", "since", "before", "rule"}
    assert document["paths"]["/api/messages/{id}/payload"]["get"]["x-permission"] == "message.payload"
    assert "post" in document["paths"]["/api/messages/replay"]
    assert "get" in document["paths"]["/api/quarantine"]
