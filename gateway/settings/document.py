"""The file as plain data, with the line of everything in it, and placeholders filled from the environment.

YAML's safe tags only: no tags of its own, no merging, no key twice. Aliases may repeat a part, within a bound on what
they make.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from gateway.settings.mistakes import Mistake

SIZE_LIMIT = 1024 * 1024
NODE_LIMIT = 20_000
DEPTH_LIMIT = 16

Loc = tuple[str | int, ...]
"""Keys and positions from the top of the file down to a setting."""

PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DOLLAR = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")

_SYNTAX = "check the indentation (spaces only) and the space after colons; quote values with : # { [ & * ! % @ in them"
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")

_TAG = "tag:yaml.org,2002:"
_AS_WRITTEN = frozenset({f"{_TAG}{name}" for name in ("str", "timestamp")})
_CONSTRUCTED = frozenset({f"{_TAG}{name}" for name in ("null", "bool", "int", "float")})


class Document:
    """What was read, and the mistakes found so far; later steps tell theirs here too."""

    def __init__(self, file: Path, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ
        self.data: dict[str, object] = {}
        self.readable = False
        """Whether the file as a whole could be read; if not, only that is told."""
        self.lines: dict[Loc, int] = {}
        self.written: dict[Loc, str] = {}
        """Strings with placeholders, as they stand in the file."""
        self._told: list[tuple[int | None, Loc, str, str]] = []
        self._spoilt: set[Loc] = set()
        """What could not be read: one mistake is told about it, not two."""

    @property
    def folder(self) -> Path:
        """What relative paths start from."""
        return self.file.absolute().parent

    @property
    def mistakes(self) -> list[Mistake]:
        return [Mistake(self.file, line, self._name(loc), text, remedy) for line, loc, text, remedy in self._told]

    def tell(self, loc: Loc, text: str, remedy: str, *, line: int | None = None) -> None:
        """Add a mistake about the setting at `loc`; its line is that of the nearest part that the file has."""
        if not any(loc[:end] in self._spoilt for end in range(1, len(loc) + 1)):
            self._told.append((line or self.line(loc), loc, text, remedy))

    def spoil(self, loc: Loc, text: str, remedy: str) -> None:
        """Like `tell`, and nothing more will be told about the setting."""
        self.tell(loc, text, remedy)
        self._spoilt.add(loc)

    def line(self, loc: Loc) -> int | None:
        for end in range(len(loc), 0, -1):
            if loc[:end] in self.lines:
                return self.lines[loc[:end]]
        return None

    def items(self, section: str) -> list[tuple[Loc, dict[str, object]]]:
        """The mappings in a list at the top of the file, each with its place."""
        found = self.data.get(section)
        if not isinstance(found, list):
            return []
        return [((section, index), item) for index, item in enumerate(found) if isinstance(item, dict)]

    def _name(self, loc: Loc) -> str:
        """`feeds[epic-adt].listen`: an item by its name where it has one, or else by its position, the first 0."""
        text = ""
        value: object = self.data
        for part in loc:
            value = below(value, part)
            if isinstance(part, int):
                called = value.get("name") if isinstance(value, dict) else None
                text += f"[{called if isinstance(called, str) and _WORD.fullmatch(called) else part}]"
            else:
                text += f".{part}" if text else part
        return text


def below(value: object, part: str | int) -> object:
    """What stands under a key or at a position; None when nothing does."""
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def read(file: Path, environ: Mapping[str, str]) -> Document:
    """Never raises for what the file says: that is in `mistakes`."""
    document = Document(file, environ)
    text = _text(document)
    node = _composed(document, text) if text is not None else None
    if isinstance(node, yaml.MappingNode):
        walk = _Walk(document)
        data = walk.value(node, ())
        if isinstance(data, dict):
            document.data = data
            document.readable = not walk.exhausted
    elif node is not None:
        document.tell((), "is not a mapping of settings", "write `key: value` lines, as `store: ...`")
    elif text is not None and not document.mistakes:
        document.readable = True
    return document


def _text(document: Document) -> str | None:
    try:
        with document.file.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        document.tell((), f"cannot be read ({error.strerror})", "name the configuration with --config PATH")
        return None
    if len(content) > SIZE_LIMIT:
        document.tell((), "is larger than 1 MiB", "a configuration is a few kilobytes; is this the right file?")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        document.tell((), "is not UTF-8 text", "save the file as UTF-8", line=line)
        return None


def _composed(document: Document, text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or "syntax error").splitlines()[0]
        document.tell((), f"is not YAML: {problem}", _SYNTAX, line=mark.line + 1 if mark else None)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        document.tell((), "has a character that YAML does not allow", "remove it", line=line)
    except RecursionError:
        document.tell((), "is nested too deeply", f"use {DEPTH_LIMIT} levels at most")
    return None


class _Walk:
    """Turns nodes into data, each value once for each place that it stands in."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._scalars = yaml.constructor.SafeConstructor()
        self._left = NODE_LIMIT
        self.exhausted = False

    def value(self, node: yaml.Node, loc: Loc) -> object:
        if not self._may_go_on(loc):
            return None
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._item(item, (*loc, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _AS_WRITTEN:
            return self._string(node.value, loc)
        if isinstance(node, yaml.ScalarNode) and node.tag in _CONSTRUCTED:
            return self._plain(node, loc)
        self._document.spoil(loc, "is written with a YAML tag, which settings do not use", "write the plain value")
        return None

    def _may_go_on(self, loc: Loc) -> bool:
        self._left -= 1
        if self._left < 0 and not self.exhausted:
            self.exhausted = True
            self._document.tell((), "has too many settings", f"use {NODE_LIMIT} values at most, aliases included")
        if len(loc) > DEPTH_LIMIT:
            self._document.spoil(loc[:1], "is nested too deeply", f"use {DEPTH_LIMIT} levels at most")
        return not self.exhausted and len(loc) <= DEPTH_LIMIT

    def _item(self, node: yaml.Node, loc: Loc) -> object:
        self._document.lines[loc] = node.start_mark.line + 1
        return self.value(node, loc)

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value
            if key_node.tag != f"{_TAG}str" or not _WORD.fullmatch(key):
                remedy = "write the setting's name; put words like yes, no, on and off in quotes"
                self._document.tell(loc, "has a key that is not a plain word", remedy, line=line)
            elif key in found:
                first = self._document.lines[(*loc, key)]
                remedy = "keep one of the two; the second is not read"
                self._document.tell((*loc, key), f"stands twice, first on line {first}", remedy, line=line)
            else:
                self._document.lines[(*loc, key)] = line
                found[key] = self.value(value_node, (*loc, key))
        return found

    def _plain(self, node: yaml.ScalarNode, loc: Loc) -> object:
        try:
            value = self._scalars.construct_object(node)
        except (ValueError, KeyError, OverflowError):
            value = float("nan")
        if isinstance(value, float) and not abs(value) < float("inf"):
            self._document.spoil(loc, "is not a number that can be used", "write it in digits")
            return None
        if value is None:
            self._document.spoil(loc, "is empty", "give it a value, or take the line out")
        return value

    def _string(self, text: str, loc: Loc) -> str:
        """`${NAME}` is that variable of the environment, `$$` a dollar sign; any other `$` is itself."""
        if "$" not in text:
            return text
        self._document.written[loc] = text
        return _DOLLAR.sub(lambda match: self._filled(match, loc), text)

    def _filled(self, match: re.Match[str], loc: Loc) -> str:
        if match.group() == "$$":
            return "$"
        name = match.group(1)
        if name is None:
            remedy = "write ${NAME}; write $$ for a dollar sign"
            self._document.spoil(loc, "has a placeholder without its end, or without a plain name", remedy)
        elif not self._document.environ.get(name):
            state = "is empty" if name in self._document.environ else "is not set"
            remedy = f"set {name} in the gateway's environment before it starts"
            self._document.spoil(loc, f"the environment variable {name} {state}", remedy)
        else:
            return self._document.environ[name]
        return ""
