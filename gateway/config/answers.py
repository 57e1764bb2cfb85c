"""What a receiver of HL7 v2 may answer to a claim, and what is done then: a table that the configuration may override.

The site's rules come first, then those that stand here; the first that matches decides. AA, and CA where no more is
asked for, need no rule: the claim is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Heard(StrEnum):
    """What an attempt met: MSA-1 of the answer (table 0008), or a fault of the transport."""

    AE = "AE"
    AR = "AR"
    CE = "CE"
    CR = "CR"
    REFUSED = "refused"
    """No connection was made: nothing left."""
    UNTRUSTED = "untrusted"
    """TLS did not come about: a certificate, a version. Nothing left."""
    LOST = "lost"
    """The connection ended after the message had begun to leave, and before its answer."""
    NO_ANSWER = "no-answer"
    MISMATCH = "mismatch"
    """The answer is another message's: its MSA-2 is not our MSH-10."""
    UNREADABLE = "unreadable"
    """What came back is no acknowledgement, or is too long."""


class Action(StrEnum):
    """What becomes of the delivery, and of its lane."""

    ACCEPT = "accept"
    """The receiver has it: for an answer that says that it had it before."""
    RETRY = "retry"
    """The same bytes once more, after a growing pause."""
    PARK = "park"
    """Nobody knows: a person decides."""
    REJECT = "reject"
    """The claim is refused: it is held."""
    SUSPEND = "suspend"
    """The lane stops until an operator resumes it: the answer would be the same for every claim."""


NEGATIVE = frozenset({Heard.AE, Heard.AR, Heard.CE, Heard.CR})
BEFORE = frozenset({Heard.REFUSED, Heard.UNTRUSTED})
"""Faults that come before the first byte of the message: the receiver certainly has nothing of it."""
UNCERTAIN = frozenset(Heard) - NEGATIVE - BEFORE
"""After these the receiver may have it, or not."""

POSSIBLE: dict[Heard, frozenset[Action]] = {
    **dict.fromkeys(NEGATIVE, frozenset(Action)),
    **dict.fromkeys(BEFORE, frozenset({Action.RETRY, Action.SUSPEND})),
    **dict.fromkeys(UNCERTAIN, frozenset({Action.RETRY, Action.PARK, Action.SUSPEND})),
}

_ERROR = re.compile(r"[0-9]xx|[A-Za-z0-9][A-Za-z0-9._-]{0,19}")


def _digits(value: object) -> object:
    return str(value) if type(value) is int else value


class Rule(BaseModel):
    """One row: what was heard, and what to do. `error` and `text` narrow it; empty ones match any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Heard
    error: Annotated[str, BeforeValidator(_digits)] = ""
    """ERR-3 (table 0357), or a class of its codes, as `2xx`. From before version 2.5: ERR-1.4, MSA-6."""
    text: Annotated[str, Field(max_length=200)] = ""
    """MSA-3, whole; case and blanks around it do not count."""
    do: Action
    tries: Annotated[int, Field(ge=1, le=1000)] | None = None
    """For `retry`: after so many such answers to one claim a person decides."""

    @model_validator(mode="after")
    def _sound(self) -> Rule:
        if self.error and not _ERROR.fullmatch(self.error):
            raise ValueError('the error is no code; write one, as "207", or a class of them, as "2xx"')
        if self.when not in NEGATIVE and (self.error or self.text):
            raise ValueError("only an answer has an error or a text; use them with AE, AR, CE or CR")
        if self.do not in POSSIBLE[self.when]:
            able = ", ".join(sorted(POSSIBLE[self.when]))
            raise ValueError(f"{self.when} cannot be met by {self.do}; write one of {able}")
        if self.do is Action.ACCEPT and not self.error and not self.text:
            raise ValueError("an answer that says no is not taken for a yes; say which error or text means a repeat")
        if self.tries is not None and (self.do is not Action.RETRY or self.when in BEFORE):
            raise ValueError("only a retry after something was sent has tries; take them out")
        return self

    def matches(self, answer: Met) -> bool:
        """Whether this row speaks of `answer`."""
        if self.when is not answer.heard:
            return False
        if self.text and self.text.strip().lower() != answer.text.strip().lower():
            return False
        return not self.error or any(_of_class(code, self.error) for code in answer.errors)


def _of_class(code: str, wanted: str) -> bool:
    if wanted.endswith("xx") and len(wanted) == 3:
        return len(code) == 3 and code.isdecimal() and code[0] == wanted[0]
    return code.lower() == wanted.lower()


@dataclass(frozen=True, slots=True)
class Met:
    """What an attempt met: `errors` are the codes of a negative answer, `text` its MSA-3."""

    heard: Heard
    errors: tuple[str, ...] = ()
    text: str = ""


def _rules(*rows: tuple[Heard, str, Action]) -> tuple[Rule, ...]:
    return tuple(Rule(when=when, error=error, do=do) for when, error, do in rows)


_NOT_FOR_US = ("200", "201", "202", "203")
"""Message type, event, processing id, version: wrong for every claim alike."""


def defaults(idempotent: bool) -> tuple[Rule, ...]:
    """The rules that stand when the site says nothing; the last of each kind matches all that is left of it.

    AE and CE are about the message's content, AR and CR about everything else (chapter 2, 2.9.2). Where it is open
    whether the receiver has the claim, only one that recognises a repeat is sent it again.
    """
    unsure = Action.RETRY if idempotent else Action.PARK
    application = ((Heard.AE, Action.REJECT, unsure), (Heard.AR, Action.RETRY, Action.RETRY))
    commit = ((Heard.CE, Action.REJECT, Action.RETRY), (Heard.CR, Action.RETRY, Action.RETRY))
    rows: list[tuple[Heard, str, Action]] = []
    for heard, otherwise, internal in (*application, *commit):
        rows += [(heard, code, Action.SUSPEND) for code in _NOT_FOR_US]
        rows += [(heard, "205", Action.PARK), (heard, "206", Action.RETRY), (heard, "207", internal)]
        rows.append((heard, "", otherwise))
    rows += [(heard, "", Action.RETRY) for heard in sorted(BEFORE)]
    rows += [(heard, "", unsure) for heard in sorted(UNCERTAIN)]
    return _rules(*rows)


def decide(own: Iterable[Rule], standing: Sequence[Rule], answer: Met) -> Rule:
    """The first rule that matches: the site's `own`, then those of `defaults`, which leave nothing out."""
    return next(rule for rule in (*own, *standing) if rule.matches(answer))
