"""`gateway try`: what would become of the messages in files, without a trace in the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.access.roles import Role
from gateway.cli import tried_text
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, fail, read_config
from gateway.cli.quietly import faults_only
from gateway.config.model import Config
from gateway.rules import Rules, RulesFault, load_rules
from gateway.store.interface import Store, StoreFault
from gateway.store.readonly import open_read_only
from gateway.trial.files import Messages, Resources, UnreadableFile, fhir_resources, hl7_messages
from gateway.trial.trial import Trial
from gateway.trial.tried import Tried

Files = Annotated[list[Path], typer.Argument(help="Files of messages; batches too.", exists=True, dir_okay=False)]
FeedName = Annotated[str, typer.Option("--feed", help="The feed, or the FHIR client, that would send them.")]


def try_(
    files: Files,
    feed: FeedName,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Values that cannot be read or mapped fail too.")] = False,
    store: Annotated[bool, typer.Option(help="Look at what the store knows of the same encounters.")] = True,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Tell what would become of messages: acknowledgement, values, what is not used, holds. Status 1 if any would fail.

    Nothing is kept. What is shown is patients' data.
    """
    settings = read_config(config)
    try:
        rules = load_rules(settings)
        read = _read(settings, feed, files)
        with faults_only():
            tried = asyncio.run(_tried(settings, rules, feed, read, look=store))
    except (RulesFault, UnreadableFile) as fault:
        fail(str(fault), 2)
    except StoreFault as fault:
        fail(f"the store cannot be used: {fault}", 3)
    failed = [one for one in tried if one.failed or (strict and one.problems)]
    if as_json:
        typer.echo(json.dumps(_document(rules, feed, read, tried, len(failed)), indent=2))
    else:
        tried_text.show(read, tried, len(failed))
    if failed or any(each.problems for each in read):
        raise typer.Exit(1)


def _read(settings: Config, name: str, files: Sequence[Path]) -> list[Messages] | list[Resources]:
    """The files' contents, in the form that the feed or client sends. Ends the command when there is no such one."""
    feeds = {feed.name for feed in settings.hl7_feeds}
    clients = {client.name for client in settings.clients if Role.FEED in client.roles}
    clients |= {feed.name for feed in settings.polled_feeds}
    if name not in feeds | clients:
        fail(f"there is no feed {name}; there are {', '.join(sorted(feeds | clients)) or 'none'}", 2)
    if name in feeds:
        return [hl7_messages(path) for path in files]
    return [fhir_resources(path) for path in files]


async def _tried(
    settings: Config, rules: Rules, feed: str, read: list[Messages] | list[Resources], *, look: bool
) -> list[Tried]:
    found = []
    async with _standing(settings, look=look) as standing, Trial(settings, rules, standing) as trial:
        for each in read:
            if isinstance(each, Messages):
                for number, payload in enumerate(each.payloads, start=1):
                    found.append(await trial.hl7(feed, payload, each.file, number))
            else:
                for number, (type, payload) in enumerate(each.written, start=1):
                    found.append(await trial.fhir(feed, payload, type, each.file, number))
    return found


@asynccontextmanager
async def _standing(settings: Config, *, look: bool) -> AsyncIterator[Store | None]:
    """The configured store, to be read only; None when there is none, or it is not to be looked at."""
    key = settings.store_key.get_secret_value() if settings.store_key else None
    store = open_read_only(settings.store, key) if look else None
    if store is None:
        yield None
        return
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _document(
    rules: Rules, feed: str, read: Sequence[Messages | Resources], tried: Sequence[Tried], failed: int
) -> dict[str, Any]:
    profile = rules.profiles.get(feed)
    return {
        "feed": feed,
        "dialect": profile.dialect.name if profile is not None else None,
        "files": [{"file": each.file, "problems": list(each.problems)} for each in read],
        "messages": [one.as_json() for one in tried],
        "failed": failed,
    }
