"""Three independent validators of FHIR R4 (Node), run over resources that the gateway gives out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.fhir_peer import NoNode, installed

ROOT = Path(__file__).parents[2]


def refused_by_validators(resources: Mapping[str, dict[str, Any]], shared_data: Path, directory: Path) -> list[str]:
    """A line for each resource that any of the three refuses, beginning with its name. Files are written into
    `directory`. Skipped without Node, never in CI.
    """
    source = shared_data.parent / "tools" / "fhir-peer"
    home = ROOT / "var" / "peers" / "fhir-peer"
    try:
        installed(source, home)
    except NoNode as fault:
        if os.environ.get("CI"):
            pytest.fail(str(fault))
        pytest.skip(str(fault))
    directory.mkdir(exist_ok=True)
    for name, resource in resources.items():
        (directory / f"{name}.json").write_text(json.dumps(resource))
    files = [str(directory / f"{name}.json") for name in sorted(resources)]
    script = home / f"validate-{os.getpid()}.mjs"
    script.unlink(missing_ok=True)
    script.symlink_to(source / "validate.mjs")
    node = shutil.which("node") or "node"
    command = [node, "--preserve-symlinks", "--preserve-symlinks-main", str(script), *files]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    finally:
        script.unlink()
    *told, last = ended.stdout.splitlines() or [""]
    assert last.startswith(f"{len(files)} files"), ended.stdout[-500:] + ended.stderr[-500:]
    return [line.removeprefix(f"{directory}/") for line in told]
