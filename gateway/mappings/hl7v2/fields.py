"""Which canonical fields a dialect may place, and of which kind each is. A new field is a new row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gateway.encounter.model import (
    ChargeKind,
    CodeSystem,
    DiagnosisUse,
    DocumentKind,
    DocumentStatus,
    EncounterClass,
    ProviderRole,
)
from gateway.mappings.hl7v2 import codes, kinds
from gateway.mappings.hl7v2.kinds import Parse, Read
from gateway.mappings.hl7v2.providers import provider, providers


@dataclass(frozen=True, slots=True)
class Single:
    """A value in one place: it may be transformed and looked up before `parse` reads it."""

    parse: Parse | None = None
    table: str | None = None
    lenient: bool = False
    """A value that the table does not know is no problem: the field is just not set."""
    names: str | None = None
    """The table in which the text itself is looked up, once it is known whether it counts."""


@dataclass(frozen=True, slots=True)
class Composite:
    """A value of several components or repetitions."""

    read: Read
    whole: bool = False
    """Whether all repetitions together are the value."""
    names_at: int | None = None
    """The component, from 0, in which a person's names begin."""


@dataclass(frozen=True, slots=True)
class Coded:
    """Codes, chosen by what the dialect's `table` says of their systems: one of those that are wanted."""

    choose: Callable[[codes.Systems, frozenset[CodeSystem]], Read]
    table: str
    wanted: frozenset[CodeSystem]
    whole: bool = False
    """Whether the codes of all repetitions together are the value."""


Kind = Single | Composite | Coded

TEXT = Single()
DATE = Single(kinds.parse_date)
BIRTH_DATE = Single(kinds.parse_birth_date)
INSTANT = Single(kinds.parse_instant)
NUMBER = Single(kinds.parse_number)
RANK = Single(kinds.parse_rank)
CODE = Single(kinds.parse_code)
NAME = Composite(kinds.name, names_at=0)
ADDRESS = Composite(kinds.address)
IDENTIFIERS = Composite(kinds.identifiers, whole=True)
MODIFIERS = Composite(kinds.modifiers, whole=True)
_IN_XCN = 1


def _person(role: ProviderRole) -> Composite:
    return Composite(provider(role), names_at=_IN_XCN)


ALIASES = {
    "unit_amount": "amount",
    "parent": "replaces",
    "availability": "status",
    **{role.value: f"providers.{role}" for role in (ProviderRole.RENDERING, ProviderRole.ORDERING)},
    ProviderRole.SUPERVISING.value: "providers.supervising",
    ProviderRole.OPERATING.value: "providers.operating",
}
"""Where fields that have no canonical twin end up, for the places of values."""


UNREMEMBERED = frozenset(
    {
        *(("patient", name) for name in ("identifiers", "name", "birth_date", "address", "phone")),
        *(("visit", name) for name in ("account", "number", "admitted", "discharged")),
        *(("guarantor", name) for name in ("name", "address")),
        *(("coverages", name) for name in ("member_id", "subscriber", "subscriber_birth_date", "subscriber_address")),
        *(("charges", name) for name in ("id", "reverses")),
        *(("documents", name) for name in ("id", "title", "written", "parent")),
        *(("coding", name) for name in ("coded",)),
    }
)
"""Fields that tell one patient or message from another. What others say comes again and again, and is read once."""


TOGETHER: dict[str, tuple[frozenset[str], ...]] = {
    "charges": (
        frozenset(
            {"kind", "code", "system", "local_code", "modifiers", "units", "amount", "unit_amount", "revenue_code"}
        ),
        frozenset({"start", "end", "diagnoses", "rendering", "ordering", "supervising", "place_of_service"}),
    )
}
"""Fields that come again together: what was done, and the day, the persons and the reasons. In other groups all do."""


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that are read together. With an `anchor`, once for each such segment; its other segments are those that
    stand between it and the next, or before the first of all.
    """

    fields: dict[str, Kind]
    anchor: str | None = None


GROUPS: dict[str, Group] = {
    "patient": Group(
        {
            "identifiers": IDENTIFIERS,
            "name": NAME,
            "birth_date": BIRTH_DATE,
            "sex": Single(table="sex"),
            "address": ADDRESS,
            "phone": Composite(kinds.phone),
        }
    ),
    "visit": Group(
        {
            "encounter_class": Single(table="encounter_class"),
            "type": TEXT,
            "service": TEXT,
            "location": TEXT,
            "place_of_service": CODE,
            "admitted": INSTANT,
            "discharged": INSTANT,
            "disposition": CODE,
            "account": Composite(kinds.identifier("AN", ours=True)),
            "number": Composite(kinds.identifier("VN", ours=True)),
        }
    ),
    "providers": Group(
        {
            "attending": _person(ProviderRole.ATTENDING),
            "referring": _person(ProviderRole.REFERRING),
            "consulting": Composite(providers(ProviderRole.CONSULTING), whole=True, names_at=_IN_XCN),
            "admitting": _person(ProviderRole.ADMITTING),
        }
    ),
    "guarantor": Group({"name": NAME, "relationship": Single(table="relationship"), "address": ADDRESS}),
    "coverages": Group(
        {
            "rank": RANK,
            "payer": Composite(kinds.identifier()),
            "payer_name": TEXT,
            "plan": TEXT,
            "filing": Single(table="filing"),
            "member_id": TEXT,
            "group_number": TEXT,
            "relationship": Single(table="relationship"),
            "subscriber": NAME,
            "subscriber_birth_date": BIRTH_DATE,
            "subscriber_sex": Single(table="sex"),
            "subscriber_address": ADDRESS,
        },
        "IN1",
    ),
    "diagnoses": Group(
        {
            "code": Coded(codes.one, "diagnosis_system", codes.DIAGNOSIS),
            "system": Single(names="diagnosis_system"),
            "use": Single(table="diagnosis_use"),
            "rank": RANK,
            "present_on_admission": Single(table="present_on_admission"),
            "description": TEXT,
            "action": CODE,
        },
        "DG1",
    ),
    "procedures": Group(
        {
            "code": Coded(codes.one, "procedure_system", codes.PROCEDURE),
            "system": Single(names="procedure_system"),
            "modifiers": MODIFIERS,
            "performed": DATE,
            "rank": RANK,
            "operating": _person(ProviderRole.OPERATING),
            "rendering": _person(ProviderRole.RENDERING),
        },
        "PR1",
    ),
    "charges": Group(
        {
            "id": TEXT,
            "kind": Single(table="transaction"),
            "code": Coded(codes.charged, "procedure_system", codes.CHARGE),
            "system": Single(names="procedure_system"),
            "local_code": TEXT,
            "modifiers": MODIFIERS,
            "units": NUMBER,
            "amount": NUMBER,
            "unit_amount": NUMBER,
            "start": DATE,
            "end": DATE,
            "diagnoses": Coded(codes.many, "diagnosis_system", codes.DIAGNOSIS, whole=True),
            "rendering": _person(ProviderRole.RENDERING),
            "ordering": _person(ProviderRole.ORDERING),
            "supervising": _person(ProviderRole.SUPERVISING),
            "revenue_code": CODE,
            "place_of_service": CODE,
            "reverses": TEXT,
        },
        "FT1",
    ),
    "documents": Group(
        {
            "id": TEXT,
            "kind": Single(table="document_kind", lenient=True),
            "type": TEXT,
            "title": TEXT,
            "status": Single(table="document_status"),
            "availability": Single(table="document_availability"),
            "author": _person(ProviderRole.AUTHOR),
            "written": INSTANT,
            "parent": TEXT,
        }
    ),
    "coding": Group({"coder": TEXT, "encoder": TEXT, "coded": INSTANT, "drg": CODE}),
}

FILINGS = frozenset(
    {
        "11", "12", "13", "14", "15", "16", "17", "AM", "BL", "CH", "CI", "DS", "FI", "HM", "LM", "MA", "MB", "MC",
        "OF", "TV", "VA", "WC", "ZZ",
    }
)  # fmt: skip
"""Claim filing indicators, what kind of insurance pays (005010X222A1 and 005010X223A2, SBR09)."""

TABLES: dict[str, type[StrEnum] | frozenset[str] | None] = {
    "sex": frozenset("FMU"),
    "encounter_class": EncounterClass,
    "relationship": frozenset({"self", "spouse", "child", "other"}),
    "filing": FILINGS,
    "diagnosis_use": DiagnosisUse,
    "diagnosis_system": CodeSystem,
    "procedure_system": CodeSystem,
    "present_on_admission": frozenset("YNUW1"),
    "transaction": ChargeKind,
    "document_kind": DocumentKind,
    "document_status": DocumentStatus,
    "document_availability": DocumentStatus,
}
"""The tables that fields have of their own, and the canonical values that they may give; None allows any text."""

_DATED = (DATE, BIRTH_DATE, INSTANT)


def can_be_constant(kind: Kind) -> bool:
    """Whether a dialect may say the same value of a field for all messages."""
    return isinstance(kind, Single) and kind not in _DATED


def meaning(table: str | None, text: str) -> StrEnum | str:
    """The canonical value that an entry `text` of `table` writes. ValueError when the table has no such value."""
    allowed = TABLES.get(table) if table is not None else None
    if isinstance(allowed, type):
        return allowed(text)
    if allowed is not None and text not in allowed:
        raise ValueError(f"not a value of {table}")
    return text


def meanings(table: str) -> tuple[str, ...] | None:
    """The canonical values of a table, in order; None when it may say any text."""
    allowed = TABLES.get(table)
    if isinstance(allowed, type):
        return tuple(allowed)
    return tuple(sorted(allowed)) if allowed is not None else None
