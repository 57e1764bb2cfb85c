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

    An account number decides. A visit number leads to the one encounter that has it when the message names no
    account, or when that encounter was begun by the visit number alone. Nothing is guessed from a patient.
    """

    def __init__(self, known: Mapping[Number, Iterable[str]]) -> None:
        self._known = {number: set(keys) for number, keys in known.items()}

    def key(self, change: Change) -> str:
        """The key of the encounter. MappingError when the numbers lead to more than one."""
        said = numbers(change)
        key = self._by_account(said) or self._by_visit(said) or str(change.key)
        for number in said:
            self._known.setdefault(number, set()).add(key)
        return key

    def _by_account(self, said: list[Number]) -> str | None:
        return self._only({key for number in said if number[1] == ACCOUNT for key in self._known.get(number, ())})

    def _by_visit(self, said: list[Number]) -> str | None:
        accountless = not any(number[1] == ACCOUNT for number in said)
        return self._only(
            {
                key
                for number in said
                if number[1] == VISIT
                for key in self._known.get(number, ())
                if accountless or EncounterKey.parse(key).number == number[3]
            }
        )

    @staticmethod
    def _only(keys: set[str]) -> str | None:
        if len(keys) > 1:
            raise MappingError(
                "ambiguous-encounter",
                "",
                f"its numbers lead to {len(keys)} encounters; name the account in the message",
            )
        return next(iter(keys), None)
