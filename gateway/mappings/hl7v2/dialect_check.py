"""The schema of a dialect, checked on the tree, so that every mistake is found at once and shown with its line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from enum import StrEnum

from gateway.encounter.model import CodeSystem
from gateway.mappings.hl7v2.dialect_source import Mistake, Node
from gateway.mappings.hl7v2.fields import GROUPS, TABLES, Single
from gateway.mappings.hl7v2.path import Path, PathError
from gateway.mappings.hl7v2.transforms import TRANSFORMS

FAMILIES = ("ADT", "DFT", "BAR", "MDM")
KEYS = ("account", "visit")
_RULE = ("from", "with")
_CHARGE_CODE = ("code", "system", "modifiers", "revenue_code")

Check = Callable[[Node, str], Iterator[Mistake]]


def check(tree: Node) -> Iterator[Mistake]:
    """All that is wrong with a dialect's own file."""
    if not isinstance(tree.value, dict):
        yield tree.mistake("file", "is not a mapping", "write `key: value` lines, as dialects/base.yaml does")
        return
    for key, node in tree.items().items():
        checker = _CHECKS.get(key)
        if checker is None:
            yield node.mistake(key, "is not a setting of dialects", _instead(key, _CHECKS))
        else:
            yield from checker(node, key)


def _instead(word: str, known: Collection[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"use one of: {', '.join(sorted(known))}"


def _text(node: Node, key: str) -> Iterator[Mistake]:
    if not isinstance(node.value, str) or not node.value:
        yield node.mistake(key, "is not a text", "write one text after the colon")


def _words(known: Collection[str], *, some: bool) -> Check:
    def checker(node: Node, key: str) -> Iterator[Mistake]:
        if not isinstance(node.value, list) or (some and not node.value):
            yield node.mistake(key, "is not a list of words", f"write some of [{', '.join(known)}]")
            return
        for each in node.value:
            if each.value not in known:
                yield each.mistake(key, f"{each.value!r} is not known", _instead(str(each.value), known))

    return checker


def _mapping(node: Node, key: str, known: Collection[str]) -> Iterator[Mistake]:
    """Mistakes of a mapping whose keys must be known."""
    if not isinstance(node.value, dict):
        yield node.mistake(key, "is not a mapping", "write `name: value` lines below it")
    for name, child in node.items().items():
        if name not in known:
            yield child.mistake(f"{key}.{name}", "is not known here", _instead(name, known))


def _fields(node: Node, key: str) -> Iterator[Mistake]:
    yield from _mapping(node, key, GROUPS)
    for group, fields in node.items().items():
        if group in GROUPS:
            yield from _mapping(fields, f"{key}.{group}", GROUPS[group].fields)
            for name, rule in fields.items().items():
                if name in GROUPS[group].fields:
                    yield from _rule(rule, f"{key}.{group}.{name}", group, name)


def _rule(node: Node, key: str, group: str, name: str) -> Iterator[Mistake]:
    paths: Node | None = node
    if isinstance(node.value, dict):
        yield from _mapping(node, key, _RULE)
        paths = node.value.get("from")
        transforms = node.value.get("with")
        if paths is None and node.items().keys() <= set(_RULE):
            yield node.mistake(key, "has no `from`", "write from: [PID-5]")
        if transforms is not None:
            yield from _transforms(transforms, f"{key}.with", group, name)
    for path in _listed(paths):
        yield from _path(path, key, group)


def _listed(node: Node | None) -> list[Node]:
    if node is None:
        return []
    return node.value if isinstance(node.value, list) else [node]


def _path(node: Node, key: str, group: str) -> Iterator[Mistake]:
    if node.value is None:
        return
    try:
        path = Path.parse(node.value if isinstance(node.value, str) else "")
    except PathError as error:
        yield node.mistake(key, f"{node.value!r} is not a path", str(error))
        return
    if path.segment == GROUPS[group].anchor and path.occurrence > 1:
        yield node.mistake(key, f"{path} names one occurrence of a segment read each time", f"write {path.segment}-...")


def _transforms(node: Node, key: str, group: str, name: str) -> Iterator[Mistake]:
    if not isinstance(GROUPS[group].fields[name], Single):
        yield node.mistake(key, "the field has several components", "transforms work on single values: leave it out")
        return
    yield from _words(TRANSFORMS, some=True)(node, key)


def _tables(node: Node, key: str) -> Iterator[Mistake]:
    yield from _mapping(node, key, TABLES)
    for name, table in node.items().items():
        if name not in TABLES:
            continue
        if not isinstance(table.value, dict):
            yield table.mistake(f"{key}.{name}", "is not a mapping", "write `sender's code: value` lines below it")
        allowed = TABLES[name]
        values = tuple(allowed) if allowed is not None else None
        for code, entry in table.items().items():
            yield from _entry(entry, f"{key}.{name}.{code}", values)


def _entry(node: Node, key: str, allowed: tuple[str, ...] | None) -> Iterator[Mistake]:
    if node.value is None:
        return
    if not isinstance(node.value, str):
        yield node.mistake(key, "is not a text", "write one value after the colon")
    elif allowed is not None and node.value not in allowed:
        yield node.mistake(key, f"{node.value!r} is not a value of this table", _instead(node.value, allowed))


def _charge_codes(node: Node, key: str) -> Iterator[Mistake]:
    if not isinstance(node.value, dict):
        yield node.mistake(key, "is not a mapping", "write `local code: {code: ..., system: cpt}` lines below it")
    for local, entry in node.items().items():
        place = f"{key}.{local}"
        yield from _mapping(entry, place, _CHARGE_CODE)
        parts = entry.items()
        for name in ("code", "system"):
            if name not in parts:
                yield entry.mistake(place, f"has no {name}", "write {code: '71046', system: cpt}")
        if "system" in parts:
            yield from _entry(parts["system"], f"{place}.system", _values(CodeSystem))


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
