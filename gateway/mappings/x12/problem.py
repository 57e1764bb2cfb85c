"""Why a claim cannot be written in its form. The release room turns these into findings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FormProblem:
    """Something that the form cannot carry as it stands. Names places and rules, never a patient's values."""

    rule: str
    where: str
    """Path into what is billed, as `patient.address.city` or `lines[0].code`; `billing.…` is the configuration's."""
    text: str
    remedy: str
    source: str = "ASC X12N 005010X222A1"
    subject: str = ""
    """Tells several problems of one rule apart: a charge's or diagnosis' id, or the place."""


class Unwritable(ValueError):
    """A claim that nobody checked was to be written. The text names rules and places, never a value."""

    def __init__(self, problems: tuple[FormProblem, ...]) -> None:
        super().__init__("; ".join(sorted({f"{problem.rule} at {problem.where}" for problem in problems})))
        self.problems = problems
