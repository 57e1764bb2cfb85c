"""What a message is mapped to, and by what a feed says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

from gateway.encounter.change import Change
from gateway.mappings.errors import MappingError, Unused
from gateway.mappings.hl7v2.dialect import Dialect

__all__ = ["FeedProfile", "Mapped", "MappingError", "Unused"]


@dataclass(frozen=True, slots=True)
class FeedProfile:
    """A feed as mapping sees it. `key` may be empty: then the dialect's choice counts."""

    name: str
    facility: str
    zone: tzinfo
    """The facility's calendar: days of service are counted in it."""
    dialect: Dialect
    key: tuple[str, ...] = ()
    """`account`, `visit`: which number keys an encounter, the first that the message has."""
    authority: str | None = None
    """The assigning authority of account and visit numbers, whatever the message says."""


Mapped = Change | Unused
