"""Runs messages of a feed past the standard and past the feed's own profile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from conformance.feed_profile import remarks
from conformance.feed_report import FeedReport
from conformance.referee_process import Referee
from gateway.config.model import Config
from gateway.rules import Rules
from gateway.trial.files import Messages
from gateway.trial.trial import Trial

Seen = Callable[[], None]


async def check_feed(
    config: Config,
    rules: Rules,
    feed: str,
    files: Sequence[Messages],
    referee: Referee,
    *,
    made: datetime,
    show_values: bool = False,
    seen: Seen = lambda: None,
) -> FeedReport:
    """The report on all messages of the files. Nothing is kept; `seen` is called after each message."""
    dialect = rules.profiles[feed].dialect
    report = FeedReport(feed, dialect.name, dialect.version, made, show_values)
    async with Trial(config, rules) as trial:
        for each in files:
            report.files.append(each.file)
            report.file_problems += [f"{each.file}: {problem}" for problem in each.problems]
            for number, payload in enumerate(each.payloads, start=1):
                tried = await trial.hl7(feed, payload, each.file, number)
                judged = await asyncio.to_thread(referee.judge, payload)
                report.add(tried, judged, remarks(tried))
                seen()
    return report
