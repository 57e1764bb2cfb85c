"""Which surviving number takes the place of which retired one (chapter 3, 3.6.2.1.3): of the same identifier type and
assigning authority.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.encounter.identity import Identifier

Pair = tuple[Identifier, Identifier]


def match_numbers(retired: Sequence[Identifier], surviving: Sequence[Identifier]) -> list[Pair] | None:
    """Each retired number with the one that survives it. Numbers that stand on both sides, and those that nothing
    survives, stay as they are.

    Where a sender leaves the authority or the type out on one side, the other side's holds for both. None when a
    retired number could be survived by several, or none finds any.
    """
    pairs: list[Pair] = []
    for old in retired:
        if survives(old, surviving):
            continue
        found = _like(old, surviving)
        if len(found) > 1:
            return None
        if found:
            pairs.append((_completed(old, found[0]), _completed(found[0], old)))
    return pairs or None


def survives(number: Identifier, surviving: Sequence[Identifier]) -> bool:
    """Whether the number itself is among the surviving, as far as authority and type are said of both."""
    return any(number.value == each.value and _like(number, [each]) for each in surviving)


def _like(old: Identifier, surviving: Sequence[Identifier]) -> list[Identifier]:
    """The numbers of the same authority and type; else those that nothing speaks against."""
    same = [new for new in surviving if (new.authority, new.type) == (old.authority, old.type)]
    return same or [n for n in surviving if _agree(n.authority, old.authority) and _agree(n.type, old.type)]


def _agree(one: str | None, other: str | None) -> bool:
    return one == other or one is None or other is None


def _completed(number: Identifier, by: Identifier) -> Identifier:
    """The number with what only its counterpart says of authority and type."""
    if number.authority and number.type:
        return number
    return Identifier(value=number.value, authority=number.authority or by.authority, type=number.type or by.type)
