"""Reads policy.yaml. Every mistake is told at once, each with file, line, key, what is wrong and what to write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.review.policy import Policy

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20
_REMEDIES: dict[str, str] = {
    "extra_forbidden": "remove the key, or correct its name",
    "missing": "add the key",
    "string_type": "write it in quotes",
    "literal_error": "write one of the values named",
    "enum": "write one of the values named",
}
_ELSE = "correct the value"
Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to mend in the file. `line` counts from 1."""

    file: str
    line: int
    key: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key or 'the file'}: {self.text}; {self.remedy}"


class PolicyMistakes(Exception):
    """The policy cannot be used: all its mistakes."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


def load_policy(path: Path) -> Policy:
    """The policy in `path`. PolicyMistakes when it cannot be used."""
    name = str(path)
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as fault:
        raise PolicyMistakes((Mistake(name, 1, "", f"it cannot be read: {fault.strerror}", "give its path"),)) from None
    if size > MAX_BYTES:
        raise PolicyMistakes((Mistake(name, 1, "", f"it has {size} bytes", f"write at most {MAX_BYTES}"),))
    return parse_policy(content, name)


def parse_policy(content: bytes, name: str = "policy.yaml") -> Policy:
    """The policy that `content` writes. PolicyMistakes when it cannot be used."""
    root = _compose(content, name)
    if root is None:
        return Policy()
    doubled = tuple(Mistake(name, line, key, "is written twice", "leave one") for key, line in _doubled(root))
    if doubled:
        raise PolicyMistakes(doubled)
    try:
        return Policy.model_validate(_construct(root, name))
    except ValidationError as wrong:
        found = (_mistake(error, root, name) for error in wrong.errors(include_url=False))
        raise PolicyMistakes(tuple(sorted(found, key=lambda mistake: mistake.line))) from None


def _compose(content: bytes, name: str) -> yaml.Node | None:
    """The tree of the file, not built from more than a policy can need."""
    try:
        _scan(content, name)
        return yaml.compose(content, yaml.SafeLoader)
    except yaml.MarkedYAMLError as fault:
        raise PolicyMistakes((_not_yaml(fault, name),)) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise PolicyMistakes((Mistake(name, 1, "", "it is not readable text", "save it as UTF-8"),)) from None


def _scan(content: bytes, name: str) -> None:
    """Refuses aliases, by which a small file could grow without end, and nests deeper than any policy."""
    depth = 0
    for event in yaml.parse(content, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or isinstance(event, yaml.AliasEvent):
            text = f"it nests deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else "it has an alias (*)"
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise PolicyMistakes((Mistake(name, line, "", text, "write the value out"),))


def _not_yaml(fault: yaml.MarkedYAMLError, name: str) -> Mistake:
    line = fault.problem_mark.line + 1 if fault.problem_mark else 1
    return Mistake(
        name, line, "", f"it is not YAML: {fault.problem or fault.context}", "check indents, colons, quotes and tags"
    )


def _construct(root: yaml.Node, name: str) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as fault:
        raise PolicyMistakes((_not_yaml(fault, name),)) from None
    except ValueError as fault:
        raise PolicyMistakes((Mistake(name, 1, "", f"a date or number is none: {fault}", "correct it"),)) from None
    finally:
        loader.dispose()


def _doubled(node: yaml.Node, above: str = "") -> Iterator[tuple[str, int]]:
    """Keys that a mapping has twice, which YAML would silently let the last one win."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _doubled(item, f"{above}[{index}]")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            path = f"{above}.{key.value}".lstrip(".")
            if key.value in seen:
                yield path, key.start_mark.line + 1
            seen.add(key.value)
            yield from _doubled(value, path)


def _mistake(error: ErrorDetails, root: yaml.Node, name: str) -> Mistake:
    context = error.get("ctx", {})
    location: Location = (*error["loc"], *context.get("at", ()))
    key, line = _place(root, location)
    remedy = context.get("remedy") or _REMEDIES.get(error["type"], _ELSE)
    return Mistake(name, line, key, error["msg"].removeprefix("Value error, "), remedy)


def _place(root: yaml.Node, location: Location) -> tuple[str, int]:
    """The key as written in the file and its line; of a missing key, where it should stand."""
    node, key, line = root, "", root.start_mark.line + 1
    for step in location:
        if step == "[key]":
            break  # the key itself is wrong, not its value
        found, in_list = _step(node, step), isinstance(node, yaml.SequenceNode)
        if found is not None:
            node, line = found
        elif not isinstance(node, yaml.MappingNode):
            continue  # a variant of a union that pydantic names, not a key
        key = f"{key}[{step}]" if in_list else f"{key}.{step}".lstrip(".")
        if found is None:
            break
    return key, line


def _step(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
    return None
