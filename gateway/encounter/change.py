"""What one message says about an encounter, and the pure function that makes it so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from gateway.encounter.credits import match_credits
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import (
    Charge,
    Coding,
    Coverage,
    Diagnosis,
    DiagnosisUse,
    Document,
    Encounter,
    Guarantor,
    Origins,
    Patient,
    Procedure,
    Provider,
    Visit,
)
from gateway.encounter.problem import Problem
from gateway.encounter.record import Record


class _Item(Protocol):
    @property
    def id(self) -> str: ...


ItemT = TypeVar("ItemT", bound=_Item)
RecordT = TypeVar("RecordT", bound=Record)


class Mode(StrEnum):
    """What a message's list means: these besides the others, these instead of the others, or these no longer."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Items(Generic[ItemT]):
    """A list in a message. An item with a known id takes the place of the one that had it.

    `within` bounds a replacement to the items whose ids begin with one of these: the lines of one claim among others.
    """

    items: tuple[ItemT, ...]
    mode: Mode = Mode.ADD
    within: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class Content:
    """A document's content as received, decoded from its transfer form. `digest` is its SHA-256 in hexadecimal."""

    digest: str
    content_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Places:
    """Where the values of one canonical group stand in the message: `charges[0]`, `FT1[1]`, {`code`: `25.1`}.

    Mappings give the same object for the same places again, so that they are written out once.
    """

    group: str
    segment: str
    fields: Mapping[str, str]
    joint: str = "-"
    """What stands between the two: `PV1-44`, but `Encounter.period.start`."""

    @cached_property
    def written(self) -> Mapping[str, str]:
        """Canonical path -> place, as {`charges[0].code`: `FT1[1]-25.1`}."""
        return {f"{self.group}.{name}": f"{self.segment}{self.joint}{place}" for name, place in self.fields.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer to a query, as the message carried it."""

    query: str
    """The query's number."""
    text: str
    option: str | None = None
    author: str | None = None
    status: str = "completed"


@dataclass(frozen=True, slots=True)
class Change:
    """What one message says. In a group (`patient`, `visit`...) only the fields that were set count: one set to
    `None` is deleted, one not set is left alone.
    """

    message: int
    key: EncounterKey
    identifiers: tuple[Identifier, ...] = ()
    patient: Patient | None = None
    guarantor: Guarantor | None = None
    visit: Visit | None = None
    coding: Coding | None = None
    providers: tuple[Provider, ...] | None = None
    coverages: Items[Coverage] | None = None
    diagnoses: Items[Diagnosis] | None = None
    procedures: Items[Procedure] | None = None
    charges: Items[Charge] | None = None
    documents: Items[Document] | None = None
    contents: tuple[Content, ...] = ()
    places: tuple[Places, ...] = ()
    problems: tuple[Problem, ...] = ()
    answers: tuple[Answer, ...] = ()

    def origins(self) -> dict[str, str]:
        """Every value's place in the message: canonical path -> place."""
        return {path: place for group in self.places for path, place in group.written.items()}


def merge(current: RecordT | None, said: RecordT) -> RecordT:
    """`current` with the fields that `said` sets. Nested groups (a name, an address) are replaced whole."""
    if current is None or not current.model_fields_set:
        return said
    return current.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})


def combine(current: tuple[ItemT, ...], said: Items[ItemT]) -> tuple[ItemT, ...]:
    """The list after the message. Order is kept; an item keeps its position when it is said again."""
    match said.mode:
        case Mode.REPLACE:
            return _without(tuple(item for item in current if not item.id.startswith(said.within)), said) + said.items
        case Mode.REMOVE:
            return _without(current, said)
        case Mode.ADD:
            by_id = {item.id: item for item in current}
            by_id.update((item.id, item) for item in said.items)
            return tuple(by_id.values())


def _without(current: tuple[ItemT, ...], said: Items[ItemT]) -> tuple[ItemT, ...]:
    ids = {item.id for item in said.items}
    return tuple(item for item in current if item.id not in ids)


def _diagnoses(current: tuple[Diagnosis, ...], said: Items[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Final codes replace final codes only: what the physician wrote at admission stays beside them."""
    if said.mode is not Mode.REPLACE:
        return combine(current, said)
    uses = {item.use for item in said.items} or {DiagnosisUse.FINAL}
    return _without(tuple(item for item in current if item.use not in uses), said) + said.items


def _charges(current: tuple[Charge, ...], said: Items[Charge]) -> tuple[Charge, ...]:
    return match_credits(combine(current, said))


def _identifiers(current: tuple[Identifier, ...], said: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
    return tuple(dict.fromkeys((*current, *said)))


def _origins(current: Origins, change: Change) -> Origins:
    """Places of single values, by message; what is said again is the later message's. List items carry their own."""
    said: dict[str, str] = {}
    for group in change.places:
        if "[" not in group.group:
            said.update(group.written)
    if not said:
        return current
    kept = {
        message: {path: at for path, at in places.items() if path not in said} for message, places in current.items()
    }
    return {**{message: places for message, places in kept.items() if places}, str(change.message): said}


def _problems(before: Encounter, change: Change, after: Mapping[str, Any]) -> tuple[Problem, ...]:
    """A problem ends when a later message says the same item or the same segment again, or its item is gone.

    `after` holds the lists that the message changed.
    """
    current, said = before.problems, tuple(dict.fromkeys(change.problems))
    if not current:
        return said
    groups = [group for group in (change.charges, change.diagnoses, change.procedures) if group]
    items = {item.id for group in groups for item in group.items} | _gone(before, after)
    again = tuple(prefix for group in groups if group.mode is Mode.REPLACE for prefix in group.within if prefix)
    segments = {places.segment.partition("[")[0] for places in change.places}
    standing = (
        p
        for p in current
        if p not in said
        and (p.code not in items and not p.code.startswith(again) if p.code else p.segment not in segments)
    )
    return (*standing, *said)


def _gone(before: Encounter, after: Mapping[str, Any]) -> set[str]:
    """The ids that stood, and no longer stand."""
    lists: dict[str, Sequence[_Item]] = {
        "charges": before.charges,
        "diagnoses": before.diagnoses,
        "procedures": before.procedures,
    }
    changed = {name: stood for name, stood in lists.items() if name in after}
    stand = {item.id for name in changed for item in after[name]}
    return {item.id for stood in changed.values() for item in stood} - stand


def apply(encounter: Encounter | None, change: Change) -> Encounter:
    """The encounter after the message. A new one when there was none."""
    current = encounter if encounter is not None else Encounter(key=change.key)
    update: dict[str, Any] = {"origins": _origins(current.origins, change)}
    if change.identifiers:
        update["identifiers"] = _identifiers(current.identifiers, change.identifiers)
    if change.patient is not None:
        update["patient"] = merge(current.patient, change.patient)
    if change.guarantor is not None:
        update["guarantor"] = merge(current.guarantor, change.guarantor)
    if change.visit is not None:
        update["visit"] = merge(current.visit, change.visit)
    if change.coding is not None:
        update["coding"] = merge(current.coding, change.coding)
    if change.providers is not None:
        said = {provider.role for provider in change.providers}
        update["providers"] = tuple(p for p in current.providers if p.role not in said) + change.providers
    if change.coverages is not None:
        update["coverages"] = combine(current.coverages, change.coverages)
    if change.diagnoses is not None:
        update["diagnoses"] = _diagnoses(current.diagnoses, change.diagnoses)
    if change.procedures is not None:
        update["procedures"] = combine(current.procedures, change.procedures)
    if change.charges is not None:
        update["charges"] = _charges(current.charges, change.charges)
    if change.documents is not None:
        update["documents"] = combine(current.documents, change.documents)
    update["problems"] = _problems(current, change, update)
    return current.model_copy(update=update)
