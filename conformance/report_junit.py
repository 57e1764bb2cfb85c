"""A feed's report as JUnit XML: a suite for each message, a case for each rule that it does not keep."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from conformance.feed_report import FeedReport, MessageResult
from conformance.hl7_referee import Weight

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not (section 2.2)."""


def junit(report: FeedReport) -> bytes:
    """Errors are failures; warnings stand in the suite's output. Values are never in it."""
    root = ET.Element("testsuites", name=_clean(f"conformance of {report.feed}"))
    if report.file_problems:
        _files(root, report.file_problems)
    for message in report.messages:
        _suite(root, message)
    for name in ("tests", "failures"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _files(root: ET.Element, problems: list[str]) -> None:
    suite = ET.SubElement(root, "testsuite", name="files", tests=str(len(problems)), failures=str(len(problems)))
    for problem in problems:
        case = ET.SubElement(suite, "testcase", name=_clean(problem), classname="files")
        ET.SubElement(case, "failure", message=_clean(problem), type="file")


def _suite(root: ET.Element, message: MessageResult) -> None:
    name = f"{message.file} #{message.number} {message.type} {message.control}"
    failures: dict[str, list[str]] = {}
    warnings: list[str] = []
    for rule, weight, text in message.failed:
        if weight is Weight.ERROR:
            failures.setdefault(rule, []).append(text)
        else:
            warnings.append(f"{rule}: {text}")
    cases = len(failures) or 1
    suite = ET.SubElement(root, "testsuite", name=_clean(name), tests=str(cases), failures=str(len(failures)))
    if not failures:
        ET.SubElement(suite, "testcase", name="conforms", classname=_clean(message.type))
    for rule, texts in failures.items():
        case = ET.SubElement(suite, "testcase", name=_clean(rule), classname=_clean(message.type))
        failure = ET.SubElement(case, "failure", message=_clean(texts[0]), type=_clean(rule))
        failure.text = _clean("\n".join(texts))
    if warnings:
        ET.SubElement(suite, "system-out").text = _clean("\n".join(warnings))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
