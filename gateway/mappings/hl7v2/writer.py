"""The writer of ER7: small, for acknowledgements, peers and tests. Every value is escaped; none can forge structure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.mappings.hl7v2.delimiters import DELETE, STANDARD, Delimiters, escape

__all__ = ["Field", "escape", "message", "segment", "timestamp"]

Component = str | int | Sequence["str | int | None"] | None
Field = str | int | tuple[Component, ...] | list["str | int | tuple[Component, ...]"] | None
"""A value; a tuple of components, of which one may be a tuple of subcomponents; or a list of repetitions."""


def segment(name: str, *fields: Field, delimiters: Delimiters = STANDARD) -> str:
    """One segment without its end. Empty fields at its end are left out. For MSH, `fields` begin with MSH-3.

    >>> segment("PID", 1, None, [("123", None, None, "HOSP", "MR")], None, ("DOE", "JANE"))
    'PID|1||123^^^HOSP^MR||DOE^JANE'
    """
    if len(name) != 3 or not name.isascii() or not name.isalnum():
        raise ValueError("a segment's name has three letters or digits")
    written = [_field(value, delimiters) for value in fields]
    head = [name, delimiters.encoding] if name == "MSH" else [name]
    return _joined(delimiters.field, head + written)


def message(*segments: str) -> bytes:
    """Segments, each ended by a carriage return, as UTF-8."""
    return "".join(f"{each}\r" for each in segments).encode("utf-8", "replace")


def timestamp(moment: datetime) -> str:
    """A TS to the second, in UTC: `20260115093000+0000`."""
    return f"{moment.astimezone(UTC):%Y%m%d%H%M%S}+0000"


def _field(value: Field, delimiters: Delimiters) -> str:
    if isinstance(value, list):
        return _joined(delimiters.repetition, [_field(each, delimiters) for each in value])
    if isinstance(value, tuple):
        return _joined(delimiters.component, [_component(each, delimiters) for each in value])
    return _leaf(value, delimiters)


def _component(value: Component, delimiters: Delimiters) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _joined(delimiters.subcomponent, [_leaf(each, delimiters) for each in value])
    return _leaf(value, delimiters)


def _leaf(value: str | int | None, delimiters: Delimiters) -> str:
    if value is None:
        return ""
    return DELETE if value is DELETE else escape(str(value), delimiters)


def _joined(separator: str, parts: list[str]) -> str:
    while parts and not parts[-1]:
        parts.pop()
    return separator.join(parts)
