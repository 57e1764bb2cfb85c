"""A dialect's YAML as a tree that remembers where each value stands, so that a mistake can be shown with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

_LONGEST = 256 * 1024
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in a dialect file, and what to do about it."""

    file: str
    line: int
    key: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.text}; {self.remedy}"


class DialectError(ValueError):
    """Dialect files that cannot be used. `mistakes` has all that was found, not only the first."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file: text, None, a mapping or a list. All scalars are text, for `01` and `NO` are codes."""

    value: str | dict[str, Node] | list[Node] | None
    file: str
    line: int

    def mistake(self, key: str, text: str, remedy: str) -> Mistake:
        return Mistake(self.file, self.line, key, text, remedy)

    def plain(self) -> object:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value

    def items(self) -> Mapping[str, Node]:
        """The entries of a mapping; none for anything else."""
        return self.value if isinstance(self.value, dict) else {}


def read_source(path: Path) -> Node:
    """The tree in the file. DialectError when it cannot be read or is not YAML of mappings, lists and text."""
    file = path.name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _fault(file, 1, f"cannot be read ({error.strerror})", "check that the file may be read") from error
    if len(data) > _LONGEST:
        raise _fault(file, 1, "is over 256 KiB", "split it into dialects that extend one another")
    try:
        text = data.decode()
        _check_shape(text, file)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise _fault(file, 1, "is not UTF-8", "save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _fault(file, line, f"is not YAML ({error.problem})", "check the indentation and quotes there") from error
    except yaml.YAMLError as error:
        raise _fault(file, 1, "is not YAML that can be read", "compare it with dialects/base.yaml") from error
    if root is None:
        return Node({}, file, 1)
    return _node(root, file)


def _check_shape(text: str, file: str) -> None:
    """DialectError for aliases, which can multiply a small file, and for nesting without end."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise _fault(file, line, "uses an alias (*name)", "write the value out, or extend another dialect")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise _fault(file, line, "is nested too deep", "compare it with dialects/base.yaml")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _fault(file: str, line: int, text: str, remedy: str) -> DialectError:
    return DialectError((Mistake(file, line, "file", text, remedy),))


def _node(node: yaml.Node, file: str) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return Node(dict(_entries(node, file)), file, line)
    if isinstance(node, yaml.SequenceNode):
        return Node([_node(each, file) for each in node.value], file, line)
    return Node(None if node.tag == "tag:yaml.org,2002:null" else str(node.value), file, line)


def _entries(node: yaml.MappingNode, file: str) -> Iterator[tuple[str, Node]]:
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise _fault(file, line, "has a key that is not a word", "write a name before the colon")
        if key.value in seen:
            raise _fault(file, line, f"says {key.value} twice", "keep one of them")
        seen.add(key.value)
        child = _node(value, file)
        yield key.value, Node(child.value, file, line)


def merged(under: Node, over: Node) -> Node:
    """`under` with what `over` says: mappings are joined key by key, anything else is replaced."""
    if not isinstance(under.value, dict) or not isinstance(over.value, dict):
        return over
    joined = dict(under.value)
    for key, node in over.value.items():
        joined[key] = merged(joined[key], node) if key in joined else node
    return Node(joined, over.file, over.line)
