"""What the parts of a dialect's file are checked by: texts, words, mappings, paths and conditions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from gateway.mappings.hl7v2.condition import ABSENT, NOT, PRESENT
from gateway.mappings.hl7v2.path import Path, PathError
from gateway.yamlfile import Loc, YamlFile, instead

Check = Callable[[YamlFile, Loc, object], None]
"""Tells what is wrong with the value at a place of a file."""


def check_text(file: YamlFile, loc: Loc, value: object) -> None:
    """One text that says something."""
    if not isinstance(value, str) or not value:
        file.tell(loc, "is not a text", "write one text after the colon")


def check_words(known: Collection[str], *, some: bool) -> Check:
    """A check of a list of known words; `some`: one at least."""

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


def check_mapping(file: YamlFile, loc: Loc, value: object, known: Collection[str]) -> Mapping[str, object]:
    """The entries that are known. Tells of the others, and of a value that is no mapping."""
    if not isinstance(value, dict):
        file.tell(loc, "is not a mapping", "write `name: value` lines below it")
        return {}
    for name in value.keys() - set(known):
        file.tell((*loc, name), "is not known here", instead(name, known))
    return {name: value[name] for name in value if name in known}


def check_path(file: YamlFile, loc: Loc, value: object, anchor: str | None) -> None:
    """A path. In a group that is read for each segment of a kind, the `anchor`, it names no certain one of them."""
    try:
        path = Path.parse(value if isinstance(value, str) else "")
    except PathError as error:
        said = repr(value) if isinstance(value, str) else "it"
        file.tell(loc, f"{said} is not a path", str(error))
        return
    if path.segment == anchor and path.occurrence > 1:
        file.tell(loc, f"{path} names one occurrence of a segment read each time", f"write {path.segment}-...")


def check_condition(file: YamlFile, loc: Loc, value: object, anchor: str | None) -> None:
    """A condition; see `gateway.mappings.hl7v2.condition`."""
    if not isinstance(value, dict) or not value:
        file.tell(loc, "is not a condition", "write {FT1-25.3: [CPT, C4]}, {present: FT1-20} or {absent: FT1-20}")
        return
    for key, said in value.items():
        place = (*loc, key)
        if key in (PRESENT, ABSENT):
            _each(file, place, said, lambda f, at, path: check_path(f, at, path, anchor))
            continue
        check_path(file, place, key, anchor)
        if isinstance(said, dict):
            parts = check_mapping(file, place, said, (NOT,))
            if NOT in parts:
                _each(file, (*place, NOT), parts[NOT], check_text)
            elif not said:
                file.tell(place, "is empty", "write the values it may have, or {not: [...]} those it may not")
        else:
            _each(file, place, said, check_text)


def _each(file: YamlFile, loc: Loc, value: object, checker: Check) -> None:
    """One value, or a list of some."""
    if not isinstance(value, list):
        checker(file, loc, value)
        return
    if not value:
        file.tell(loc, "is empty", "write at least one")
    for index, each in enumerate(value):
        checker(file, (*loc, index), each)
