"""`gateway conformance`: messages against the standard and the feed's profile, as a sheet to sign."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.options import DEFAULT_CONFIG, ConfigFile, fail, read_config
from gateway.cli.quietly import faults_only
from gateway.config.model import Config
from gateway.rules import Rules, RulesFault, load_rules
from gateway.trial.files import Messages, UnreadableFile, hl7_messages

if TYPE_CHECKING:
    from conformance.feed_report import FeedReport

Report = Annotated[Path | None, typer.Option(help="Write the report there.", dir_okay=False)]


def conformance(
    files: Annotated[list[Path], typer.Argument(help="Files of messages; batches too.", exists=True, dir_okay=False)],
    feed: Annotated[str, typer.Option("--feed", help="The feed that would send them.")],
    junit: Report = None,
    html: Report = None,
    text: Report = None,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Show the values in question: the report then holds patient data.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="How long one message may be judged.")] = 10.0,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Judge messages by the standard's structure for their version and by the feed's profile. Status 1 for an error."""
    # It takes a while to load, and no other command needs it.
    from conformance import report_html, report_junit, report_text

    settings = read_config(config)
    if feed not in {each.name for each in settings.hl7_feeds}:
        fail(f"there is no HL7 v2 feed {feed}; there are {', '.join(f.name for f in settings.hl7_feeds) or 'none'}", 2)
    try:
        rules, read = load_rules(settings), [hl7_messages(path) for path in files]
    except (RulesFault, UnreadableFile) as fault:
        fail(str(fault), 2)
    with faults_only():
        report = _checked(settings, rules, feed, read, show_values=show_values, seconds=seconds)
    told = report_text.text(report)
    _write(junit, report_junit.junit(report))
    _write(html, report_html.page(report).encode("utf-8", "replace"))
    _write(text, told.encode("utf-8", "replace"))
    if text is None:
        typer.echo(told)
    else:
        typer.echo(report_text.verdict(report))
    if not report.conforms:
        raise typer.Exit(1)


def _checked(
    settings: Config, rules: Rules, feed: str, read: Sequence[Messages], *, show_values: bool, seconds: float
) -> FeedReport:
    from conformance.feed_check import check_feed
    from conformance.referee_process import Referee

    columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Referee(seconds) as referee, Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("judging", total=sum(len(each.payloads) for each in read))
        return asyncio.run(
            check_feed(
                settings,
                rules,
                feed,
                read,
                referee,
                made=datetime.now(UTC),
                show_values=show_values,
                seen=lambda: progress.advance(task),
            )
        )


def _write(path: Path | None, content: bytes) -> None:
    if path is None:
        return
    try:
        path.write_bytes(content)
    except OSError as error:
        fail(f"{path}: {error.strerror}", 2)
