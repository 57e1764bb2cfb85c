"""Provider queries from the command line: the templates, asking by a file, and how queries fare."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gateway import yamlfile
from gateway.cli import tables
from gateway.cli.calling import call
from gateway.cli.options import DEFAULT_URL, Url, fail

app = typer.Typer(no_args_is_help=True)

_TEMPLATE, _ANSWER = "template", "answer"


def ask(address: str, file: Path, url: str, *, show_only: bool, then: Callable[[dict[str, Any]], None]) -> None:
    """Ask what the file says: written out, by a template, or recorded as spoken. With `show_only` nothing is asked."""
    said = yamlfile.read(file, yamlfile.Form())
    if said.mistakes:
        fail("\n".join(map(str, said.mistakes)), 2)
    data = dict(said.data)
    if show_only:
        if _TEMPLATE not in data:
            fail("only a file with a template makes a draft", 2)
        data.pop(_ANSWER, None)
        _show_draft(call(url, "POST", f"{address}/draft", data))
        return
    by_template = _TEMPLATE in data
    if _ANSWER in data:
        answer = data.pop(_ANSWER)
        then(call(url, "POST", f"{address}/verbal", {"filling" if by_template else "query": data, "answer": answer}))
        return
    then(call(url, "POST", f"{address}/template" if by_template else address, data))


def _show_draft(told: dict[str, Any]) -> None:
    Console().print_json(data=told["draft"])
    for breach in told["breaches"]:
        typer.echo(breach, err=True)
    if told["breaches"]:
        raise typer.Exit(1)


class State(StrEnum):
    OPEN = "open"
    OVERDUE = "overdue"
    ANSWERED = "answered"
    OVER = "over"


@app.command("list")
def listed(
    state: Annotated[State | None, typer.Option(help="Only these; overdue: open though their day is over.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only queries to this provider, by NPI.")] = None,
    encounter: Annotated[str | None, typer.Option(help="Only queries about this encounter, by its key.")] = None,
    after: Annotated[str | None, typer.Option(help="Go on where the list before ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List provider queries, the oldest first."""
    said = {"state": state, "provider": provider, "encounter": encounter, "after": after, "limit": str(limit)}
    told = call(url, "GET", "/api/queries", query={name: str(value) for name, value in said.items() if value})
    if as_json:
        Console().print_json(data=told)
        return
    tables.show(_COLUMNS, [_row(item) for item in told["items"]], whole={"id", "encounter"})
    if told["next"] is not None:
        typer.echo(f"there are more: --after {told['next']}", err=True)


_COLUMNS = ("id", "encounter", "provider", "status", "asked", "due", "answered", "reminded", "title")


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    due = item["due"][:10] + (" OVERDUE" if item["overdue"] else "")
    answered = (item["answered"] or "")[:10]
    head = (item["id"], item["encounter"], item["provider"], item["status"], item["asked"][:10])
    return (*head, due, answered, str(item["reminders"]), item["title"])


def query_templates(
    name: Annotated[str | None, typer.Argument(help="One template, with all that it takes.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """List the templates of provider queries."""
    items = call(url, "GET", "/api/query-templates")["items"]
    if name is not None:
        found = next((item for item in items if item["name"] == name), None)
        if found is None:
            fail(f"there is no template {name}; there are: {', '.join(item['name'] for item in items)}", 2)
        Console().print_json(data=found)
        return
    rows = [(item["name"], item["kind"], *(_names(item[part]) for part in ("values", "indicators"))) for item in items]
    tables.show(("template", "kind", "values", "indicators"), rows, whole={"template"})


def _names(items: list[dict[str, Any]]) -> str:
    return ", ".join(item["name"] + (" (may be left out)" if item.get("at_least") == 0 else "") for item in items)


def query_report(
    since: Annotated[str | None, typer.Option(help="An instant with its zone, as 2026-01-31T08:00:00Z.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Show how long answers take and how often they agree, by provider and template; the last 30 days by default."""
    told = call(url, "GET", "/api/query-report", query={"since": since} if since else None)
    names = ("provider", "template", "asked", "open", "answered", "agreed", "disagreed", "escalated", "median_hours")
    rows = [tuple("" if item[name] is None else str(item[name]) for name in names) for item in told["items"]]
    tables.show(names, rows, whole={"provider"})
