"""`gateway demo`: a day of a small hospital, played through a real gateway on SQLite.

Everything around the gateway is a small real peer: an EHR, an encoder, a provider's system, people at the desk, and a
billing endpoint. `run` gives the exit status: 0 when all that was expected happened.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

from conformance.billing_endpoint import BillingEndpoint
from conformance.demo_files import DirectoryTaken, Files, Ports, new_tokens, without_settings
from conformance.ehr_server import EhrServer, serving
from conformance.evening import claims_arrived, trail_verified, where_everything_is
from conformance.fhir_day import exported
from conformance.playing import Cast
from conformance.story import play
from conformance.telling import Seen, Teller
from gateway.app import Gateway, StartFault
from gateway.config.model import Config
from gateway.logs import configure
from gateway.settings import ConfigErrors, load

ZONE = ZoneInfo("America/Chicago")
ANY = Ports(0, 0, 0)
PLAIN_WIDTH = 140


async def run(directory: Path, *, exit_when_done: bool = False, console: Console | None = None) -> int:
    """Play the day in `directory`; then end, or serve until Ctrl-C. 0 when every expectation was met, else 1."""
    teller = Teller(console or _console())
    files = Files(directory)
    try:
        files.clear()
    except DirectoryTaken as taken:
        teller.console.print(str(taken), markup=False)
        return 2
    with files.log.open("w") as log:
        configure(log)
        async with BillingEndpoint() as billing, serving() as clinic:
            return await _on_stage(teller, files, Around(billing, clinic), exit_when_done)


def _console() -> Console:
    """The terminal as wide as it is; wider lines where nobody's window limits them."""
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)


@dataclass(frozen=True, slots=True)
class Around:
    """The peers that the gateway itself goes to."""

    billing: BillingEndpoint
    clinic: EhrServer


async def _on_stage(teller: Teller, files: Files, around: Around, exit_when_done: bool) -> int:
    teller.title(
        "A day of a small hospital", "Synthetic patients, real messages: EHR, encoder, provider, desk, billing."
    )
    tokens = new_tokens()
    ports = ANY if exit_when_done else _documented_or_free(teller)
    today = datetime.now(ZONE).date()
    files.write(ports, around.billing.url, today, around.clinic.url)
    try:
        gateway = Gateway(_configuration(files, tokens))
        await gateway.start()
    except (ConfigErrors, StartFault) as fault:
        teller.note("the gateway starts", Seen(False, str(fault)))
        return 1
    cast = Cast(teller, f"http://{_address(gateway.http)}", dict(gateway.mllp), tokens, today, ZONE)
    files.write_tokens(cast.url, tokens)
    try:
        status = await _played(cast, files, around)
        if not exit_when_done:
            await _served(teller, gateway)
        return status
    finally:
        await cast.close()
        await gateway.stop()


async def _played(cast: Cast, files: Files, around: Around) -> int:
    await play(cast, around.clinic)
    await claims_arrived(cast, files, around.billing)
    await trail_verified(cast, files)
    await exported(cast)
    where_everything_is(cast, files)
    return summed_up(cast.teller)


def _configuration(files: Files, tokens: Mapping[str, str]) -> Config:
    """The configuration as `gateway serve` would read it, with the tokens in the environment."""
    return load(files.configuration, {**without_settings(os.environ), **tokens})


def summed_up(teller: Teller) -> int:
    """Tell how many expectations were met, and each that was not; 0 when all were, else 1."""
    met = len(teller.expectations) - len(teller.unmet)
    teller.console.print()
    if not teller.unmet:
        teller.say(f"All {met} expectations of the day were met.")
        return 0
    teller.say(f"{met} of {len(teller.expectations)} expectations were met. These were not:")
    for unmet in teller.unmet:
        teller.say(f"- {unmet.chapter}: {unmet.text} (waited {unmet.seconds:.1f} s): {unmet.seen.what or 'not seen'}")
    return 1


async def _served(teller: Teller, gateway: Gateway) -> None:
    """Serve until Ctrl-C or SIGTERM. A gateway that ends by itself raises its fault."""
    teller.say("The gateway keeps serving. Ctrl-C stops it.")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    ends: set[asyncio.Future[Any]] = {stopping} | ({gateway.failed} if gateway.failed is not None else set())
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for end in done:
        end.result()
    teller.say("Stopping.")


def _documented_or_free(teller: Teller) -> Ports:
    """The ports that the documentation names; a free one for each that is taken."""
    documented = Ports()
    ports = {name: getattr(documented, name) for name in ("adt", "encoder", "http")}
    taken = [port for port in ports.values() if _is_taken(port)]
    if taken:
        teller.say(f"Port {', '.join(map(str, taken))} is in use: a free one is taken instead.")
    return Ports(**{name: 0 if port in taken else port for name, port in ports.items()})


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _address(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
