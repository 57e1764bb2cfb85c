"""Three independent validators of FHIR R4 (Node), run over resources that the gateway gives out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from conformance.fhir_peer import NoNode, installed

ROOT = Path(__file__).parents[2]


def refused_by_validators(resources: Sequence[dict[str, Any]], shared_data: Path, directory: Path) -> list[str]:
    """A line for each resource that any of the three refuses. Skipped without Node, never in CI."""
    source = shared_data.parent / "tools" / "fhir-peer"
    home = ROOT / "var" / "peers" / "fhir-peer"
    try:
        installed(source, home)
    except NoNode as fault:
        if os.environ.get("CI"):
            pytest.fail(str(fault))
        pytest.skip(str(fault))
    script = home / "validate.mjs"
    script.unlink(missing_ok=True)
    script.symlink_to(source / "validate.mjs")
    files = []
    for number, resource in enumerate(resources):
        path = directory / f"told-{number}.json"
        path.write_text(json.dumps(resource))
        files.append(str(path))
    node = shutil.which("node") or "node"
    command = [node, "--preserve-symlinks", "--preserve-symlinks-main", str(script), *files]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - fixed words
    lines = ended.stdout.splitlines()
    assert lines, ended.stderr[-500:]
    assert lines[-1].startswith(f"{len(files)} files"), ended.stderr[-500:]
    return lines[:-1]
