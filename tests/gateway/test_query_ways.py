"""Provider queries at a gateway that runs: by template and by mouth on the command line, answered by an addendum."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from gateway_world import TOKENS, World, environment, running, today, until
from typer.testing import CliRunner
from visits import seen, sent, stay, tell

from conformance import day, ehr
from conformance.hospital import Visit
from conformance.playing import key
from gateway.access.roles import Role
from gateway.cli.commands import app


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


@pytest_asyncio.fixture
async def visit(world: World) -> Visit:
    made = day.unclear_record(today())
    await stay(world, made)
    await world.settled()
    return made


async def command(world: World, *words: str) -> Any:
    surroundings = {**environment(), "GATEWAY_URL": world.url, "GATEWAY_TOKEN": TOKENS[Role.CDI], "COLUMNS": "300"}
    return await asyncio.to_thread(CliRunner().invoke, app, list(words), env=surroundings)


async def filling(world: World, visit: Visit, quote: str = "") -> dict[str, Any]:
    """A template filled in with the first line of the visit's first note."""
    document = (await seen(world, visit))["documents"][0]["id"]
    passage = {"document": document, "quote": quote or visit.notes[0].text.split("\n")[0]}
    return {
        "template": "acuity",
        "provider": visit.clinician.npi,
        "values": {"condition": "Heart failure"},
        "indicators": {"condition": [passage], "course": [passage]},
    }


def written(directory: Path, said: dict[str, Any]) -> str:
    path = directory / "query.yaml"
    path.write_text(json.dumps(said, indent=1))
    return str(path)


async def test_a_template_on_the_command_line(world: World, visit: Visit, tmp_path: Path) -> None:
    listed = await command(world, "query-templates")
    assert "present-on-admission" in listed.output
    shown = json.loads((await command(world, "query-templates", "acuity")).output)
    assert [value["name"] for value in shown["values"]] == ["condition"]
    wrong = written(tmp_path, await filling(world, visit, "never written"))
    for words in (("ask", key(visit), wrong), ("ask", key(visit), wrong, "--draft")):
        refused = await command(world, *words)
        assert refused.exit_code == 1
        assert "query-passage-absent" in refused.output
    right = written(tmp_path, await filling(world, visit))
    assert json.loads((await command(world, "ask", key(visit), right, "--draft")).output)["template"] == "acuity"
    assert (await seen(world, visit))["queries"] == []
    asked = await command(world, "ask", key(visit), right)
    assert asked.exit_code == 0, asked.output
    (query,) = (await seen(world, visit))["queries"]
    assert [option["text"] for option in query["draft"]["options"]] == ["Acute", "Other", "Unable to determine"]


async def test_a_spoken_query_a_replaced_one_and_the_report(world: World, visit: Visit, tmp_path: Path) -> None:
    spoken = {**await filling(world, visit), "answer": {"option": "Acute", "answered_by": visit.clinician.npi}}
    recorded = await command(world, "ask", key(visit), written(tmp_path, spoken))
    assert recorded.exit_code == 0, recorded.output
    view = await seen(world, visit)
    assert [(query["verbal"], query["status"], query["agreed"]) for query in view["queries"]] == [
        (True, "completed", True)
    ]
    desk = world.http(Role.CDI)
    asked = await desk.post(f"/api/encounters/{key(visit)}/queries/template", json=await filling(world, visit))
    first = asked.json()["query"]
    body = {"reason": "the title was unclear", "filling": await filling(world, visit)}
    instead = await desk.post(f"/api/queries/{first['id']}/replace", json=body)
    assert (instead.status_code, instead.json()["query"]["replaces"]) == (201, first["number"])
    assert (await desk.get(f"/api/queries/{first['id']}")).json()["status"] == "cancelled"
    assert (await desk.post(f"/api/queries/{first['id']}/replace", json=body)).status_code == 409
    report = (await desk.get("/api/query-report")).json()
    (line,) = report["items"]
    assert (line["asked"], line["agreed"], line["agreement"], line["open"]) == (3, 1, 1.0, 1)
    shown = await command(world, "query-report")
    assert "acuity" in shown.output
    assert (await world.http(Role.PROVIDER).get("/api/query-templates")).status_code == 403


async def test_an_addendum_that_names_the_query_answers_it(world: World, visit: Visit) -> None:
    asked = await world.http(Role.CDI).post(
        f"/api/encounters/{key(visit)}/queries/template", json=await filling(world, visit)
    )
    number = asked.json()["query"]["number"]
    note = replace(visit.notes[0], id="ADD-1", title="Addendum", text=f"As asked in query {number}: acute.")
    await tell(world, ehr.mdm(visit, note, *sent()))

    async def done() -> bool:
        (query,) = (await seen(world, visit))["queries"]
        return bool(query["status"] == "completed" and query["answered_in"] == "ADD-1")

    await until(done, "the addendum has not answered the query", 10)
    holds = (await seen(world, visit))["holds"]
    assert not [hold for hold in holds if hold["kind"] == "query" and hold["state"] == "open"]


@pytest.mark.parametrize("body", [{"reason": "x"}, {"reason": "x", "query": None, "filling": None}])
async def test_a_replacement_says_what_is_asked_instead(world: World, body: dict[str, Any]) -> None:
    assert (await world.http(Role.CDI).post("/api/queries/1/replace", json=body)).status_code == 422
