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
from gateway.mappings.hl7v2.dialect_source import DialectError, Mistake, Node, merged, read_source
from gateway.mappings.hl7v2.fields import GROUPS, TABLES
from gateway.mappings.hl7v2.path import Path
from gateway.mappings.hl7v2.plan import Plan, Rule, Table

__all__ = ["ChargeCode", "Dialect", "DialectError", "FieldRule", "Mistake", "load_dialects"]

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
    trees, mistakes = _sources(_files(extra_dir))
    for tree in trees.values():
        mistakes.extend(check(tree))
    chains: dict[str, Node] = {}
    for name in trees:
        try:
            chains[name] = _extended(name, trees, ())
        except DialectError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise DialectError(tuple(sorted(dict.fromkeys(mistakes), key=lambda mistake: (mistake.file, mistake.line))))
    return {name: _dialect(name, tree) for name, tree in chains.items()}


def _files(extra_dir: FilePath | None) -> list[FilePath]:
    files = sorted(_OWN.glob("*.yaml"))
    if extra_dir is not None:
        if not extra_dir.is_dir():
            text, remedy = "is not a directory", "name the directory of your dialect files, or leave `dialects` out"
            raise DialectError((Mistake(str(extra_dir), 1, "dialects", text, remedy),))
        files += sorted(path for path in extra_dir.iterdir() if path.suffix in (".yaml", ".yml"))
    return files


def _sources(files: Iterable[FilePath]) -> tuple[dict[str, Node], list[Mistake]]:
    trees: dict[str, Node] = {}
    mistakes: list[Mistake] = []
    for path in files:
        if path.stem in trees:
            mistakes.append(Mistake(path.name, 1, "file", f"the name {path.stem} is taken", "rename the file"))
            continue
        try:
            trees[path.stem] = read_source(path)
        except DialectError as error:
            mistakes.extend(error.mistakes)
    return trees, mistakes


def _extended(name: str, trees: Mapping[str, Node], seen: tuple[str, ...]) -> Node:
    tree = trees[name]
    parent = tree.items().get("extends")
    if parent is None:
        return tree
    known = parent.value
    if not isinstance(known, str) or known not in trees:
        mistake = parent.mistake("extends", f"there is no dialect {known!r}", f"use one of: {', '.join(sorted(trees))}")
        raise DialectError((mistake,))
    if known == name or known in seen:
        raise DialectError((parent.mistake("extends", "goes round in a circle", "extend base instead"),))
    return merged(_extended(known, trees, (*seen, name)), tree)


def _dialect(name: str, tree: Node) -> Dialect:
    plain = tree.plain()
    try:
        return Dialect.model_validate({**plain, "name": name} if isinstance(plain, dict) else plain)
    except ValidationError as error:
        raise DialectError(tuple(_mistake(each["loc"], each["msg"], tree) for each in error.errors())) from error


def _mistake(loc: tuple[int | str, ...], text: str, tree: Node) -> Mistake:
    node = tree
    for part in loc:
        child = node.items().get(str(part))
        if child is None:
            break
        node = child
    return node.mistake(".".join(map(str, loc)), text, "compare it with dialects/base.yaml")
