"""An independent FHIR R4 server in Node, as a process: started, stopped, and started again with nothing in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path

START_SECONDS = 60.0
INSTALL_SECONDS = 300.0


class NoNode(RuntimeError):
    """Node or npm is not installed here."""


def installed(source: Path, home: Path) -> Path:
    """The server's script in `home`, beside the packages that `source`'s package.json names; they are installed on
    first use. NoNode.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NoNode("install Node 20 and npm, or leave out what runs against the FHIR peer")
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "package.json", home / "package.json")
    script = home / "server.mjs"
    script.unlink(missing_ok=True)
    script.symlink_to(source / "server.mjs")
    if not (home / "node_modules" / "@medplum" / "fhir-router").is_dir():
        command = [npm, "install", "--ignore-scripts", "--no-package-lock", "--silent"]
        subprocess.run(command, cwd=home, check=True, timeout=INSTALL_SECONDS)  # noqa: S603 - fixed words
    return script


class FhirPeerProcess:
    """The server on one port of its own, whichever process serves it. Use as an async context manager."""

    def __init__(self, script: Path) -> None:
        self._script = script
        self._process: asyncio.subprocess.Process | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/fhir/R4"

    async def __aenter__(self) -> FhirPeerProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serve, once it says that it listens."""
        node = shutil.which("node") or "node"
        links = ("--preserve-symlinks", "--preserve-symlinks-main")
        environment = {"PATH": os.environ.get("PATH", ""), "PORT": str(self._port)}
        self._process = await asyncio.create_subprocess_exec(
            node, *links, str(self._script), stdout=asyncio.subprocess.PIPE, env=environment
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await self._process.stdout.readline()
        if b"listening" not in line:
            raise RuntimeError("the FHIR peer did not start")

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        self._process = None

    async def restart(self) -> None:
        """Start it again: what it kept is gone."""
        await self.stop()
        await self.start()
