"""Dialects: how each sender writes HL7 v2, as data. A new sender is a new file, not new code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import Path as FilePath

from pydantic import ConfigDict, Field, ValidationError, field_validator

from gateway.encounter.model import CodeSystem
from gateway.encounter.record import Record
from gateway.mappings.hl7v2.dialect_check import check
from gateway.mappings.hl7v2.dialect_source import DialectError, merged, read_source
from gateway.mappings.hl7v2.fields import GROUPS, TABLES
from gateway.mappings.hl7v2.path import Path
from gateway.mappings.hl7v2.plan import Plan, Rule, Table
from gateway.yamlfile import YamlFile, instead, tell

__all__ = ["ChargeCode", "Dialect", "DialectError", "FieldRule", "load_dialects"]

_OWN = FilePath(__file__).parent / "dialects"


class FieldRule(Record):
    """Where a canonical field stands: the first path that has a value wins. No path at all: the field is not read."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    paths: tuple[str, ...] = Field(alias="from")
    transforms: tuple[str, ...] = Field(default=(), alias="with")


class ChargeCode(Record):
    """What a local charge code is billed as, where the sender does not say it."""

    code: str
    system: CodeSystem
    modifiers: tuple[str, ...] = ()
    revenue_code: str | None = None


class Dialect(Record):
    """One sender's HL7 v2. `final`, `replace` and `registration` name message families: ADT, DFT, BAR, MDM."""

    name: str
    description: str = ""
    extends: str | None = None
    key: tuple[str, ...] = ("account", "visit")
    """Which number keys an encounter, when the feed does not choose: the first that the message has."""
    registration: frozenset[str] = frozenset()
    """Families whose PID, PV1, IN1 and GT1 count; of the others only the numbers are read."""
    final: frozenset[str] = frozenset()
    """Families whose codes are final unless DG1-6 says otherwise."""
    replace: frozenset[str] = frozenset()
    """Families whose diagnoses and procedures take the place of all that stood; of the others they are added."""
    fields: dict[str, dict[str, FieldRule]] = Field(default_factory=dict)
    tables: dict[str, dict[str, str | None]] = Field(default_factory=dict)
    charge_codes: dict[str, ChargeCode] = Field(default_factory=dict)

    @field_validator("fields", mode="before")
    @classmethod
    def _short_forms(cls, groups: object) -> object:
        if not isinstance(groups, dict):
            return groups
        return {group: {name: _rule(rule) for name, rule in fields.items()} for group, fields in groups.items()}

    @cached_property
    def lookups(self) -> dict[str, Table]:
        """The tables with canonical values, keyed in capitals."""
        return {name: _looked_up(name, self.tables.get(name, {})) for name in TABLES}

    @cached_property
    def plans(self) -> dict[str, Plan]:
        """Each group's plan, compiled once."""
        return {group: Plan(group, self._rules(group), self.lookups) for group in GROUPS}

    @cached_property
    def numbers(self) -> Plan:
        """The encounter's numbers alone, for families whose registration segments do not count."""
        rules = self._rules("visit")
        return Plan("visit", {name: rules[name] for name in ("account", "number") if name in rules}, self.lookups)

    def _rules(self, group: str) -> dict[str, Rule]:
        rules = self.fields.get(group, {})
        return {
            name: Rule(tuple(Path.parse(path) for path in rule.paths), rule.transforms) for name, rule in rules.items()
        }


def _rule(rule: object) -> object:
    """`PID-5`, `[PID-5, PID-9]` and nothing at all, as what they are short for."""
    if rule is None:
        return {"from": ()}
    if isinstance(rule, str):
        return {"from": (rule,)}
    if isinstance(rule, list):
        return {"from": tuple(rule)}
    if isinstance(rule, dict):
        return {name: (value,) if isinstance(value, str) else value or () for name, value in rule.items()}
    return rule


def _looked_up(name: str, entries: Mapping[str, str | None]) -> dict[str, StrEnum | str]:
    allowed = TABLES[name]
    convert = allowed if isinstance(allowed, type) else str
    return {code.upper(): convert(value) for code, value in entries.items() if value is not None}


def load_dialects(extra_dir: FilePath | None = None) -> dict[str, Dialect]:
    """The dialects that come with the gateway and the site's own in `extra_dir`, by name: a file's name without .yaml.

    DialectError with every mistake in every file.
    """
    files = [read_source(path) for path in _paths(extra_dir)]
    named = _named(files)
    for name, file in named.items():
        check(file)
        _complete(name, file)
    chains = {name: _extended(name, named, ()) for name in named}
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


def _extended(name: str, named: Mapping[str, YamlFile], seen: tuple[str, ...]) -> object:
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


def _dialect(name: str, data: object) -> Dialect:
    return Dialect.model_validate({**data, "name": name} if isinstance(data, dict) else data)
