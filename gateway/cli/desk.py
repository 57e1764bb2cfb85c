"""The desk from the command line. Every command calls /api with a token, so that the audit trail names who acted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console

from gateway.cli import queries, tables
from gateway.cli.calling import call
from gateway.cli.options import DEFAULT_URL, Url


def _show_ruling(ruling: dict[str, Any]) -> None:
    holds = ruling.get("open_holds", [])
    typer.echo(f"{ruling['key']}: {ruling['stage']}" + (f", {len(holds)} holds stand" if holds else ""))
    for hold in holds:
        typer.echo(f"  {hold['id']}  {hold['kind']}  {hold['rule']}: {hold['text']}")


def _address(key: str) -> str:
    """A key as it stands in an address: what it writes as %3A must stay so."""
    return quote(key, safe=":")


def worklist(
    stage: Annotated[
        str | None, typer.Option(help="Only this stage, as held or released; a comma between several.")
    ] = None,
    hold: Annotated[str | None, typer.Option(help="Only with an open hold of this kind, as review or edit.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """List encounters with the holds that stand."""
    wanted = {name: value for name, value in (("stage", stage), ("hold", hold)) if value}
    items = call(url, "GET", "/api/worklist", query=wanted)["items"]
    names = ("key", "stage", "encounter_class", "payer", "coder", "total")
    rows = [(*(str(item.get(name) or "") for name in names), "\n".join(item["holds"])) for item in items]
    columns = ("encounter", "stage", "class", "payer", "coder", "total", "holds")
    tables.show(columns, rows, whole={"encounter", "total"})


def show(key: str, url: Url = DEFAULT_URL) -> None:
    """Show an encounter: its holds, documents, queries and claims. Reading it is audited."""
    encounter = call(url, "GET", f"/api/encounters/{_address(key)}")
    Console().print_json(data=encounter)


def approve(
    key: str,
    comment: Annotated[str | None, typer.Option(help="Why.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="What you saw; what stands now when not given.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Approve exactly what would be billed now."""
    seen = fingerprint or call(url, "GET", f"/api/encounters/{_address(key)}")["fingerprint"]
    approval = {"fingerprint": seen, "comment": comment}
    _show_ruling(call(url, "POST", f"/api/encounters/{_address(key)}/approve", approval))


def return_to_coder(
    key: str,
    feedback: Annotated[str, typer.Option(help="What the coder should change, and why.")],
    url: Url = DEFAULT_URL,
) -> None:
    """Return an encounter to its coder with feedback."""
    _show_ruling(call(url, "POST", f"/api/encounters/{_address(key)}/return", {"feedback": feedback}))


def resolve(
    key: str, hold: int, reason: Annotated[str, typer.Option(help="Why it need not stand.")], url: Url = DEFAULT_URL
) -> None:
    """End one hold, for a reason."""
    _show_ruling(call(url, "POST", f"/api/encounters/{_address(key)}/holds/{hold}/resolve", {"reason": reason}))


def ask(
    key: str,
    query: Annotated[Path, typer.Argument(help="A YAML file with the query; docs/queries.md shows one.", exists=True)],
    draft: Annotated[bool, typer.Option("--draft", help="Show what would be asked, and ask nothing.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Ask the provider a query. It is refused, with the rule named, when it would lead.

    A file with `template:` fills in a template; one with `answer:` records what was asked and answered by mouth.
    """
    queries.ask(f"/api/encounters/{_address(key)}/queries", query, url, show_only=draft, then=_show_ruling)


def settle(
    delivery: int,
    outcome: Annotated[str, typer.Argument(help="accepted, rejected, or again.")],
    reason: Annotated[str, typer.Option(help="How you know.")],
    url: Url = DEFAULT_URL,
) -> None:
    """Say what became of a delivery of which the gateway cannot know."""
    settled = call(url, "POST", f"/api/deliveries/{delivery}/settle", {"outcome": outcome, "reason": reason})
    typer.echo(f"{settled['id']}: {settled['state']}")
