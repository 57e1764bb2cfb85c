"""The schema of a field's rule: its places in order, each with transforms, a table and a condition of its own."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.mappings.hl7v2.fields import GROUPS, TABLES, Composite, Single, can_be_constant
from gateway.mappings.hl7v2.reading import Unreadable
from gateway.mappings.hl7v2.steps import constant
from gateway.mappings.hl7v2.transforms import COMMA_NAMES, PARAMETERS, TRANSFORMS
from gateway.mappings.hl7v2.written_check import check_condition, check_mapping, check_path, check_text
from gateway.yamlfile import Loc, YamlFile, instead

_SHARED = ("with", "table", "when")
_RULE = ("from", *_SHARED)
_PLACE = ("path", *_SHARED)
_CONSTANT = ("value", "when")
MOST_PLACES = 8
"""How many places a field may have: senders need three or four."""


def check_rule(file: YamlFile, loc: Loc, value: object) -> None:
    """A field's rule: nothing, a path, a place, a list of them, or a mapping. `loc` ends with group and field."""
    if isinstance(value, dict) and not ({"path", "value"} & value.keys()):
        parts = check_mapping(file, loc, value, _RULE)
        if "from" not in parts and len(parts) == len(value):
            file.tell((*loc, "from"), "is missing", "write from: [PID-5]")
        _shared(file, loc, parts, str(loc[1]), str(loc[2]))
        _places(file, (*loc, "from"), parts.get("from"), str(loc[1]), str(loc[2]))
    else:
        _places(file, loc, value, str(loc[1]), str(loc[2]))


def _places(file: YamlFile, loc: Loc, value: object, group: str, name: str) -> None:
    if not isinstance(value, list):
        _place(file, loc, value, group, name)
        return
    if len(value) > MOST_PLACES:
        file.tell(loc, f"has more than {MOST_PLACES} places", "leave out those that the sender does not use")
    for index, each in enumerate(value):
        _place(file, (*loc, index), each, group, name)


def _place(file: YamlFile, loc: Loc, value: object, group: str, name: str) -> None:
    anchor = GROUPS[group].anchor
    if value is None:
        return
    if not isinstance(value, dict):
        check_path(file, loc, value, anchor)
        return
    parts = check_mapping(file, loc, value, _CONSTANT if "value" in value else _PLACE)
    if "value" in parts:
        _constant(file, (*loc, "value"), parts["value"], group, name)
    elif "path" in parts:
        check_path(file, (*loc, "path"), parts["path"], anchor)
    elif len(parts) == len(value):
        file.tell((*loc, "path"), "is missing", "write {path: PID-5, when: {...}}, or {value: ...} for a constant")
    _shared(file, loc, parts, group, name)


def _constant(file: YamlFile, loc: Loc, value: object, group: str, name: str) -> None:
    kind = GROUPS[group].fields[name]
    if not can_be_constant(kind):
        file.tell(loc, "the field cannot be a constant", "name the path where the sender says it")
    elif not isinstance(value, str) or not value:
        check_text(file, loc, value)
    else:
        try:
            constant(kind, value)
        except (Unreadable, ValueError):
            table = kind.table if isinstance(kind, Single) else None
            remedy = instead(value, _values(table)) if table else "write it as the sender would"
            file.tell(loc, f"{value!r} is not a value of the field", remedy)


def _values(table: str) -> tuple[str, ...]:
    allowed = TABLES[table]
    return tuple(allowed) if allowed is not None else ()


def _shared(file: YamlFile, loc: Loc, parts: object, group: str, name: str) -> None:
    """What both a rule and one of its places may say."""
    if not isinstance(parts, dict):
        return
    kind = GROUPS[group].fields[name]
    if "with" in parts:
        _transforms(file, (*loc, "with"), parts["with"], group, name)
    if "table" in parts:
        if isinstance(kind, Single):
            check_text(file, (*loc, "table"), parts["table"])
        else:
            file.tell((*loc, "table"), "the field has several components", "look up single values only: leave it out")
    if "when" in parts:
        check_condition(file, (*loc, "when"), parts["when"], GROUPS[group].anchor)


def _transforms(file: YamlFile, loc: Loc, value: object, group: str, name: str) -> None:
    kind = GROUPS[group].fields[name]
    known: tuple[str, ...] = (*TRANSFORMS, *PARAMETERS) if isinstance(kind, Single) else ()
    if isinstance(kind, Composite) and kind.names_at is not None:
        known = (COMMA_NAMES,)
    if not known:
        file.tell(loc, "the field has several components", "transforms work on single values: leave it out")
        return
    if not isinstance(value, list) or not value:
        file.tell(loc, "is not a list of transforms", f"write some of [{', '.join(known)}]")
        return
    for index, each in enumerate(value):
        _transform(file, (*loc, index), each, known)


def _transform(file: YamlFile, loc: Loc, value: object, known: tuple[str, ...]) -> None:
    name, parameter = value, None
    if isinstance(value, dict) and len(value) == 1:
        ((name, parameter),) = value.items()
    if not isinstance(name, str):
        file.tell(loc, "is not a transform", instead("", known))
    elif name not in known:
        file.tell(loc, f"{name!r} is not known", instead(name, known))
    elif name in PARAMETERS:
        if not isinstance(parameter, str) or not PARAMETERS[name].fits(parameter):
            file.tell(loc, f"{name} has no parameter, or one that does not fit", f"write {PARAMETERS[name].example}")
    elif isinstance(value, dict):
        file.tell(loc, f"{name} takes no parameter", f"write {name} alone")


def tables_used(fields: object) -> Iterator[tuple[Loc, str, str | None]]:
    """The tables that rules name: where, which, and the field's own table whose values it gives. Of checked data."""
    for group, rules in fields.items() if isinstance(fields, dict) else ():
        for name, rule in rules.items():
            kind = GROUPS[group].fields[name]
            own = kind.table if isinstance(kind, Single) else None
            for loc, table in _named(("fields", group, name), rule):
                yield loc, table, own


def _named(loc: Loc, value: object) -> Iterator[tuple[Loc, str]]:
    """The tables named in a rule, however it is written."""
    if isinstance(value, dict):
        if isinstance(value.get("table"), str):
            yield (*loc, "table"), value["table"]
        yield from _named((*loc, "from"), value.get("from"))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _named((*loc, index), each)
