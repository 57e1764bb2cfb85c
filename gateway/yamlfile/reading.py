"""From bytes to data. Whatever a file says, it makes data or mistakes, in bounded time and memory."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from gateway.yamlfile.file import WORD, Loc, YamlFile

KIB = 1024
_SYNTAX = "check the indentation (spaces only) and the space after colons; quote values with : # { [ & * ! % @ in them"

_TAG = "tag:yaml.org,2002:"
_ALIAS = "!alias"
_AS_WRITTEN = frozenset({f"{_TAG}{name}" for name in ("str", "timestamp", "value")})
_CONSTRUCTED = frozenset({f"{_TAG}{name}" for name in ("null", "bool", "int", "float")})
_SCALAR = _AS_WRITTEN | _CONSTRUCTED

F = TypeVar("F", bound=YamlFile)


@dataclass(frozen=True, slots=True)
class Form:
    """How a kind of file may be written."""

    size: int = 1024 * KIB
    """Bytes."""
    depth: int = 16
    values: int = 100_000
    """Keys and values in the file; and values, with every alias written out."""
    aliases: bool = False
    """Whether an alias may repeat a part."""
    codes: bool = False
    """Whether all values and keys are text, for `01` and `NO` are codes, and a value may be left empty."""
    key: re.Pattern[str] = WORD


class _TooMuch(Exception):
    """The file is not read on."""

    def __init__(self, line: int, text: str, remedy: str) -> None:
        super().__init__(text)
        self.line, self.text, self.remedy = line, text, remedy


def read(path: Path, form: Form) -> YamlFile:
    """The file at `path`. Never raises for what it says, nor when it cannot be read: that is in `mistakes`."""
    return read_into(YamlFile(path), path, form)


def read_into(file: F, path: Path, form: Form) -> F:
    """`file`, with the data and mistakes of the file at `path`."""
    try:
        with path.open("rb") as opened:
            content = opened.read(form.size + 1)
    except OSError as error:
        file.tell((), f"cannot be read ({error.strerror})", "check its path, and that the gateway may read it")
        return file
    return parse_into(file, content, form)


def parse_into(file: F, content: bytes, form: Form) -> F:
    """`file`, with the data and mistakes of `content`."""
    file.digest = hashlib.sha256(content).hexdigest()
    text = _text(file, content, form)
    node = _composed(file, text, form) if text is not None else None
    if isinstance(node, yaml.MappingNode):
        walk = _Walk(file, form)
        data = walk.value(node, ())
        if isinstance(data, dict):
            file.data = data
            file.readable = not walk.exhausted
    elif node is not None:
        file.tell((), "is not a mapping", "write `key: value` lines", line=node.start_mark.line + 1)
    elif not file.mistakes:
        file.readable = True
    return file


def _text(file: YamlFile, content: bytes, form: Form) -> str | None:
    if len(content) > form.size:
        size = f"{form.size // KIB} KiB" if form.size < KIB * KIB else f"{form.size // KIB // KIB} MiB"
        file.tell((), f"is larger than {size}", "such a file is a few kilobytes; is this the right one?")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        file.tell((), "is not UTF-8 text", "save the file as UTF-8", line=line)
        return None


def _composed(file: YamlFile, text: str, form: Form) -> yaml.Node | None:
    try:
        return _Composer(text, form).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or "syntax error").splitlines()[0]
        file.tell((), f"is not YAML: {problem}", _SYNTAX, line=mark.line + 1 if mark else None)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        file.tell((), "has a character that YAML does not allow", "remove it", line=line)
    except _TooMuch as error:
        file.tell((), error.text, error.remedy, line=error.line)
    return None


class _Composer(yaml.SafeLoader):
    """Stops at what no file needs before it costs anything. An alias that may not be is marked and passed over."""

    def __init__(self, text: str, form: Form) -> None:
        super().__init__(text)
        self._form = form
        self._depth = 0
        self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._count += 1
        if self._depth > self._form.depth:
            raise _TooMuch(self._line(), *_too_deep(self._form))
        if self._count > self._form.values:
            raise _TooMuch(self._line(), *_too_many(self._form))
        if not self._form.aliases and self.check_event(yaml.AliasEvent):
            return _passed_over(self.get_event())  # type: ignore[no-untyped-call]
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _line(self) -> int:
        return int(self.peek_event().start_mark.line) + 1  # type: ignore[no-untyped-call]


def _passed_over(alias: Any) -> yaml.ScalarNode:
    return yaml.ScalarNode(_ALIAS, "", alias.start_mark, alias.end_mark)


def _too_deep(form: Form) -> tuple[str, str]:
    return "is nested too deeply", f"use {form.depth} levels at most"


def _too_many(form: Form) -> tuple[str, str]:
    return "has too many settings", f"use {form.values} keys and values at most, aliases written out"


class _Walk:
    """Turns nodes into data, each value once for each place that it stands in."""

    def __init__(self, file: YamlFile, form: Form) -> None:
        self._file = file
        self._form = form
        self._scalars = yaml.constructor.SafeConstructor()
        self._left = form.values
        self.exhausted = False

    def value(self, node: yaml.Node, loc: Loc) -> object:
        if not self._may_go_on(loc):
            return None
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._item(item, (*loc, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALAR:
            return self._scalar(node, loc)
        if node.tag == _ALIAS:
            self._file.spoil(loc, "uses an alias (*)", "write the value out")
        else:
            self._file.spoil(loc, "is written with a YAML tag, which settings do not use", "write the plain value")
        return None

    def _may_go_on(self, loc: Loc) -> bool:
        """Aliases can make more of a file than it says."""
        self._left -= 1
        if self._left < 0 and not self.exhausted:
            self.exhausted = True
            self._file.tell((), *_too_many(self._form))
        if len(loc) > self._form.depth:
            self._file.spoil(loc[:1], *_too_deep(self._form))
        return not self.exhausted and len(loc) <= self._form.depth

    def _item(self, node: yaml.Node, loc: Loc) -> object:
        self._file.lines[loc] = node.start_mark.line + 1
        return self.value(node, loc)

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, loc, line)
            if key is None:
                continue
            if key in found:
                first = self._file.lines[(*loc, key)]
                remedy = "keep one of the two; the second is not read"
                self._file.tell((*loc, key), f"stands twice, first on line {first}", remedy, line=line)
            else:
                self._file.lines[(*loc, key)] = line
                found[key] = self.value(value_node, (*loc, key))
        return found

    def _key(self, node: yaml.Node, loc: Loc, line: int) -> str | None:
        written = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
        plain = node.tag in _SCALAR if self._form.codes else node.tag == f"{_TAG}str"
        if plain and self._form.key.fullmatch(written):
            return written
        if node.tag in _SCALAR and WORD.fullmatch(written):
            remedy = "put it in quotes, as YAML wants for numbers and for words like yes, no, on and off"
            self._file.tell((*loc, written), "is a key that is not a plain word", remedy, line=line)
        else:
            self._file.tell(loc, "has a key that is not a plain word", "write a plain word before the colon", line=line)
        return None

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> object:
        empty = node.tag == f"{_TAG}null"
        if self._form.codes:
            return None if empty else str(node.value)
        if empty:
            self._file.spoil(loc, "is empty", "give it a value, or take the line out")
            return None
        return str(node.value) if node.tag in _AS_WRITTEN else self._constructed(node, loc)

    def _constructed(self, node: yaml.ScalarNode, loc: Loc) -> object:
        try:
            value: object = self._scalars.construct_object(node)
        except (ValueError, KeyError, OverflowError):
            value = float("nan")
        if isinstance(value, float) and not abs(value) < float("inf"):
            self._file.spoil(loc, "is not a number that can be used", "write it in digits")
            return None
        return value
