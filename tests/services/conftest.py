"""The rules of the demonstration's hospital, loaded once for all the services' tests."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from pathlib import Path

import pytest
import structlog
from services_world import TODAY, World, world

from conformance.demo_files import Files, Ports, new_tokens
from gateway import logs
from gateway.config.model import Config
from gateway.rules import Rules, load_rules
from gateway.settings import load


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The demonstration's configuration, its policy and dialect beside it."""
    files = Files(tmp_path_factory.mktemp("hospital"))
    files.write(Ports(), "http://127.0.0.1:9090/fhir/Claim", TODAY)
    return load(files.configuration, new_tokens())


@pytest.fixture(scope="session")
def rules(hospital: Config) -> Rules:
    return load_rules(hospital)


@pytest.fixture
async def gateway(rules: Rules) -> AsyncIterator[World]:
    """A gateway in memory, whose policy asks for nothing."""
    async with world(rules) as made:
        yield made


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[StringIO]:
    """What is logged, as a gateway that serves logs it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = StringIO()
    logs.configure(stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Where a gateway can be opened again."""
    return f"sqlite:///{tmp_path}/gateway.db"
