"""The example configuration works as it stands, in a directory laid out as its pages say."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from gateway.mappings.hl7v2.dialect import load_dialects
from gateway.review.policy_file import load_policy
from gateway.settings import load

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("configuration", ["gateway.yaml", "compose/gateway.yaml"])
def test_an_example_loads(tmp_path: Path, configuration: str) -> None:
    shutil.copytree(EXAMPLES / "dialects", tmp_path / "dialects")
    shutil.copy(EXAMPLES / "policy.yaml", tmp_path)
    shutil.copy(EXAMPLES / configuration, tmp_path / "gateway.yaml")
    wanted = re.findall(r"token_env: (\w+)", (tmp_path / "gateway.yaml").read_text())
    config = load(tmp_path / "gateway.yaml", {name: f"{name.lower()}-{'x' * 24}" for name in wanted})
    assert config.review is not None
    assert load_policy(config.review).rules
    dialects = load_dialects(config.dialects)
    assert {feed.dialect for feed in config.feeds} <= dialects.keys()
    assert config.destinations
