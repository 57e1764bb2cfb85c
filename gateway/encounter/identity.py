"""Numbers that name encounters and patients, each with the authority that gave it."""

from __future__ import annotations

import re
from typing import NamedTuple, Self
from urllib.parse import quote, unquote

from gateway.encounter.record import Record

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class Identifier(Record):
    """A number with its assigning authority (CX.4) and its type (HL7 table 0203: MR, PI, AN, VN, NPI...)."""

    value: str
    authority: str | None = None
    type: str | None = None


class EncounterKey(NamedTuple):
    """What makes a billable encounter one: the facility and the number that billing counts by.

    `authority` is the assigning authority's namespace, empty where the feed gives none. The text form,
    ``facility:authority:number``, is what people type, URLs carry and tables are keyed by.
    """

    facility: str
    authority: str
    number: str

    def __str__(self) -> str:
        return ":".join(part if not _UNSAFE.search(part) else quote(part, safe="._-") for part in self)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that `text` writes. ValueError when it is not ``facility:authority:number``."""
        parts = text.split(":")
        if len(parts) != 3 or not parts[0] or not parts[2]:
            raise ValueError("an encounter key is written facility:authority:number")
        return cls(*(unquote(part) for part in parts))
