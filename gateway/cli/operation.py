"""Serving, checking, and the demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, fail, read_config
from gateway.loop import run


def serve(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run the gateway until it is told to stop (SIGTERM or Ctrl-C)."""
    from gateway.app import PipelineFault, StartFault, serve_until_stopped

    settings = read_config(config)
    try:
        run(serve_until_stopped(settings))
    except StartFault as fault:
        fail(f"the gateway cannot start: {fault}", 3)
    except PipelineFault as fault:
        fail(f"the gateway has ended: {fault}", 4)


def check(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Read the configuration, the policy and the dialects, and tell every mistake. Starts nothing."""
    from gateway.rules import check as check_all

    settings = read_config(config, check_all)
    feeds = ", ".join(f"{feed.name} on {feed.listen}" for feed in settings.feeds) or "none"
    destinations = ", ".join(destination.name for destination in settings.destinations) or "none"
    typer.echo(f"{config}: in order\n  feeds: {feeds}\n  destinations: {destinations}\n  store: {settings.store}")


def demo(
    directory: Annotated[Path, typer.Option(help="Where the demonstration keeps its files.")] = Path("demo"),
    exit_: Annotated[bool, typer.Option("--exit", help="End when the day is played, instead of serving on.")] = False,
) -> None:
    """Play a day of a small hospital through the gateway, and show what happens."""
    from conformance import demo as demonstration

    raise typer.Exit(run(demonstration.run(directory, exit_when_done=exit_)))
