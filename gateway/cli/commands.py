"""The command line: serving, checking, the desk, messages, the audit trail."""

from __future__ import annotations

import typer

from gateway import __version__
from gateway.cli import audit, desk, messages, operation

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
app.command()(desk.settle)
app.command()(messages.messages)
app.command()(messages.message)
app.command()(messages.replay)
app.add_typer(audit.app, name="audit", help="Verify and export the audit trail.")


@app.command()
def version() -> None:
    """Say which version this is."""
    typer.echo(__version__)
