"""What the demonstration writes: a directory of its own, a configuration that loads, tokens for its owner alone."""

from __future__ import annotations

import stat
from datetime import date
from pathlib import Path

import pytest

from conformance.day import EXPERIENCED, NEW_CODER
from conformance.demo_files import TOKENS, DirectoryTaken, Files, Ports, new_tokens
from gateway.review.policy_file import load_policy
from gateway.settings import load

TODAY = date(2026, 3, 10)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path / "demo")
    made.clear()
    made.write(Ports(0, 0, 0), "http://127.0.0.1:9090/fhir/Claim", TODAY)
    return made


def test_the_configuration_loads(files: Files) -> None:
    config = load(files.configuration, new_tokens())
    assert {feed.name for feed in config.feeds} == {"epic-adt", "encoder"}
    assert len(config.clients) == len(TOKENS)
    assert config.review is not None
    policy = load_policy(config.review)
    assert (TODAY - policy.coders[NEW_CODER].since).days < 90 < (TODAY - policy.coders[EXPERIENCED].since).days


def test_everything_stays_in_the_directory(files: Files) -> None:
    config = load(files.configuration, new_tokens())
    for path in (config.audit.key_file, config.audit.anchor, config.reference, config.review):
        assert path is not None
        assert path.is_relative_to(files.directory)
    assert str(files.directory) in config.store


def test_tokens_are_random_and_for_the_owner_alone(files: Files) -> None:
    first, second = new_tokens(), new_tokens()
    assert len({*first.values(), *second.values()}) == 2 * len(TOKENS)
    files.write_tokens("http://127.0.0.1:8080", first)
    assert stat.S_IMODE(files.tokens.stat().st_mode) == 0o600
    assert f"export EHR_TOKEN={first['EHR_TOKEN']}" in files.tokens.read_text()
    assert stat.S_IMODE(files.directory.stat().st_mode) == 0o700


def test_a_second_run_clears_the_first_and_nothing_else(files: Files, tmp_path: Path) -> None:
    (files.directory / "old").write_text("x")
    files.clear()
    assert not (files.directory / "old").exists()
    somebodys = tmp_path / "thesis"
    somebodys.mkdir()
    (somebodys / "chapter.txt").write_text("x")
    with pytest.raises(DirectoryTaken):
        Files(somebodys).clear()
    assert (somebodys / "chapter.txt").exists()
