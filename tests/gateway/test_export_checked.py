"""The script of docs/audit.md that checks an export against its seal, run as a reader would run it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from gateway_world import World, running, today
from visits import stay

from conformance import day
from gateway.access.roles import Role

DOC = Path(__file__).parents[2] / "docs" / "audit.md"
ASYNC = {"Prefer": "respond-async"}
LINES = 5
"""Of a file."""

Files = dict[str, list[str]]
"""The lines of each file, by its name."""


def script() -> str:
    """The one block of Python below its heading."""
    _, _, below = DOC.read_text().partition("### Checking an export against the seal")
    section = below.partition("\n## ")[0]
    _, fence, block = section.partition("```python\n")
    code, end, rest = block.partition("```")
    assert fence
    assert end
    assert "```python" not in rest
    return code


@pytest_asyncio.fixture
async def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Any, Files]]:
    """The manifest of a whole export, and its AuditEvent files."""
    monkeypatch.setattr("gateway.trail.exporting.FILE", LINES)
    async with running(tmp_path) as world:
        await stay(world, day.routine(today()))
        yield await _taken(world)


async def _taken(world: World) -> tuple[Any, Files]:
    http = world.http(Role.COMPLIANCE)
    ordered = await http.get("/fhir/$export", params={"_type": "AuditEvent"}, headers=ASYNC)
    await world.gateway.sealer.seal()
    said = (await http.get(ordered.headers["Content-Location"])).json()
    files: Files = {}
    for number, output in enumerate(said["output"], 1):
        answer = await http.get(output["url"])
        files[f"AuditEvent-{number}.ndjson"] = answer.text.splitlines(keepends=True)
    return said, files


def checked(folder: Path, said: Any, files: Files) -> tuple[int, str]:
    """Status and last word of the script over these files."""
    (folder / "check.py").write_text(script())
    (folder / "manifest.json").write_text(json.dumps(said))
    for name, lines in files.items():
        (folder / name).write_text("".join(lines))
    command = [sys.executable, "check.py", "manifest.json", *files]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    assert not ran.stderr, ran.stderr
    return ran.returncode, ran.stdout.strip()


def _edited(line: str) -> str:
    """The same event, one byte of its content another."""
    event = json.loads(line)
    part = next(one for one in event["entity"][0]["detail"] if one["type"] == "content")
    content = bytearray(base64.b64decode(part["valueBase64Binary"]))
    content[-1] ^= 1
    part["valueBase64Binary"] = base64.b64encode(content).decode()
    return json.dumps(event) + "\n"


def _cut(files: Files) -> None:
    files[list(files)[-1]].pop()


def _cut_in_the_middle(files: Files) -> None:
    files["AuditEvent-1.ndjson"].pop(2)


def _file_missing(files: Files) -> None:
    del files["AuditEvent-1.ndjson"]


def _all_missing(files: Files) -> None:
    files.clear()


def _swapped(files: Files) -> None:
    lines = files["AuditEvent-1.ndjson"]
    lines[2], lines[3] = lines[3], lines[2]


def _files_swapped(files: Files) -> None:
    lines = files.pop("AuditEvent-1.ndjson")
    files["AuditEvent-1.ndjson"] = lines


def _told_twice(files: Files) -> None:
    lines = files["AuditEvent-1.ndjson"]
    lines[4] = lines[3]


def _content_edited(files: Files) -> None:
    lines = files["AuditEvent-2.ndjson"]
    lines[0] = _edited(lines[0])


async def test_an_intact_export_is_found_intact_and_each_fault_is_found(
    exported: tuple[Any, Files], tmp_path: Path
) -> None:
    said, files = exported
    assert len(files) > 2, "a whole one is of several files"
    folder = tmp_path / "taken"
    folder.mkdir()
    assert checked(folder, said, files) == (0, "intact")
    faults: list[Callable[[Files], None]] = [
        _cut,
        _cut_in_the_middle,
        _file_missing,
        _all_missing,
        _swapped,
        _files_swapped,
        _told_twice,
        _content_edited,
    ]
    for fault in faults:
        harmed = {name: list(lines) for name, lines in files.items()}
        fault(harmed)
        assert checked(folder, said, harmed) == (1, "NOT INTACT"), fault.__name__
