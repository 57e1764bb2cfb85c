"""Looking into feeds from the command line: where values come from, code tables, what became of every charge."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console

from gateway.cli import tables
from gateway.cli.calling import call
from gateway.cli.options import DEFAULT_URL, Url, fail

codes = typer.Typer(no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def explain(
    key: str,
    field: Annotated[str, typer.Argument(help="As visit.discharged, charges[0].code; everything when left out.")] = "",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Tell where an encounter's values come from: message, segment, field, mapping version. Reading it is audited.

    With a field, also the messages that were overruled.
    """
    query = {"field": field} if field else {}
    items = call(url, "GET", f"/api/encounters/{quote(key, safe=':')}/explanation", query=query)["items"]
    if as_json:
        Console().print_json(data=items)
        return
    rows = []
    for item in items:
        for number, said in enumerate((item["said"] if field else item["said"][:1]) or [{}]):
            first = number == 0
            rows.append(
                (
                    item["path"] if first else "",
                    str(item["value"] if item["value"] is not None else "") if first else "(overruled)",
                    said.get("place", ""),
                    said.get("message", ""),
                    f"{said.get('feed', '')} {said.get('type', '')}".strip(),
                    said.get("mapping", ""),
                )
            )
    tables.show(("field", "value", "place", "message", "from", "mapping"), rows, whole={"field", "place", "message"})
    if not field and any(len(item["said"]) > 1 for item in items):
        typer.echo(f"what was overruled: gateway explain {key} FIELD")


def rebuild(key: str, url: Url = DEFAULT_URL) -> None:
    """Make an encounter again of its messages, by the mappings in force."""
    changed = call(url, "POST", f"/api/encounters/{quote(key, safe=':')}/rebuild")["changed"]
    typer.echo(f"{key}: {'changed' if changed else 'as it was'}")


def charges(
    since: Annotated[str, typer.Option(help="The first day, as 2026-11-01; today when left out.")] = "",
    until: Annotated[str, typer.Option(help="The last day.")] = "",
    feed: Annotated[str | None, typer.Option(help="Only this feed.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show what became of every charge, by feed and day. Ends with 1 when one is unaccounted for."""
    query = {"since": _day(since).isoformat()}
    if until:
        query["until"] = (_day(until) + timedelta(days=1)).isoformat()
    if feed:
        query["feed"] = feed
    items = call(url, "GET", "/api/charges", query=query)["items"]
    if as_json:
        Console().print_json(data=items)
    else:
        fates = list(dict.fromkeys(name for item in items for name in item["became"]))
        rows = [
            (item["feed"], item["day"], str(item["said"]), *(str(item["became"].get(name, 0)) for name in fates))
            for item in items
        ]
        tables.show(("feed", "day", "came in", *fates), rows, whole={"feed", "day"})
    if any(item["unaccounted"] for item in items):
        fail("charges came in that are neither billed nor explained", 1)


def _day(day: str) -> datetime:
    """Midnight of the day, here."""
    try:
        chosen = date.fromisoformat(day) if day else datetime.now(UTC).astimezone().date()
    except ValueError:
        fail(f"{day[:20]!r} is not a day; write it as 2026-11-01", 2)
    return datetime.combine(chosen, time()).astimezone()


@codes.command("unmapped")
def unmapped(as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """List the codes that no table has, those that most encounters wait for first."""
    items = call(url, "GET", "/api/codes/unmapped")["items"]
    if as_json:
        Console().print_json(data=items)
        return
    names = ("feed", "table", "code", "encounters", "example")
    tables.show(names, [tuple(str(item[name]) for name in names) for item in items], whole={"code", "example"})


@codes.command("list")
def listed(
    feed: str,
    table: Annotated[str | None, typer.Option(help="Only this table, as procedure_system.")] = None,
    value: Annotated[str | None, typer.Option(help="Only the sender's codes that mean this.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show a feed's code tables; with --value, which of the sender's codes mean it."""
    query = {name: said for name, said in (("feed", feed), ("table", table), ("value", value)) if said}
    items = call(url, "GET", "/api/codes", query=query)["items"]
    if as_json:
        Console().print_json(data=items)
        return
    names = ("table", "code", "value", "source")
    tables.show(names, [tuple(str(item[name]) for name in names) for item in items], whole={"code"})


@codes.command("map")
def map_code(
    feed: str,
    table: str,
    code: str,
    value: Annotated[str, typer.Argument(help='What it means; a charge code as {"code": "71046", "system": "cpt"}.')],
    url: Url = DEFAULT_URL,
) -> None:
    """Say what a sender's code means. It is in force at once, and encounters that waited for it go on."""
    body = {"feed": feed, "table": table, "code": code, "value": value}
    count = call(url, "PUT", "/api/codes", body)["went_on"]
    typer.echo(f"{code} means {value}; {count} {'encounter' if count == 1 else 'encounters'} went on")


@codes.command("unmap")
def unmap(feed: str, table: str, code: str, url: Url = DEFAULT_URL) -> None:
    """Take back what was mapped by hand: the dialect's own table counts again."""
    call(url, "PUT", "/api/codes", {"feed": feed, "table": table, "code": code, "value": None})
    typer.echo(f"{code}: taken back")
