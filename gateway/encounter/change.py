"""What one message says about an encounter. `gateway.encounter.apply` makes it so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Final, Generic, Protocol, TypeVar

from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import (
    Charge,
    Coding,
    Coverage,
    Diagnosis,
    Document,
    Guarantor,
    Patient,
    Procedure,
    Provider,
    Visit,
)
from gateway.encounter.problem import Problem
from gateway.encounter.renumbering import Renumbering


class Item(Protocol):
    """What lists are made of: things with an id."""

    @property
    def id(self) -> str: ...


ItemT = TypeVar("ItemT", bound=Item)


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
    removed: tuple[str, ...] = ()
    """The ids of items that the message takes away by name (an action code D), whatever the mode."""


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
    table: str = ""
    """The code table that gave the values for what stands there, where one did."""

    @cached_property
    def written(self) -> Mapping[str, str]:
        """Canonical path -> place, as {`charges[0].code`: `FT1[1]-25.1`}, or `table charge_codes via FT1[1]-7`."""
        where = f"table {self.table} via {self.segment}" if self.table else self.segment
        return {f"{self.group}.{name}": f"{where}{self.joint}{place}" for name, place in self.fields.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer to a query, as the message carried it."""

    query: str
    """The query's number."""
    text: str
    option: str | None = None
    author: str | None = None
    status: str = "completed"


# Final, not frozen: one is made for every message, and a frozen one costs six times as much.
@dataclass(slots=True, unsafe_hash=True)
class Change:
    """What one message says. In a group (`patient`, `visit`...) only the fields that were set count: one set to
    `None` is deleted, one not set is left alone.
    """

    message: Final[int]
    key: Final[EncounterKey]
    identifiers: Final[tuple[Identifier, ...]] = ()
    patient: Final[Patient | None] = None
    guarantor: Final[Guarantor | None] = None
    visit: Final[Visit | None] = None
    coding: Final[Coding | None] = None
    providers: Final[tuple[Provider, ...] | None] = None
    coverages: Final[Items[Coverage] | None] = None
    diagnoses: Final[Items[Diagnosis] | None] = None
    procedures: Final[Items[Procedure] | None] = None
    charges: Final[Items[Charge] | None] = None
    documents: Final[Items[Document] | None] = None
    contents: Final[tuple[Content, ...]] = ()
    places: Final[tuple[Places, ...]] = ()
    problems: Final[tuple[Problem, ...]] = ()
    answers: Final[tuple[Answer, ...]] = ()
    notices: Final[tuple[str, ...]] = ()
    """What is good to know of how the message was read, and holds nothing: elements that are not used, resources that
    it refers to and that are not here. Told with the message; no values of it."""
    at: Final[datetime | None] = None
    """When it happened, by the sender's word (EVN-2, else MSH-7): the order in which facts count. None: on arrival."""
    event: Final[str] = ""
    """The trigger event, as `A03`, that a later message may cancel."""
    cancels: Final[tuple[str, ...]] = ()
    """The events of which this message takes back the last one before it (A11: A01 or A04)."""
    counted: Final[int] = 0
    """How many charges the message holds, counted apart from reading them (FT1 segments): none may be lost."""
    passed_over: Final[int] = 0
    """How many of those counted are no charges, by the feed's rule."""
    renumbered: Final[tuple[Renumbering, ...]] = ()
    mapping: Final[str] = ""
    """The version of the mapping that read the message."""
    match: Final[tuple[str, ...]] = ()
    """What a credit and its charge must have in common, by the feed's rule; the usual things when empty."""

    def origins(self) -> dict[str, str]:
        """Every value's place in the message: canonical path -> place."""
        return {path: place for group in self.places for path, place in group.written.items()}
