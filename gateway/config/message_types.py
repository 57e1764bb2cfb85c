"""Which types of message a feed takes: all, unless it says otherwise. What nothing uses is kept, too."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

TYPE = r"[A-Z][A-Z0-9]{2}(\^[A-Z][A-Z0-9]{2})?"
"""MSH-9 as it is written in settings: a message code, or one with its trigger event: `ADT`, `ADT^A60`."""


@dataclass(frozen=True, slots=True)
class MessageTypes:
    """The types that a feed refuses, and the only ones that it takes; any when that is empty."""

    refuse: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()

    @classmethod
    def of(cls, refuse: Collection[str], only: Collection[str]) -> MessageTypes | None:
        """The feed's choice; None when it takes everything."""
        return cls(frozenset(refuse), frozenset(only)) if refuse or only else None

    def take(self, type: str) -> bool:
        """Whether a message of `type`, as `ADT^A60`, is taken. What is refused is, even where it is among the only."""
        names = {type, type.partition("^")[0]}
        return not names & self.refuse and (not self.only or bool(names & self.only))
