"""Loading files of FHIR resources into a gateway that runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from gateway.cli import tables
from gateway.cli.calling import TOKEN
from gateway.cli.load_batches import NotLoaded, Sender, Tally, batches, taken_types
from gateway.cli.load_files import Loadable, Resource, Unread, found, resources
from gateway.cli.options import DEFAULT_URL, Url, fail

TIMEOUT_SECONDS = 120.0
_UNREADABLE = "(unread)"


def load(
    paths: Annotated[list[Path], typer.Argument(help="Files of FHIR JSON or NDJSON, or directories of them.")],
    batch: Annotated[int, typer.Option(min=1, max=500, help="Resources in one Bundle.")] = 100,
    url: Url = DEFAULT_URL,
) -> None:
    """Load FHIR resources and Bundles into a running gateway, as the feed whose token GATEWAY_TOKEN is.

    Types that the gateway does not take are skipped and counted. Run again, it goes on: what was taken before is
    recognised. Ends with 1 when a resource was refused or could not be read, with 3 when the gateway was not reached.
    """
    token = os.environ.get(TOKEN)
    if not token:
        fail(f"set {TOKEN} to the token of a client with the role feed", 2)
    try:
        files = found(paths)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", 2)
    if not files:
        fail("there is no .json, .ndjson or .jsonl file", 2)
    tally = Tally()
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
    base = url.rstrip("/").removesuffix("/fhir") + "/fhir"
    with httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS, headers=headers) as client:
        try:
            _load(files, Sender(client, base), batch, tally)
        except NotLoaded as fault:
            _summary(tally)
            fail(f"{url}: {fault}", 3)
        except OSError as error:
            _summary(tally)
            fail(f"{error.filename}: {error.strerror}", 2)
    _summary(tally)
    if tally.refused:
        raise typer.Exit(1)


def _load(files: list[Loadable], sender: Sender, most: int, tally: Tally) -> None:
    taken = taken_types(sender.statement())
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        whole, done = progress.add_task("", total=sum(file.size for file in files)), 0
        for file in files:
            before = _counted(tally)
            progress.update(whole, description=f"{before} resources, {file.path.name[:40]}")
            for lot, size in batches(_wanted(file, taken, tally), most):
                sender.send(lot, tally)
                progress.update(whole, description=f"{_counted(tally)} resources, {file.path.name[:40]}")
                progress.advance(whole, size)
            done += file.size
            progress.update(whole, completed=done)
            if not console.is_terminal:
                typer.echo(f"{file.path.name}: {_counted(tally) - before} resources", err=True)


def _wanted(file: Loadable, taken: frozenset[str], tally: Tally) -> Iterator[Resource]:
    """The resources of a type that the gateway takes."""
    for one in resources(file.path):
        if isinstance(one, Unread):
            tally.refused[_UNREADABLE, f"{one.place}: {one.reason}"] += 1
        elif (kind := str(one.get("resourceType"))) in taken:
            yield one
        else:
            tally.skipped[kind[:64]] += 1


def _counted(tally: Tally) -> int:
    return tally.accepted.total() + tally.skipped.total() + tally.refused.total()


def _summary(tally: Tally) -> None:
    rows = [
        (kind, str(tally.accepted[kind]), str(tally.refused_of(kind)), str(tally.skipped[kind])) for kind in tally.types
    ]
    total = (tally.accepted.total(), tally.refused.total(), tally.skipped.total())
    tables.show(("type", "accepted", "refused", "skipped"), [*rows, ("all", *map(str, total))], whole=())
    for (kind, why), count in tally.refused.most_common(20):
        typer.echo(f"{count} {kind} refused: {tables.printable(why)}", err=True)
