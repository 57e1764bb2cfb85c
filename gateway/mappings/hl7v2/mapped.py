"""What a message is mapped to, and by what a feed says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo

from gateway.encounter.change import Change
from gateway.encounter.merge import Merges
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
    charset: str = ""
    """The character set of messages that name none in MSH-18, as table 0211 names it; empty for UTF-8."""
    snapshot: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The feed's own choice of what a family's lists replace, for the families it names; see `Dialect.snapshot`."""

    def replaces(self, family: str) -> frozenset[str]:
        """The groups (diagnoses, procedures, coverages, charges) of which a message of `family` says all there is."""
        own = self.snapshot.get(family)
        return own if own is not None else self.dialect.snapshot.get(family, frozenset())


Mapped = Change | Merges | Unused
