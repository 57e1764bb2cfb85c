"""Dialects: how each sender writes HL7 v2, as data. A new sender is a new file, not new code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import Path as FilePath

from pydantic import Field, ValidationError, field_validator

from gateway.encounter.model import CodeSystem
from gateway.encounter.record import Record
from gateway.mappings.hl7v2.condition import Condition, condition
from gateway.mappings.hl7v2.dialect_check import check, check_whole
from gateway.mappings.hl7v2.dialect_source import DialectError, merged, read_source
from gateway.mappings.hl7v2.fields import GROUPS, TABLES, meanings
from gateway.mappings.hl7v2.plan import Plan
from gateway.mappings.hl7v2.rule import FieldRule, field_rule
from gateway.mappings.hl7v2.steps import looked_up
from gateway.yamlfile import YamlFile, instead, tell

__all__ = ["CHARGE_CODES", "ChargeCode", "Dialect", "DialectError", "FieldRule", "load_dialects"]

_OWN = FilePath(__file__).parent / "dialects"
CHARGE_CODES = "charge_codes"
_ABOUT = frozenset({"name", "description", "extends", "confirm"})
"""What is said about a dialect, and changes nothing in how a message is read."""
_VERSION = 12


class ChargeCode(Record):
    """What a local charge code is billed as, where the sender does not say it."""

    code: str
    system: CodeSystem
    modifiers: tuple[str, ...] = ()
    revenue_code: str | None = None


class Dialect(Record):
    """One sender's HL7 v2. `registration`, `final` and `snapshot` name message families: ADT, DFT, BAR, MDM, ORU."""

    name: str
    description: str = ""
    extends: str | None = None
    key: tuple[str, ...] = ("account", "visit")
    """Which number keys an encounter, when the feed does not choose: the first that the message has."""
    registration: frozenset[str] = frozenset()
    """Families whose PID, PV1, IN1 and GT1 count; of the others only the numbers are read."""
    final: frozenset[str] = frozenset()
    """Families whose codes are final unless DG1-6 says otherwise."""
    snapshot: dict[str, frozenset[str]] = Field(default_factory=dict)
    """Family -> the groups of which its messages say all there is: theirs take the place of what stood."""
    credits: tuple[str, ...] = ()
    """What a credit and its charge have in common, as canonical fields; the usual things when empty."""
    only: dict[str, Condition] = Field(default_factory=dict)
    """Group -> the condition under which its segments count at all; the others are passed over."""
    fields: dict[str, dict[str, FieldRule]] = Field(default_factory=dict)
    tables: dict[str, dict[str, str | None]] = Field(default_factory=dict)
    charge_codes: dict[str, ChargeCode] = Field(default_factory=dict)
    confirm: dict[str, str] = Field(default_factory=dict)
    """What an analyst must make sure of at the site, by the key that it is about, as `fields.charges.code`."""

    @field_validator("credits", mode="before")
    @classmethod
    def _match(cls, credits: object) -> object:
        return credits.get("match", ()) if isinstance(credits, dict) else credits

    @field_validator("charge_codes", mode="before")
    @classmethod
    def _kept(cls, entries: object) -> object:
        return {code: c for code, c in entries.items() if c is not None} if isinstance(entries, dict) else entries

    @field_validator("only", mode="before")
    @classmethod
    def _conditions(cls, groups: object) -> object:
        if not isinstance(groups, dict):
            return groups
        return {group: condition(written) for group, written in groups.items() if written is not None}

    @field_validator("fields", mode="before")
    @classmethod
    def _short_forms(cls, groups: object) -> object:
        if not isinstance(groups, dict):
            return groups
        return {group: {name: field_rule(rule) for name, rule in fields.items()} for group, fields in groups.items()}

    @cached_property
    def lookups(self) -> dict[str, Mapping[str, StrEnum | str]]:
        """The fields' own tables with canonical values, keyed in capitals."""
        return {name: looked_up(self.tables.get(name, {}), name) for name in TABLES}

    @cached_property
    def plans(self) -> dict[str, Plan]:
        """Each group's plan, compiled once."""
        return {
            group: Plan(group, self.fields.get(group, {}), self.tables, self.only.get(group, ())) for group in GROUPS
        }

    @cached_property
    def numbers(self) -> Plan:
        """The encounter's numbers alone, for families whose registration segments do not count."""
        rules = self.fields.get("visit", {})
        return Plan("visit", {name: rules[name] for name in ("account", "number") if name in rules}, self.tables)

    @cached_property
    def version(self) -> str:
        """Names what the dialect says, all that it extends included: 12 hexadecimal digits, the same for the same."""
        said = self.model_dump(mode="json", exclude=set(_ABOUT), exclude_defaults=True)
        for name in ("registration", "final"):
            said[name] = sorted(getattr(self, name))
        said["snapshot"] = {family: sorted(groups) for family, groups in self.snapshot.items()}
        written = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(written.encode()).hexdigest()[:_VERSION]

    def with_tables(self, added: Mapping[str, Mapping[str, object]]) -> Dialect:
        """The dialect with these entries over its tables: the sender's code -> canonical value; in `charge_codes` what
        a ChargeCode says. None takes an entry away. The dialect itself stays as it is.

        ValueError when there is no such table or a table has no such value.
        """
        tables = {name: dict(entries) for name, entries in self.tables.items()}
        for name, entries in added.items():
            if name == CHARGE_CODES:
                continue
            if name not in self.table_names:
                raise ValueError(f"the dialect {self.name} has no table {name}")
            tables[name] = _over(tables.get(name, {}), entries)
            looked_up(tables[name], self._values_of(name))
        said = {name: getattr(self, name) for name in type(self).model_fields}
        charge_codes = {**self.charge_codes, **added.get(CHARGE_CODES, {})}
        dialect = Dialect.model_validate({**said, "tables": tables, CHARGE_CODES: charge_codes})
        _ = dialect.plans  # made now, so that what cannot be is refused here, and not when a message comes
        return dialect

    @cached_property
    def table_names(self) -> tuple[str, ...]:
        """All tables that an analyst may add to: those that fields have of their own, the dialect's, `charge_codes`."""
        return tuple(sorted({*TABLES, *self.tables, CHARGE_CODES}))

    def meanings(self, table: str) -> tuple[str, ...] | None:
        """The values that a table may give, in order; None when any text will do. Not for `charge_codes`."""
        known = self._values_of(table)
        return meanings(known) if known is not None else None

    def _values_of(self, table: str) -> str | None:
        """The table of a field whose values `table` gives: itself, or of one of the dialect's own that of its field."""
        if table in TABLES:
            return table
        used = (
            getattr(GROUPS[group].fields[name], "table", None)
            for group, rules in self.fields.items()
            for name, rule in rules.items()
            if any(each.table == table for each in rule.alternatives)
        )
        return next((own for own in used if own), None)

    def sources(self, table: str, value: str) -> tuple[str, ...]:
        """The sender's codes that mean `value`, in the table's order; of `charge_codes`, those billed as the code."""
        if table == CHARGE_CODES:
            wanted = value.upper()
            return tuple(local for local, charge in self.charge_codes.items() if charge.code.upper() == wanted)
        return tuple(code for code, meant in self.tables.get(table, {}).items() if meant == value)


def _over(entries: Mapping[str, str | None], added: Mapping[str, object]) -> dict[str, str | None]:
    """The entries with those added, which take the place of the same code in capitals or not."""
    capitals = {code.upper() for code in added}
    kept = {code: value for code, value in entries.items() if code.upper() not in capitals}
    return {**kept, **{code: None if value is None else str(value) for code, value in added.items()}}


def load_dialects(extra_dir: FilePath | None = None, candidate: FilePath | None = None) -> dict[str, Dialect]:
    """The dialects that come with the gateway and the site's own in `extra_dir`, by name: a file's name without .yaml.

    A `candidate` stands in for the one of its name, or beside the others. DialectError with all mistakes in all files.
    """
    paths = _paths(extra_dir)
    if candidate is not None:
        paths = [*(path for path in paths if path.stem != candidate.stem), candidate]
    files = [read_source(path) for path in paths]
    named = _named(files)
    for name, file in named.items():
        check(file)
        _complete(name, file)
    chains = {name: _extended(name, named, ()) for name in named}
    for name, file in named.items():
        check_whole(file, chains[name])
    mistakes = [mistake for file in files for mistake in file.mistakes]
    if mistakes:
        raise DialectError(mistakes)
    return {name: _dialect(name, data) for name, data in chains.items()}


def _paths(extra_dir: FilePath | None) -> list[FilePath]:
    paths = sorted(_OWN.glob("*.yaml"))
    if extra_dir is not None:
        if not extra_dir.is_dir():
            directory = YamlFile(extra_dir)
            directory.tell(
                (), "is not a directory", "name the directory of your dialect files, or leave `dialects` out"
            )
            raise DialectError(directory.mistakes)
        paths += sorted(path for path in extra_dir.iterdir() if path.suffix in (".yaml", ".yml"))
    return paths


def _named(files: Iterable[YamlFile]) -> dict[str, YamlFile]:
    named: dict[str, YamlFile] = {}
    for file in files:
        name = FilePath(file.name).stem
        if name in named:
            file.tell((), f"the name {name} is taken", "rename the file")
        else:
            named[name] = file
    return named


def _complete(name: str, file: YamlFile) -> None:
    """Tell what the schema's own check lets pass, as a list where a text belongs."""
    if file.mistakes:
        return
    try:
        _dialect(name, file.data)
    except ValidationError as error:
        tell(file, error.errors(include_url=False), lambda _: Dialect.model_fields)


def _extended(name: str, named: Mapping[str, YamlFile], seen: tuple[str, ...]) -> Mapping[str, object]:
    """The file's data with that of what it extends under it. Tells, once, of one that cannot be extended."""
    file = named[name]
    parent = file.data.get("extends")
    if not isinstance(parent, str) or not parent:
        return file.data
    if parent not in named:
        file.spoil(("extends",), f"there is no dialect {parent!r}", instead(parent, sorted(named)))
    elif parent == name or parent in seen:
        file.spoil(("extends",), "goes round in a circle", "extend base instead")
    else:
        return merged(_extended(parent, named, (*seen, name)), file.data)
    return file.data


def _dialect(name: str, data: Mapping[str, object]) -> Dialect:
    return Dialect.model_validate({**data, "name": name})
