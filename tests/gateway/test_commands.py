"""The command line beside a gateway that runs: what an operator, a supervisor and an auditor type."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest
import pytest_asyncio
from gateway_world import TOKENS, World, environment, running, today, write_configuration
from typer.testing import CliRunner
from visits import code, seen, standing, stay, taken

from conformance import day
from conformance.playing import key
from gateway import __version__
from gateway.access.roles import Role
from gateway.cli.commands import app


@dataclass
class Terminal:
    """Someone at a terminal: commands run in a thread, as processes beside the gateway do."""

    world: World
    role: Role | None = None

    async def run(self, *words: str) -> Any:
        surroundings: dict[str, str | None] = {
            **environment(),
            "GATEWAY_CONFIG": str(self.world.directory / "gateway.yaml"),
            "GATEWAY_URL": self.world.url,
            "GATEWAY_TOKEN": TOKENS[self.role] if self.role else None,
            "COLUMNS": "300",
        }
        return await asyncio.to_thread(CliRunner().invoke, app, list(words), env=surroundings)

    async def says(self, *words: str) -> str:
        """What the command prints; it must succeed."""
        result = await self.run(*words)
        assert result.exit_code == 0, result.output
        return str(result.output)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


@pytest_asyncio.fixture
async def terminal(world: World) -> Terminal:
    return Terminal(world)


async def test_a_supervisor_works_through_the_list(terminal: Terminal) -> None:
    visit = day.high_value(today())
    await stay(terminal.world, visit)
    await code(terminal.world, visit)
    await terminal.world.settled()
    supervisor = Terminal(terminal.world, Role.SUPERVISOR)
    listed = await supervisor.says("worklist", "--stage", "held")
    assert key(visit) in listed
    assert "high-value" in listed
    assert key(visit) not in await supervisor.says("worklist", "--hold", "query")
    shown = json.loads(await supervisor.says("show", key(visit)))
    assert (shown["key"], shown["stage"]) == (key(visit), "held")
    refused = await supervisor.run("approve", key(visit), "--fingerprint", "0" * 64)
    assert refused.exit_code == 1
    assert refused.output.startswith("409: ")
    assert "released" in await supervisor.says("approve", key(visit), "--comment", "The note supports it.")
    assert (await taken(terminal.world, visit))["decisions"][0]["comment"] == "The note supports it."


async def test_a_return_and_a_resolution(terminal: Terminal) -> None:
    visit = day.new_coder(today())
    await stay(terminal.world, visit)
    await code(terminal.world, visit)
    await terminal.world.settled()
    supervisor = Terminal(terminal.world, Role.SUPERVISOR)
    told = await supervisor.says("return", key(visit), "--feedback", "Add the organism.")
    assert "returned-to-coder" in told
    hold = next(h for h in (await seen(terminal.world, visit))["holds"] if h["rule"] == "returned-to-coder")
    await supervisor.says("resolve", key(visit), str(hold["id"]), "--reason", "The culture was of another patient.")
    assert await standing(terminal.world, visit) == {"new-coder"}


async def test_nobody_acts_without_a_token_or_beyond_their_role(terminal: Terminal) -> None:
    nameless = await terminal.run("worklist")
    assert nameless.exit_code == 2
    assert "GATEWAY_TOKEN" in nameless.output
    coder = await Terminal(terminal.world, Role.CODER).run("approve", "MAIN:MAIN:A1", "--fingerprint", "0" * 64)
    assert coder.exit_code == 1
    assert coder.output.startswith("403: ")
    assert TOKENS[Role.CODER] not in coder.output


async def test_a_gateway_that_is_not_there_is_told(terminal: Terminal) -> None:
    result = await Terminal(terminal.world, Role.CODER).run("worklist", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "is the gateway running there?" in result.output


async def test_the_trail_is_verified_and_a_change_is_found(terminal: Terminal) -> None:
    visit = day.routine(today())
    await stay(terminal.world, visit)
    await terminal.world.settled()
    await terminal.world.gateway.sealer.seal()
    assert "intact" in await terminal.says("audit", "verify")
    await terminal.world.gateway.stop()
    with apsw.Connection(str(terminal.world.directory / "gateway.db")) as db:
        db.execute("UPDATE events SET actor = 'feed:somebody-else' WHERE seq = 3")
    result = await terminal.run("audit", "verify")
    assert result.exit_code == 1
    assert "NOT INTACT" in result.output
    assert re.search(r"\b3\b", result.output)


async def test_the_trail_is_exported_and_that_is_told_in_it(terminal: Terminal, tmp_path: Path) -> None:
    visit = day.routine(today())
    await stay(terminal.world, visit)
    await terminal.world.settled()
    lines = (await terminal.says("audit", "export", "--encounter", key(visit))).splitlines()
    events = [json.loads(line) for line in lines]
    assert {event["resourceType"] for event in events} == {"AuditEvent"}
    assert len(events) > 5
    everything = tmp_path / "trail.csv"
    await terminal.says("audit", "export", "--format", "csv", "--output", str(everything))
    rows = list(csv.DictReader(everything.open()))
    assert len(rows) > len(events)
    assert visit.person.family not in everything.read_text()
    exported = [stored for stored in await terminal.world.events() if stored.event.action == "audit.exported"]
    assert [stored.event.actor for stored in exported] == ["user:operator"] * 2
    since = (await terminal.says("audit", "export", "--since", "2999-01-01")).splitlines()
    assert since == []


def gateway(directory: Path, *words: str) -> Any:
    surroundings = {**environment(), "GATEWAY_CONFIG": str(directory / "gateway.yaml")}
    return CliRunner().invoke(app, words, env=surroundings)


def test_a_configuration_in_order_is_told(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    result = gateway(tmp_path, "check")
    assert result.exit_code == 0, result.output
    assert "in order" in result.output
    assert "clearinghouse, payer-fhir" in result.output


def test_every_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    path = write_configuration(tmp_path)
    path.write_text(path.read_text().replace("facility: MAIN", "facilty: MAIN").replace("time_zone: A", "time_zone: X"))
    result = gateway(tmp_path, "check")
    assert result.exit_code == 2
    assert "gateway.yaml:2: facilty" in result.output
    assert "gateway.yaml:3: time_zone" in result.output


def test_mistakes_in_the_policy_are_told_by_check(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    (tmp_path / "policy.yaml").write_text("version: 1\nrules:\n  - {name: x, when: 'total >', reason: y}\n")
    result = gateway(tmp_path, "check")
    assert result.exit_code == 2
    assert "policy.yaml" in result.output


@pytest.mark.parametrize("words", [("audit", "verify"), ("check",), ("serve",)])
def test_a_configuration_that_is_not_there_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = gateway(tmp_path, *words)
    assert result.exit_code == 2
    assert "there is no such file" in result.output


async def test_the_installed_command_says_its_version() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "version"), stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    said, _ = await process.communicate()
    assert (process.returncode, said.decode().strip()) == (0, __version__)
