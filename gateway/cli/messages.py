"""Messages: finding them, looking into one, taking them again, and what was set aside."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from gateway.cli import tables
from gateway.cli.calling import call, fetch
from gateway.cli.message_filters import Filters, Search, filtered
from gateway.cli.options import DEFAULT_URL, Url, fail
from gateway.message import MESSAGE_TRANSITIONS

app = typer.Typer(invoke_without_command=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
_COLUMNS = ("id", "received", "feed", "type", "control", "state", "encounter", "reason")
_AT_ONCE = 100
_REPLAYABLE = {str(state) for state, move in MESSAGE_TRANSITIONS if move == "replay"}


@app.callback()
@filtered
def messages(
    context: typer.Context,
    filters: Filters,
    before: Annotated[str | None, typer.Option(help="Go on where the list before ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Find messages, newest first. Shows no contents; each search is audited."""
    if context.invoked_subcommand is not None:
        return
    search = Search(url, filters.query(), before)
    found = list(search.messages(limit))
    if as_json:
        _print_json({"items": found, "next": search.before, "searched_to": search.searched_to})
        return
    tables.show(_COLUMNS, [_row(message) for message in found], whole={"id"})
    _tell_more(search, len(found), limit)


def _row(message: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_second(message[name]) if name == "received" else str(message[name] or "") for name in _COLUMNS)


def _second(instant: str) -> str:
    """`2026-01-31T08:00:00.123456Z` to the second."""
    return instant[:19].replace("T", " ") + "Z"


def _tell_more(search: Search, found: int, limit: int) -> None:
    if search.searched_to is not None:
        at = _second(search.searched_to)
        typer.echo(f"searched back to {at}; for what is older say --before {search.before}", err=True)
    elif search.before is not None and found >= limit:
        typer.echo(f"there may be more: --before {search.before}", err=True)


@app.command()
def show(
    id: int,
    payload: Annotated[bool, typer.Option("--payload", help="And the bytes: patients' data, and audited.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show a message: its state and reason, what was answered, its segments, its original and replays."""
    told = call(url, "GET", f"/api/messages/{id}")
    received = fetch(url, f"/api/messages/{id}/payload") if payload else None
    if as_json:
        _print_json(told if received is None else {**told, "payload": received.decode("utf-8", "replace")})
        return
    for name, value in _lines(told):
        typer.echo(f"{name:<13}{tables.printable(value)}")
    if received is not None:
        typer.echo()
        typer.echo(tables.printable(received.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode("utf-8", "replace")))


def _lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("id", "received", "feed", "format", "type", "control", "state", "reason", "encounter"):
        if told[name]:
            yield name, str(told[name])
    answer = told["acknowledged"]
    if answer:
        yield "acknowledged", answer["code"] + (f": {answer['text']}" if answer["text"] else "")
    counted = (f"{s['name']}*{s['count']}" if s["count"] > 1 else s["name"] for s in told["segments"])
    yield "segments", " ".join(counted)
    if told["replay_of"]:
        yield "replay of", told["replay_of"]
    if told["attempts"]:
        yield "replayed as", ", ".join(told["attempts"])


@app.command()
@filtered
def replay(
    filters: Filters,
    ids: Annotated[list[int] | None, typer.Argument(help="The messages to take again.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be taken again, and do nothing.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Take messages again, by their ids or by what they are found by. Each is a new attempt, linked to its original."""
    query = filters.query()
    if bool(ids) is bool(query):
        fail("name the messages, or say what they are found by: --state set-aside --feed NAME", 2)
    if ids and not dry_run:
        _replay(url, [str(id) for id in ids])
        return
    found = [call(url, "GET", f"/api/messages/{id}") for id in ids] if ids else list(Search(url, query).messages())
    chosen = [message for message in found if message["state"] in _REPLAYABLE]
    if dry_run:
        _tell_chosen(chosen, len(found) - len(chosen))
        return
    # Oldest first, as they were received: what they say of one encounter follows in its order.
    _replay(url, [message["id"] for message in reversed(chosen)])


def _tell_chosen(chosen: Sequence[dict[str, Any]], left: int) -> None:
    groups = Counter((m["feed"], m["type"].partition("/")[0], m["state"]) for m in chosen)
    rows = [(*group, str(count)) for group, count in sorted(groups.items())]
    tables.show(("feed", "type", "state", "messages"), rows, whole=())
    beside = f"; {left} wait still, or were replayed before" if left else ""
    typer.echo(f"{len(chosen)} would be taken again{beside}")


def _replay(url: str, ids: Sequence[str]) -> None:
    """In lots, with a bar; ends with status 1 when one could not be taken again."""
    taken, refused = 0, []
    lots = [ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE)]
    for lot in track(lots, description="replaying", console=Console(stderr=True), transient=True):
        for result in call(url, "POST", "/api/messages/replay", {"messages": lot})["items"]:
            taken += result["attempt"] is not None
            if result["refused"]:
                refused.append(f"{result['message']}: {result['refused']}")
    for line in refused:
        typer.echo(line, err=True)
    typer.echo(f"{taken} queued again")
    if refused:
        raise typer.Exit(1)


def quarantine(as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show what is set aside, by feed and rule, and how to take each group again."""
    groups = call(url, "GET", "/api/quarantine")["items"]
    if as_json:
        _print_json({"items": groups})
        return
    columns = ("feed", "rule", "count", "oldest", "newest", "examples", "reason")
    tables.show(columns, [_group(group) for group in groups], whole={"rule"})
    if groups:
        typer.echo("\nlook into one: gateway messages show ID --payload\nonce mended, take a group again:", err=True)
    for group in groups:
        words = ("--state", "set-aside", "--feed", group["feed"], "--rule", group["rule"])
        typer.echo(f"  gateway messages replay {shlex.join(words)}", err=True)


def _group(group: dict[str, Any]) -> tuple[str, ...]:
    times = (_second(group["oldest"]), _second(group["newest"]))
    return (group["feed"], group["rule"], str(group["count"]), *times, "\n".join(group["examples"]), group["text"])


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))
