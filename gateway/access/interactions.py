"""Which scope each interaction of the FHIR interface needs (SMART App Launch 2.2, scopes for FHIR resources).

What a request is follows from its method and path (R4, RESTful API). A path that none of these tables knows has no
rule, and a client with scopes is refused there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.access.scopes import Scopes


class Interaction(StrEnum):
    """R4, type-restful-interaction, and operations."""

    READ = "read"
    VREAD = "vread"
    HISTORY_INSTANCE = "history-instance"
    HISTORY_TYPE = "history-type"
    SEARCH = "search-type"
    CREATE = "create"
    UPDATE = "update"
    PATCH = "patch"
    DELETE = "delete"
    BATCH = "batch"
    OPERATION = "operation"


LETTER: Mapping[Interaction, str] = {
    Interaction.READ: "r",
    Interaction.VREAD: "r",
    Interaction.HISTORY_INSTANCE: "r",
    Interaction.HISTORY_TYPE: "s",
    Interaction.SEARCH: "s",
    Interaction.CREATE: "c",
    Interaction.UPDATE: "u",
    Interaction.PATCH: "u",
    Interaction.DELETE: "d",
}

Need = tuple[str, str]
"""A type of resource and a letter."""

OPERATIONS: Mapping[str, tuple[Need, ...]] = {
    "Claim/$submit": (("Claim", "c"),),
    "$export": (("AuditEvent", "r"), ("AuditEvent", "s"), ("Provenance", "r"), ("Provenance", "s")),
    "AuditEvent/$export": (("AuditEvent", "r"), ("AuditEvent", "s")),
    "Provenance/$export": (("Provenance", "r"), ("Provenance", "s")),
}
"""By `Type/$name` or `$name`: all that a client needs. What follows the name, as of a job, needs the same."""

BASE = "fhir"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request is, and the scopes that it needs: all of `needs`.

    A type may be a variable of the path, `{type}`. Of a batch or transaction each entry needs its own, and the whole
    nothing.
    """

    interaction: Interaction
    needs: tuple[Need, ...] = ()

    def missing(self, scopes: Scopes, params: Mapping[str, str]) -> tuple[Need, ...]:
        """The needs that `scopes` do not meet. `params`: what the path's variables stand for."""
        named = tuple((_stood_for(type_, params), letter) for type_, letter in self.needs)
        return tuple(need for need in named if not scopes.allow(*need))


def _stood_for(type: str, params: Mapping[str, str]) -> str:
    return params.get(type[1:-1], "") if type.startswith("{") else type


def rule_of(method: str, path: str) -> Rule | None:
    """The rule of a route: `path` as the route table has it, `/fhir/Task/{id}`. None when there is none."""
    first, *parts = path.split("/")[1:]
    if first != BASE:
        return None
    operation = next((index for index, part in enumerate(parts) if part.startswith("$")), None)
    if operation is not None:
        return _operation(parts, operation)
    found = _INTERACTIONS.get((method, _shape(parts)))
    if found is None:
        return None
    return Rule(found) if found is Interaction.BATCH else Rule(found, ((parts[0], LETTER[found]),))


def _operation(parts: list[str], index: int) -> Rule | None:
    name = "/".join([parts[0], parts[index]] if index else [parts[index]])
    needs = OPERATIONS.get(name)
    return Rule(Interaction.OPERATION, needs) if needs is not None else None


def _shape(parts: list[str]) -> tuple[str, ...]:
    """`Task/{id}/_history/{version}` is (type, one, _history, one)."""
    if not parts:
        return ()
    kinds = ["one" if part.startswith("{") else part for part in parts[1:]]
    named = parts[0][:1].isupper() or parts[0].startswith("{")
    return ("type" if named else parts[0], *kinds)


_INTERACTIONS: Mapping[tuple[str, tuple[str, ...]], Interaction] = {
    ("POST", ()): Interaction.BATCH,
    ("GET", ("type",)): Interaction.SEARCH,
    ("POST", ("type", "_search")): Interaction.SEARCH,
    ("GET", ("type", "_history")): Interaction.HISTORY_TYPE,
    ("POST", ("type",)): Interaction.CREATE,
    ("PUT", ("type",)): Interaction.UPDATE,
    ("PATCH", ("type",)): Interaction.PATCH,
    ("DELETE", ("type",)): Interaction.DELETE,
    ("GET", ("type", "one")): Interaction.READ,
    ("PUT", ("type", "one")): Interaction.UPDATE,
    ("PATCH", ("type", "one")): Interaction.PATCH,
    ("DELETE", ("type", "one")): Interaction.DELETE,
    ("GET", ("type", "one", "_history")): Interaction.HISTORY_INSTANCE,
    ("GET", ("type", "one", "_history", "one")): Interaction.VREAD,
}
"""Conditional update, patch and delete have no id in their path."""


def entry_rule(method: str, type: str, *, identified: bool) -> Rule | None:
    """The rule of an entry in a batch or transaction: its request's method, the type in its url, and whether the url
    names an id.
    """
    return rule_of(method, f"/{BASE}/{type}/{{id}}" if identified else f"/{BASE}/{type}")
