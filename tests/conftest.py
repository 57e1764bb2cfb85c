"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gateway.loop import new_loop

ROOT = Path(__file__).parents[1]

LoopFactory = Callable[[], AbstractEventLoop]


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The repository's own small synthetic inputs."""
    return ROOT / "fixtures"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real messages, resources and files kept beside the repository; skipped where there are none, never in CI."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        if os.environ.get("CI"):
            pytest.fail("the shared data must stand beside the repository in CI")
        pytest.skip("no shared data beside the repository")
    return path


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Tests run on the loop that the gateway runs on."""
    return {"gateway": new_loop}
