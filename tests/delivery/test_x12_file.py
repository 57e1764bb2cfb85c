"""The file destination, broken off at each step and collected from behind its back."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.adapters import x12_file
from gateway.adapters.x12_file import X12FileDestination
from gateway.release.model import Result

KEY = "C0000000000001-1"
FILE = KEY + ".837"
CLAIM = b"ISA*00*...~"


class Crash(BaseException):
    pass


def visible(directory: Path) -> list[str]:
    """What a collector sees."""
    return [path.name for path in directory.iterdir() if not path.name.startswith(".")]


@pytest.fixture
def destination(tmp_path: Path) -> X12FileDestination:
    return X12FileDestination("clearinghouse", tmp_path)


async def test_a_collector_sees_whole_files_only(destination: X12FileDestination, tmp_path: Path) -> None:
    outcome = await destination.send(KEY, CLAIM, False)
    assert (outcome.result, outcome.reference) == (Result.ACCEPTED, FILE)
    assert visible(tmp_path) == [FILE]
    assert (tmp_path / FILE).read_bytes() == CLAIM
    assert (tmp_path / FILE).stat().st_mode & 0o007 == 0


async def test_what_was_collected_is_not_written_again(destination: X12FileDestination, tmp_path: Path) -> None:
    await destination.send(KEY, CLAIM, False)
    (tmp_path / FILE).unlink()
    assert (await destination.inquire(KEY, CLAIM)).result is Result.ACCEPTED  # type: ignore[union-attr]
    assert (await destination.send(KEY, CLAIM, True)).result is Result.ACCEPTED
    assert not (tmp_path / FILE).exists()


async def test_another_claim_s_file_is_never_overwritten(destination: X12FileDestination, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"something else")
    assert (await destination.send(KEY, CLAIM, False)).result is Result.REJECTED
    assert (tmp_path / FILE).read_bytes() == b"something else"


def steps(monkeypatch: pytest.MonkeyPatch, crash_at: int) -> None:
    """Of the calls that change the disk, the one at `crash_at` does not happen, nor anything after it."""
    made: list[str] = []

    def stepping(name: str, module: object) -> None:
        real = getattr(module, name)

        def step(*args: object, **kwargs: object) -> object:
            made.append(name)
            if len(made) - 1 >= crash_at:
                raise Crash
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, step)

    for name in ("_write", "_sync"):
        stepping(name, x12_file)
    stepping("replace", os)


async def test_broken_off_at_any_step_it_is_known_what_became_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off = 0
    for crash_at in range(20):
        directory = tmp_path / str(crash_at)
        directory.mkdir()
        destination = X12FileDestination("clearinghouse", directory)
        with monkeypatch.context() as patched:
            steps(patched, crash_at)
            try:
                await destination.send(KEY, CLAIM, False)
            except Crash:
                broken_off += 1
            else:
                break
        collected = (directory / FILE).exists()
        if collected:
            (directory / FILE).unlink()
        told = await destination.inquire(KEY, CLAIM)
        assert told is not None
        assert told.result is (Result.ACCEPTED if collected else Result.NOT_SENT), crash_at
        assert (await destination.send(KEY, CLAIM, True)).result is Result.ACCEPTED
        assert (directory / FILE).exists() is not collected
    assert broken_off == 7, "two writes with their directories, the rename, two directories"


async def test_a_directory_that_cannot_be_written_gets_nothing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, no directory")
    destination = X12FileDestination("clearinghouse", tmp_path / "out")
    assert (await destination.send(KEY, CLAIM, False)).result is Result.NOT_SENT
    assert (await destination.inquire(KEY, CLAIM)).result is Result.UNKNOWN  # type: ignore[union-attr]


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/b", "", ".hidden", "x" * 81, "C1\n"])
async def test_a_key_leads_nowhere_else(destination: X12FileDestination, tmp_path: Path, key: str) -> None:
    assert (await destination.send(key, CLAIM, False)).result is Result.REJECTED
    assert await destination.inquire(key, CLAIM) is None
    assert visible(tmp_path) == []


def test_a_resend_is_always_safe(destination: X12FileDestination) -> None:
    assert destination.resend_safe(datetime(2020, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))


async def test_an_attempt_that_hangs_is_not_overtaken(
    destination: X12FileDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it any more, but its thread may still put the file in place."""
    reached, goes_on = threading.Event(), threading.Event()
    write = x12_file._write

    def hanging(path: Path, content: bytes) -> None:
        reached.set()
        goes_on.wait(5)
        write(path, content)

    monkeypatch.setattr(x12_file, "_write", hanging)
    first = asyncio.create_task(destination.send(KEY, CLAIM, False))
    await asyncio.to_thread(reached.wait, 5)
    asked = await destination.inquire(KEY, CLAIM)
    again = await destination.send(KEY, CLAIM, True)
    goes_on.set()
    assert asked is not None
    assert (asked.result, again.result) == (Result.UNKNOWN, Result.UNKNOWN)
    assert (await first).result is Result.ACCEPTED
    (tmp_path / FILE).unlink()
    assert (await destination.send(KEY, CLAIM, True)).result is Result.ACCEPTED
    assert visible(tmp_path) == []
