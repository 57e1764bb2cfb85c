"""Snapshots and action codes: whether a list in a message is all there is, or says what is added, changed or taken
away (chapter 2, 2.10.4; table 0206).
"""

from __future__ import annotations

from gateway.encounter.change import Items, ItemT, Mode
from gateway.mappings.hl7v2.reading import Reading

DELETED = "D"
UNCHANGED = "X"


def action_of(reading: Reading, position: int, field: int) -> str:
    """The action code in `field` of the segment at `position`, in capitals; empty when it says none."""
    fields = reading.message.fields(position)
    return fields[field].strip().upper() if len(fields) > field else ""


def named_by(reading: Reading, position: int, field: int) -> str | None:
    """The sender's own name of an item (an EI), where it is said."""
    fields = reading.message.fields(position)
    return reading.said(fields[field].split(reading.component, 1), 0) if len(fields) > field and fields[field] else None


def listed(
    items: tuple[ItemT, ...], removed: tuple[str, ...], *, replaced: bool, emptied: bool = False
) -> Items[ItemT] | None:
    """What the message says of a list; None when nothing.

    Where the family `replaced` what stood, its list is all there is: a segment whose fields are all `""` (`emptied`)
    says that there is none. One that only takes away replaces nothing.
    """
    if replaced and (items or emptied):
        return Items(items, Mode.REPLACE, removed=removed)
    return Items(items, removed=removed) if items or removed else None
