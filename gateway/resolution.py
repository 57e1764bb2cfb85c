"""Which encounter a message is about, when it names it by more than one number or by another than the feed's key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.encounter.change import Change
from gateway.encounter.identity import EncounterKey
from gateway.mappings.errors import MappingError

ACCOUNT = "AN"
VISIT = "VN"

Number = tuple[str, str, str, str]
"""(facility, type, authority, value)"""


def numbers(change: Change) -> list[Number]:
    """The numbers in `change` that can lead to an encounter, accounts first."""
    facility = change.key.facility
    return [
        (facility, wanted, identifier.authority or "", identifier.value)
        for wanted in (ACCOUNT, VISIT)
        for identifier in change.identifiers
        if identifier.type == wanted
    ]


class Resolver:
    """Finds the encounter of each message of a batch, in order, counting those that earlier ones of it began.

    The number that keys the message, by its feed's choice, decides: an encounter that has it is the one. Failing that,
    another of its numbers leads to an encounter that was begun under that very number: a visit registered before its
    account was known, an account whose visits are billed together. Nothing is guessed from a patient.
    """

    def __init__(self, known: Mapping[Number, Iterable[str]]) -> None:
        self._known = {number: set(keys) for number, keys in known.items()}

    def key(self, change: Change) -> str:
        """The key of the encounter. MappingError when the numbers lead to more than one."""
        said = numbers(change)
        named = (change.key.authority, change.key.number)
        keying = [number for number in said if number[2:] == named][:1]
        others = [number for number in said if number not in keying]
        found = self._leading(keying)
        begun = {key for number in others for key in self._known.get(number, ()) if _is_keyed_by(key, number)}
        if len(found) > 1:
            found = found & (begun or self._leading(others)) or found
        key = _only(found or begun) or str(change.key)
        for number in said:
            self._known.setdefault(number, set()).add(key)
        return key

    def _leading(self, said: Iterable[Number]) -> set[str]:
        return {key for number in said for key in self._known.get(number, ())}


def _is_keyed_by(key: str, number: Number) -> bool:
    return EncounterKey.parse(key)[1:] == number[2:]


def _only(keys: set[str]) -> str | None:
    if len(keys) > 1:
        raise MappingError(
            "ambiguous-encounter", "", f"its numbers lead to {len(keys)} encounters; name the account in the message"
        )
    return next(iter(keys), None)
