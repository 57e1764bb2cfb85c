"""Schemathesis, an independent tester of OpenAPI interfaces, over all of /api with data of patients in it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from api_seeds import seeds, sown
from gateway_world import World, environment, running, today
from two_patients import MINE, OTHER, furnish
from visits import code, stay, taken

from conformance import day
from gateway.access.roles import Role

TOKEN = "token-of-somebody-with-every-role-0123456789"
SETTINGS = Path(__file__).with_name("schemathesis.toml")


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    (tmp_path / "everyone.token").write_text(TOKEN)
    roles = ", ".join(role.value for role in Role)
    everyone = f"  - {{name: everyone, roles: [{roles}], token_file: everyone.token, authority: MAIN}}"
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    async with running(tmp_path, also=everyone) as one:
        yield one


async def written(world: World, directory: Path) -> Path:
    """The description that the gateway gives, with what it knows sown into it, as a file."""
    routine = day.routine(today())
    await stay(world, routine)
    await code(world, routine)
    await taken(world, routine)
    patients = [await furnish(world, one) for one in (MINE, OTHER)]
    document = (await world.http(None).get("/api/openapi.json")).json()
    path = directory / "openapi.json"
    path.write_text(json.dumps(sown(document, await seeds(world, patients), patients[0])))
    return path


async def findings(world: World, directory: Path, *options: str) -> dict[str, Any]:
    """What schemathesis found, as its report says it. Fails with its own words when it found anything."""
    await asyncio.to_thread(shutil.copy, SETTINGS, directory / "schemathesis.toml")
    report = directory / "report.json"
    path = await written(world, directory)
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), "run", str(path), "--url", world.url),
        *("--no-color", "--report", "json", "--report-json-path", str(report), *options),
        cwd=directory,
        env={**os.environ, "GATEWAY_TOKEN": TOKEN, "COLUMNS": "120"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    found = dict(json.loads(report.read_bytes()))
    assert found["operations"]["tested"] == found["operations"]["total"] > 38
    assert (found["failures"], found["errors"], found["stop_reason"]) == ([], [], "completed")
    return found


async def test_every_operation_does_what_it_says(world: World, tmp_path: Path) -> None:
    report = await findings(world, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "4")
    assert report["test_cases"]["generated"] > 1_000


@pytest.mark.soak
async def test_every_operation_does_what_it_says_for_long(world: World, tmp_path: Path) -> None:
    await findings(world, tmp_path, "--max-examples", "100")
