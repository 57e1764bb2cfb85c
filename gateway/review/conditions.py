"""Conditions in CEL, the Common Expression Language: compiled once, tried when they are loaded, evaluated safely.

A condition sees only the facts it is given and calls only CEL's own functions: it cannot reach files, time or code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cel

from gateway.review.facts import FACTS, Value

MAX_LENGTH = 2_000
"""Characters of a condition."""

_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
"""The variable that a macro binds: `codes.exists(c, ...)`."""
_LITERAL = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
FUNCTIONS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "int", "double", "string", "min", "max"}
)
"""The functions that a condition may call, beside operators and macros."""


class BadCondition(ValueError):
    """A condition that cannot be used; `remedy` says what to write."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy


class EvaluationFailed(Exception):
    """A condition met a value that it cannot work with. Names the kind of fault, no value."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. `facts` are those it speaks of."""

    text: str
    facts: frozenset[str]
    _program: Any

    def holds(self, known: Facts) -> bool:
        """Whether it holds. EvaluationFailed on a fault and on an answer that is not true or false."""
        try:
            answer = self._program.execute(known)
        except Exception as fault:
            raise EvaluationFailed(type(fault).__name__) from fault
        if answer is not True and answer is not False:
            raise EvaluationFailed("it is not a yes or no")
        return answer


Facts = Any
"""Facts in the form that the library evaluates fast: made once, used for all conditions."""


def facts_of(values: Mapping[str, Value]) -> Facts:
    """Plain values, ready for conditions."""
    return cel.Context(variables=dict(values))


def condition(text: str) -> Condition:
    """The compiled condition. BadCondition when it cannot be parsed, speaks of something unknown, or fails when tried
    on typical and on bare facts.
    """
    if len(text) > MAX_LENGTH:
        raise BadCondition(f"it has {len(text)} characters", f"write at most {MAX_LENGTH}")
    try:
        program = cel.compile(text)
    except ValueError as fault:
        raise BadCondition(
            _first_line(fault), "correct the expression; equality is ==, strings stand in quotes"
        ) from None
    named = set(program.variables()) - set(_BOUND.findall(_LITERAL.sub("''", text)))
    unknown = sorted(named - FACTS.keys())
    if unknown:
        raise BadCondition(f"unknown: {', '.join(unknown)}", f"known are {', '.join(FACTS)}")
    strange = sorted(name for name in program.functions() if name[0].isalpha() and name not in FUNCTIONS)
    if strange:
        raise BadCondition(f"no such function: {', '.join(strange)}", f"known are {', '.join(sorted(FUNCTIONS))}")
    made = Condition(text, frozenset(named), program)
    _try(made)
    return made


def _try(made: Condition) -> None:
    for name in ("typical", "bare"):
        values = {fact: getattr(FACTS[fact], name) for fact in made.facts}
        try:
            made.holds(facts_of(values))
        except EvaluationFailed as failure:
            types = "; ".join(f"{fact} is a {FACTS[fact].type}" for fact in sorted(made.facts))
            raise BadCondition(f"it fails on {name} facts: {_told(failure)}", types or "name a fact") from None


def _told(failure: EvaluationFailed) -> str:
    """No patient's facts were used here: the library's own words help."""
    return _first_line(failure.__cause__ or failure)


def _first_line(fault: BaseException) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0][:300]
