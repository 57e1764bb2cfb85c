"""Which encounter a message is about, when it names it by more than one number or by another than the feed's key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.encounter.change import Change
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.encounter.model import Encounter
from gateway.mappings.errors import MappingError

ACCOUNT = "AN"
VISIT = "VN"

Number = tuple[str, str, str, str]
"""(facility, type, authority, value)"""


def numbers(change: Change) -> list[Number]:
    """The numbers in `change` that can lead to an encounter, accounts first."""
    return _of(change.key.facility, change.identifiers, (ACCOUNT, VISIT))


def account_numbers(encounter: Encounter) -> list[Number]:
    """The accounts that the encounter was said to be of."""
    return _of(encounter.key.facility, encounter.identifiers, (ACCOUNT,))


def _of(facility: str, identifiers: Iterable[Identifier], types: tuple[str, ...]) -> list[Number]:
    return [
        (facility, wanted, identifier.authority or "", identifier.value)
        for wanted in types
        for identifier in identifiers
        if identifier.type == wanted
    ]


class Resolver:
    """Finds the encounter of each message of a batch, in order, counting those that earlier ones of it began.

    The number that keys the message, by its feed's choice, decides: an encounter that has it is the one. Failing that,
    another of its numbers leads to an encounter that was begun under that very number: a visit registered before its
    account was known, an account whose visits are billed together. Nothing is guessed from a patient.
    """

    def __init__(
        self, known: Mapping[Number, Iterable[str]], accounts: Mapping[str, Iterable[Number]] | None = None
    ) -> None:
        """`known`: the encounters that have each number. `accounts`: the accounts that encounters have by now."""
        self._known = {number: set(keys) for number, keys in known.items()}
        self._accounts = {key: set(numbers) for key, numbers in (accounts or {}).items()}

    def key(self, change: Change) -> str:
        """The key of the encounter. MappingError when the numbers lead to more than one."""
        said = numbers(change)
        named = (change.key.authority, change.key.number)
        keying = [number for number in said if number[2:] == named][:1]
        others = [number for number in said if number not in keying]
        found = self._leading(keying)
        begun = {
            key
            for number in others
            for key in self._known.get(number, ())
            if _is_keyed_by(key, number) and not self._is_of_another(key, keying)
        }
        if len(found) > 1:
            found = found & (begun or self._leading(others)) or found
        key = _only(found or begun) or str(change.key)
        for number in said:
            self._known.setdefault(number, set()).add(key)
            if number[1] == ACCOUNT:
                self._accounts.setdefault(key, set()).add(number)
        return key

    def _is_of_another(self, key: str, keying: list[Number]) -> bool:
        """Whether the encounter, begun by a visit number, has become another account's since: two accounts of one
        visit are two bills.
        """
        has = self._accounts.get(key, ())
        return any(number[1] == ACCOUNT and account != number for number in keying for account in has)

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
