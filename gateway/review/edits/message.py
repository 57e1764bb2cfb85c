"""What a message said that could not be used as it stands: the mapping's problems, as findings.

A problem stays with the encounter until a later message says the same thing well.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.encounter.model import Encounter
from gateway.encounter.problem import Problem
from gateway.review.edits.context import EditContext, Rule
from gateway.review.model import Finding, HoldKind, Severity

PREFIX = "message."
"""Begins each rule's name; the problem's own rule follows."""
RULES: tuple[Rule, ...] = ()
"""None of their own: the mappings name them."""
_SAID_BY_OTHERS = frozenset({"charge-unmapped"})
"""What an edit of the encounter itself finds while it matters: said once, not twice."""


def check(encounter: Encounter, context: EditContext) -> Iterator[Finding]:
    """One finding for each problem."""
    for problem in dict.fromkeys((*encounter.problems, *context.problems)):
        if problem.rule in _SAID_BY_OTHERS:
            continue
        rule = _unmapped(problem) if problem.table is not None else _unusable(problem)
        yield rule.finding(problem.where, problem.text, subject=_subject(problem), evidence=(problem.where,))


def _unmapped(problem: Problem) -> Rule:
    return Rule(
        PREFIX + problem.rule,
        Severity.WARNING,
        f"the feed's table {problem.table}",
        "Map the code, and what waits for it goes on; or resolve this if it does not matter.",
        HoldKind.UNMAPPED,
    )


def _unusable(problem: Problem) -> Rule:
    return Rule(
        PREFIX + problem.rule,
        Severity.WARNING,
        "the feed's dialect and lookup tables",
        "Have the sender or the feed's tables mended and replay the message, or resolve it if it does not matter.",
    )


def _subject(problem: Problem) -> str:
    """The item and the field: the segment's number in the message says nothing about a later message."""
    return f"{problem.code} {problem.where.rpartition('-')[2]}" if problem.code else problem.where
