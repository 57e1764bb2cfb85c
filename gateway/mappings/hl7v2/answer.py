"""Reads the acknowledgement that a receiver gives (chapter 2, 2.9 and 2.14): what it says, as codes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.mappings.hl7v2.ack import MEANINGS, ErrorCode
from gateway.mappings.hl7v2.er7 import Er7Error, Er7Message, Segment

_MOST_ERRORS = 10
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,19}", re.ASCII)
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AnswerError:
    """One error: its code (table 0357 or the receiver's own), and the place it names, as `FT1[2]-25`."""

    code: str
    place: str = ""

    def __str__(self) -> str:
        meaning = MEANINGS.get(ErrorCode(self.code)) if self.code in _KNOWN else None
        named = f"{self.code} {meaning.lower()}" if meaning else self.code
        return f"{named} at {self.place}" if self.place else named


_KNOWN = frozenset(ErrorCode)


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement. `text` is the receiver's own and may name the patient: it is compared, never shown."""

    code: str
    """MSA-1 (table 0008)."""
    control: str
    """MSA-2: MSH-10 of the message that is answered."""
    text: str = ""
    """MSA-3."""
    errors: tuple[AnswerError, ...] = ()


def read_answer(payload: bytes) -> Answer | None:
    """The acknowledgement in `payload`; None when it is no message, or has no MSA.

    Errors stand in ERR-3 and ERR-2; before version 2.5 in ERR-1, and in MSA-6.
    """
    try:
        message = Er7Message.parse(payload)
    except Er7Error:
        return None
    code, control = message.get("MSA-1"), message.get("MSA-2")
    if not code:
        return None
    found = [error for segment in message.segments("ERR")[:_MOST_ERRORS] for error in _errors(message, segment)]
    condition = _matching(_CODE, message.get("MSA-6"))
    if condition and not found:
        found.append(AnswerError(condition))
    return Answer(code.strip().upper(), control or "", message.get("MSA-3") or "", tuple(found[:_MOST_ERRORS]))


def _errors(message: Er7Message, segment: Segment) -> list[AnswerError]:
    n = segment.occurrence
    code = _matching(_CODE, message.get(f"ERR[{n}]-3"))
    if code:
        place = _place(*(message.get(f"ERR[{n}]-2.{component}") for component in (1, 2, 3)))
        return [AnswerError(code, place)]
    repetitions = segment.fields[1].split(message.delimiters.repetition) if len(segment.fields) > 1 else []
    old = [_old_error(message, n, each) for each in range(1, min(len(repetitions), _MOST_ERRORS) + 1)]
    return [error for error in old if error is not None]


def _old_error(message: Er7Message, occurrence: int, repetition: int) -> AnswerError | None:
    """ERR-1 (ELD): segment, sequence, field, and the coded error in the fourth component."""
    at = f"ERR[{occurrence}]-1[{repetition}]"
    code = _matching(_CODE, message.get(f"{at}.4"))
    return AnswerError(code, _place(*(message.get(f"{at}.{component}") for component in (1, 2, 3)))) if code else None


def _place(segment: str | None, sequence: str | None, field: str | None) -> str:
    name, number, of = _matching(_SEGMENT, segment), _matching(_NUMBER, sequence), _matching(_NUMBER, field)
    if not name:
        return ""
    return f"{name}{f'[{number}]' if number else ''}{f'-{of}' if of else ''}"


def _matching(pattern: re.Pattern[str], value: str | None) -> str:
    """The value when it has the form of a code; anything else may be free text, and is left out."""
    return value if value is not None and pattern.fullmatch(value) else ""
