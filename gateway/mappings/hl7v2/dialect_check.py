"""The schema of a dialect, checked on its file's data: every mistake is found at once and told with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from gateway.encounter.model import CodeSystem
from gateway.mappings.hl7v2.fields import GROUPS, TABLES, meanings
from gateway.mappings.hl7v2.rule_check import check_rule, tables_used
from gateway.mappings.hl7v2.written_check import Check, check_condition, check_mapping, check_text, check_words
from gateway.yamlfile import Loc, YamlFile, instead

FAMILIES = ("ADT", "DFT", "BAR", "MDM", "ORU")
KEYS = ("account", "visit")
LISTS = ("coverages", "diagnoses", "procedures", "charges")
"""Groups that are lists: a message may say all there is of one, and its segments may count under a condition only."""
MATCHED = ("code", "local_code", "modifiers", "start", "units", "amount", "diagnoses", "revenue_code")
"""What a credit and its charge may be compared by."""
_CHARGE_CODE = ("code", "system", "modifiers", "revenue_code")
_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def check(file: YamlFile) -> None:
    """Tell all that is wrong with a dialect's own file."""
    for key, value in file.data.items():
        checker = _CHECKS.get(key)
        if checker is None:
            file.tell((key,), "is not a setting of dialects", instead(key, _CHECKS))
        else:
            checker(file, (key,), value)


def check_whole(file: YamlFile, data: Mapping[str, object]) -> None:
    """Tell what shows only beside what the dialect extends (`data` is all of it): tables that are missing, unused, or
    give what the field that uses them cannot be.
    """
    if file.mistakes:
        return
    used = list(tables_used(data.get("fields")))
    tables = data.get("tables")
    known = tables if isinstance(tables, dict) else {}
    own = file.data.get("tables")
    for loc, name, field in used:
        if file.at(loc) is None:
            continue
        if name not in known:
            file.tell(loc, f"there is no table {name!r}", f"write its entries under tables.{name}")
        elif field and not (isinstance(own, dict) and name in own):
            _suits(file, loc, known[name], field)
    for name, entries in own.items() if isinstance(own, dict) else ():
        if name in TABLES:
            continue
        serves = [field for _, table, field in used if table == name]
        if not serves:
            file.tell(("tables", name), "no field uses it", instead(name, TABLES))
        for field in dict.fromkeys(serves):
            _entries(file, ("tables", name), entries, meanings(field) if field else None)


def _suits(file: YamlFile, loc: Loc, entries: object, field: str) -> None:
    """Tell of a table that another file has, and that gives what the field cannot be."""
    allowed = meanings(field)
    wrong = (
        [v for v in entries.values() if v is not None and v not in (allowed or (v,))]
        if isinstance(entries, dict)
        else []
    )
    if wrong:
        file.tell(loc, f"the table gives {wrong[0]!r}, which the field cannot be", instead(wrong[0], allowed or ()))


def _snapshot(file: YamlFile, loc: Loc, value: object) -> None:
    for family, groups in check_mapping(file, loc, value, FAMILIES).items():
        check_words(LISTS, some=False)(file, (*loc, family), groups)


def _credits(file: YamlFile, loc: Loc, value: object) -> None:
    parts = check_mapping(file, loc, value, ("match",))
    if "match" in parts:
        check_words(MATCHED, some=False)(file, (*loc, "match"), parts["match"])
    elif isinstance(value, dict) and not value:
        file.tell((*loc, "match"), "is missing", "write {match: [code, start, units, amount]}")


def _only(file: YamlFile, loc: Loc, value: object) -> None:
    for group, condition in check_mapping(file, loc, value, LISTS).items():
        if condition is not None:
            check_condition(file, (*loc, group), condition, GROUPS[group].anchor)


def _fields(file: YamlFile, loc: Loc, value: object) -> None:
    for group, fields in check_mapping(file, loc, value, GROUPS).items():
        for name, rule in check_mapping(file, (*loc, group), fields, GROUPS[group].fields).items():
            check_rule(file, (*loc, group, name), rule)


def _tables(file: YamlFile, loc: Loc, value: object) -> None:
    if not isinstance(value, dict):
        check_mapping(file, loc, value, TABLES)
        return
    for name, table in value.items():
        if name in TABLES:
            _entries(file, (*loc, name), table, meanings(name))
        elif _TABLE_NAME.fullmatch(name) is None:
            file.tell((*loc, name), "is not the name of a table", "use lower-case letters, digits and _, 40 at most")
        else:
            _entries(file, (*loc, name), table, None)


def _entries(file: YamlFile, loc: Loc, value: object, allowed: tuple[str, ...] | None) -> None:
    if not isinstance(value, dict):
        file.tell(loc, "is not a mapping", "write `sender's code: value` lines below it")
        return
    for code, entry in value.items():
        _entry(file, (*loc, code), entry, allowed)


def _entry(file: YamlFile, loc: Loc, value: object, allowed: tuple[str, ...] | None) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        file.tell(loc, "is not a text", "write one value after the colon")
    elif allowed is not None and value not in allowed:
        file.tell(loc, f"{value!r} is not a value of this table", instead(value, allowed))


def _charge_codes(file: YamlFile, loc: Loc, value: object) -> None:
    if not isinstance(value, dict):
        file.tell(loc, "is not a mapping", "write `local code: {code: ..., system: cpt}` lines below it")
        return
    for local, entry in value.items():
        if entry is None:
            continue
        place = (*loc, local)
        parts = check_mapping(file, place, entry, _CHARGE_CODE)
        for name in ("code", "system"):
            if isinstance(entry, dict) and name not in parts:
                file.tell((*place, name), "is missing", "write {code: '71046', system: cpt}")
        if "system" in parts:
            _entry(file, (*place, "system"), parts["system"], _values(CodeSystem))


def _values(enum: type[StrEnum]) -> tuple[str, ...]:
    return tuple(member.value for member in enum)


def _confirm(file: YamlFile, loc: Loc, value: object) -> None:
    """What to confirm, by the key that it is about."""
    if not isinstance(value, dict):
        file.tell(loc, "is not a mapping", "write `fields.charges.code: what to make sure of` lines below it")
        return
    for key, text in value.items():
        if text is not None:
            check_text(file, (*loc, key), text)
        first, *names = key.split(".")
        known = first in _CHECKS and (first != "fields" or _is_field(names))
        if not known:
            file.tell((*loc, key), "is not a setting of dialects", "write it as fields.charges.code, or tables.sex")


def _is_field(names: list[str]) -> bool:
    group = GROUPS.get(names[0]) if names else None
    return group is not None and len(names) < 3 and (len(names) == 1 or names[1] in group.fields)


_CHECKS: dict[str, Check] = {
    "description": check_text,
    "extends": check_text,
    "key": check_words(KEYS, some=True),
    "registration": check_words(FAMILIES, some=False),
    "final": check_words(FAMILIES, some=False),
    "snapshot": _snapshot,
    "credits": _credits,
    "only": _only,
    "fields": _fields,
    "tables": _tables,
    "charge_codes": _charge_codes,
    "confirm": _confirm,
}
"""A dialect's own file as it is read, before what it extends is put under it."""
