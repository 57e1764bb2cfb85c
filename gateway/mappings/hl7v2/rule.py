"""What a dialect says of one canonical field: where it stands, and what is done with what stands there."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ConfigDict, field_validator

from gateway.encounter.record import Record
from gateway.mappings.hl7v2.condition import Condition, condition
from gateway.mappings.hl7v2.transforms import Applied

SHARED = ("with", "table", "when")
"""What a rule may say once for all of its places."""


class Alternative(Record):
    """One place of a field, or a constant of the dialect's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    path: str | None = None
    value: str | None = None
    """A constant: what the field is where no place before it says anything."""
    transforms: tuple[Applied, ...] = ()
    table: str | None = None
    """The table that the value is looked up in, in place of the field's own."""
    when: Condition = ()

    @field_validator("when", mode="before")
    @classmethod
    def _condition(cls, written: object) -> object:
        return condition(written)


class FieldRule(Record):
    """The places of a canonical field: the first that has a value wins. None at all: the field is not read."""

    alternatives: tuple[Alternative, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The places in the message, in order."""
        return tuple(each.path for each in self.alternatives if each.path is not None)


def field_rule(written: object) -> object:
    """A rule as a dialect's file writes it, which has been checked: `PID-5`, `[PID-5, PID-9]`, nothing at all, or
    `{from: ..., with: ...}`; anything else is given back as it is.
    """
    if isinstance(written, FieldRule):
        return written
    shared: Mapping[str, object] = {}
    if isinstance(written, Mapping):
        shared = {name: written[name] for name in SHARED if name in written}
        written = written.get("from", [written])
    if written is None:
        return FieldRule()
    listed = written if isinstance(written, list | tuple) else [written]
    return {"alternatives": tuple(_alternative(each, shared) for each in listed if each is not None)}


def _alternative(written: object, shared: Mapping[str, object]) -> object:
    own = dict(written) if isinstance(written, Mapping) else {"path": written}
    if "value" not in own:
        own = {**shared, **own}
    elif "when" in shared:
        own.setdefault("when", shared["when"])
    applied = own.pop("with", ())
    own["transforms"] = tuple(_applied(each) for each in (applied if isinstance(applied, list | tuple) else (applied,)))
    return own


def _applied(written: object) -> object:
    if isinstance(written, Mapping):
        ((name, parameter),) = written.items()
        return {"name": name, "parameter": parameter}
    return {"name": written}
