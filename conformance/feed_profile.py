"""What a feed's own profile asks of a message: that it is taken, that it is used, and that it says what it is for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from conformance.feed_purposes import purpose
from conformance.hl7_referee import Remark, Weight
from gateway.trial.tried import Fate, Tried

KEY_NUMBER = frozenset({"no-encounter-number", "several-encounters", "ambiguous-encounter"})
"""Why a message is set aside, where its numbers are at fault."""

_INDEX = re.compile(r"^([a-z_]+)\[([0-9]+)\]")


def remarks(tried: Tried) -> Iterator[Remark]:
    """All that the profile holds against the message, and what of it nothing uses."""
    answer = tried.acknowledged
    if tried.fate is Fate.REFUSED:
        said = f"answered {answer.code}: {answer.text or ''}" if answer is not None else "not kept"
        yield Remark("acknowledged", Weight.ERROR, "MSH", said)
    if tried.fate is Fate.SET_ASIDE:
        yield _set_aside(tried.reason or "")
    if tried.fate is Fate.UNUSED:
        yield Remark("used", Weight.WARNING, "MSH-9", tried.reason or "its type is not used")
    for problem in tried.problems:
        rule = "code-mapped" if "unmapped" in problem.rule else "value-usable"
        yield Remark(rule, Weight.ERROR, problem.where, f"{problem.rule}: {problem.text}")
    if tried.fate is Fate.PROCESSED:
        yield from _of_purpose(tried)
    for left in tried.left_over:
        for number, value in zip(left.fields, left.values, strict=True):
            yield Remark("data-used", Weight.WARNING, f"{left.segment}-{number}", "nothing uses this field", value)


def _set_aside(reason: str) -> Remark:
    """A reason is written `rule at place: text`."""
    head, _, text = reason.partition(": ")
    rule, _, place = head.partition(" at ")
    return Remark("key-number" if rule in KEY_NUMBER else "usable", Weight.ERROR, place, f"{rule}: {text}")


def _of_purpose(tried: Tried) -> Iterator[Remark]:
    said = {value.path for value in tried.values if value.value is not None}
    for wanted in purpose(tried.type):
        for where in _missing(wanted.path, said):
            yield Remark(f"says {wanted.path}", wanted.weight, where, f"is not said: {wanted.why}")


def _missing(path: str, said: set[str]) -> list[str]:
    """Which of the wanted values are not there, as `charges[2].code`."""
    ways = path.split("|")
    group, bracket, rest = ways[0].partition("[]")
    if not bracket:
        return [] if any(_stands(way, said) for way in ways) else [path]
    numbers = {int(match[2]) for each in said if (match := _INDEX.match(each)) is not None and match[1] == group}
    if not rest:
        return [] if numbers else [group]
    missing = []
    for number in sorted(numbers):
        here = [way.replace("[]", f"[{number}]", 1) for way in ways]
        if not any(_stands(way, said) for way in here):
            missing.append(here[0])
    return missing


def _stands(path: str, said: set[str]) -> bool:
    return any(each == path or each.startswith((f"{path}.", f"{path}[")) for each in said)
