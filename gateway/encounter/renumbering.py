"""A number that gave way to another, by a merge or a move, and what it makes of an encounter's own numbers."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from gateway.encounter.identity import Identifier
from gateway.encounter.record import Record


class Numbered(StrEnum):
    """What a number names."""

    PATIENT = "patient"
    ACCOUNT = "account"
    VISIT = "visit"


class Renumbering(Record):
    """`retired` gave way to `surviving`. When the encounter `moved`, the number lives on elsewhere, and leads here no
    more; after a merge it leads here for good.
    """

    names: Numbered
    retired: Identifier
    surviving: Identifier
    moved: bool = False


def same_number(one: Identifier, other: Identifier) -> bool:
    """Whether both are the same number of the same authority; a type that one of them leaves out does not count."""
    return (
        one.value == other.value
        and (one.authority or "") == (other.authority or "")
        and (one.type == other.type or one.type is None or other.type is None)
    )


def current(number: Identifier, names: Numbered, renumbered: Iterable[Renumbering]) -> Identifier:
    """The number that `number` has become, renumberings taken in their order."""
    for each in renumbered:
        if each.names is names and same_number(number, each.retired):
            number = each.surviving
    return number
