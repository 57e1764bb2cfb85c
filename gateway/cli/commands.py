"""The command line: serving, checking, the desk, messages, the audit trail."""

from __future__ import annotations

import typer

from gateway import __version__
from gateway.cli import (
    analysis,
    audit,
    configuration,
    conformance,
    desk,
    destinations,
    differing,
    loading,
    messages,
    operation,
    queries,
    trying,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A gateway between the systems that document and code care and those that bill for it.",
)
app.command()(operation.serve)
app.command()(operation.check)
app.command()(operation.demo)
app.command()(desk.worklist)
app.command()(desk.show)
app.command()(desk.approve)
app.command("return")(desk.return_to_coder)
app.command()(desk.resolve)
app.command()(desk.ask)
app.add_typer(queries.app, name="queries", help="List provider queries.")
app.command()(queries.query_templates)
app.command()(queries.query_report)
app.command()(desk.settle)
app.command()(destinations.destinations)
app.command()(destinations.suspend)
app.command()(destinations.resume)
app.command()(loading.load)
app.command("try")(trying.try_)
app.command()(conformance.conformance)
app.command()(messages.quarantine)
app.add_typer(messages.app, name="messages", help="Find messages, show one, take them again.")
app.command()(analysis.explain)
app.command()(differing.diff)
app.command()(analysis.rebuild)
app.command()(analysis.charges)
app.add_typer(analysis.codes, name="codes", help="Code tables: what senders' codes mean, and which nobody mapped.")
app.command()(configuration.reload)
app.command()(configuration.rollback)
app.command()(configuration.alerts)
app.command()(configuration.prune)
app.add_typer(configuration.app, name="configuration", help="List the configuration's versions; show one, compare two.")
app.add_typer(audit.app, name="audit", help="Verify and export the audit trail.")


@app.command()
def version() -> None:
    """Say which version this is."""
    typer.echo(__version__)
