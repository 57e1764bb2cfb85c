"""The configuration from the command line: reload, versions, differences, return; alerts; pruning. And SIGHUP."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from gateway_world import TOKENS, World, environment, rewrite, running, today, until, write_configuration
from served import serving
from typer.testing import CliRunner
from visits import sent

from conformance import day, ehr
from gateway.access.roles import Role
from gateway.app import Gateway
from gateway.cli.commands import app
from gateway.settings import load


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    async with running(tmp_path) as one:
        yield one


def invoke(directory: Path, *words: str, url: str = "http://127.0.0.1:9", token: str | None = None) -> Any:
    surroundings = {
        **environment(),
        "GATEWAY_CONFIG": str(directory / "gateway.yaml"),
        "GATEWAY_URL": url,
        "GATEWAY_TOKEN": token,
        "COLUMNS": "200",
    }
    return CliRunner().invoke(app, list(words), env=surroundings)


async def run(world: World, *words: str, role: Role = Role.OPERATOR) -> Any:
    return await asyncio.to_thread(invoke, world.directory, *words, url=world.url, token=TOKENS[role])


async def says(world: World, *words: str) -> str:
    result = await run(world, *words)
    assert result.exit_code == 0, result.output
    return str(result.output)


async def test_an_operator_changes_looks_and_returns(world: World) -> None:
    rewrite(world.directory, "high_water: 5000", "high_water: 4000")
    assert "version 2 is in force; changed: gateway.yaml (in gateway.yaml: processing)" in await says(world, "reload")
    listed = await says(world, "configuration")
    assert listed.index("user:operator") < listed.index("gateway\t")
    compared = await run(world, "configuration", "diff", "1", "2")
    assert compared.exit_code == 1
    assert "-processing: {high_water: 5000}" in compared.output
    assert "+processing: {high_water: 4000}" in compared.output
    assert (await says(world, "configuration", "diff", "2", "2")) == ""
    assert "high_water: 5000" in await says(world, "configuration", "show", "1")
    assert "version 3 is in force" in await says(world, "rollback")
    assert "high_water: 5000" in (world.directory / "gateway.yaml").read_text()
    assert world.gateway.config.processing.high_water == 5_000


async def test_what_changed_is_told_by_file(world: World) -> None:
    rewrite(world.directory, "total > 10000.0", "total > 9000.0", "policy.yaml")
    (world.directory / "dialects" / "second.yaml").write_text("extends: base\n")
    assert "version 2 is in force; changed: dialects/second.yaml, policy.yaml\n" in await says(world, "reload")
    assert "version 2 is in force; changed: no file\n" in await says(world, "reload")
    assert "changed: dialects/second.yaml, policy.yaml\n" in await says(world, "rollback")


async def test_mistakes_are_told_with_their_lines(world: World) -> None:
    rewrite(world.directory, "facility: MAIN", "facilty: MAIN")
    result = await run(world, "reload")
    assert result.exit_code == 1
    assert "gateway.yaml:2: facilty: there is no such setting" in result.output
    assert "did you mean facility?" in result.output


async def test_only_an_operator_may(world: World) -> None:
    for words in (("reload",), ("rollback",), ("configuration",)):
        result = await run(world, *words, role=Role.SUPERVISOR)
        assert (result.exit_code, result.output[:3]) == (1, "403"), words
    assert (await run(world, "configuration", role=Role.COMPLIANCE)).exit_code == 0
    assert (await run(world, "reload", role=Role.COMPLIANCE)).exit_code == 1


async def test_alerts_that_are_raised(world: World) -> None:
    assert "alert" in await says(world, "alerts")
    world.gateway.vitals.sealed = None
    world.gateway.vitals.started = today_at_the_beginning(world)
    await world.gateway.watch.look()
    result = await run(world, "alerts", role=Role.MONITOR)
    assert result.exit_code == 1
    assert "sealing-late" in result.output


def today_at_the_beginning(world: World) -> Any:
    return world.gateway.clock.now().replace(year=2024)


async def test_pruning_counts_before_it_drops(world: World) -> None:
    assert (await run(world, "prune")).exit_code == 2
    rewrite(world.directory, "review: policy.yaml", "review: policy.yaml\nretention: {unused: 30 days, processed: 400}")
    await world.send(ehr.adt("A04", day.routine(today()), *sent()))
    await world.settled()
    assert "0 messages, 0.0 MB, of 0 settled encounters" in await says(world, "prune", "--dry-run")
    assert "0 messages" in await says(world, "prune")


@pytest.fixture
def started_once(tmp_path: Path) -> Path:
    """A directory whose gateway has run with its files, and runs no more."""
    write_configuration(tmp_path)

    async def once() -> None:
        gateway = Gateway(load(tmp_path / "gateway.yaml", environment()), environ=environment())
        await gateway.start(processing=False)
        await gateway.stop()

    asyncio.run(once())
    return tmp_path


def test_a_gateway_that_cannot_start_is_brought_back_offline(started_once: Path) -> None:
    rewrite(started_once, "facility: MAIN", "facilty: MAIN")
    assert invoke(started_once, "rollback", "--offline").exit_code == 2, "nobody knows where the store is"
    store = f"sqlite:///{started_once}/gateway.db"
    result = invoke(started_once, "rollback", "--offline", "--store", store)
    assert result.exit_code == 0, result.output
    assert "the files of version 1 are in place; what stood there is kept as version 2" in result.output
    assert invoke(started_once, "check").exit_code == 0
    listed = invoke(started_once, "configuration", "--offline").output
    assert "kept" in listed
    assert "facilty" in invoke(started_once, "configuration", "show", "2", "--offline").output
    assert invoke(started_once, "configuration", "show", "9", "--offline").exit_code == 1


@pytest.mark.slow
async def test_a_sighup_reloads_the_process(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway:
        rewrite(tmp_path, "high_water: 5000", "high_water: 4000")
        gateway.process.send_signal(signal.SIGHUP)

        async def activated() -> bool:
            return gateway.told("configuration.activated")

        await until(activated, "the configuration was not taken over", 30)
        rewrite(tmp_path, "high_water: 4000", "high_water: none")
        gateway.process.send_signal(signal.SIGHUP)

        async def refused() -> bool:
            return gateway.told("configuration.refused")

        await until(refused, "the configuration was not refused", 30)
        assert "gateway.yaml" in gateway.log
        assert gateway.told("configuration.mistake")
        assert await gateway.end() == 0
