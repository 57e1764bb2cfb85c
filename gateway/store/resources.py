"""What is asked of the FHIR resources that clients have written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_CONDITIONS = 4
MAX_EXCLUSIONS = 2
MAX_UNLESS = 3

REFERENCE = "_reference"
"""The name under which each literal reference of a resource is found: `Patient/5`."""

Value = tuple[str, str]
"""A name, and a token that the resource has under it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A resource fits that has any of `tokens` under `name`."""

    name: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A resource fits that has a token under `name` from `first` on and before `end`, in the order of their bytes."""

    name: str
    first: str
    end: str


class ResourceOrder(StrEnum):
    """What a list of resources is sorted by; resources of one moment by their id."""

    ID = "_id"
    ID_DESCENDING = "-_id"
    WRITTEN = "_lastUpdated"
    WRITTEN_DESCENDING = "-_lastUpdated"


@dataclass(frozen=True, slots=True)
class ResourceSearch:
    """A search over the newest versions of one client's resources of one type; empty fields do not restrict.

    The first of `conditions` should be the narrowest: the search begins with it when `narrow` says that few have it.
    """

    client: str
    type: str
    ids: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    """All of them; at most `MAX_CONDITIONS`."""
    exclusions: tuple[Condition, ...] = ()
    """None of them; at most `MAX_EXCLUSIONS`."""
    range: Range | None = None
    changed_from: datetime | None = None
    changed_before: datetime | None = None
    order: ResourceOrder = ResourceOrder.ID
    after: tuple[datetime, str] | None = None
    """When the last resource of the page before was written, and its id."""
    narrow: bool = False
    limit: int = 50


@dataclass(frozen=True, slots=True)
class HistorySearch:
    """Versions of one client's resources of one type, the newest first; of one resource with `id`."""

    client: str
    type: str
    id: str | None = None
    since: datetime | None = None
    before: tuple[datetime, str, int] | None = None
    """The last version of the page before: when it was written, its id and number."""
    limit: int = 50
