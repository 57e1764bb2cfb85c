"""Something in a message that could not be used as it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BEGINNING = re.compile(r"[-.\[]")


@dataclass(frozen=True, slots=True)
class Problem:
    """Becomes a finding, and stays with the encounter until a later message says the same thing well.

    Holds no patient's data: `text` says what is wrong with the form of a value, never the value of a name or date.
    """

    rule: str
    where: str
    """The place in the message, as `FT1[2]-10`."""
    text: str
    code: str | None = None
    """The id of the charge, diagnosis or procedure that it concerns."""
    table: str | None = None
    """The code table that has no entry for `value`: an analyst can map it."""
    value: str | None = None
    """The sender's code, at most 80 characters. Codes of tables only, never a name or a date."""
    feed: str | None = None
    """The feed whose tables they are."""

    @property
    def segment(self) -> str:
        """The segment's name in `where`: `FT1`; of a FHIR resource its type: `Claim`."""
        return _BEGINNING.split(self.where, maxsplit=1)[0]
