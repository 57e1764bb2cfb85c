"""A feed's report as text: for the terminal, a ticket, a printer."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.feed_report import FeedReport, RuleResult

WIDTH = 100
THE_MESSAGE = "the message"
"""The place of what has no other."""
_PLACES = 8


def text(report: FeedReport) -> str:
    """The whole sheet. What would steer a terminal is not in it."""
    return "\n".join(map(_printable, _lines(report))) + "\n"


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)


def verdict(report: FeedReport) -> str:
    """One line."""
    count = len(report.messages)
    if report.conforms:
        return f"CONFORMS: {count} messages, no error"
    return f"DOES NOT CONFORM: {report.errors} of {count} messages have errors"


def counted(counter: dict[str, int]) -> str:
    """`ADT^A08 12, DFT^P03 3`, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items(), key=lambda each: -each[1]))


def _lines(report: FeedReport) -> Iterator[str]:
    yield f"CONFORMANCE OF FEED {report.feed}"
    yield ""
    yield f"made       {report.made:%Y-%m-%d %H:%M %Z}"
    yield f"dialect    {report.dialect}, version {report.mapping}"
    yield f"files      {', '.join(report.files)}"
    yield f"messages   {len(report.messages)}: {counted(report.types)}"
    yield f"versions   {counted(report.versions)}"
    yield f"values     {'shown: this sheet holds patient data' if report.show_values else 'not shown'}"
    yield ""
    yield verdict(report)
    yield from (f"file       {problem}" for problem in report.file_problems)
    for source in dict.fromkeys(result.source for result in report.rules.values()):
        yield ""
        yield source.upper()
        for result in report.rules.values():
            if result.source == source:
                yield from _rule(result)
    yield ""
    yield from ("AGREED", "", "analyst  ______________________________  date __________", "")
    yield "vendor   ______________________________  date __________"


def _rule(result: RuleResult) -> Iterator[str]:
    mark = "ok" if not result.failed else result.weight.value.upper()
    yield f"  {mark:<8} {result.kept:>6} of {result.asked:<6} {result.asks}"
    if not result.failed:
        return
    places = result.places.most_common(_PLACES)
    more = f", and {len(result.places) - _PLACES} places more" if len(result.places) > _PLACES else ""
    named = ", ".join(f"{place or THE_MESSAGE} ({count})" for place, count in places)
    yield f"{'':<27}at {named}{more}"
    for example in result.examples:
        value = f"  [{example.value}]" if example.value is not None else ""
        yield f"{'':<27}as {example.file} #{example.number} {example.place}: {example.text}{value}"
