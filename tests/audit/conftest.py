"""A trail in memory with the one who seals it."""

from __future__ import annotations

from pathlib import Path

import pytest
from memory_trail import MemoryTrail, Sealing

from gateway.audit.keys import SealKey


@pytest.fixture(scope="session")
def seal_key() -> SealKey:
    return SealKey.generate()


@pytest.fixture
def sealing(tmp_path: Path, seal_key: SealKey) -> Sealing:
    return Sealing(MemoryTrail(), seal_key, tmp_path / "anchor" / "seals.ndjson")
