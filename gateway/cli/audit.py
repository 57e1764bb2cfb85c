"""The audit trail: verified, exported."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.audit.export import Placed, as_csv, as_ndjson
from gateway.audit.faults import Report
from gateway.audit.keys import KeyFault, PublicKey, SealKey, load_public_keys, trusted
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, fail, read_config
from gateway.cli.stores import with_store
from gateway.clock import SystemClock
from gateway.config.model import Config
from gateway.store.interface import Store, StoredEvent
from gateway.trail.sealing import verify as verify_trail
from gateway.trail.trail import Trail, resource_of

app = typer.Typer(no_args_is_help=True)

PublicKeys = Annotated[
    list[Path] | None,
    typer.Option("--key", help="A public key (PEM) to trust: an earlier one's, another gateway's. Repeatable."),
]


class Form(StrEnum):
    NDJSON = "ndjson"
    """FHIR R4 AuditEvents, one a line."""
    CSV = "csv"


@app.command()
def verify(key: PublicKeys = None, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check the whole trail against its signed seals. Status 1 when anything was edited, deleted, swapped or cut."""
    settings = read_config(config)
    try:
        keys = {**_own_key(settings), **load_public_keys([*settings.audit.public_keys, *(key or [])])}
    except KeyFault as fault:
        fail(str(fault), 2)
    report = with_store(settings, lambda store: verify_trail(store, keys, settings.audit.anchor))
    _tell(report)
    if not report.intact:
        raise typer.Exit(1)


def _resource(placed: Placed) -> dict[str, object]:
    return resource_of(StoredEvent(placed.seq, placed.hash, placed.event))


def _own_key(settings: Config) -> dict[str, PublicKey]:
    """The public half of the configured key. Without the private one, its .pub file is enough."""
    if settings.audit.key is not None:
        return trusted([SealKey.load(settings.audit.key.get_secret_value().encode()).public])
    public = settings.audit.key_file.with_name(settings.audit.key_file.name + ".pub")
    return load_public_keys([public]) if public.exists() else {}


def _tell(report: Report) -> None:
    for fault in report.faults:
        typer.echo(str(fault))
    if report.more:
        typer.echo(f"and {report.more} faults more")
    newest = report.newest.isoformat(timespec="seconds") if report.newest else "never"
    if report.seals and not report.anchored:
        typer.echo("no anchor file confirms the seals: a database that was cut back whole would not be found", err=True)
    typer.echo(
        f"{'intact' if report.intact else 'NOT INTACT'}: {report.events} events, {report.sealed} under {report.seals} "
        f"seals, {report.tail} not yet sealed, newest seal {newest}"
    )


@app.command()
def export(
    encounter: Annotated[str | None, typer.Option(help="Only this encounter's events.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only events from then on; UTC when it names no zone.")] = None,
    form: Annotated[
        Form, typer.Option("--format", help="ndjson: FHIR AuditEvents. csv: for a spreadsheet.")
    ] = Form.NDJSON,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file; standard output when not given.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Write events of the trail out. That it was done is an event itself."""
    settings = read_config(config)
    moment = since if since is None or since.tzinfo else since.replace(tzinfo=UTC)

    async def work(store: Store) -> None:
        await Trail(store, SystemClock()).told("user:operator", encounter=encounter, since=moment)
        with nullcontext(sys.stdout.buffer) if output is None else output.open("wb") as out:
            async for piece in _lines(store, encounter, moment, form):
                out.write(piece)

    with_store(settings, work)


async def _lines(store: Store, encounter: str | None, since: datetime | None, form: Form) -> AsyncIterator[bytes]:
    events = store.events(encounter=encounter, since=since)
    if form is Form.CSV:
        async for text in as_csv(events):
            yield text.encode()
        return
    async for line in as_ndjson(events, _resource):
        yield line
