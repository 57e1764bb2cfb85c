"""The lines that would be billed, each with the charge behind it and its place in the encounter."""

from __future__ import annotations

from typing import NamedTuple

from gateway.encounter.billable import Line
from gateway.encounter.model import Charge, Encounter
from gateway.review.edits.context import EditContext


class Standing(NamedTuple):
    """A charge that stands, and the line that it becomes."""

    where: str
    charge: Charge
    line: Line


def standing(encounter: Encounter, context: EditContext) -> tuple[Standing, ...]:
    """In the order of the claim. Made once for a context: several edits ask for it."""
    kept = context.kept.get(standing)
    if kept is not None and kept[0] is encounter:
        made: tuple[Standing, ...] = kept[1]
        return made
    made = _standing(encounter, context)
    context.kept[standing] = (encounter, made)
    return made


def _standing(encounter: Encounter, context: EditContext) -> tuple[Standing, ...]:
    charges = encounter.charges
    at = {charge.id: index for index, charge in enumerate(charges)}
    lines = context.billable.lines
    return tuple([Standing(f"charges[{n}]", charges[n], line) for line in lines for n in (at[line.charge],)])
