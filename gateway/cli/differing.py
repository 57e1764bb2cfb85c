"""`gateway diff`: what a candidate mapping would change, of what was received since a day. Nothing is written."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from gateway.analysis.diffing import Diffing, EncounterDiff, MessageDiff
from gateway.cli import tables
from gateway.cli.moments import moment
from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, fail, read_config
from gateway.config.model import Config
from gateway.mappings.errors import MappingError
from gateway.mappings.hl7v2.dialect import load_dialects
from gateway.mappings.hl7v2.dialect_source import DialectError
from gateway.message import Format
from gateway.pipeline.building import Reader
from gateway.pipeline.reading import FhirReader, Hl7Reader
from gateway.rules import Rules, RulesFault, load_rules
from gateway.store.interface import Store, StoreFault
from gateway.store.readonly import open_read_only


def diff(
    feed: Annotated[str, typer.Option(help="The feed whose messages are read again.")],
    mapping: Annotated[Path, typer.Option(help="The candidate: a dialect's file.", exists=True, dir_okay=False)],
    since: Annotated[str, typer.Option(help="Since when: a day, an instant, or how long ago (24h).")],
    show_values: Annotated[bool, typer.Option(help="Show names, dates of birth and the like, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Tell which encounters, holds and claims a candidate mapping would change. Status 1 if it changes any."""
    settings = read_config(config)
    now = datetime.now(UTC)
    begin = moment(since, now)
    if begin is None or feed not in {each.name for each in settings.hl7_feeds}:
        fail(f"there is no HL7 v2 feed {feed}; there are {', '.join(f.name for f in settings.hl7_feeds) or 'none'}", 2)
    try:
        rules = load_rules(settings)
        dialect = load_dialects(settings.dialects, mapping)[mapping.stem]
        profiles = {**rules.profiles, feed: replace(rules.profiles[feed], dialect=dialect)}
        messages, encounters, unbuilt = asyncio.run(
            _compared(settings, rules, Hl7Reader(profiles), feed, begin, now, show_values=show_values)
        )
    except (RulesFault, DialectError) as fault:
        fail(str(fault), 2)
    except StoreFault as fault:
        fail(f"the store cannot be used: {fault}", 3)
    if as_json:
        told = {
            "messages": list(map(asdict, messages)),
            "encounters": list(map(asdict, encounters)),
            "unbuilt": unbuilt,
        }
        Console().print_json(data=told, default=str)
    else:
        _show(messages, encounters, unbuilt)
    if messages or encounters or unbuilt:
        raise typer.Exit(1)


async def _compared(
    settings: Config, rules: Rules, then: Hl7Reader, feed: str, since: datetime, today: datetime, *, show_values: bool
) -> tuple[list[MessageDiff], list[EncounterDiff], dict[str, str]]:
    key = settings.store_key.get_secret_value() if settings.store_key else None
    store = open_read_only(settings.store, key)
    if store is None:
        return [], [], {}
    await store.open()
    try:
        now = Hl7Reader(rules.profiles)
        lookups = await store.lookups()
        now.add(lookups)
        then.add(lookups)
        diffing = Diffing(store, rules, _readers(rules, store, now), _readers(rules, store, then), today)
        return await _walked(diffing, feed, since, show_values=show_values)
    finally:
        await store.close()


def _readers(rules: Rules, store: Store, hl7: Hl7Reader) -> Mapping[str, Reader]:
    return {Format.HL7V2: hl7, Format.FHIR: FhirReader(rules.sources, store)}


async def _walked(
    diffing: Diffing, feed: str, since: datetime, *, show_values: bool
) -> tuple[list[MessageDiff], list[EncounterDiff], dict[str, str]]:
    """What differs, of messages and of the encounters that they made; and the encounters that cannot be compared."""
    keys: dict[str, None] = {}
    encounters: list[EncounterDiff] = []
    unbuilt: dict[str, str] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        reading = progress.add_task("messages", total=None)

        def seen(key: str | None) -> None:
            progress.advance(reading)
            if key is not None:
                keys.setdefault(key)

        messages = [each async for each in diffing.messages(feed, since, lambda message: seen(message.encounter))]
        for key in progress.track(list(keys), description="encounters"):
            try:
                found = await diffing.encounter(key, show_values=show_values)
            except MappingError as error:
                unbuilt[key] = str(error)
            else:
                encounters += [found] if found is not None else []
    return messages, encounters, unbuilt


def _show(messages: list[MessageDiff], encounters: list[EncounterDiff], unbuilt: dict[str, str]) -> None:
    if messages:
        fares = [(str(each.message), each.now, each.then) for each in messages]
        tables.show(("message", "now", "by the candidate"), fares, whole={"message"})
    rows: list[tuple[str, str, str, str]] = []
    for encounter in encounters:
        for number, each in enumerate((*encounter.values, *encounter.claim)):
            rows.append((encounter.key if number == 0 else "", each.path, each.now or "", each.then or ""))
        rows += [("", "hold opens", "", rule) for rule in encounter.opened]
        rows += [("", "hold ends", rule, "") for rule in encounter.ended]
    if rows:
        tables.show(("encounter", "value", "now", "by the candidate"), rows, whole={"encounter"})
    for key, reason in unbuilt.items():
        typer.echo(f"{key}: cannot be compared: {reason}")
    opened = Counter(rule.partition(" ")[0] for each in encounters for rule in each.opened)
    ended = Counter(rule.partition(" ")[0] for each in encounters for rule in each.ended)
    typer.echo(
        f"{len(messages)} messages and {len(encounters)} encounters would change"
        f"{_counted('; holds that open', opened)}{_counted('; holds that end', ended)}"
    )


def _counted(what: str, rules: Counter[str]) -> str:
    return f"{what}: " + ", ".join(f"{rule} {count}" for rule, count in rules.most_common()) if rules else ""
