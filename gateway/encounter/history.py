"""An encounter is what its messages say, in the order in which their facts hold. One that comes late, or takes an
earlier one back, makes the encounter be built again from all of them: an older message then never overwrites newer
facts, and what is cancelled is undone exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from gateway.encounter.apply import apply, moment
from gateway.encounter.change import Change
from gateway.encounter.events import EVENT_FIELDS
from gateway.encounter.identity import EncounterKey
from gateway.encounter.model import Encounter, Visit
from gateway.encounter.problem import Problem

UNMATCHED_CANCEL = "unmatched-cancel"
_OF_A_DISCHARGE = frozenset({"discharged", "disposition"})


class Said(NamedTuple):
    """What a message says, and when it arrived."""

    change: Change
    received: datetime


def must_build(encounter: Encounter | None, change: Change, received: datetime) -> bool:
    """Whether applying the change to what stands would not give what all messages say in their order."""
    if encounter is None or not encounter.history:
        return False
    last = encounter.history[-1]
    return bool(change.cancels) or (moment(change, received), change.message) < (last.at, last.message)


def in_order(said: Iterable[Said]) -> list[Said]:
    """The messages in the order in which their facts hold."""
    return sorted(said, key=lambda each: (moment(*each), each.change.message))


def build(key: EncounterKey, said: Iterable[Said]) -> Encounter:
    """The encounter that all these messages make, whatever their order of arrival."""
    ordered = in_order(said)
    encounter = Encounter(key=key)
    before: list[Encounter] = []
    cancelled: set[int] = set()
    for change, received in ordered:
        before.append(encounter)
        if change.cancels:
            position = _cancelled(ordered, change, len(before) - 1, cancelled)
            if position is None:
                change = unmatched(change)
            else:
                cancelled.add(position)
                encounter = _undone(encounter, before[position], ordered[position].change.event)
        encounter = apply(encounter, change, received)
    return encounter


def _cancelled(ordered: Sequence[Said], cancel: Change, end: int, cancelled: set[int]) -> int | None:
    """The position of the message that `cancel` takes back: the last one before it that still counts."""
    for position in range(end - 1, -1, -1):
        if ordered[position].change.event in cancel.cancels and position not in cancelled:
            return position
    return None


def _undone(encounter: Encounter, before: Encounter, event: str) -> Encounter:
    """The encounter with what the event itself had established as it was before that event. A discharge that is taken
    back leaves none: charges tell of it before the discharge itself does.
    """
    restored = {
        name: None if name in _OF_A_DISCHARGE else getattr(before.visit, name) for name in EVENT_FIELDS.get(event, ())
    }
    return encounter.model_copy(update={"visit": encounter.visit.model_copy(update=restored)})


def unmatched(change: Change) -> Change:
    """A cancel that finds nothing to cancel: it is told, and changes no status."""
    events = " or ".join(change.cancels)
    problem = Problem(UNMATCHED_CANCEL, "MSH-9", f"{change.event} cancels an {events} that was never received")
    visit = change.visit
    if visit is not None:
        said = {name: getattr(visit, name) for name in visit.model_fields_set if name != "status"}
        visit = Visit.model_construct(**said)
    return replace(change, visit=visit, problems=(*change.problems, problem))
