"""`gateway demo --exit`, as a user runs it; and how it says that something went wrong."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from conformance.demo import run, summed_up
from conformance.telling import Seen, Teller


@pytest.mark.slow
async def test_the_day_is_played_and_everything_happens(tmp_path: Path) -> None:
    words = ["-m", "gateway", "demo", "--exit", "--directory", str(tmp_path / "demo")]
    # Another gateway's settings in the environment do not reach the demonstration.
    environment = {**os.environ, "GATEWAY_STORE_KEY": "somebody else's"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(180):
        said, _ = await process.communicate()
    story = said.decode()
    assert process.returncode == 0, story
    assert "expectations of the day were met" in story
    assert "FAILED" not in story
    assert "explain MAIN:MAIN:A7700327 'charges[1].code'" in story
    assert len(list((tmp_path / "demo" / "out" / "x12").glob("*.837"))) == 8
    log = (tmp_path / "demo" / "gateway.log").read_text()
    assert "OKAFOR" not in log
    assert "A7700231" not in log


async def test_somebody_elses_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    out = io.StringIO()
    assert await run(tmp_path, exit_when_done=True, console=Console(file=out, width=200)) == 2
    assert "holds other files" in out.getvalue()
    assert (tmp_path / "thesis.txt").read_text() == "x"


def test_the_reason_is_told_and_the_status_is_not_0() -> None:
    out = io.StringIO()
    teller = Teller(Console(file=out, width=200))
    teller.chapter("An edit fails")
    teller.note("the claim is held", Seen(True))
    teller.note("the claim leaves", Seen(False, "stage held; holds: edit icd10-unknown"))
    assert summed_up(teller) == 1
    assert "1 of 2 expectations were met" in out.getvalue()
    assert "1. An edit fails: the claim leaves" in out.getvalue()
    assert "edit icd10-unknown" in out.getvalue()


def test_nothing_unmet_is_0() -> None:
    teller = Teller(Console(file=io.StringIO()))
    teller.note("the claim is held", Seen(True))
    assert summed_up(teller) == 0
