"""Destinations from the command line: how they fare, stopping one, letting it go on."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.cli import tables
from gateway.cli.calling import call
from gateway.cli.options import DEFAULT_URL, Url


def destinations(url: Url = DEFAULT_URL) -> None:
    """List the destinations: up, down or suspended, since when and why."""
    items = call(url, "GET", "/api/destinations")["items"]
    names = ("name", "state", "since", "reason", "actor")
    tables.show(names, [tuple(str(item.get(name) or "") for name in names) for item in items], whole={"name"})


def suspend(
    name: str,
    reason: Annotated[str, typer.Option(help="Why; no patient's data.")],
    url: Url = DEFAULT_URL,
) -> None:
    """Send nothing more to a destination, until it is resumed."""
    _show(call(url, "POST", f"/api/destinations/{quote(name)}/suspend", {"reason": reason}))


def resume(name: str, url: Url = DEFAULT_URL) -> None:
    """Let a suspended destination go on."""
    _show(call(url, "POST", f"/api/destinations/{quote(name)}/resume", {}))


def _show(state: dict[str, Any]) -> None:
    typer.echo(f"{state['name']}: {state['state']}")
