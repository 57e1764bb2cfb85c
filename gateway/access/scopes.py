"""Scopes of SMART (SMART App Launch 2.2, scopes and launch context): what a client may do with which resources.

Two forms are read: `system/Task.rs` (version 2: letters of `cruds`, in this order) and `system/Task.read` (version 1:
`read`, `write` or `*`). Both become the same thing: letters for a type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

ANY = "*"
"""Every type of resource."""

LETTERS = "cruds"
"""Create, read, update, delete, search; a scope has them in this order."""

_VERSION_1: Mapping[str, str] = {"read": "rs", "write": "cud", "*": LETTERS}
_ACTIONS = re.compile(r"c?r?u?d?s?")
_TYPE = re.compile(r"\*|[A-Z][A-Za-z]{1,63}")
LONGEST = 2048
"""Characters of a scope parameter."""


class ScopeFault(ValueError):
    """A scope that cannot be granted. The texts do not repeat it."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(f"{text}; {remedy}")
        self.text, self.remedy = text, remedy


@dataclass(frozen=True, slots=True)
class Scope:
    """`letters` for resources of `type`, which may be `*`."""

    type: str
    letters: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The scope that `text` writes. ScopeFault for what is no scope, or one that a backend service cannot have."""
        level, slash, rest = text.partition("/")
        if level in ("patient", "user") and slash:
            said = f"{level}/ scopes hang on a person who signs in, and a backend service has none"
            raise ScopeFault(said, "write system/ in its place, and limit the client by `patients` if need be")
        if level != "system" or not slash:
            raise ScopeFault("is not a scope of a backend service", _FORM)
        rest, narrowed, _ = rest.partition("?")
        type_, _, actions = rest.partition(".")
        letters = _VERSION_1.get(actions, actions)
        if not _TYPE.fullmatch(type_) or not letters or not _ACTIONS.fullmatch(letters):
            raise ScopeFault("is not a scope of a backend service", _FORM)
        if narrowed:
            said = "search parameters in a scope are not supported"
            raise ScopeFault(said, "take out what follows the question mark")
        return cls(type_, letters)

    def __str__(self) -> str:
        return f"system/{self.type}.{self.letters}"


_FORM = "write system/TYPE and letters of cruds in this order, as system/Task.rs; or system/Task.read, .write, .*"


@dataclass(frozen=True, slots=True)
class Scopes:
    """All that a client may do. By type: its letters."""

    granted: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, scopes: Iterable[Scope]) -> Self:
        granted: dict[str, frozenset[str]] = {}
        for scope in scopes:
            granted[scope.type] = granted.get(scope.type, frozenset()) | frozenset(scope.letters)
        return cls(granted)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The scopes that `text` lists, blanks between them (RFC 6749, section 3.3). ScopeFault when one of them cannot
        be granted, or there is none.
        """
        parts = text.split(" ")
        if len(text) > LONGEST or not text or not all(parts):
            raise ScopeFault("is not a list of scopes", "write scopes with one blank between them")
        return cls.of(Scope.parse(part) for part in parts)

    def allow(self, type: str, letter: str) -> bool:
        """Whether `letter` may be done to resources of `type`; for `*`, to those of every type."""
        return letter in self.granted.get(type, ()) or letter in self.granted.get(ANY, ())

    def within(self, registered: Scopes) -> bool:
        """Whether all of these are among `registered`."""
        return all(registered.allow(type_, letter) for type_, letters in self.granted.items() for letter in letters)

    def common(self, other: Scopes) -> Scopes:
        """What both allow."""
        types = {*self.granted, *other.granted}
        both = {type_: frozenset(self._shared(other, type_)) for type_ in types}
        return Scopes({type_: letters for type_, letters in both.items() if letters})

    def _shared(self, other: Scopes, type: str) -> Iterable[str]:
        return (letter for letter in LETTERS if self.allow(type, letter) and other.allow(type, letter))

    def __str__(self) -> str:
        """In the form of version 2, by type: the same scopes give the same text."""
        listed = ((type_, "".join(x for x in LETTERS if x in found)) for type_, found in sorted(self.granted.items()))
        return " ".join(f"system/{type_}.{letters}" for type_, letters in listed)
