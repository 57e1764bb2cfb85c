"""How a feed's messages conform: each rule with how many messages keep it, and where those stand that do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from conformance.feed_purposes import purpose
from conformance.hl7_referee import Judgement, Remark, Weight
from gateway.trial.tried import Tried

MOST_EXAMPLES = 5
MOST_PLACES = 200
"""Places and examples that are kept of a rule; beyond them it is only counted."""

STANDARD = "the standard"
PROFILE = "the feed's profile"

RULES: dict[str, tuple[str, str]] = {
    "readable": (STANDARD, "The message can be read and judged"),
    "version": (STANDARD, "MSH-12 names a version that is known"),
    "structure-known": (STANDARD, "MSH-9 names a structure of the version"),
    "structure": (STANDARD, "The structure can be judged"),
    "segment-required": (STANDARD, "Every segment that the structure requires stands there"),
    "segment-unexpected": (STANDARD, "Every segment has a place in the structure"),
    "segment-repeats": (STANDARD, "No segment stands more often than it may"),
    "segment-known": (STANDARD, "Every segment is defined by the version, or begins with Z"),
    "segment": (STANDARD, "Every segment can be judged"),
    "field-required": (STANDARD, "Every field and component that is required has a value"),
    "field-repeats": (STANDARD, "No field repeats more often than it may"),
    "field-known": (STANDARD, "Every field is defined by the version"),
    "component-known": (STANDARD, "Every component is defined by the version"),
    "data-type": (STANDARD, "Every value is of its data type"),
    "table-value": (STANDARD, "Every coded value is in the table that the standard names"),
    "length": (STANDARD, "No value is longer than the version allows"),
    "acknowledged": (PROFILE, "The message is acknowledged with AA or CA"),
    "usable": (PROFILE, "The message can be used, and is not set aside"),
    "key-number": (PROFILE, "The message has the number that keys its encounter, and only one"),
    "used": (PROFILE, "The type of message is used"),
    "code-mapped": (PROFILE, "Every code is known to the dialect's tables"),
    "value-usable": (PROFILE, "Every value that is read can be used"),
    "data-used": (PROFILE, "All data is used"),
}
"""Rule -> whose it is, and what it asks. What a purpose asks is added as it comes up."""


@dataclass(frozen=True, slots=True)
class Example:
    """One message that does not keep a rule. `value` is None unless values are to be shown."""

    file: str
    number: int
    place: str
    text: str
    value: str | None = None


@dataclass(slots=True)
class RuleResult:
    """A rule over all messages that it was asked of."""

    rule: str
    source: str
    asks: str
    weight: Weight = Weight.WARNING
    asked: int = 0
    failed: int = 0
    remarks: int = 0
    places: Counter[str] = field(default_factory=Counter)
    """Place -> how often; occurrences of a segment count together: `FT1-7`."""
    examples: list[Example] = field(default_factory=list)

    @property
    def kept(self) -> int:
        return self.asked - self.failed


@dataclass(frozen=True, slots=True)
class MessageResult:
    """One message: where it stands, and which rules it does not keep."""

    file: str
    number: int
    type: str
    control: str
    version: str | None
    structure: str | None
    failed: tuple[tuple[str, Weight, str], ...]
    """(rule, weight, place and text)"""


@dataclass(slots=True)
class FeedReport:
    """The sheet that an analyst and a vendor sign."""

    feed: str
    dialect: str
    mapping: str
    made: datetime
    show_values: bool = False
    files: list[str] = field(default_factory=list)
    file_problems: list[str] = field(default_factory=list)
    rules: dict[str, RuleResult] = field(default_factory=dict)
    messages: list[MessageResult] = field(default_factory=list)
    types: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    def add(self, tried: Tried, judged: Judgement, profile: Iterable[Remark]) -> None:
        """One message with what was said of it."""
        asked = [*RULES, *(f"says {wanted.path}" for wanted in purpose(tried.type))]
        whys = {f"says {wanted.path}": wanted.why for wanted in purpose(tried.type)}
        for rule in asked:
            self._rule(rule, whys.get(rule)).asked += 1
        said = [*judged.remarks, *profile]
        for remark in said:
            self._note(tried, remark)
        for rule in {remark.rule for remark in said}:
            self.rules[rule].failed += 1
        failed = tuple((r.rule, r.weight, f"{r.place}: {r.text}" if r.place else r.text) for r in said)
        self.types[tried.type] += 1
        self.versions[judged.version or "none"] += 1
        self.messages.append(
            MessageResult(tried.file, tried.number, tried.type, tried.control, judged.version, judged.structure, failed)
        )

    def _rule(self, rule: str, why: str | None = None) -> RuleResult:
        if rule not in self.rules:
            source, asks = RULES.get(rule, (PROFILE, f"{rule}: {why}" if why else rule))
            self.rules[rule] = RuleResult(rule, source, asks)
        return self.rules[rule]

    def _note(self, tried: Tried, remark: Remark) -> None:
        result = self._rule(remark.rule)
        result.remarks += 1
        if remark.weight is Weight.ERROR:
            result.weight = Weight.ERROR
        place = _together(remark.place)
        if place in result.places or len(result.places) < MOST_PLACES:
            result.places[place] += 1
        if len(result.examples) < MOST_EXAMPLES:
            value = remark.value if self.show_values else None
            result.examples.append(Example(tried.file, tried.number, remark.place, remark.text, value))

    @property
    def errors(self) -> int:
        """Messages with an error at least."""
        return sum(any(weight is Weight.ERROR for _, weight, _ in message.failed) for message in self.messages)

    @property
    def conforms(self) -> bool:
        """Whether there is no error in any message, nor in a file as a whole."""
        return not self.errors and not self.file_problems and bool(self.messages)


def _together(place: str) -> str:
    """`FT1[2]-7` -> `FT1-7`, `charges[3].code` -> `charges.code`."""
    parts = place.split("[")
    return parts[0] + "".join(part.partition("]")[2] for part in parts[1:])
