"""What the standard says of a message: structure, segments, fields, data types and tables, as hl7apy knows them.

hl7apy judges; it does not see the message as it came. Delimiters are written as the standard's, each segment is judged
by itself, so that its place is known, and the structure is judged on the bare names of the segments: hl7apy loses a
segment that it cannot place, and that is told here.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from hl7apy import SUPPORTED_LIBRARIES, load_reference
from hl7apy.exceptions import ChildNotFound, HL7apyException, ValidationError
from hl7apy.parser import parse_message, parse_segment
from hl7apy.validation import Validator

from conformance.hl7_structures import structures
from gateway.mappings.hl7v2.er7 import Er7Error, Er7Message, Segment

DEFAULT_VERSION = "2.5.1"
"""By which a message that names no version is judged."""
LONGEST_FIELD = 20_000
"""A longer field, as a file in base64, is judged by its beginning."""
MOST_SEGMENTS = 1_000
_STANDARD = "|^~\\&"


class Weight(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is not as it should be. `value` may be a patient's; `text` never is."""

    rule: str
    weight: Weight
    place: str
    text: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """`version` and `structure`: by which the message was judged; None when it could not be."""

    version: str | None
    structure: str | None
    remarks: tuple[Remark, ...]


def judge(payload: bytes) -> Judgement:
    """What hl7apy says of the message. Never raises for what the message holds."""
    try:
        message = Er7Message.parse(payload)
    except Er7Error as error:
        return Judgement(None, None, (Remark("readable", Weight.ERROR, "MSH", str(error)),))
    if len(message) > MOST_SEGMENTS:
        text = f"{len(message)} segments: only messages of at most {MOST_SEGMENTS} are judged"
        return Judgement(None, None, (Remark("readable", Weight.WARNING, "", text),))
    version, remarks = _version(message)
    structure, told = _structure(message, version)
    remarks += told
    segments = [_normal(message, segment) for segment in message.segments()]
    if structure is not None:
        remarks += _of_structure(segments, structure, version)
    for segment, text in segments:
        remarks += _of_segment(segment, text, version)
    return Judgement(version, structure, tuple(remarks))


def _version(message: Er7Message) -> tuple[str, list[Remark]]:
    said = message.get("MSH-12.1") or ""
    if said in SUPPORTED_LIBRARIES:
        return said, []
    if not re.fullmatch(r"2\.[0-9]{1,2}(\.[0-9]{1,2})?", said):
        text = f"no version of HL7 v2 is named: judged by {DEFAULT_VERSION}"
        return DEFAULT_VERSION, [Remark("version", Weight.ERROR, "MSH-12", text)]
    known = sorted(SUPPORTED_LIBRARIES, key=_numbers)
    nearest = next((each for each in reversed(known) if _numbers(each) <= _numbers(said)), known[0])
    return nearest, [Remark("version", Weight.WARNING, "MSH-12", f"version {said} is not known: judged by {nearest}")]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _structure(message: Er7Message, version: str) -> tuple[str | None, list[Remark]]:
    code, event, said = (message.get(f"MSH-9.{component}") or "" for component in (1, 2, 3))
    tried = structures(code, event, said)
    found = next((name for name in tried if _known(name, "Message", version)), None)
    if found is None:
        text = f"version {version} has no structure for this type: only its segments were judged"
        return None, [Remark("structure-known", Weight.WARNING, "MSH-9", text)]
    if said and found != said:
        text = f"version {version} has no structure of this name: judged as {found}"
        return found, [Remark("structure-known", Weight.WARNING, "MSH-9.3", text, said)]
    return found, []


def _known(name: str, kind: str, version: str) -> bool:
    try:
        load_reference(name, kind, version)
    except (ChildNotFound, HL7apyException, KeyError):
        return False
    return True


def _normal(message: Er7Message, segment: Segment) -> tuple[Segment, str]:
    """The segment with the standard's delimiters; theirs, where they stand as data, are escaped."""
    own = message.delimiters
    theirs = (own.field, own.component, own.repetition, own.escape, own.subcomponent)
    fields = [field[:LONGEST_FIELD].replace("\n", " ") for field in segment.fields]
    if "".join(theirs) != _STANDARD:
        escapes = dict(zip(_STANDARD, ("\\F\\", "\\S\\", "\\R\\", "\\E\\", "\\T\\"), strict=True))
        table = str.maketrans({**escapes, **dict(zip(theirs, _STANDARD, strict=True))})
        fields = [fields[0], *(field.translate(table) for field in fields[1:])]
    if segment.name == "MSH":
        fields = ["MSH", "^~\\&", *fields[3:]]
    return segment, "|".join(fields)


# The structure

_NAMES = r"(?P<parent>[A-Z0-9_]+)\.(?P<child>[A-Z0-9_]+)"
_MISSING = re.compile(rf"Missing required child {_NAMES}")
_TOO_MANY = re.compile(rf"Child limit exceeded {_NAMES}")
_FIELD = re.compile(r"[A-Z][A-Z0-9]{2}_[0-9]+")


def _of_structure(segments: list[tuple[Segment, str]], structure: str, version: str) -> list[Remark]:
    """Judged on the segments' names alone; site-defined ones may stand anywhere."""
    head = segments[0][1].split("|")
    head[8:9] = [f"{structure[:3]}^{structure[4:]}^{structure}"]
    head[11:12] = [version]
    names = [segment.name for segment, _ in segments[1:] if not segment.name.startswith("Z")]
    bare = "\r".join(("|".join(head[:12]), *(f"{name}|1" for name in names)))
    try:
        tree = parse_message(bare, find_groups=True)
    except (HL7apyException, AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        return [Remark("structure", Weight.WARNING, "", f"could not be judged ({type(error).__name__})")]
    placed = Counter(_placed(tree))
    lost = Counter(names) - placed
    remarks = [
        Remark("segment-unexpected", Weight.ERROR, name, f"{name} has no place in {structure} where it stands")
        for name in lost
    ]
    return remarks + list(_of_groups(_report(tree), structure))


def _placed(element: Any) -> Iterator[str]:
    for child in element.children:
        if child.classname == "Segment":
            yield str(child.name)
        else:
            yield from _placed(child)


def _of_groups(report: list[str], structure: str) -> Iterator[Remark]:
    for line in report:
        for pattern, rule, text in ((_MISSING, "segment-required", "is required"), (_TOO_MANY, "segment-repeats", "")):
            match = pattern.search(line)
            if match is None or _FIELD.fullmatch(match["child"]):
                continue
            within = f" in {match['parent']}" if match["parent"] != structure else f" in {structure}"
            yield Remark(rule, Weight.ERROR, match["child"], (text or "stands more often than it may") + within)


# Its segments

_TABLE = re.compile(rf"Value (?P<value>.*) not in table (?P<table>\S+) in element {_NAMES}$", re.DOTALL)
_LENGTH = re.compile(rf"Exceeded max length \((?P<length>[0-9]+)\) of {_NAMES}")
_DATATYPE = re.compile(rf"Datatype \S+ is not correct for {_NAMES} \(it must be (?P<wanted>\S+)\)")
_UNKNOWN = re.compile(r"(?:Invalid children detected for|Unknown element found|Invalid element found)")


def _of_segment(segment: Segment, text: str, version: str) -> list[Remark]:
    if segment.name.startswith("Z"):
        return []
    if not _known(segment.name, "Segment", version):
        return [Remark("segment-known", Weight.ERROR, segment.label, f"version {version} has no such segment")]
    last = len(load_reference(segment.name, "Segment", version)[1])
    fields = text.split("|")
    known = last if segment.name == "MSH" else last + 1
    beyond = [
        Remark("field-known", Weight.ERROR, f"{segment.label}-{number}", f"version {version} has no such field", value)
        for number, value in enumerate(fields[known:], start=last + 1)
        if value
    ]
    try:
        report = _report(parse_segment("|".join(fields[:known]), version))
    except (HL7apyException, AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        return [Remark("segment", Weight.WARNING, segment.label, f"could not be judged ({type(error).__name__})")]
    found = (_remark(segment, line) for line in report)
    return beyond + list(dict.fromkeys(remark for remark in found if remark is not None))


def _remark(segment: Segment, line: str) -> Remark | None:
    for pattern, rule, weight in _LINES:
        match = pattern.search(line)
        if match is not None:
            named = match.groupdict()
            place = _place(segment, named["parent"], named["child"]) if "parent" in named else segment.label
            text = _TEXTS[rule].format(**{"table": "", "length": "", "wanted": "", **named})
            return Remark(rule, weight, place, text, named.get("value"))
    return None


_LINES = (
    (_MISSING, "field-required", Weight.ERROR),
    (_TOO_MANY, "field-repeats", Weight.ERROR),
    (_DATATYPE, "data-type", Weight.ERROR),
    (_TABLE, "table-value", Weight.WARNING),
    (_LENGTH, "length", Weight.WARNING),
    (_UNKNOWN, "component-known", Weight.ERROR),
)
_TEXTS = {
    "field-required": "is required",
    "field-repeats": "stands more often than it may",
    "data-type": "is not of the data type {wanted}",
    "table-value": "is not in table {table}",
    "length": "is longer than {length}",
    "component-known": "the segment has a component that the version does not define",
}


def _place(segment: Segment, parent: str, child: str) -> str:
    """`PID.PID_5` -> `PID[1]-5`, `PID_11.XAD_6` -> `PID[1]-11.6`; deeper, hl7apy names the data type only."""
    number = child.rpartition("_")[2]
    if parent == segment.name:
        return f"{segment.label}-{number}"
    if parent.startswith(f"{segment.name}_"):
        return f"{segment.label}-{parent.rpartition('_')[2]}.{number}"
    return f"{segment.label} ({parent}.{number})"


def _report(element: Any) -> list[str]:
    """All that hl7apy finds; it raises the first and writes the rest to a file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "report"
        with suppress(ValidationError):
            Validator.validate(element, report_file=str(path))
        return path.read_text().splitlines() if path.exists() else []
