"""One message being read: what the kinds of value need to know of it, and the problems that they meet."""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo
from typing import NamedTuple

from gateway.encounter.problem import Problem
from gateway.mappings.hl7v2.delimiters import DELETE, Delimiters, unescape
from gateway.mappings.hl7v2.er7 import Er7Message


class Unreadable(ValueError):
    """A value cannot be read as its kind. The text says what is wrong without the value, which may be a patient's."""


class Unmapped(Unreadable):
    """A code that a dialect's table does not have. `value` is the sender's code as written."""

    def __init__(self, table: str, value: str) -> None:
        super().__init__(f"not in the dialect's table {table}")
        self.table = table
        self.value = value


LONGEST_CODE = 80
"""Characters. What is longer is no code, and is not repeated anywhere."""
CODE_UNMAPPED = "code-unmapped"
"""The rule of problems with codes that no table has."""


class At(NamedTuple):
    """A place within a field, counted from 0."""

    repetition: int = 0
    component: int = 0
    subcomponent: int = 0


class Reading:
    """A message with the feed's calendar and authority, and the problems so far."""

    __slots__ = (
        "authority",
        "component",
        "context",
        "delimiters",
        "escape",
        "message",
        "problems",
        "read_before",
        "repetition",
        "subcomponent",
        "zone",
    )

    def __init__(self, message: Er7Message, zone: tzinfo, authority: str | None = None) -> None:
        delimiters: Delimiters = message.delimiters
        self.message = message
        self.delimiters = delimiters
        self.component = delimiters.component
        self.repetition = delimiters.repetition
        self.escape = delimiters.escape
        self.subcomponent = delimiters.subcomponent
        self.zone = zone
        self.authority = authority
        self.context = f"{delimiters.field}{delimiters.encoding} {zone}"
        """What the meaning of a field's text depends on, beside the dialect."""
        self.problems: list[Problem] = []
        self.read_before: dict[str, object] = {}
        """Addresses that this message has said already: a patient's is mostly the guarantor's too."""

    def problem(
        self,
        rule: str,
        where: str,
        text: str,
        code: str | None = None,
        *,
        table: str | None = None,
        value: str | None = None,
    ) -> None:
        """Note what could not be used as it stands; of a code that no table has, the table and the sender's code."""
        if table is None or not value or len(value) > LONGEST_CODE or not value.isprintable():
            table = value = None
        self.problems.append(Problem(rule, where, text, code, table, value))

    def attribute(self, code: str, since: int, until: int | None = None) -> None:
        """Say that the item `code` has the problems from `since` to before `until`, counted from 0."""
        problems = self.problems
        for index in range(since, len(problems) if until is None else until):
            if problems[index].code is None:
                problems[index] = replace(problems[index], code=code)

    def leaf(self, raw: str, at: At) -> str | None:
        """The value at `at` within the field `raw`, unescaped and without blanks around it; None when empty."""
        repetition, component, subcomponent = at
        if raw.isalnum():
            return None if repetition or component or subcomponent else raw
        if self.repetition in raw:
            repetitions = raw.split(self.repetition)
            if repetition >= len(repetitions):
                return None
            raw = repetitions[repetition]
        elif repetition:
            return None
        if self.component in raw:
            components = raw.split(self.component, component + 1)
            if component >= len(components):
                return None
            raw = components[component]
        elif component:
            return None
        return self.part(raw, subcomponent)

    def part(self, raw: str, subcomponent: int = 0) -> str | None:
        """The value of a subcomponent within the component `raw`; None when empty, DELETE for an explicit one."""
        if raw.isalnum():
            return None if subcomponent else raw
        if self.subcomponent in raw:
            subcomponents = raw.split(self.subcomponent)
            if subcomponent >= len(subcomponents):
                return None
            raw = subcomponents[subcomponent]
        elif subcomponent:
            return None
        if self.escape in raw:
            raw = unescape(raw, self.delimiters)
        elif raw == '""':
            return DELETE
        return raw.strip() or None

    def components(self, raw: str, at: At) -> list[str]:
        """The raw components of one repetition of the field `raw`; empty when there is no such repetition."""
        if self.repetition in raw:
            repetitions = raw.split(self.repetition)
            if at.repetition >= len(repetitions):
                return []
            raw = repetitions[at.repetition]
        elif at.repetition:
            return []
        return raw.split(self.component)

    def said(self, components: list[str], index: int, subcomponent: int = 0) -> str | None:
        """The value of a component; None when it is absent, empty or an explicit delete."""
        if index >= len(components):
            return None
        raw = components[index]
        if not subcomponent and raw.isalnum():
            return raw
        value = self.part(raw, subcomponent) if raw else None
        return None if value is DELETE else value
