"""Messages: what was received, what was set aside and why, and taking it again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from gateway.cli import tables
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, fail, read_config
from gateway.cli.stores import with_store
from gateway.clock import Ids, SystemClock
from gateway.message import Message, MessageState
from gateway.replay import NotReplayable
from gateway.replay import replay as take_again
from gateway.store.interface import MessageQuery, Store

_SECONDS = "%Y-%m-%d %H:%M:%SZ"
OPERATOR_NODE = 63
"""The node number of ids that commands give, so that they never meet those of a running gateway."""


def messages(
    state: Annotated[MessageState | None, typer.Option(help="Only messages in this state.")] = None,
    feed: Annotated[str | None, typer.Option(help="Only messages of this feed.")] = None,
    encounter: Annotated[str | None, typer.Option(help="Only messages of this encounter.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """List messages, newest first. Shows no contents."""
    wanted = MessageQuery(state=state, feed=feed, encounter=encounter, limit=limit)
    found = with_store(read_config(config), lambda store: store.messages(wanted))
    rows = [
        (str(m.id), f"{m.received.astimezone(UTC):{_SECONDS}}", m.feed, m.type, m.control, m.state, m.reason or "")
        for m in found
    ]
    columns = ("id", "received", "feed", "type", "control id", "state", "reason")
    tables.show(columns, rows, whole={"id"})


def message(id: int, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Print a message's bytes as they were received. This shows patients' data."""
    found = with_store(read_config(config), lambda store: store.message(id))
    if found is None:
        fail(f"there is no message {id}")
    typer.echo(found.payload.replace(b"\r", b"\n"), nl=False)


def replay(
    ids: Annotated[list[int] | None, typer.Argument(help="The messages to take again.")] = None,
    set_aside: Annotated[bool, typer.Option("--set-aside", help="Take again all that were set aside.")] = False,
    feed: Annotated[str | None, typer.Option(help="With --set-aside: only this feed's.")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Take messages again, after the mapping or the data was mended. A running gateway picks them up."""
    if bool(ids) is set_aside:
        fail("name the messages, or say --set-aside", 2)
    taken, refused = with_store(read_config(config), lambda store: _replay(store, ids or [], set_aside, feed))
    for line in refused:
        typer.echo(line, err=True)
    typer.echo(f"{taken} queued again")
    if refused:
        raise typer.Exit(1)


async def _replay(store: Store, ids: list[int], set_aside: bool, feed: str | None) -> tuple[int, list[str]]:
    wanted = [m.id async for m in _set_aside(store, feed)] if set_aside else ids
    refused: list[str] = []
    node_ids = Ids(OPERATOR_NODE)
    for id in track(wanted, description="replaying", console=Console(stderr=True), transient=True):
        try:
            await take_again(store, id, actor="user:operator", clock=SystemClock(), ids=node_ids)
        except NotReplayable as reason:
            refused.append(str(reason))
    return len(wanted) - len(refused), refused


async def _set_aside(store: Store, feed: str | None) -> AsyncIterator[Message]:
    before: int | None = None
    while page := await store.messages(MessageQuery(state=MessageState.SET_ASIDE, feed=feed, before=before, limit=500)):
        for found in page:
            yield found
        before = page[-1].id
