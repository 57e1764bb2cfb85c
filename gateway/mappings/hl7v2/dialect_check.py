"""The schema of a dialect, checked on its file's data: every mistake is found at once and told with its line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum

from gateway.encounter.model import CodeSystem
from gateway.mappings.hl7v2.fields import GROUPS, TABLES, Single
from gateway.mappings.hl7v2.path import Path, PathError
from gateway.mappings.hl7v2.transforms import TRANSFORMS
from gateway.yamlfile import Loc, YamlFile, instead

FAMILIES = ("ADT", "DFT", "BAR", "MDM")
KEYS = ("account", "visit")
_RULE = ("from", "with")
_CHARGE_CODE = ("code", "system", "modifiers", "revenue_code")

Check = Callable[[YamlFile, Loc, object], None]
"""Tells what is wrong with the value at a place of a file."""


def check(file: YamlFile) -> None:
    """Tell all that is wrong with a dialect's own file."""
    for key, value in file.data.items():
        checker = _CHECKS.get(key)
        if checker is None:
            file.tell((key,), "is not a setting of dialects", instead(key, _CHECKS))
        else:
            checker(file, (key,), value)


def _text(file: YamlFile, loc: Loc, value: object) -> None:
    if not isinstance(value, str) or not value:
        file.tell(loc, "is not a text", "write one text after the colon")


def _words(known: Collection[str], *, some: bool) -> Check:
    def checker(file: YamlFile, loc: Loc, value: object) -> None:
        if not isinstance(value, list) or (some and not value):
            file.tell(loc, "is not a list of words", f"write some of [{', '.join(known)}]")
            return
        for index, word in enumerate(value):
            if not isinstance(word, str):
                file.tell((*loc, index), "is not a word", instead("", known))
            elif word not in known:
                file.tell((*loc, index), f"{word!r} is not known", instead(word, known))

    return checker


def _mapping(file: YamlFile, loc: Loc, value: object, known: Collection[str]) -> Mapping[str, object]:
    """The entries that are known. Tells of the others, and of a value that is no mapping."""
    if not isinstance(value, dict):
        file.tell(loc, "is not a mapping", "write `name: value` lines below it")
        return {}
    for name in value.keys() - set(known):
        file.tell((*loc, name), "is not known here", instead(name, known))
    return {name: value[name] for name in value if name in known}


def _fields(file: YamlFile, loc: Loc, value: object) -> None:
    for group, fields in _mapping(file, loc, value, GROUPS).items():
        for name, rule in _mapping(file, (*loc, group), fields, GROUPS[group].fields).items():
            _rule(file, (*loc, group, name), rule)


def _rule(file: YamlFile, loc: Loc, value: object) -> None:
    """`loc` ends with the group and the field."""
    paths, place = value, loc
    if isinstance(value, dict):
        parts = _mapping(file, loc, value, _RULE)
        paths, place = parts.get("from"), (*loc, "from")
        if "from" not in parts and len(parts) == len(value):
            file.tell(place, "is missing", "write from: [PID-5]")
        if "with" in parts:
            _transforms(file, (*loc, "with"), parts["with"], group=str(loc[-2]), name=str(loc[-1]))
    group = str(loc[-2])
    if isinstance(paths, list):
        for index, path in enumerate(paths):
            _path(file, (*place, index), path, group)
    elif paths is not None:
        _path(file, place, paths, group)


def _path(file: YamlFile, loc: Loc, value: object, group: str) -> None:
    if value is None:
        return
    try:
        path = Path.parse(value if isinstance(value, str) else "")
    except PathError as error:
        said = repr(value) if isinstance(value, str) else "it"
        file.tell(loc, f"{said} is not a path", str(error))
        return
    if path.segment == GROUPS[group].anchor and path.occurrence > 1:
        file.tell(loc, f"{path} names one occurrence of a segment read each time", f"write {path.segment}-...")


def _transforms(file: YamlFile, loc: Loc, value: object, *, group: str, name: str) -> None:
    if not isinstance(GROUPS[group].fields[name], Single):
        file.tell(loc, "the field has several components", "transforms work on single values: leave it out")
        return
    _words(TRANSFORMS, some=True)(file, loc, value)


def _tables(file: YamlFile, loc: Loc, value: object) -> None:
    for name, table in _mapping(file, loc, value, TABLES).items():
        if not isinstance(table, dict):
            file.tell((*loc, name), "is not a mapping", "write `sender's code: value` lines below it")
            continue
        allowed = TABLES[name]
        values = tuple(allowed) if allowed is not None else None
        for code, entry in table.items():
            _entry(file, (*loc, name, code), entry, values)


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
        place = (*loc, local)
        parts = _mapping(file, place, entry, _CHARGE_CODE)
        for name in ("code", "system"):
            if isinstance(entry, dict) and name not in parts:
                file.tell((*place, name), "is missing", "write {code: '71046', system: cpt}")
        if "system" in parts:
            _entry(file, (*place, "system"), parts["system"], _values(CodeSystem))


def _values(enum: type[StrEnum]) -> tuple[str, ...]:
    return tuple(member.value for member in enum)


_CHECKS: dict[str, Check] = {
    "description": _text,
    "extends": _text,
    "key": _words(KEYS, some=True),
    "registration": _words(FAMILIES, some=False),
    "final": _words(FAMILIES, some=False),
    "replace": _words(FAMILIES, some=False),
    "fields": _fields,
    "tables": _tables,
    "charge_codes": _charge_codes,
}
