"""A feed's report as one HTML page that needs nothing else: no script, no font, no image from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from conformance.feed_report import FeedReport, RuleResult
from conformance.report_text import THE_MESSAGE, counted, verdict

_PLACES = 20
_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 70em; color: #1b1b1b; }
h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin-top: 2em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35em .6em; border-bottom: 1px solid #ddd; }
td.number { text-align: right; white-space: nowrap; }
.verdict { padding: .8em 1em; font-weight: 600; border-left: .4em solid; }
.good { border-color: #23733a; background: #edf7ef; } .bad { border-color: #a4262c; background: #fbeeee; }
.ok { color: #23733a; } .error { color: #a4262c; font-weight: 600; } .warning { color: #8a5a00; }
code { font-size: .95em; } ul { margin: .2em 0; padding-left: 1.2em; }
.agreed { margin-top: 3em; display: flex; gap: 4em; } .agreed div { flex: 1; border-top: 1px solid; padding-top: .3em; }
@media print { body { margin: 0; } tr { page-break-inside: avoid; } }
"""


def page(report: FeedReport) -> str:
    """The whole sheet. Every text that comes from a message or a file is escaped."""
    return "".join(_parts(report))


def _parts(report: FeedReport) -> Iterator[str]:
    title = escape(f"Conformance of feed {report.feed}")
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
    yield f'<p class="verdict {"good" if report.conforms else "bad"}">{escape(verdict(report))}</p>'
    yield "<table>"
    yield from (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _facts(report))
    yield "</table>"
    for source in dict.fromkeys(result.source for result in report.rules.values()):
        yield f"<h2>{escape(source[:1].upper() + source[1:])}</h2>"
        yield "<table><tr><th>Rule</th><th>Kept</th><th>Where not, and examples</th></tr>"
        for result in report.rules.values():
            if result.source == source:
                yield from _rule(result)
        yield "</table>"
    yield '<div class="agreed"><div>Analyst, date</div><div>Vendor, date</div></div></body></html>\n'


def _facts(report: FeedReport) -> Iterator[tuple[str, str]]:
    yield "Made", f"{report.made:%Y-%m-%d %H:%M %Z}"
    yield "Dialect", f"{report.dialect}, version {report.mapping}"
    yield "Files", ", ".join(report.files)
    yield "Messages", f"{len(report.messages)}: {counted(report.types)}"
    yield "Versions", counted(report.versions)
    yield "Values", "shown: this page holds patient data" if report.show_values else "not shown"
    for problem in report.file_problems:
        yield "File", problem


def _rule(result: RuleResult) -> Iterator[str]:
    mark = "ok" if not result.failed else result.weight.value
    yield f'<tr><td><span class="{mark}">{mark}</span> {escape(result.asks)}</td>'
    yield f'<td class="number">{result.kept} of {result.asked}</td><td>'
    if result.failed:
        yield "; ".join(
            f"<code>{escape(place or THE_MESSAGE)}</code> {count}"
            for place, count in result.places.most_common(_PLACES)
        )
        yield "<ul>"
        for example in result.examples:
            value = f" <code>{escape(example.value)}</code>" if example.value is not None else ""
            where = escape(f"{example.file} #{example.number} {example.place}")
            yield f"<li>{where}: {escape(example.text)}{value}</li>"
        yield "</ul>"
    yield "</td></tr>"
