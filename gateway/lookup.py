"""What an analyst maps while the gateway runs: one code of one table of a feed, and codes that wait to be mapped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

CHARGE_CODES = "charge_codes"
"""The table of local charge codes; its values are JSON objects."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """`code`, as the sender writes it, means `value` in the feed's `table`. Without a value it was taken back."""

    feed: str
    table: str
    """A table of the dialect, as `procedure_system`; or `charge_codes`."""
    code: str
    value: str | None
    """The canonical value; of `charge_codes`, a JSON object with `code`, `system` and what else the dialects take."""
    actor: str
    changed: datetime


@dataclass(frozen=True, slots=True)
class UnmappedCode:
    """A line of the analyst's worklist."""

    feed: str
    table: str
    code: str
    encounters: int
    """How many encounters wait for it."""
    example: str
    """The key of one of them."""
