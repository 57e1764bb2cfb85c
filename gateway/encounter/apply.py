"""The pure function that makes what a message says so: an encounter before it, and the encounter after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from gateway.encounter.change import Change, Item, Items, ItemT, Mode
from gateway.encounter.credits import match_credits
from gateway.encounter.documents import said_again, superseded
from gateway.encounter.identity import Identifier
from gateway.encounter.model import Charge, ChargeKind, Diagnosis, DiagnosisUse, Encounter, Entry, Tally
from gateway.encounter.problem import Problem
from gateway.encounter.record import Record
from gateway.encounter.renumbering import Numbered, Renumbering, current, same_number

RecordT = TypeVar("RecordT", bound=Record)

CLOCKS_DIFFER = timedelta(minutes=5)
"""A message may be dated this much after it arrived; one of a later date counts from its arrival."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def moment(change: Change, received: datetime | None = None) -> int:
    """From when the change counts, in seconds since 1970: by its sender's word, else from its arrival.

    Whole seconds, as senders write them: within one, messages count in the order of their arrival.
    """
    at = change.at
    if at is None or (received is not None and at - received > CLOCKS_DIFFER):
        at = received
    return 0 if at is None else (at - _EPOCH) // _SECOND


def apply(encounter: Encounter | None, change: Change, received: datetime | None = None) -> Encounter:
    """The encounter after the message. A new one when there was none.

    Messages are applied in the order of their moments; see `gateway.encounter.history` for one that comes late.
    """
    before = encounter if encounter is not None else Encounter(key=change.key)
    entry = Entry(change.message, moment(change, received), change.mapping, _count(change))
    update: dict[str, Any] = {"history": (*before.history, entry)}
    if change.identifiers:
        update["identifiers"] = _identifiers(before.identifiers, change.identifiers)
    for group in ("patient", "guarantor", "visit", "coding"):
        said = getattr(change, group)
        if said is not None:
            update[group] = merge(getattr(before, group), said)
    if change.providers is not None:
        roles = {provider.role for provider in change.providers}
        update["providers"] = tuple([p for p in before.providers if p.role not in roles]) + change.providers
    if change.coverages is not None:
        update["coverages"] = combine(before.coverages, change.coverages)
    if change.diagnoses is not None:
        update["diagnoses"] = _diagnoses(before.diagnoses, change.diagnoses)
    if change.procedures is not None:
        update["procedures"] = combine(before.procedures, change.procedures)
    if change.charges is not None or change.counted:
        update["charges"] = charges = _charges(before.charges, change)
        update["tally"] = _tally(before, change, charges)
    if change.documents is not None:
        said_of = replace(change.documents, items=said_again(before.documents, change.documents.items))
        update["documents"] = superseded(combine(before.documents, said_of))
    update["problems"] = _problems(before, change, update)
    after = before.model_copy(update=update)
    if not change.renumbered and not before.renumbered:
        return after
    return renumber(after, change.renumbered)


def merge(current: RecordT | None, said: RecordT) -> RecordT:
    """`current` with the fields that `said` sets. Nested groups (a name, an address) are replaced whole."""
    if current is None or not current.model_fields_set:
        return said
    return current.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})


def combine(current: tuple[ItemT, ...], said: Items[ItemT]) -> tuple[ItemT, ...]:
    """The list after the message. Order is kept; an item keeps its position when it is said again."""
    if said.removed:
        current = tuple([item for item in current if item.id not in said.removed])
    match said.mode:
        case Mode.REPLACE:
            return _without([item for item in current if not item.id.startswith(said.within)], said) + said.items
        case Mode.REMOVE:
            return _without(current, said)
        case Mode.ADD:
            by_id = {item.id: item for item in current}
            by_id.update((item.id, item) for item in said.items)
            return tuple(by_id.values())


def _without(current: Sequence[ItemT], said: Items[ItemT]) -> tuple[ItemT, ...]:
    if not current:
        return ()
    ids = {item.id for item in said.items}
    return tuple([item for item in current if item.id not in ids])


def _diagnoses(current: tuple[Diagnosis, ...], said: Items[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Final codes replace final codes only: what the physician wrote at admission stays beside them."""
    if said.mode is not Mode.REPLACE:
        return combine(current, said)
    uses = {item.use for item in said.items} or {DiagnosisUse.FINAL}
    kept = [item for item in current if item.use not in uses and item.id not in said.removed]
    return _without(kept, said) + said.items


def _charges(standing: tuple[Charge, ...], change: Change) -> tuple[Charge, ...]:
    said = change.charges
    if said is None:
        return standing
    if change.match:
        said = replace(said, items=tuple([_ruled(charge, change.match) for charge in said.items]))
    return match_credits(combine(standing, said))


def _ruled(charge: Charge, match: tuple[str, ...]) -> Charge:
    """A credit keeps the rule that finds its charge: the charge may come after it."""
    return charge.model_copy(update={"match": match}) if charge.kind is ChargeKind.CREDIT else charge


def _count(change: Change) -> int:
    """How many charges the message holds."""
    said = change.charges
    if change.counted or said is None or said.mode is Mode.REMOVE:
        return change.counted
    return len(said.items)


def _tally(before: Encounter, change: Change, after: tuple[Charge, ...]) -> Tally:
    """The count of charges, carried on. The message's own count is taken where it has one: what is read of it must
    come to as many.
    """
    tally, said = before.tally, change.charges
    items = len(said.items) if said is not None and said.mode is not Mode.REMOVE else 0
    removed = 0
    if before.charges:
        standing = {charge.id for charge in after}
        removed = sum(charge.id not in standing for charge in before.charges)
    return Tally(
        tally.said + _count(change),
        tally.repeated + len(before.charges) + items - len(after) - removed,
        tally.removed + removed,
        tally.passed_over + change.passed_over,
    )


def _identifiers(standing: tuple[Identifier, ...], said: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
    return tuple(dict.fromkeys((*standing, *said))) if standing else said


def _problems(before: Encounter, change: Change, after: Mapping[str, Any]) -> tuple[Problem, ...]:
    """A problem ends when a later message says the same item or the same segment again, or its item is gone.

    `after` holds the lists that the message changed.
    """
    standing, said = before.problems, tuple(dict.fromkeys(change.problems))
    if not standing:
        return said
    groups = [group for group in (change.charges, change.diagnoses, change.procedures) if group]
    items = {item.id for group in groups for item in group.items} | _gone(before, after)
    again = tuple(prefix for group in groups if group.mode is Mode.REPLACE for prefix in group.within if prefix)
    segments = {places.segment.partition("[")[0] for places in change.places}
    kept = (
        p
        for p in standing
        if p not in said
        and (p.code not in items and not p.code.startswith(again) if p.code else p.segment not in segments)
    )
    return (*kept, *said)


def _gone(before: Encounter, after: Mapping[str, Any]) -> set[str]:
    """The ids that stood, and no longer stand."""
    lists: dict[str, Sequence[Item]] = {
        "charges": before.charges,
        "diagnoses": before.diagnoses,
        "procedures": before.procedures,
    }
    changed = {name: stood for name, stood in lists.items() if name in after}
    stand = {item.id for name in changed for item in after[name]}
    return {item.id for stood in changed.values() for item in stood} - stand


def renumber(encounter: Encounter, said: tuple[Renumbering, ...] = ()) -> Encounter:
    """The encounter under the numbers that hold by now, after those that `said` changes too."""
    renumbered = (*encounter.renumbered, *said)
    patient, visit = encounter.patient, encounter.visit
    numbers = tuple(dict.fromkeys(current(i, Numbered.PATIENT, renumbered) for i in patient.identifiers))
    if numbers != patient.identifiers:
        patient = patient.model_copy(update={"identifiers": numbers})
    account = visit.account and current(visit.account, Numbered.ACCOUNT, renumbered)
    number = visit.number and current(visit.number, Numbered.VISIT, renumbered)
    if (account, number) != (visit.account, visit.number):
        visit = visit.model_copy(update={"account": account, "number": number})
    return encounter.model_copy(
        update={
            "patient": patient,
            "visit": visit,
            "identifiers": _leading(encounter.identifiers, renumbered),
            "renumbered": renumbered,
        }
    )


def _leading(identifiers: tuple[Identifier, ...], renumbered: tuple[Renumbering, ...]) -> tuple[Identifier, ...]:
    """The account and visit numbers that lead to the encounter: a merged one still does, one moved away does not."""
    for each in renumbered:
        if each.names is Numbered.PATIENT:
            continue
        if each.moved:
            identifiers = tuple([i for i in identifiers if not same_number(i, each.retired)])
        identifiers = tuple(dict.fromkeys((*identifiers, each.surviving)))
    return identifiers
