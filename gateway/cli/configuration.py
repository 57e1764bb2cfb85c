"""The configuration in force: its versions, reloading it, returning to an earlier one; alerts, and pruning."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gateway.cli import tables
from gateway.cli.calling import call
from gateway.cli.options import DEFAULT_CONFIG, DEFAULT_URL, ConfigFile, Url, fail, read_config
from gateway.cli.stores import with_store
from gateway.clock import SystemClock
from gateway.config.model import Config
from gateway.settings import ConfigErrors, load
from gateway.settings.written import Named, files_of
from gateway.store.interface import Store
from gateway.store.upkeep import ConfigurationVersion, VersionState
from gateway.upkeep.pruning import Pruned, Pruning
from gateway.upkeep.restoring import NotRestorable, Restoration
from gateway.upkeep.versions import Versions, difference
from gateway.yamlfile import Mistakes

app = typer.Typer(invoke_without_command=True)

OPERATOR = "user:operator"
_SECONDS = "%Y-%m-%d %H:%M:%SZ"
T = TypeVar("T")

Offline = Annotated[bool, typer.Option("--offline", help="Use the store itself: for when no gateway runs.")]
StoreUrl = Annotated[
    str | None, typer.Option("--store", help="With --offline: the store's address, where gateway.yaml can't be read.")
]


@app.callback()
def versions(
    context: typer.Context, url: Url = DEFAULT_URL, offline: Offline = False, config: ConfigFile = DEFAULT_CONFIG
) -> None:
    """List the versions of the configuration, newest first."""
    if context.invoked_subcommand is not None:
        return
    if offline:
        items = _offline(config, None, lambda versions: versions.listed(limit=200))
    else:
        told = call(url, "GET", "/api/configuration/versions", query={"limit": "200"})["items"]
        items = [_version(item) for item in told]
    rows = [
        (str(one.number), f"{one.written:{_SECONDS}}", one.actor, one.state.value, str(one.node), one.digest[:12])
        for one in items
    ]
    tables.show(("version", "since", "by", "state", "node", "sha256"), rows, whole={"version"})


@app.command()
def show(version: int, url: Url = DEFAULT_URL, offline: Offline = False, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Print the files of a version."""
    found = _one(version, url, offline, config)
    for name, text in sorted(found.files.items()):
        typer.echo(f"# ---- {name}")
        typer.echo(text, nl=not text.endswith("\n"))


@app.command()
def diff(
    before: int, after: int, url: Url = DEFAULT_URL, offline: Offline = False, config: ConfigFile = DEFAULT_CONFIG
) -> None:
    """Print what changed from one version to another. Status 1 when anything did."""
    told = difference(_one(before, url, offline, config), _one(after, url, offline, config))
    typer.echo(told, nl=False)
    if told:
        raise typer.Exit(1)


def reload(url: Url = DEFAULT_URL) -> None:
    """Let the running gateway read its files again. All of it takes effect, or nothing does."""
    _tell_taken(call(url, "POST", "/api/configuration/reload"))


def rollback(
    version: Annotated[int | None, typer.Argument(help="The one before when it is not said.")] = None,
    url: Url = DEFAULT_URL,
    offline: Offline = False,
    store: StoreUrl = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Write the files of an earlier version back and let the running gateway take them over."""
    if offline:
        _roll_back_offline(version, config, store)
        return
    body = {"version": version} if version is not None else {}
    _tell_taken(call(url, "POST", "/api/configuration/rollback", body))


def alerts(url: Url = DEFAULT_URL) -> None:
    """List the alerts that are raised. Status 1 when there is one."""
    items = call(url, "GET", "/api/alerts")["items"]
    rows = [(item["name"], item["subject"], item["since"], item["text"], str(item["node"])) for item in items]
    tables.show(("alert", "of", "since", "what was seen", "node"), rows, whole={"alert"})
    if items:
        raise typer.Exit(1)


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Drop the content of messages whose retention is over. The audit trail and their rows stay."""
    settings = read_config(config)
    if not settings.retention.by_state():
        fail("nothing is pruned: retention says of no state how long it is kept", 2)
    done = with_store(
        settings, lambda store: Pruning(store, SystemClock(), settings.retention, OPERATOR).run(dry=dry_run)
    )
    _tell_pruned(done, "would go" if dry_run else "pruned")


def _tell_pruned(done: Pruned, what: str) -> None:
    for state, count in sorted(done.messages.items()):
        typer.echo(f"{state}: {count} messages {what}")
    megabytes = done.bytes / 1_000_000
    typer.echo(f"{done.messages.total()} messages, {megabytes:.1f} MB, of {done.encounters} settled encounters")


def _tell_taken(taken: dict[str, Any]) -> None:
    files = ", ".join(taken["files"]) or "no file"
    settings = f" (in gateway.yaml: {', '.join(taken['changed'])})" if taken["changed"] else ""
    typer.echo(f"version {taken['version']} is in force; changed: {files}{settings}")
    if taken["kept"] is not None:
        typer.echo(f"what stood in the files is kept as version {taken['kept']}")
    for copy in taken["copies"]:
        typer.echo(f"what stood there may hold a secret, or is no text; a copy is in {copy}")


def _one(number: int, url: str, offline: bool, config: Path) -> ConfigurationVersion:
    if not offline:
        return _version(call(url, "GET", f"/api/configuration/versions/{number}"))
    found = _offline(config, None, lambda versions: versions.version(number))
    if found is None:
        fail(f"there is no version {number}")
    return found


def _version(item: dict[str, Any]) -> ConfigurationVersion:
    written = datetime.fromisoformat(item["written"])
    state = VersionState(item["state"])
    files = item.get("files", {})
    return ConfigurationVersion(item["number"], item["node"], item["digest"], state, item["actor"], written, files)


def _offline(config: Path, store: str | None, work: Callable[[Versions], Awaitable[T]]) -> T:
    settings = _settings(config, store)
    return with_store(settings, lambda opened: work(Versions(opened, settings.node, SystemClock())))


def _settings(config: Path, store: str | None) -> Config:
    """What leads to the store; with `store` the file need not be in order."""
    if store is None:
        return read_config(config)
    key = os.environ.get("GATEWAY_STORE_KEY")
    return Config.model_validate({"store": store, **({"store_key": key} if key else {})})


def _named(config: Path) -> Named:
    """The other files that it names, whether or not it is in order."""
    try:
        return Named.by(load(config, os.environ))
    except ConfigErrors as errors:
        return errors.named


def _roll_back_offline(number: int | None, config: Path, store: str | None) -> None:
    files = Restoration(config, os.environ, files_of(config.absolute(), _named(config)))

    async def work(opened: Store) -> str:
        node = settings.node
        versions = Versions(opened, node, SystemClock())
        version = await (opened.configuration_in_force(node) if number is None else versions.version(number))
        if version is None or version.node != node:
            raise NotRestorable("there is no such version of this gateway")
        present = files.present()
        kept = await versions.keep(present, OPERATOR) if present is not None else None
        copies = files.set_aside(f"{SystemClock().now():%Y%m%dT%H%M%S}") if kept is None else []
        files.write(version)
        stood = f"version {kept}" if kept is not None else ", ".join(map(str, copies))
        return f"the files of version {version.number} are in place; what stood there is kept as {stood}"

    settings = _settings(config, store)
    try:
        typer.echo(with_store(settings, work))
    except (NotRestorable, OSError) as fault:
        fail(f"nothing was changed: {fault}")
    except Mistakes as mistakes:
        fail(f"nothing was changed; the version no longer passes the check:\n{mistakes}", 2)
